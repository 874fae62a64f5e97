"""A root cause opens one alert; its consequences are not evaluated until it is resolved."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app.db.transactions import transaction
from app.jobs import queue
from app.models import Alert, Scan
from app.ports.dns import ServerAnswer
from app.services.alerts import alerts
from app.services.domains import verification, verification_recheck
from app.services.scans import batches, runner, scans
from app.services.scans.batches import Selection
from tests.support.factories import ACTOR, make_account, make_domain, make_scan
from tests.support.zones import SERVFAIL, Zone, ZoneNetwork

pytestmark = pytest.mark.usefixtures("database")

Records = Mapping[Any, Sequence[str]]
WHOLE: dict[Any, Any] = {
    ("acme.test", "NS"): ["ns1.acme.test", "ns2.acme.test"],
    ("ns1.acme.test", "A"): ["198.51.100.1"],
    ("ns2.acme.test", "A"): ["198.51.100.2"],
    ("acme.test", "MX"): ["10 mx.acme.test"],
    ("mx.acme.test", "A"): ["198.51.100.3"],
    "acme.test": ["v=spf1 mx -all"],
    "_dmarc.acme.test": ["v=DMARC1; p=none; rua=mailto:d@acme.test"],
}
DEAD: dict[Any, Any] = {}
LAME = {key: values for key, values in WHOLE.items() if key[0][:2] != "ns"}
NO_MX = {key: values for key, values in WHOLE.items() if key != ("acme.test", "MX")}
ZONES: dict[str, Records] = {"dead": DEAD, "lame": LAME, "no MX": NO_MX, "whole": WHOLE}
REPORTED: dict[str, set[str]] = {
    "dead": {"dns.domain_not_found"},
    # Only a second scan in a row confirms that the name servers have no address.
    "lame": {"dns.delegation_lame", "dns.ns_takeover_risk"},
    # What does not follow from the missing MX record is evaluated as before.
    "no MX": {"mx.missing", "dns.record_removed", "dmarc.policy_none", "score.below_threshold"},
}


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    def enqueue(_scan_ids: Sequence[UUID], *, at_front: bool = False) -> bool:
        return True

    monkeypatch.setattr(queue, "enqueue_scans", enqueue)
    monkeypatch.setattr(queue, "is_idle", lambda _: True)


def new_account() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test", schedule="off")
    return account.id


def scan(account_id: UUID, records: Records) -> Scan:
    queued = make_scan(account_id, "acme.test")
    assert runner.run([queued.id], ZoneNetwork(Zone(records))) == 1
    return scans.find(account_id, queued.id)


def open_alerts(account_id: UUID) -> dict[str, Any]:
    rows, _ = alerts.listing(account_id, alerts.AlertFilter(status="open")).page(None, 100)
    return {row.type: row for row in rows}


def test_300_dead_domains_open_300_alerts() -> None:
    account = make_account()
    for first in range(0, 300, 50):
        names = [f"dead{number}.test" for number in range(first, first + 50)]
        for name in names:
            make_domain(account.id, name, schedule="off")
        batch = batches.trigger(account.id, Selection(refs=names), actor=ACTOR)
        scan_ids = [row.id for row in batches.find(account.id, batch.id).scans]
        assert runner.run(scan_ids, ZoneNetwork(Zone({}))) == 50
    with transaction(readonly=True) as session:
        opened = session.execute(select(Alert.type, Alert.cause_id)).all()
    assert [type for type, _ in opened] == ["dns.domain_not_found"] * 300
    assert len({cause_id for _, cause_id in opened}) == 300


def test_dead_domain_says_what_was_not_evaluated_and_why() -> None:
    account_id = new_account()
    done = scan(account_id, DEAD)
    evidence = open_alerts(account_id)["dns.domain_not_found"].evidence
    assert {"spf.missing", "dmarc.missing", "mx.missing", "score.below_threshold"} <= set(
        evidence["notEvaluated"]
    )
    assert evidence["notEvaluatedBecause"] == "the domain does not exist"
    assert done.result is not None
    assert done.result["alerts"]["notEvaluated"] == {
        "types": evidence["notEvaluated"],
        "reason": "the domain does not exist",
    }


def test_domain_that_expires_opens_one_alert_and_leaves_the_others_open() -> None:
    account_id = new_account()
    scan(account_id, WHOLE)
    before = {alert.id for alert in open_alerts(account_id).values()}
    assert before
    done = scan(account_id, DEAD)
    assert done.result is not None
    assert len(done.result["alerts"]["opened"]) == 1
    assert done.result["alerts"]["resolved"] == []
    after = open_alerts(account_id)
    assert {alert.id for alert in after.values()} == {*before, after["dns.domain_not_found"].id}


def test_domain_that_returns_with_other_records_is_compared_with_those_before() -> None:
    account_id = new_account()
    strict = WHOLE | {"_dmarc.acme.test": ["v=DMARC1; p=reject; rua=mailto:d@acme.test"]}
    scan(account_id, strict)
    scan(account_id, DEAD)
    scan(account_id, WHOLE)
    opened = open_alerts(account_id)
    assert "dns.domain_not_found" not in opened
    weakened = opened["dmarc.policy_weakened"]
    assert weakened.evidence["before"] == strict["_dmarc.acme.test"][0]
    assert weakened.fix["after"] == strict["_dmarc.acme.test"][0]


def test_missing_mx_holds_back_the_report_mailbox_of_the_domain() -> None:
    account_id = new_account()
    without_mx = {**NO_MX, ("acme.test", "A"): []}
    scan(account_id, without_mx)
    missing = open_alerts(account_id)["mx.missing"]
    assert missing.evidence["notEvaluated"] == ["dmarc.rua_mailbox_no_mx"]
    assert "dmarc.rua_mailbox_no_mx" not in open_alerts(account_id)


def test_removed_mx_and_its_finding_have_one_cause() -> None:
    account_id = new_account()
    scan(account_id, WHOLE)
    scan(account_id, NO_MX)
    opened = open_alerts(account_id)
    assert opened["mx.missing"].cause_id == opened["dns.record_removed"].cause_id
    scan(account_id, WHOLE)
    assert not {"mx.missing", "dns.record_removed", "dns.record_changed.mx"} & set(
        open_alerts(account_id)
    )


def test_domain_that_dies_keeps_its_verification_and_has_one_alert() -> None:
    account_id = new_account()
    challenge = verification.challenge(account_id, "acme.test")
    published = ZoneNetwork(Zone({challenge.name: [challenge.value]}))
    domain = verification.verify(account_id, "acme.test", published, actor=ACTOR)
    scan(account_id, DEAD)
    for _ in range(4):
        verification_recheck.recheck([domain.id], ZoneNetwork(Zone(DEAD)))
    assert set(open_alerts(account_id)) == {"dns.domain_not_found"}
    for _ in range(3):
        verification_recheck.recheck([domain.id], ZoneNetwork(Zone(WHOLE)))
    assert "domain.verification_lost" in open_alerts(account_id)


def test_zone_that_its_servers_refuse_opens_one_alert_after_two_scans() -> None:
    account_id = new_account()
    servers = {
        (server, rdtype): ServerAnswer(server, rcode, False)
        for server, rdtype, rcode in (
            ("ns1.example.test", "SOA", "REFUSED"),
            ("ns2.example.test", "SOA", "REFUSED"),
            ("ns.test", "NS", "NOERROR"),
        )
    }
    hosted = WHOLE | {
        ("acme.test", "NS"): ["ns1.example.test", "ns2.example.test"],
        ("ns1.example.test", "A"): ["198.51.100.1"],
        ("ns2.example.test", "A"): ["198.51.100.2"],
    }
    refused: dict[Any, Any] = {("test", "NS"): ["ns.test"]}
    names = ("_dmarc", "_mta-sts", "_smtp._tls", "mta-sts", "default._bimi")
    refused |= {f"{name}.acme.test": SERVFAIL for name in names} | {"acme.test": SERVFAIL}
    before: set[str] = set()
    for number, zone in enumerate(
        (Zone(hosted), Zone(refused, servers=servers), Zone(refused, servers=servers))
    ):
        queued = make_scan(account_id, "acme.test")
        assert runner.run([queued.id], ZoneNetwork(zone)) == 1
        opened = set(open_alerts(account_id))
        expected = {"dns.zone_lame"} if number == 2 else set()
        assert number == 0 or opened - before == expected
        before = opened
    for _ in range(2):
        scan(account_id, hosted)
    assert "dns.zone_lame" not in open_alerts(account_id)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(sorted(ZONES)), min_size=1, max_size=6))
def test_alerts_follow_the_root_cause_and_recover(names: list[str]) -> None:
    account_id = new_account()
    for name in names:
        before = set(open_alerts(account_id))
        scan(account_id, ZONES[name])
        opened = set(open_alerts(account_id)) - before
        assert name == "whole" or opened <= REPORTED[name]
    for _ in range(2):
        scan(account_id, WHOLE)
    fresh = new_account()
    for _ in range(2):
        scan(fresh, WHOLE)
    assert set(open_alerts(account_id)) == set(open_alerts(fresh))
