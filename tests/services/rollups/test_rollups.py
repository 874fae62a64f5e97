"""Rollups equal the sums of the records after any additions and removals."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.engine import Engine

from app.analysis.mail import periods
from app.db.transactions import now, transaction
from app.models import (
    DmarcFlow,
    DmarcHour,
    DmarcReport,
    DmarcWeek,
    Domain,
    FlowCount,
    ReporterCount,
)
from app.protocols.report_formats.aggregate import DkimResult, Reason, Record, SpfResult
from app.services.analytics import dmarc
from app.services.analytics.dmarc import DmarcQuery
from app.services.rollups import rollup_queue, rollups
from tests.support.factories import make_account, make_domain
from tests.support.stored_reports import DAY, Report, record, store

MIDNIGHTS = datetime(2026, 3, 20, tzinfo=UTC)  # clocks turn in Europe and Lebanon in these weeks
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Beirut",
    "Pacific/Auckland",
    "Australia/Lord_Howe",
    "America/St_Johns",
]
TABLES = (DmarcHour, ReporterCount, FlowCount, DmarcFlow)

ROWS = st.builds(
    record,
    source_ip=st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"]),
    count=st.integers(0, 5000),
    disposition=st.sampled_from(["none", "quarantine", "reject"]),
    dkim=st.booleans(),
    spf=st.booleans(),
    header_from=st.sampled_from(["acme.test", "news.acme.test"]),
    envelope_from=st.sampled_from([None, "", "a@Bounce.acme.test"]),
    reasons=st.sampled_from([(), (Reason("forwarded", None),), (Reason("other", "x"),)]),
    dkim_results=st.sampled_from(
        [
            (),
            (DkimResult("acme.test", "s1", "pass"),),
            (DkimResult("x.test", None, "fail"), DkimResult("acme.test", "s", "pass")),
        ]
    ),
    spf_results=st.sampled_from([(), (SpfResult("acme.test", None, "pass"),)]),
)
REPORTS = st.builds(
    Report,
    rows=st.lists(ROWS, max_size=5),
    begin=st.builds(lambda hours: MIDNIGHTS + timedelta(hours=hours), st.integers(0, 24 * 24)),
    length=st.sampled_from(
        [DAY, DAY - timedelta(seconds=1), timedelta(hours=1), timedelta(0), 5 * DAY, 37 * DAY / 24]
    ),
    reporter=st.sampled_from(["google.com", "yahoo.com"]),
    provenance=st.sampled_from(["token", "unverified"]),
)
many = hypothesis_settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def account_id(database: Engine) -> UUID:
    return make_account().id


def messages(reports: list[Report]) -> Iterator[tuple[Report, Record, datetime, int]]:
    """Yield the messages of each record at the hours in which they count."""
    for report in reports:
        length = (report.length + timedelta(seconds=1)) / report.days
        for row in report.rows:
            for day in range(report.days):
                part = row.count // report.days + (1 if day < row.count % report.days else 0)
                at = report.begin + length * day + length / 2
                yield report, row, at.replace(minute=0, second=0, microsecond=0), part


def reporters_of(counted: list[tuple[Report, Record, datetime, int]]) -> int:
    """The number of reporters with at least one message; a record may count none."""
    return len({report.reporter for report, *_, part in counted if part})


def label(at: datetime, interval: str, zone: ZoneInfo) -> Any:
    """The local label of the interval that contains the time."""
    local = at.astimezone(zone)
    match interval:
        case "hour":
            return (local.date(), local.hour, local.utcoffset())
        case "day":
            return local.date()
        case "week":
            return local.isocalendar()[:2]
        case _:
            return (local.year, local.month)


def key_of(by: str, report: Report, row: Record) -> str:
    result = {(True, True): "dkim_and_spf", (True, False): "dkim", (False, True): "spf"}
    return {
        "source": row.source_ip,
        "reporter": report.reporter,
        "disposition": row.disposition,
        "headerFrom": row.header_from,
        "result": result.get((row.dkim, row.spf), "fail"),
    }[by]


@many
@given(
    reports=st.lists(REPORTS, max_size=6),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    interval=st.sampled_from(["hour", "day", "week", "month"]),
    by=st.sampled_from(["source", "reporter", "disposition", "headerFrom", "result"]),
    start=st.integers(0, 24 * 10),
    length=st.integers(1, 24 * 30),
    is_closing=st.booleans(),
    is_pending=st.booleans(),
)
def test_every_total_group_and_interval_equals_a_naive_count(
    account_id: UUID,
    reports: list[Report],
    zone: ZoneInfo,
    interval: Any,
    by: Any,
    start: int,
    length: int,
    is_closing: bool,
    is_pending: bool,
) -> None:
    domain = make_domain(account_id)
    for report in reports:
        store(domain, report, is_pending=is_pending)
        if is_closing:
            rollups.compact_weeks()
    from_at = MIDNIGHTS + timedelta(hours=start, minutes=-20)
    to_at = from_at + timedelta(hours=length)
    before_at = from_at - timedelta(hours=length)
    period = {"from_at": from_at, "to_at": to_at, "interval": interval, "zone": zone}
    answer = dmarc.summarize(account_id, DmarcQuery(domain=domain.name, group_by=by, **period))

    all_of = list(messages(reports))
    inside = [entry for entry in all_of if from_at <= entry[2] < to_at]
    totals = answer.totals
    assert totals.messages == sum(part for *_, part in inside)
    assert totals.passed == sum(part for _, row, _, part in inside if row.dkim or row.spf)
    assert totals.dkim_aligned == sum(part for _, row, _, part in inside if row.dkim)
    assert totals.spf_aligned == sum(part for _, row, _, part in inside if row.spf)
    assert totals.unverified == sum(p for r, *_, p in inside if r.provenance == "unverified")
    assert totals.reporters == reporters_of(inside)
    earlier = [entry for entry in all_of if before_at <= entry[2] < from_at]
    assert answer.previous_period.messages == sum(part for *_, part in earlier)
    assert answer.previous_period.reporters == reporters_of(earlier)

    _check_parts(answer, inside)


def _check_parts(answer: Any, inside: list[tuple[Report, Record, datetime, int]]) -> None:
    """Dispositions, intervals and groups."""
    interval, zone, by = (answer.query.interval, answer.query.zone, answer.query.group_by)
    dispositions = Counter[str]()
    by_label, by_key, by_both = Counter[Any](), Counter[str](), Counter[Any]()
    for report, row, at, part in inside:
        dispositions[row.disposition] += part
        name = label(at, interval, zone)
        by_label[name] += part
        by_key[key_of(by, report, row)] += part
        by_both[key_of(by, report, row), name] += part
    assert +Counter(answer.totals.dispositions) == +dispositions
    labels = [label(begin, interval, zone) for begin in answer.starts]
    assert len(set(labels)) == len(labels)
    pairs = zip(labels, answer.series, strict=True)
    assert {name: one.messages for name, one in pairs if one.messages} == dict(+by_label)
    assert {group.key: group.messages for group in answer.groups} == dict(+by_key)
    for group in answer.groups:
        series = dict(zip(labels, group.series, strict=True))
        assert series == {name: by_both[group.key, name] for name in labels}


def contents() -> dict[str, list[Any]]:
    with transaction(readonly=True) as session:
        return {
            table.__tablename__: sorted(
                tuple(row) for row in session.execute(select(*table.__table__.c))
            )
            for table in TABLES
        }


@many
@given(remaining=st.lists(REPORTS, max_size=3), removed=st.lists(REPORTS, min_size=1, max_size=3))
def test_removed_reports_leave_no_rollups(
    account_id: UUID, remaining: list[Report], removed: list[Report]
) -> None:
    domain = make_domain(account_id)
    for report in remaining:
        store(domain, report)
    before = contents()
    for stored in [store(domain, report) for report in removed]:
        with transaction() as session:
            rollup_queue.unroll(session, stored)
            session.delete(session.get_one(DmarcReport, stored))
    zero = {name: [row for row in rows if row[-1] != 0] for name, rows in before.items()}
    after = {name: [row for row in rows if row[-1] != 0] for name, rows in contents().items()}
    assert after == zero


def test_flow_has_its_first_and_last_hour(account_id: UUID) -> None:
    domain = make_domain(account_id)
    days = [datetime(2026, 5, day, tzinfo=UTC) for day in (9, 3, 20)]
    stored = [store(domain, Report([record()], begin=day)) for day in days]

    def ends() -> tuple[datetime, datetime]:
        with transaction(readonly=True) as session:
            flow = session.scalars(select(DmarcFlow)).one()
            return periods.at(flow.first_hour), periods.at(flow.last_hour)

    noon = timedelta(hours=12)
    assert ends() == (days[1] + noon, days[2] + noon)
    with transaction() as session:
        rollup_queue.unroll(session, stored[2])
    assert ends() == (days[1] + noon, days[0] + noon)


def test_concurrent_ingestion_loses_no_report(account_id: UUID) -> None:
    domain = make_domain(account_id)
    rows = [record(source_ip=f"192.0.2.{i % 50}", count=i, dkim=i % 2 == 0) for i in range(100)]

    def work(number: int) -> None:
        shuffled = rows[number:] + rows[:number]
        store(domain, Report(shuffled, reporter=f"r{number % 3}.test"))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(12)))
    expected = 12 * sum(range(100))
    with transaction(readonly=True) as session:
        for table in (DmarcHour.messages, ReporterCount.messages, FlowCount.messages):
            assert session.scalar(select(func.sum(table))) == expected


def sums(span: int) -> dict[tuple[Any, ...], int]:
    """Messages by week and counter, from the rows of the span."""
    week = periods.WEEK
    sums_by_key = Counter[tuple[Any, ...]]()
    with transaction(readonly=True) as session:
        closed = set(session.scalars(select(DmarcWeek.start).where(DmarcWeek.is_compacted)))
        for row in session.scalars(select(FlowCount).where(FlowCount.span == span)):
            sums_by_key[row.start // week * week, row.flow_id] += row.messages
        for reporter_count in session.scalars(
            select(ReporterCount).where(ReporterCount.span == span)
        ):
            key_of_count = (
                reporter_count.start // week * week,
                reporter_count.reporter,
                reporter_count.identity_id,
            )
            sums_by_key[key_of_count] += reporter_count.messages
    return {key: count for key, count in sums_by_key.items() if key[0] in closed and count}


@many
@given(
    early=st.lists(REPORTS, min_size=1, max_size=3),
    late=st.lists(REPORTS, max_size=3),
    removed=st.sets(st.integers(0, 5)),
)
def test_compacted_week_equals_the_sum_of_its_hours(
    account_id: UUID, early: list[Report], late: list[Report], removed: set[int]
) -> None:
    domain = make_domain(account_id)
    stored = [store(domain, report) for report in early]
    assert sums(periods.WEEK) == {}
    rollups.compact_weeks()
    assert rollups.compact_weeks() == 0
    assert sums(periods.WEEK) == sums(1)
    stored += [store(domain, report) for report in late]
    for number in removed.intersection(range(len(stored))):
        with transaction() as session:
            rollup_queue.unroll(session, stored[number])
            session.delete(session.get_one(DmarcReport, stored[number]))
    assert sums(periods.WEEK) == sums(1)
    rollups.compact_weeks()
    assert sums(periods.WEEK) == sums(1)
    with transaction() as session:
        session.delete(session.get_one(Domain, domain.id))


def test_recent_week_is_not_compacted(account_id: UUID) -> None:
    domain = make_domain(account_id)
    with transaction(readonly=True) as session:
        today = now(session)
    store(domain, Report([record()], begin=today - timedelta(days=1)))
    store(domain, Report([record()], begin=today - timedelta(days=11)))
    rollups.compact_weeks()
    with transaction(readonly=True) as session:
        weeks = session.execute(select(DmarcWeek.start, DmarcWeek.is_compacted)).all()
    assert {
        (row.start + periods.WEEK + rollups.QUIET_HOURS <= periods.hour_of(today))
        == row.is_compacted
        for row in weeks
    } == {True}
    assert [row.is_compacted for row in weeks].count(True) == 1


def test_impossible_message_counts_are_capped(account_id: UUID) -> None:
    domain = make_domain(account_id)
    for _ in range(3):
        store(domain, Report([record(count=2**63 - 1), record(count=2**63 - 1)]))
    question = DmarcQuery(
        domain.name, datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
    )
    assert dmarc.summarize(account_id, question).totals.messages == 6 * periods.MAX_COUNT


def test_deleting_a_domain_deletes_its_rollups(account_id: UUID) -> None:
    domain = make_domain(account_id)
    store(domain, Report([record()]))
    with transaction() as session:
        session.delete(session.get_one(Domain, domain.id))
    assert all(not rows for rows in contents().values())
