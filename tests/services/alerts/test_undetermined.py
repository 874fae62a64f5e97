"""A failed lookup changes nothing: no verdict changes, and no alert opens or resolves.

A domain with findings is scanned once. In the next scan, one of the queries fails in one of the
possible ways.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.db.transactions import transaction
from app.jobs import queue
from app.models import Alert, DnsChange, Scan
from app.services.domain_status import dns_status
from app.services.scans import runner, scans
from tests.support.factories import make_account, make_domain, make_scan
from tests.support.zones import REFUSED, SERVFAIL, TIMEOUT, Failure, Zone, ZoneNetwork

pytestmark = pytest.mark.usefixtures("database")

# Each check that has an alert has something to say here.
FAULTY: dict[Any, Any] = {
    ("acme.test", "NS"): ["ns1.acme.test"],
    ("ns1.acme.test", "A"): ["198.51.100.1"],
    ("acme.test", "MX"): ["10 mx.acme.test"],
    ("mx.acme.test", "A"): ["10.0.0.1"],
    "acme.test": ["v=spf1 include:nothing.acme.test +all"],
    "default._domainkey.acme.test": ["v=DKIM1; p=!"],
    "_dmarc.acme.test": ["v=DMARC1; p=reject; p=none; rua=mailto:d@acme.test"],
    "_mta-sts.acme.test": ["v=STSv1; id=!"],
    "_smtp._tls.acme.test": ["v=TLSRPTv1; rua=none"],
    ("acme.test", "CAA"): [],
}
QUESTIONS = [
    ("acme.test", "NS", "dns"),
    ("acme.test", "DS", "dnssec"),
    ("acme.test", "MX", "mx"),
    ("mx.acme.test", "A", "mx"),
    ("acme.test", "TXT", "spf"),
    ("nothing.acme.test", "TXT", "spf"),
    ("default._domainkey.acme.test", "TXT", "dkim"),
    ("_dmarc.acme.test", "TXT", "dmarc"),
    ("_mta-sts.acme.test", "TXT", "mta_sts"),
    ("_smtp._tls.acme.test", "TXT", "tls_rpt"),
    ("acme.test", "CAA", "caa"),
    ("default._bimi.acme.test", "TXT", "bimi"),
]


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    def enqueue(_scan_ids: Sequence[UUID], *, at_front: bool = False) -> bool:
        return True

    monkeypatch.setattr(queue, "enqueue_scans", enqueue)


@pytest.fixture
def account_id() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test", schedule="off")
    return account.id


def scan(account_id: UUID, *failing: tuple[str, str], failure: Failure = SERVFAIL) -> Scan:
    """One scan of acme.test while these questions fail."""
    queued = make_scan(account_id, "acme.test")
    records = FAULTY | dict.fromkeys(failing, failure)
    runner.run([queued.id], ZoneNetwork(Zone(records)))
    return scans.find(account_id, queued.id)


def live_alerts() -> set[tuple[str, str, str]]:
    with transaction(readonly=True) as session:
        rows = session.execute(select(Alert.type, Alert.subject, Alert.status)).all()
    return {(row[0], row[1], row[2]) for row in rows}


def known_result(account_id: UUID, check: str) -> tuple[Any, str | None]:
    """The last result of the check, and the reason why it is undetermined now."""
    _, state = dns_status.status(account_id, "acme.test")
    assert state is not None
    return state.last_results.get(check), state.undetermined.get(check)


def checks_of(done: Scan) -> dict[str, Any]:
    assert done.result is not None
    return {check["check"]: check for check in done.result["checks"]}


@pytest.mark.parametrize(("name", "rdtype", "check"), QUESTIONS, ids=lambda value: str(value))
def test_failed_lookup_changes_neither_results_nor_alerts(
    account_id: UUID, name: str, rdtype: str, check: str
) -> None:
    scan(account_id)
    before, alerts = known_result(account_id, check), live_alerts()
    assert before[0] is not None
    assert before[1] is None
    for failure in (SERVFAIL, REFUSED, TIMEOUT):
        done = scan(account_id, (name, rdtype), failure=failure)
        assert done.status == "completed"
        assert not checks_of(done)[check]["definite"]
        assert live_alerts() == alerts
        assert done.result is not None
        assert (done.result["alerts"]["opened"], done.result["alerts"]["resolved"]) == ([], [])
        after, reason = known_result(account_id, check)
        assert after == before[0]
        assert reason
    with transaction(readonly=True) as session:
        assert session.scalars(select(DnsChange)).all() == []


@pytest.mark.parametrize("failure", [SERVFAIL, REFUSED, TIMEOUT], ids=lambda one: one.value)
def test_unscanned_domain_gets_no_alert_while_dns_fails(account_id: UUID, failure: Failure) -> None:
    every = [(name, rdtype) for name, rdtype, _ in QUESTIONS]
    done = scan(account_id, *every, failure=failure)
    failed = {check for *_, check in QUESTIONS}
    assert not any(one["definite"] for name, one in checks_of(done).items() if name in failed)
    assert live_alerts() == set()
    assert all(known_result(account_id, check)[0] is None for check in failed)


def test_problems_of_the_domain_open_alerts(account_id: UUID) -> None:
    scan(account_id)
    types = {type for type, _, status in live_alerts() if status == "open"}
    assert {"spf.all_pass", "spf.include_not_found", "mx.host_not_public"} <= types
