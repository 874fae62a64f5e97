"""Scans in a worker: claimed once, settled once, never lost; and what they say of alerts."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app import ids
from app.checks.engine.runner import ScanResult
from app.db.transactions import transaction
from app.jobs import queue
from app.models import Alert, AlertTransition, DnsChange, Domain, Scan
from app.models.scans import MAX_ATTEMPTS
from app.services.alerts import alerts
from app.services.domains import dns_status
from app.services.scans import claims, results, runner, scans
from tests.support.factories import ACTOR, make_account, make_domain, make_scan
from tests.support.zones import SERVFAIL, TIMEOUT, Trouble, Zone, ZoneDoor

pytestmark = pytest.mark.usefixtures("database")

Records = Mapping[Any, Sequence[str] | Trouble]
GOOD: dict[Any, Any] = {
    ("acme.test", "NS"): ["ns1.acme.test", "ns2.acme.test"],
    ("ns1.acme.test", "A"): ["198.51.100.1"],
    ("ns2.acme.test", "A"): ["198.51.100.2"],
    ("acme.test", "MX"): ["10 mx.acme.test"],
    ("mx.acme.test", "A"): ["198.51.100.3"],
    "acme.test": ["v=spf1 mx -all"],
    "_dmarc.acme.test": ["v=DMARC1; p=reject; rua=mailto:d@acme.test"],
}


@pytest.fixture(autouse=True)
def bells(monkeypatch: pytest.MonkeyPatch) -> list[list[UUID]]:
    rung: list[list[UUID]] = []

    def enqueue(scan_ids: Sequence[UUID], *, at_front: bool = False) -> bool:
        rung.append(list(scan_ids))
        return True

    monkeypatch.setattr(queue, "enqueue_scans", enqueue)
    monkeypatch.setattr(queue, "is_idle", lambda _: True)
    return rung


@pytest.fixture
def account_id() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test", schedule="off")
    return account.id


def door(**changes: Any) -> ZoneDoor:
    return ZoneDoor(Zone(GOOD))


def scan(account_id: UUID, records: Records = GOOD) -> Scan:
    """One scan of acme.test, run to its end against these records."""
    asked = make_scan(account_id, "acme.test")
    assert runner.run([asked.id], ZoneDoor(Zone(records))) == 1
    return scans.find(account_id, asked.id)


def open_types(account_id: UUID) -> set[str]:
    rows, _ = alerts.search(account_id, alerts.AlertFilter(status="open"), limit=100)
    return {row.type for row in rows}


def queued(*names: str) -> list[Scan]:
    """Scans of these domains of a new account, which wait."""
    account = make_account()
    for name in names:
        make_domain(account.id, name, schedule="off")
    return [make_scan(account.id, name) for name in names]


def claimed(scan_ids: Sequence[UUID]) -> set[UUID]:
    return {claim.scan_id for claim in claims.claim(scan_ids)}


def test_a_chunk_is_filled_by_turns_of_the_accounts() -> None:
    many = queued("a1.test", "a2.test", "a3.test", "a4.test")
    few = queued("b1.test")
    assert claimed([many[0].id, many[1].id]) == {many[0].id, few[0].id}


def test_who_has_more_under_way_has_the_later_turn() -> None:
    many = queued("a1.test", "a2.test", "a3.test", "a4.test")
    assert len(claimed([many[0].id, many[1].id])) == 2
    few = queued("b1.test", "b2.test")
    assert claimed([many[2].id, many[3].id]) == {scan.id for scan in few}


def test_a_scan_that_is_asked_for_by_itself_waits_for_nobody() -> None:
    others = queued("a1.test", "a2.test")
    asked = queued("b1.test", "b2.test")
    assert claimed([asked[1].id]) == {asked[1].id}
    assert claimed([others[1].id]) == {others[1].id}


def test_a_bell_whose_scan_is_taken_already_serves_another() -> None:
    first, second = queued("a1.test", "a2.test")
    assert claimed([first.id]) == {first.id}
    assert claimed([first.id]) == {second.id}


def test_a_scan_that_is_asked_for_by_itself_is_taken_before_a_batch() -> None:
    account = make_account()
    for name in ("a1.test", "a2.test", "a3.test"):
        make_domain(account.id, name, schedule="off")
    names = ("a1.test", "a2.test")
    scans.trigger_many(account.id, scans.Selection(refs=names), actor=ACTOR)
    asked = make_scan(account.id, "a3.test")
    assert asked.id in claimed([UUID(int=1), UUID(int=2)])


def test_a_job_of_many_goes_on_with_whatever_else_is_queued() -> None:
    waiting = queued("a1.test", "a2.test", "a3.test", "a4.test", "a5.test")
    bell = [waiting[0].id, waiting[1].id]
    assert runner.run(bell, door()) == 5
    assert {scans.find(scan.account_id, scan.id).status for scan in waiting} == {"completed"}
    assert runner.run(bell, door()) == 0


def test_the_job_of_one_scan_ends_with_it() -> None:
    first, second = queued("a1.test", "a2.test")
    assert runner.run([first.id], door()) == 1
    assert scans.find(second.account_id, second.id).status == "queued"


def test_a_job_that_has_gone_on_for_long_leaves_the_rest_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "MAX_RUN_SECONDS", 0.0)
    waiting = queued("a1.test", "a2.test", "a3.test")
    assert runner.run([waiting[0].id, waiting[1].id], door()) == 2
    assert scans.find(waiting[2].account_id, waiting[2].id).status == "queued"


def test_what_a_job_has_gone_on_with_is_given_back_when_it_must_stop() -> None:
    waiting = queued("a1.test", "a2.test", "a3.test", "a4.test")
    zone = Sleepy("a3.test", "a4.test")
    bell = [waiting[0].id, waiting[1].id]
    runner.run(bell, ZoneDoor(zone), is_stopping=lambda: zone.is_asleep)
    found = [scans.find(scan.account_id, scan.id) for scan in waiting]
    ends = [("completed", 1), ("completed", 1), ("queued", 0), ("queued", 0)]
    assert [(scan.status, scan.attempt) for scan in found] == ends


def test_a_scan_ends_with_its_result(account_id: UUID) -> None:
    done = scan(account_id)
    assert done.status == "completed"
    assert done.summary is not None
    assert done.summary["undetermined"] == 0
    assert done.result is not None
    verdicts = {check["check"]: check["verdict"] for check in done.result["checks"]}
    assert (verdicts["spf"], verdicts["dmarc"], verdicts["mx"]) == ("ok", "ok", "ok")
    assert done.score is not None
    assert done.score["value"] > 50


def test_the_domain_shows_its_last_scan(account_id: UUID) -> None:
    done = scan(account_id)
    domain, state = dns_status.status(account_id, "acme.test")
    assert (domain.last_scan_id, domain.last_scan_status) == (done.id, "completed")
    assert state is not None
    assert state.last_results["spf"]["facts"]["all"] == "-all"
    assert state.undetermined == {}


def test_a_scan_is_run_once_however_often_the_bell_rings(account_id: UUID) -> None:
    asked = make_scan(account_id, "acme.test")
    assert runner.run([asked.id], door()) == 1
    assert runner.run([asked.id], door()) == 0


def test_a_finding_opens_one_alert_which_later_scans_sustain(account_id: UUID) -> None:
    bad = {**GOOD, "acme.test": ["v=spf1 mx -all", "v=spf1 -all"]}
    first, second = scan(account_id, bad), scan(account_id, bad)
    assert first.result is not None
    assert second.result is not None
    assert len(first.result["alerts"]["opened"]) == 2  # its score is low, too
    assert second.result["alerts"]["sustained"] == first.result["alerts"]["opened"]
    rows, _ = alerts.search(account_id, alerts.AlertFilter(type="spf.multiple_records"))
    assert [(row.status, row.occurrences) for row in rows] == [("open", 2)]


def test_a_finding_that_is_gone_resolves_its_alert(account_id: UUID) -> None:
    scan(account_id, {**GOOD, "acme.test": ["v=spf1 mx -all", "v=spf1 -all"]})
    done = scan(account_id)
    assert done.result is not None
    rows, _ = alerts.search(account_id, alerts.AlertFilter(type="spf.multiple_records"))
    assert done.result["alerts"]["resolved"].count(ids.public("alert", rows[0].id)) == 1
    assert "spf.multiple_records" not in open_types(account_id)


@pytest.mark.parametrize("trouble", [SERVFAIL, TIMEOUT])
def test_trouble_in_dns_opens_and_resolves_nothing(account_id: UUID, trouble: Trouble) -> None:
    scan(account_id, {**GOOD, "acme.test": ["v=spf1 mx -all", "v=spf1 -all"]})
    before = open_types(account_id)
    done = scan(account_id, {**GOOD, "acme.test": trouble, "_dmarc.acme.test": trouble})
    assert done.result is not None
    assert done.result["alerts"]["opened"] == []
    assert done.result["alerts"]["resolved"] == []
    assert open_types(account_id) == before


def test_what_was_known_stays_when_dns_fails(account_id: UUID) -> None:
    scan(account_id)
    scan(account_id, {**GOOD, "acme.test": SERVFAIL})
    _, state = dns_status.status(account_id, "acme.test")
    assert state is not None
    assert state.last_results["spf"]["verdict"] == "ok"
    assert "spf" in state.undetermined


def test_a_removed_record_is_a_change_and_an_alert(account_id: UUID) -> None:
    scan(account_id)
    scan(account_id, {**GOOD, "_dmarc.acme.test": []})
    rows, _ = dns_status.history(account_id, "acme.test", dns_status.ChangeFilter(check="dmarc"))
    assert [(row.name, row.after) for row in rows] == [("_dmarc.acme.test", [])]
    assert {"dns.record_removed", "dmarc.missing"} <= open_types(account_id)


def test_a_record_that_comes_back_resolves_the_alert_of_its_removal(account_id: UUID) -> None:
    scan(account_id)
    scan(account_id, {**GOOD, "_dmarc.acme.test": []})
    scan(account_id)
    assert "dns.record_removed" not in open_types(account_id)


def test_dns_that_fails_is_no_change(account_id: UUID) -> None:
    scan(account_id)
    scan(account_id, {**GOOD, "_dmarc.acme.test": SERVFAIL})
    with transaction() as session:
        assert session.scalars(select(DnsChange)).all() == []


def test_a_dismissed_alert_is_not_raised_again(account_id: UUID) -> None:
    bad = {**GOOD, "acme.test": ["v=spf1 mx -all", "v=spf1 -all"]}
    scan(account_id, bad)
    rows, _ = alerts.search(account_id, alerts.AlertFilter(type="spf.multiple_records"))
    alerts.change(account_id, rows[0].id, alerts.AlertChange("dismissed", "we know"), actor=ACTOR)
    scan(account_id, bad)
    rows, _ = alerts.search(account_id, alerts.AlertFilter(type="spf.multiple_records"))
    assert [row.status for row in rows] == ["dismissed"]


def test_the_history_explains_each_status(account_id: UUID) -> None:
    scan(account_id, {**GOOD, "acme.test": ["v=spf1 mx -all", "v=spf1 -all"]})
    rows, _ = alerts.search(account_id, alerts.AlertFilter(type="spf.multiple_records"))
    alerts.change(account_id, rows[0].id, alerts.AlertChange("acknowledged"), actor=ACTOR)
    scan(account_id)
    moves = [
        (move.from_status, move.to_status, move.actor)
        for move in alerts.history(account_id, rows[0].id)
    ]
    assert moves == [
        (None, "open", "system"),
        ("open", "acknowledged", ACTOR),
        ("acknowledged", "resolved", "system"),
    ]


def result(account_id: UUID, asked: Scan) -> tuple[claims.Claim, ScanResult]:
    (claimed,) = claims.claim([asked.id])
    return claimed, ScanResult(check_results=(), query_count=0, elapsed_ms=0)


def lose_lease(scan_id: UUID) -> None:
    with transaction() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        session.execute(update(Scan).where(Scan.id == scan_id).values(lease_until=past))


def test_whoever_lost_the_lease_writes_nothing(account_id: UUID) -> None:
    asked = make_scan(account_id, "acme.test")
    late = result(account_id, asked)
    lose_lease(asked.id)
    runner.requeue_stale()
    runner.run([asked.id], door())
    before = scans.find(account_id, asked.id)
    results.store([late])
    after = scans.find(account_id, asked.id)
    assert after.result == before.result
    assert after.attempt == 2


def test_a_scan_that_lost_its_lease_is_rung_for_again(
    account_id: UUID, bells: list[list[UUID]]
) -> None:
    asked = make_scan(account_id, "acme.test")
    claims.claim([asked.id])
    bells.clear()
    assert runner.requeue_stale() == 0
    lose_lease(asked.id)
    assert runner.requeue_stale() == 1
    assert bells == [[asked.id]]
    assert scans.find(account_id, asked.id).status == "queued"


def test_after_the_last_attempt_a_scan_fails_with_the_reason(account_id: UUID) -> None:
    asked = make_scan(account_id, "acme.test")
    for _ in range(MAX_ATTEMPTS):
        claims.claim([asked.id])
        lose_lease(asked.id)
        runner.requeue_stale()
    done = scans.find(account_id, asked.id)
    assert done.status == "failed"
    assert done.error is not None
    assert "5 attempts" in done.error


def test_a_bell_that_was_lost_is_rung_again(account_id: UUID, bells: list[list[UUID]]) -> None:
    asked = make_scan(account_id, "acme.test")
    bells.clear()
    assert runner.requeue_stale() == 0
    with transaction() as session:
        past = datetime.now(UTC) - timedelta(minutes=5)
        session.execute(update(Scan).values(enqueued_at=past))
    assert runner.requeue_stale() == 1
    assert bells == [[asked.id]]


def test_a_worker_that_must_stop_gives_its_scans_back(
    account_id: UUID, bells: list[list[UUID]]
) -> None:
    asked = make_scan(account_id, "acme.test")
    bells.clear()
    runner.run([asked.id], ZoneDoor(Sleepy("acme.test")), is_stopping=lambda: True)
    found = scans.find(account_id, asked.id)
    assert (found.status, found.attempt, found.lease_until) == ("queued", 0, None)
    assert bells == [[asked.id]]


class Sleepy(Zone):
    """A zone that never answers about some domains."""

    def __init__(self, *domains: str) -> None:
        super().__init__({})
        self._domains, self.is_asleep = domains, False

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Any:
        if name.endswith(self._domains):
            self.is_asleep = True
            await asyncio.sleep(3600)
        return await super().resolve(name, rdtype, checking_disabled=checking_disabled)


def test_a_domain_that_is_due_is_scanned_and_gets_its_next_time(
    bells: list[list[UUID]],
) -> None:
    account = make_account()
    domain = make_domain(account.id, "due.test", schedule="hourly")
    late = datetime.now(UTC) - timedelta(hours=5)
    with transaction() as session:
        session.execute(update(Domain).values(next_scan_at=late))
    assert runner.start_due() == 1
    assert runner.start_due() == 0
    rows, _ = scans.search(account.id, scans.ScanFilter(trigger="schedule"))
    assert [row.domain_id for row in rows] == [domain.id]
    assert bells == [[rows[0].id]]
    with transaction() as session:
        again = session.get_one(Domain, domain.id).next_scan_at
    assert again is not None
    assert timedelta(0) < again - datetime.now(UTC) <= timedelta(hours=1)


def test_no_sequence_of_scans_gives_two_live_alerts_of_one_key(account_id: UUID) -> None:
    bad = {**GOOD, "acme.test": ["v=spf1 +all"]}
    for records in (bad, GOOD, bad, {**GOOD, "acme.test": SERVFAIL}, bad, GOOD, bad):
        scan(account_id, records)
    with transaction() as session:
        live = session.scalars(select(Alert).where(Alert.status != "resolved")).all()
        moves = session.scalars(select(AlertTransition)).all()
    keys = [(alert.type, alert.subject) for alert in live]
    assert len(keys) == len(set(keys))
    assert len([move for move in moves if move.to_status == "open"]) >= 3
