"""Stored reports are rolled up once, and before their sums are read."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.engine import Engine

from app.analysis.mail.periods import Window, hour_of
from app.db.transactions import now, transaction
from app.jobs import queue
from app.models import (
    DmarcHour,
    DmarcRecord,
    DmarcReport,
    Domain,
    FlowCount,
    ReporterCount,
    ReportMonitor,
    RollupQueueEntry,
)
from app.services.analytics import dmarc, policy, sources
from app.services.analytics.dmarc import DmarcQuery
from app.services.analytics.policy import PolicyTrial
from app.services.analytics.sources import ManualClassification
from app.services.monitoring import report_monitor
from app.services.operations import backlog
from app.services.rollups import rollup_queue, rollups
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.stored_reports import DAY, START, Report, record, store

WEEK = Window(hour_of(START), hour_of(START + 7 * DAY))
SUMS = (DmarcHour.messages, FlowCount.messages, ReporterCount.messages)


@pytest.fixture
def domain(database: Engine) -> Domain:
    return make_domain(make_account().id)


def waiting() -> int:
    with transaction(readonly=True) as session:
        return session.scalar(select(func.count()).select_from(RollupQueueEntry)) or 0


def counted() -> list[int]:
    with transaction(readonly=True) as session:
        return [int(session.scalar(select(func.sum(column))) or 0) for column in SUMS]


def messages(domain: Domain) -> int:
    question = DmarcQuery(domain.name, START, START + 7 * DAY)
    return dmarc.summarize(domain.account_id, question).totals.messages


def of_readiness(domain: Domain) -> int:
    return policy.assess_readiness(domain.account_id, domain.name, WEEK).sending.messages


def of_simulation(domain: Domain) -> int:
    return policy.simulate(domain.account_id, domain.name, WEEK, PolicyTrial()).replay.messages


def of_sources(domain: Domain) -> int:
    return sources.search(domain.account_id, domain.name, WEEK).messages


def of_reporters(domain: Domain) -> int:
    coverage = sources.coverage(domain.account_id, domain.name, WEEK)
    return sum(reporter.messages for reporter in coverage.reporters)


@pytest.mark.parametrize(
    "ask",
    [messages, of_readiness, of_simulation, of_sources, of_reporters],
    ids=lambda a: a.__name__,
)
def test_every_query_includes_previously_stored_reports(
    domain: Domain, ask: Callable[[Domain], int]
) -> None:
    for count in (3, 4):
        store(domain, Report([record(count=count)], begin=START + count * DAY), is_pending=True)
    assert waiting() == 2
    assert ask(domain) == 7
    assert waiting() == 0


def test_alert_evaluation_includes_previously_stored_reports(domain: Domain) -> None:
    store(domain, Report([record()]), is_pending=True)
    with transaction() as session:
        row = ReportMonitor(domain_id=domain.id, account_id=domain.account_id, due_at=now(session))
        session.add(row)
    report_monitor.evaluate_due()
    assert waiting() == 0


def test_source_of_a_pending_report_can_be_classified(domain: Domain) -> None:
    store(domain, Report([record()]), is_pending=True)
    approved = ManualClassification("own", "approved")
    sources.classify(domain.account_id, domain.name, approved, actor=ACTOR)
    result = sources.search(domain.account_id, domain.name, WEEK)
    assert [detail.source.review is not None for detail in result.listed.sources] == [True]


@pytest.mark.parametrize("is_pending", [True, False])
def test_removed_report_is_not_counted(domain: Domain, is_pending: bool) -> None:
    store(domain, Report([record(count=1)]))
    stored = store(domain, Report([record(count=2)]), is_pending=is_pending)
    with transaction() as session:
        rollup_queue.unroll(session, stored)
        session.delete(session.get_one(DmarcReport, stored))
    assert messages(domain) == 1
    assert waiting() == 0


def test_deleted_domain_has_no_pending_reports(domain: Domain) -> None:
    store(domain, Report([record()]), is_pending=True)
    with transaction() as session:
        session.delete(session.get_one(Domain, domain.id))
    assert waiting() == 0
    assert rollup_queue.drain() == 0


def test_concurrent_storing_and_removing_counts_each_report_once(
    domain: Domain, database: Engine
) -> None:
    def work(number: int) -> int:
        rows = [record(f"192.0.2.{number % 9}", 1 + number)]
        report = Report(rows, reporter=f"r{number % 3}")
        stored = store(domain, report, is_pending=number % 4 != 0)
        if number % 5 == 0:
            rollup_queue.drain()
        if number % 3:
            return 1 + number
        with transaction() as session:
            session.get(
                Domain, domain.id, with_for_update=True
            )  # first, as when a report is stored
            rollup_queue.unroll(session, stored)
            session.delete(session.get_one(DmarcReport, stored))
        return 0

    numbers = list(range(48))
    random.Random(7).shuffle(numbers)
    threads = 6 if database.dialect.name == "postgresql" else 2  # SQLite has one writer at a time
    with ThreadPoolExecutor(threads) as pool:
        expected = sum(pool.map(work, numbers))
    rollup_queue.drain()
    assert waiting() == 0
    assert counted() == [expected] * 3
    assert messages(domain) == expected


def test_more_reports_than_one_batch_are_rolled_up(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup_queue, "RECORD_BATCH_SIZE", 3)
    stored = [
        store(domain, Report([record(f"192.0.2.{i}") for i in range(size)]), is_pending=True)
        for size in (2, 2, 9, 1)
    ]
    assert rollup_queue.drain() == 4
    assert counted() == [14] * 3
    with transaction() as session:
        rollup_queue.unroll(session, stored[2])
    assert counted() == [5] * 3


def test_failed_rollup_affects_only_its_report(domain: Domain) -> None:
    store(domain, Report([record(count=1)]), is_pending=True)
    broken = store(domain, Report([record(count=50)]), is_pending=True)
    store(domain, Report([record(count=2)]), is_pending=True)
    _break(broken)
    assert messages(domain) == 3
    assert rollup_queue.drain() == 0
    with transaction(readonly=True) as session:
        assert rollup_queue.pending_count(session, domain.id) == 1
    assert waiting() == 1
    with transaction(readonly=True) as session:
        counts = {item.work: item.count for item in backlog.read(session, now(session))}
        assert (counts["rollups"], backlog.failed_rollups(session)) == (0, 1)


def test_repaired_report_is_rolled_up(domain: Domain) -> None:
    broken = store(domain, Report([record(count=50)]), is_pending=True)
    _break(broken)
    assert messages(domain) == 0
    _write(broken, None)
    with transaction() as session:
        session.execute(update(RollupQueueEntry).values(failed=False))
    assert messages(domain) == 50


def _break(report_id: Any) -> None:
    """Insert a row that the service would not write."""
    _write(report_id, [{"unheard": "of"}])


def _write(report_id: Any, reasons: Any) -> None:
    with transaction() as session:
        session.execute(
            update(DmarcRecord).where(DmarcRecord.report_id == report_id).values(reasons=reasons)
        )


def test_query_does_not_wait_long_for_a_locked_domain(domain: Domain) -> None:
    store(domain, Report([record(count=1)]))
    store(domain, Report([record(count=2)]), is_pending=True)
    with transaction() as session:
        session.get(Domain, domain.id, with_for_update=True)
        assert messages(domain) == 1
        assert rollup_queue.drain() == 0
    assert messages(domain) == 3


def test_clock_enqueues_the_rollup_of_pending_reports(domain: Domain, redis_url: str) -> None:
    store(domain, Report([record()]), is_pending=True)
    rollup_queue.enqueue_if_pending()
    rollup_queue.enqueue_if_pending()
    assert queue.length(queue.INGEST) == 1


def test_compacting_weeks_does_not_wait_for_a_rollup(domain: Domain, database: Engine) -> None:
    """Otherwise each would wait for a lock of the other."""
    if database.dialect.name == "sqlite":
        pytest.skip("on SQLite there is one writer at a time")
    with transaction(readonly=True) as session:
        today = now(session)
    store(domain, Report([record()], begin=today - 14 * DAY))
    store(domain, Report([record()], begin=today - 14 * DAY, reporter="r2"), is_pending=True)
    with ThreadPoolExecutor(1) as pool, transaction() as session:
        rollup_queue._pending(session, domain.id, waits_for_lock=True)
        assert pool.submit(rollups.compact_weeks).result() == 1
    assert rollup_queue.drain() == 1
    assert counted() == [2, 4, 4]  # in hours, and in the week
