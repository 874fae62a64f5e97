"""Scans as callers ask for them: one, many, again, no more."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from app import ids
from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.jobs import queue
from app.models import Scan
from app.services.scans import scans
from app.services.scans.scans import ScanFilter, Selection
from tests.support.factories import ACTOR, make_account, make_domain, make_scan

pytestmark = pytest.mark.usefixtures("database", "bells")


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the queue was told, instead of Redis: its one door is replaced by a list."""
    rung: list[list[str]] = []

    def enqueue(scan_ids: list[object], *, at_front: bool = False) -> bool:
        rung.append([str(scan_id) for scan_id in scan_ids])
        return True

    monkeypatch.setattr(queue, "enqueue_scans", enqueue)
    return rung


def test_a_scan_is_a_row_and_a_bell(bells: list[list[str]]) -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    triggered = scans.trigger(account.id, "acme.test", actor=ACTOR)
    assert (triggered.outcome, triggered.scan.status) == ("created", "queued")
    assert bells == [[str(triggered.scan.id)]]


def test_a_scan_under_way_is_returned_as_it_is(bells: list[list[str]]) -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    first = make_scan(account.id, "acme.test")
    second = scans.trigger(account.id, "acme.test", actor=ACTOR)
    assert (second.outcome, second.scan.id, len(bells)) == ("coalesced", first.id, 1)


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
def test_a_scan_that_is_fresh_enough_is_returned(seconds: int | None, outcome: str) -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    finish(make_scan(account.id, "acme.test"))
    age = None if seconds is None else timedelta(seconds=seconds)
    assert scans.trigger(account.id, "acme.test", actor=ACTOR, max_age=age).outcome == outcome


def test_another_accounts_domain_cannot_be_scanned() -> None:
    domain = make_domain(make_account().id, "acme.test")
    with pytest.raises(NotFound):
        scans.trigger(make_account().id, ids.public("dom", domain.id), actor=ACTOR)


def test_a_batch_is_rung_for_in_chunks(bells: list[list[str]]) -> None:
    account = make_account()
    for number in range(5):
        make_domain(account.id, f"d{number}.test")
    batch = scans.trigger_many(account.id, Selection(all=True), actor=ACTOR)
    assert len(batch.scans) == 5
    assert sorted(scan for bell in bells for scan in bell) == sorted(
        str(row.id) for row in batch.scans
    )


def test_a_batch_takes_in_what_is_under_way_and_rings_for_the_rest(
    bells: list[list[str]],
) -> None:
    account = make_account()
    make_domain(account.id, "a.test")
    make_domain(account.id, "b.test")
    first = make_scan(account.id, "a.test")
    batch = scans.trigger_many(account.id, Selection(refs=["a.test", "B.test"]), actor=ACTOR)
    assert first.id in {row.id for row in batch.scans}
    assert len(bells) == 2
    assert len(bells[1]) == 1


def test_a_batch_may_be_the_domains_with_a_tag() -> None:
    account = make_account()
    make_domain(account.id, "a.test", tags=["x"])
    make_domain(account.id, "b.test")
    batch = scans.trigger_many(account.id, Selection(tag="x"), actor=ACTOR)
    assert [row.domain_name for row in batch.scans] == ["a.test"]


def test_a_batch_ends_with_its_last_scan() -> None:
    account = make_account()
    for name in ("a.test", "b.test"):
        make_domain(account.id, name)
    batch = scans.trigger_many(account.id, Selection(all=True), actor=ACTOR)
    for row in batch.scans:
        assert scans.find_batch(account.id, batch.id).finished_at is None
        finish(scans.find(account.id, row.id))
    over = scans.find_batch(account.id, batch.id)
    assert over.finished_at is not None
    assert over.counts["completed"] == 2


@pytest.mark.parametrize(
    "selection", [Selection(), Selection(tag="none"), Selection(refs=["a.test", "other.test"])]
)
def test_a_batch_of_nothing_or_of_unknown_names_is_refused(selection: Selection) -> None:
    account = make_account()
    make_domain(account.id, "a.test")
    make_domain(make_account().id, "other.test")
    with pytest.raises(InvalidRequest):
        scans.trigger_many(account.id, selection, actor=ACTOR)


def test_a_queued_scan_is_cancelled_and_a_finished_one_is_not() -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    scan = make_scan(account.id, "acme.test")
    assert scans.cancel(account.id, scan.id).status == "cancelled"
    with pytest.raises(Conflict):
        scans.cancel(account.id, scan.id)


def test_a_list_of_scans_is_filtered() -> None:
    account = make_account()
    for name in ("a.test", "b.test"):
        make_domain(account.id, name)
    first, second = make_scan(account.id, "a.test"), make_scan(account.id, "b.test")
    finish(first)

    def found(filters: ScanFilter) -> list[object]:
        return [row.id for row in scans.search(account.id, filters)[0]]

    assert found(ScanFilter()) == [second.id, first.id]
    assert found(ScanFilter(domain="a.test")) == [first.id]
    assert found(ScanFilter(status="queued")) == [second.id]
    assert found(ScanFilter(trigger="schedule")) == []
    assert found(ScanFilter(from_at=second.requested_at)) == [second.id]
    assert found(ScanFilter(to_at=second.requested_at)) == [first.id]


def test_another_accounts_scan_is_not_found() -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    scan = make_scan(account.id, "acme.test")
    other = make_account().id
    for call in (scans.find, scans.cancel):
        with pytest.raises(NotFound):
            call(other, scan.id)
    batch = scans.trigger_many(account.id, Selection(all=True), actor=ACTOR)
    with pytest.raises(NotFound):
        scans.find_batch(other, batch.id)
