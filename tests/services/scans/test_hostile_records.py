"""Scans of records that are difficult to store, and of results that cannot be stored."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import update

from app.checks.engine.runner import ScanResult
from app.db.transactions import transaction
from app.jobs import queue
from app.models import Alert, Scan
from app.models.scans import MAX_ATTEMPTS
from app.services.alerts import alerts
from app.services.scans import claims, results, runner, scans
from tests.support.factories import make_account, make_domain, make_scan
from tests.support.zones import Data, Zone, ZoneNetwork

pytestmark = pytest.mark.usefixtures("database")

HEALTHY: Data = {
    ("acme.test", "NS"): ["ns1.acme.test", "ns2.acme.test"],
    ("ns1.acme.test", "A"): ["198.51.100.1"],
    ("ns2.acme.test", "A"): ["198.51.100.2"],
    ("acme.test", "MX"): ["10 mx.acme.test"],
    ("mx.acme.test", "A"): ["198.51.100.3"],
    "acme.test": ["v=spf1 include:included.test mx -all"],
    "included.test": ["v=spf1 ip4:192.0.2.1 -all"],
    "_dmarc.acme.test": ["v=DMARC1; p=reject; rua=mailto:d@acme.test"],
}
HOSTILE = ["v=spf1 \0 -all", "v=DMARC1; p=\0\x1b; rua=mailto:\0@acme.test"]


@pytest.fixture(autouse=True)
def _without_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "enqueue_scans", lambda *_, **__: True)
    monkeypatch.setattr(queue, "is_idle", lambda _: True)


@pytest.fixture
def account_id() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test", schedule="off")
    return account.id


def scan(account_id: UUID, records: Data) -> Scan:
    queued_scan = make_scan(account_id, "acme.test")
    assert runner.run([queued_scan.id], ZoneNetwork(Zone(records))) == 1
    return scans.find(account_id, queued_scan.id)


def lose_lease(scan_id: UUID) -> None:
    past = datetime.now(UTC) - timedelta(minutes=5)
    with transaction() as session:
        session.execute(update(Scan).where(Scan.id == scan_id).values(lease_until=past))


def test_failed_scan_states_that_its_result_could_not_be_stored(account_id: UUID) -> None:
    scan_row = make_scan(account_id, "acme.test")
    too_many = ScanResult(check_results=(), query_count=2**70, elapsed_ms=0)
    for _ in range(MAX_ATTEMPTS):
        [claim] = claims.claim([scan_row.id])
        results.store([(claim, too_many)])
        lose_lease(scan_row.id)
        runner.requeue_stale()
    done = scans.find(account_id, scan_row.id)
    assert done.status == "failed"
    assert done.error is not None
    assert done.error.startswith("failed after 5 attempts: the result could not be stored (")


@pytest.mark.parametrize("name", ["acme.test", "_dmarc.acme.test", "included.test"])
def test_scan_of_a_record_with_a_nul_byte_is_stored_with_its_alerts(
    account_id: UUID, name: str
) -> None:
    scan(account_id, HEALTHY)
    done = scan(account_id, {**HEALTHY, name: HOSTILE})
    assert (done.status, done.error) == ("completed", None)
    assert done.result is not None
    assert r"\000" in str(done.result["checks"]).replace(r"\\", "\\")
    rows: Sequence[Alert] = alerts.listing(account_id, alerts.AlertFilter()).page(None, 100)[0]
    assert rows
    assert "\0" not in str([(row.subject, row.message, row.evidence) for row in rows])
