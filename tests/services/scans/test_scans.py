"""Triggering, coalescing, listing and cancelling scans."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from app import ids
from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.jobs import queue
from app.models import Scan
from app.services.scans import batches, scans
from app.services.scans.batches import Selection
from app.services.scans.scans import ScanFilter
from tests.support.factories import ACTOR, make_account, make_domain, make_domains, make_scan

pytestmark = pytest.mark.usefixtures("database", "enqueued")


@pytest.fixture
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The scan ids of each enqueued job; a list replaces the queue."""
    calls: list[list[str]] = []

    def enqueue(scan_ids: list[object], *, at_front: bool = False) -> bool:
        calls.append([str(scan_id) for scan_id in scan_ids])
        return True

    monkeypatch.setattr(queue, "enqueue_scans", enqueue)
    return calls


def test_trigger_stores_a_scan_and_enqueues_it(enqueued: list[list[str]]) -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    triggered = scans.trigger(account.id, "acme.test", actor=ACTOR)
    assert (triggered.outcome, triggered.scan.status) == ("created", "queued")
    assert enqueued == [[str(triggered.scan.id)]]


def test_trigger_returns_the_scan_in_progress(enqueued: list[list[str]]) -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    first = make_scan(account.id, "acme.test")
    second = scans.trigger(account.id, "acme.test", actor=ACTOR)
    assert (second.outcome, second.scan.id, len(enqueued)) == ("coalesced", first.id, 1)


def finish(scan: Scan, status: str = "completed") -> None:
    with transaction() as session:
        session.execute(
            update(Scan)
            .where(Scan.id == scan.id)
            .values(status=status, finished_at=scan.requested_at)
        )


@pytest.mark.parametrize(
    ("seconds", "outcome"), [(3600, "fresh"), (0, "created"), (None, "created")]
)
def test_trigger_returns_a_recent_scan(seconds: int | None, outcome: str) -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    finish(make_scan(account.id, "acme.test"))
    age = None if seconds is None else timedelta(seconds=seconds)
    assert scans.trigger(account.id, "acme.test", actor=ACTOR, max_age=age).outcome == outcome


def test_domain_of_another_account_is_not_scanned() -> None:
    domain = make_domain(make_account().id, "acme.test")
    with pytest.raises(NotFound):
        scans.trigger(make_account().id, ids.public("dom", domain.id), actor=ACTOR)


def test_batch_is_enqueued_in_chunks(enqueued: list[list[str]]) -> None:
    account = make_account()
    for number in range(5):
        make_domain(account.id, f"d{number}.test")
    batch = batches.trigger(account.id, Selection(all=True), actor=ACTOR)
    assert len(batch.scans) == 5
    assert sorted(scan for chunk in enqueued for scan in chunk) == sorted(
        str(row.id) for row in batch.scans
    )


def test_batch_of_all_domains_has_no_limit(enqueued: list[list[str]]) -> None:
    account = make_account()
    make_domains(account.id, batches.MAX_NAMED + 1)
    batch = batches.trigger(account.id, Selection(all=True), actor=ACTOR)
    assert batch.counts == {"queued": batches.MAX_NAMED + 1}
    assert sum(map(len, enqueued)) == batches.MAX_NAMED + 1
    with pytest.raises(InvalidRequest, match="list at most 5000 domains, or use tag or all"):
        batches.trigger(
            account.id, Selection(refs=["a.test"] * (batches.MAX_NAMED + 1)), actor=ACTOR
        )


def test_batch_includes_scans_in_progress_and_enqueues_the_others(
    enqueued: list[list[str]],
) -> None:
    account = make_account()
    make_domain(account.id, "a.test")
    make_domain(account.id, "b.test")
    first = make_scan(account.id, "a.test")
    batch = batches.trigger(account.id, Selection(refs=["a.test", "B.test"]), actor=ACTOR)
    assert first.id in {row.id for row in batch.scans}
    assert len(enqueued) == 2
    assert len(enqueued[1]) == 1


def test_batch_can_select_domains_by_tag() -> None:
    account = make_account()
    make_domain(account.id, "a.test", tags=["x"])
    make_domain(account.id, "b.test")
    batch = batches.trigger(account.id, Selection(tag="x"), actor=ACTOR)
    assert [row.domain_name for row in batch.scans] == ["a.test"]


def test_batch_finishes_with_its_last_scan() -> None:
    account = make_account()
    for name in ("a.test", "b.test"):
        make_domain(account.id, name)
    batch = batches.trigger(account.id, Selection(all=True), actor=ACTOR)
    for row in batch.scans:
        assert batches.find(account.id, batch.id).finished_at is None
        finish(scans.find(account.id, row.id))
    finished = batches.find(account.id, batch.id)
    assert finished.finished_at is not None
    assert finished.counts["completed"] == 2


@pytest.mark.parametrize(
    "selection", [Selection(), Selection(tag="none"), Selection(refs=["a.test", "other.test"])]
)
def test_batch_without_domains_or_with_unknown_names_is_refused(selection: Selection) -> None:
    account = make_account()
    make_domain(account.id, "a.test")
    make_domain(make_account().id, "other.test")
    with pytest.raises(InvalidRequest):
        batches.trigger(account.id, selection, actor=ACTOR)


def test_queued_scan_can_be_cancelled_and_finished_scan_cannot() -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    scan = make_scan(account.id, "acme.test")
    assert scans.cancel(account.id, scan.id).status == "cancelled"
    with pytest.raises(Conflict):
        scans.cancel(account.id, scan.id)


def test_scan_list_is_filtered() -> None:
    account = make_account()
    for name in ("a.test", "b.test"):
        make_domain(account.id, name)
    first, second = make_scan(account.id, "a.test"), make_scan(account.id, "b.test")
    finish(first)

    def matching_ids(filters: ScanFilter) -> list[object]:
        return [row.id for row in scans.listing(account.id, filters).page(None, 50)[0]]

    assert matching_ids(ScanFilter()) == [second.id, first.id]
    assert matching_ids(ScanFilter(domain="a.test")) == [first.id]
    assert matching_ids(ScanFilter(status="queued")) == [second.id]
    assert matching_ids(ScanFilter(trigger="schedule")) == []
    assert matching_ids(ScanFilter(from_at=second.requested_at)) == [second.id]
    assert matching_ids(ScanFilter(to_at=second.requested_at)) == [first.id]


def test_scan_of_another_account_is_not_found() -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    scan = make_scan(account.id, "acme.test")
    other = make_account().id
    for call in (scans.find, scans.cancel):
        with pytest.raises(NotFound):
            call(other, scan.id)
    batch = batches.trigger(account.id, Selection(all=True), actor=ACTOR)
    with pytest.raises(NotFound):
        batches.find(other, batch.id)
