"""Scans in a worker: each is claimed once, stored once, never lost, and updates alerts."""

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
from app.services.domain_status import dns_status
from app.services.scans import batches, claims, results, runner, scans
from app.services.scans.batches import Selection
from tests.support.factories import ACTOR, make_account, make_domain, make_domains, make_scan
from tests.support.zones import SERVFAIL, TIMEOUT, Failure, Zone, ZoneNetwork

pytestmark = pytest.mark.usefixtures("database")

Records = Mapping[Any, Sequence[str] | Failure]
HEALTHY: dict[Any, Any] = {
    ("acme.test", "NS"): ["ns1.acme.test", "ns2.acme.test"],
    ("ns1.acme.test", "A"): ["198.51.100.1"],
    ("ns2.acme.test", "A"): ["198.51.100.2"],
    ("acme.test", "MX"): ["10 mx.acme.test"],
    ("mx.acme.test", "A"): ["198.51.100.3"],
    "acme.test": ["v=spf1 mx -all"],
    "_dmarc.acme.test": ["v=DMARC1; p=reject; rua=mailto:d@acme.test"],
}


@pytest.fixture(autouse=True)
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[list[UUID]]:
    calls: list[list[UUID]] = []

    def enqueue(scan_ids: Sequence[UUID], *, at_front: bool = False) -> bool:
        calls.append(list(scan_ids))
        return True

    monkeypatch.setattr(queue, "enqueue_scans", enqueue)
    monkeypatch.setattr(queue, "is_idle", lambda _: True)
    return calls


@pytest.fixture
def account_id() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test", schedule="off")
    return account.id


def healthy_network() -> ZoneNetwork:
    return ZoneNetwork(Zone(HEALTHY))


def scan(account_id: UUID, records: Records = HEALTHY) -> Scan:
    """Run a scan of acme.test against these records and return it."""
    queued_scan = make_scan(account_id, "acme.test")
    assert runner.run([queued_scan.id], ZoneNetwork(Zone(records))) == 1
    return scans.find(account_id, queued_scan.id)


def open_types(account_id: UUID) -> set[str]:
    rows, _ = alerts.listing(account_id, alerts.AlertFilter(status="open")).page(None, 100)
    return {row.type for row in rows}


def several_records(account_id: UUID) -> Sequence[Any]:
    """The alerts about several SPF records."""
    filters = alerts.AlertFilter(type="spf.multiple_records")
    return alerts.listing(account_id, filters).page(None, 50)[0]


def queued(*names: str) -> list[Scan]:
    """Queue scans of these domains of a new account."""
    account = make_account()
    for name in names:
        make_domain(account.id, name, schedule="off")
    return [make_scan(account.id, name) for name in names]


def claimed(scan_ids: Sequence[UUID]) -> set[UUID]:
    return {claim.scan_id for claim in claims.claim(scan_ids)}


def test_chunk_is_filled_fairly_across_accounts() -> None:
    many = queued("a1.test", "a2.test", "a3.test", "a4.test")
    few = queued("b1.test")
    assert claimed([many[0].id, many[1].id]) == {many[0].id, few[0].id}


def test_fair_share_prefers_account_with_fewer_running_scans() -> None:
    many = queued("a1.test", "a2.test", "a3.test", "a4.test")
    assert len(claimed([many[0].id, many[1].id])) == 2
    few = queued("b1.test", "b2.test")
    assert claimed([many[2].id, many[3].id]) == {scan.id for scan in few}


def test_job_of_one_scan_claims_that_scan() -> None:
    others = queued("a1.test", "a2.test")
    own = queued("b1.test", "b2.test")
    assert claimed([own[1].id]) == {own[1].id}
    assert claimed([others[1].id]) == {others[1].id}


def test_job_for_claimed_scan_takes_next_queued_scan() -> None:
    first, second = queued("a1.test", "a2.test")
    assert claimed([first.id]) == {first.id}
    assert claimed([first.id]) == {second.id}


def test_single_scan_is_claimed_before_a_batch() -> None:
    account = make_account()
    for name in ("a1.test", "a2.test", "a3.test"):
        make_domain(account.id, name, schedule="off")
    names = ("a1.test", "a2.test")
    batches.trigger(account.id, Selection(refs=names), actor=ACTOR)
    single = make_scan(account.id, "a3.test")
    assert single.id in claimed([UUID(int=1), UUID(int=2)])


def test_job_of_many_scans_continues_with_other_queued_scans() -> None:
    queued_scans = queued("a1.test", "a2.test", "a3.test", "a4.test", "a5.test")
    scan_ids = [queued_scans[0].id, queued_scans[1].id]
    assert runner.run(scan_ids, healthy_network()) == 5
    assert {scans.find(scan.account_id, scan.id).status for scan in queued_scans} == {"completed"}
    assert runner.run(scan_ids, healthy_network()) == 0


def test_job_of_one_scan_ends_with_it() -> None:
    first, second = queued("a1.test", "a2.test")
    assert runner.run([first.id], healthy_network()) == 1
    assert scans.find(second.account_id, second.id).status == "queued"


def test_job_over_its_time_limit_leaves_queued_scans_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "MAX_RUN_SECONDS", 0.0)
    queued_scans = queued("a1.test", "a2.test", "a3.test")
    assert runner.run([queued_scans[0].id, queued_scans[1].id], healthy_network()) == 2
    assert scans.find(queued_scans[2].account_id, queued_scans[2].id).status == "queued"


def test_stopping_job_releases_its_unfinished_scans() -> None:
    queued_scans = queued("a1.test", "a2.test", "a3.test", "a4.test")
    zone = SilentZone("a3.test", "a4.test")
    scan_ids = [queued_scans[0].id, queued_scans[1].id]
    runner.run(scan_ids, ZoneNetwork(zone), is_stopping=lambda: zone.is_waiting)
    rows = [scans.find(scan.account_id, scan.id) for scan in queued_scans]
    expected = [("completed", 1), ("completed", 1), ("queued", 0), ("queued", 0)]
    assert [(scan.status, scan.attempt) for scan in rows] == expected


def test_completed_scan_has_a_result(account_id: UUID) -> None:
    done = scan(account_id)
    assert done.status == "completed"
    assert done.summary is not None
    assert done.summary["undetermined"] == 0
    assert done.result is not None
    verdicts = {check["check"]: check["verdict"] for check in done.result["checks"]}
    assert (verdicts["spf"], verdicts["dmarc"], verdicts["mx"]) == ("ok", "ok", "ok")
    assert done.score is not None
    assert (done.score["value"] or 0) > 50


def test_domain_shows_its_last_scan(account_id: UUID) -> None:
    done = scan(account_id)
    domain, state = dns_status.status(account_id, "acme.test")
    assert (domain.last_scan_id, domain.last_scan_status) == (done.id, "completed")
    assert state is not None
    assert state.last_results["spf"]["facts"]["all"] == "-all"
    assert state.undetermined == {}


def test_duplicate_job_runs_a_scan_once(account_id: UUID) -> None:
    scan_row = make_scan(account_id, "acme.test")
    assert runner.run([scan_row.id], healthy_network()) == 1
    assert runner.run([scan_row.id], healthy_network()) == 0


def test_finding_opens_one_alert_that_later_scans_refresh(account_id: UUID) -> None:
    bad = {**HEALTHY, "acme.test": ["v=spf1 mx -all", "v=spf1 -all"]}
    first, second = scan(account_id, bad), scan(account_id, bad)
    assert first.result is not None
    assert second.result is not None
    assert len(first.result["alerts"]["opened"]) == 2  # its score is low, too
    assert second.result["alerts"]["sustained"] == first.result["alerts"]["opened"]
    rows = several_records(account_id)
    assert [(row.status, row.occurrences) for row in rows] == [("open", 2)]


def test_cleared_finding_resolves_its_alert(account_id: UUID) -> None:
    scan(account_id, {**HEALTHY, "acme.test": ["v=spf1 mx -all", "v=spf1 -all"]})
    done = scan(account_id)
    assert done.result is not None
    rows = several_records(account_id)
    assert done.result["alerts"]["resolved"].count(ids.public("alert", rows[0].id)) == 1
    assert "spf.multiple_records" not in open_types(account_id)


@pytest.mark.parametrize("failure", [SERVFAIL, TIMEOUT])
def test_dns_failure_opens_and_resolves_no_alert(account_id: UUID, failure: Failure) -> None:
    scan(account_id, {**HEALTHY, "acme.test": ["v=spf1 mx -all", "v=spf1 -all"]})
    before = open_types(account_id)
    done = scan(account_id, {**HEALTHY, "acme.test": failure, "_dmarc.acme.test": failure})
    assert done.result is not None
    assert done.result["alerts"]["opened"] == []
    assert done.result["alerts"]["resolved"] == []
    assert open_types(account_id) == before


def test_last_result_is_unchanged_after_a_dns_failure(account_id: UUID) -> None:
    scan(account_id)
    scan(account_id, {**HEALTHY, "acme.test": SERVFAIL})
    _, state = dns_status.status(account_id, "acme.test")
    assert state is not None
    assert state.last_results["spf"]["verdict"] == "ok"
    assert "spf" in state.undetermined


def test_removed_record_is_a_change_and_opens_an_alert(account_id: UUID) -> None:
    scan(account_id)
    scan(account_id, {**HEALTHY, "_dmarc.acme.test": []})
    rows, _ = dns_status.history(account_id, "acme.test", dns_status.ChangeFilter(check="dmarc"))
    assert [(row.name, row.after) for row in rows] == [("_dmarc.acme.test", [])]
    assert {"dns.record_removed", "dmarc.missing"} <= open_types(account_id)


def test_restored_record_resolves_the_alert_of_its_removal(account_id: UUID) -> None:
    scan(account_id)
    scan(account_id, {**HEALTHY, "_dmarc.acme.test": []})
    scan(account_id)
    assert "dns.record_removed" not in open_types(account_id)


def test_dns_failure_is_not_a_change(account_id: UUID) -> None:
    scan(account_id)
    scan(account_id, {**HEALTHY, "_dmarc.acme.test": SERVFAIL})
    with transaction() as session:
        assert session.scalars(select(DnsChange)).all() == []


def test_dismissed_alert_is_not_reopened(account_id: UUID) -> None:
    bad = {**HEALTHY, "acme.test": ["v=spf1 mx -all", "v=spf1 -all"]}
    scan(account_id, bad)
    rows = several_records(account_id)
    alerts.change(account_id, rows[0].id, alerts.AlertChange("dismissed", "we know"), actor=ACTOR)
    scan(account_id, bad)
    rows = several_records(account_id)
    assert [row.status for row in rows] == ["dismissed"]


def test_history_has_every_status_change(account_id: UUID) -> None:
    scan(account_id, {**HEALTHY, "acme.test": ["v=spf1 mx -all", "v=spf1 -all"]})
    rows = several_records(account_id)
    alerts.change(account_id, rows[0].id, alerts.AlertChange("acknowledged"), actor=ACTOR)
    scan(account_id)
    transitions = [
        (transition.from_status, transition.to_status, transition.actor)
        for transition in alerts.history(account_id, rows[0].id)
    ]
    assert transitions == [
        (None, "open", "system"),
        ("open", "acknowledged", ACTOR),
        ("acknowledged", "resolved", "system"),
    ]


def claim_and_result(scan_row: Scan) -> tuple[claims.Claim, ScanResult]:
    (claim,) = claims.claim([scan_row.id])
    return claim, ScanResult(check_results=(), query_count=0, elapsed_ms=0)


def lose_lease(scan_id: UUID) -> None:
    with transaction() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        session.execute(update(Scan).where(Scan.id == scan_id).values(lease_until=past))


def test_attempt_without_lease_writes_nothing(account_id: UUID) -> None:
    scan_row = make_scan(account_id, "acme.test")
    late = claim_and_result(scan_row)
    lose_lease(scan_row.id)
    runner.requeue_stale()
    runner.run([scan_row.id], healthy_network())
    before = scans.find(account_id, scan_row.id)
    results.store([late])
    after = scans.find(account_id, scan_row.id)
    assert after.result == before.result
    assert after.attempt == 2


def test_scan_with_expired_lease_is_enqueued_again(
    account_id: UUID, enqueued: list[list[UUID]]
) -> None:
    scan_row = make_scan(account_id, "acme.test")
    claims.claim([scan_row.id])
    enqueued.clear()
    assert runner.requeue_stale() == 0
    lose_lease(scan_row.id)
    assert runner.requeue_stale() == 1
    assert enqueued == [[scan_row.id]]
    assert scans.find(account_id, scan_row.id).status == "queued"


def test_scan_fails_with_the_reason_after_the_last_attempt(account_id: UUID) -> None:
    scan_row = make_scan(account_id, "acme.test")
    for _ in range(MAX_ATTEMPTS):
        claims.claim([scan_row.id])
        lose_lease(scan_row.id)
        runner.requeue_stale()
    done = scans.find(account_id, scan_row.id)
    assert done.status == "failed"
    assert done.error == "failed after 5 attempts: the worker stopped in each of them"


def test_scan_with_lost_job_is_enqueued_again(account_id: UUID, enqueued: list[list[UUID]]) -> None:
    scan_row = make_scan(account_id, "acme.test")
    enqueued.clear()
    assert runner.requeue_stale() == 0
    with transaction() as session:
        past = datetime.now(UTC) - timedelta(minutes=5)
        session.execute(update(Scan).values(enqueued_at=past))
    assert runner.requeue_stale() == 1
    assert enqueued == [[scan_row.id]]


def test_stopping_worker_releases_its_scans(account_id: UUID, enqueued: list[list[UUID]]) -> None:
    scan_row = make_scan(account_id, "acme.test")
    enqueued.clear()
    runner.run([scan_row.id], ZoneNetwork(SilentZone("acme.test")), is_stopping=lambda: True)
    row = scans.find(account_id, scan_row.id)
    assert (row.status, row.attempt, row.lease_until) == ("queued", 0, None)
    assert enqueued == [[scan_row.id]]


class SilentZone(Zone):
    """A zone that never answers queries for some domains."""

    def __init__(self, *domains: str) -> None:
        super().__init__({})
        self._domains, self.is_waiting = domains, False

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Any:
        if name.endswith(self._domains):
            self.is_waiting = True
            await asyncio.sleep(3600)
        return await super().resolve(name, rdtype, checking_disabled=checking_disabled)


def test_all_due_domains_are_scanned_in_one_call(enqueued: list[list[UUID]]) -> None:
    account, count = make_account(), 2 * runner.DUE_BATCH_SIZE + 1
    make_domains(account.id, count)
    with transaction() as session:
        session.execute(update(Domain).values(next_scan_at=datetime.now(UTC)))
    assert runner.start_due() == count
    assert sum(map(len, enqueued)) == count
    assert runner.start_due() == 0


def test_due_domain_is_scanned_and_scheduled_again(
    enqueued: list[list[UUID]],
) -> None:
    account = make_account()
    domain = make_domain(account.id, "due.test", schedule="hourly")
    overdue = datetime.now(UTC) - timedelta(hours=5)
    with transaction() as session:
        session.execute(update(Domain).values(next_scan_at=overdue))
    assert runner.start_due() == 1
    assert runner.start_due() == 0
    rows, _ = scans.listing(account.id, scans.ScanFilter(trigger="schedule")).page(None, 50)
    assert [row.domain_id for row in rows] == [domain.id]
    assert enqueued == [[rows[0].id]]
    with transaction() as session:
        again = session.get_one(Domain, domain.id).next_scan_at
    assert again is not None
    assert timedelta(0) < again - datetime.now(UTC) <= timedelta(hours=1)


def test_no_sequence_of_scans_opens_two_alerts_for_one_subject(account_id: UUID) -> None:
    bad = {**HEALTHY, "acme.test": ["v=spf1 +all"]}
    for records in (bad, HEALTHY, bad, {**HEALTHY, "acme.test": SERVFAIL}, bad, HEALTHY, bad):
        scan(account_id, records)
    with transaction() as session:
        live = session.scalars(select(Alert).where(Alert.status != "resolved")).all()
        transitions = session.scalars(select(AlertTransition)).all()
    keys = [(alert.type, alert.subject) for alert in live]
    assert len(keys) == len(set(keys))
    assert len([transition for transition in transitions if transition.to_status == "open"]) >= 3
