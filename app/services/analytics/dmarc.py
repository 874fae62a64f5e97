"""The DMARC results of a domain's email: totals, series and groups, from the rollups."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Cast,
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    case,
    cast,
    func,
    join,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from app.analysis.mail.periods import Buckets, Window, at
from app.analysis.mail.record_filter import RecordFilter
from app.analysis.mail.totals import Group, Period, Totals
from app.db.transactions import transaction
from app.models import (
    DmarcFlow,
    DmarcHour,
    DmarcIdentity,
    DmarcReport,
    DmarcWeek,
    Domain,
    FlowCount,
    ReporterCount,
)
from app.services.analytics.queries import SeriesQuery
from app.services.core import domain_lookup
from app.services.core.caches import Cache
from app.services.rollups import cache, partial_reports, rollup_queue

GroupBy = Literal["source", "reporter", "disposition", "headerFrom", "result"]
MAX_GROUPS = 20  # groups that are listed one by one; the others are summed
PREVIOUS = -1  # represents all hours of the previous period
RESULTS: Mapping[str, RecordFilter] = {  # the filter of the records of each result
    "dkim_and_spf": RecordFilter(dkim="pass", spf="pass"),
    "dkim": RecordFilter(dkim="pass", spf="fail"),
    "spf": RecordFilter(dkim="fail", spf="pass"),
    "fail": RecordFilter(result="fail"),
}


@dataclass(frozen=True, slots=True)
class DmarcQuery(SeriesQuery):
    """The same figures, also grouped by a property of the messages."""

    group_by: GroupBy | None = None


@dataclass(frozen=True, slots=True)
class DmarcSummary:
    """The DMARC results of a domain's email in a window and in the previous one.

    series             one element for each of ``starts``
    other              the sums of the ``other_groups`` groups that are not listed
    multi_day_reports  the number of reports over several days, whose messages are spread evenly
    pending_reports    stored reports that are not in these figures yet
    partial_reports    reports with records that could not be read
    """

    domain: Domain
    query: DmarcQuery
    starts: Sequence[datetime]
    totals: Period
    previous_period: Period
    series: Sequence[Totals]
    groups: Sequence[Group]
    other: Totals
    other_groups: int
    multi_day_reports: int
    pending_reports: int = 0
    partial_reports: int = 0


def summarize(account_id: UUID, query: DmarcQuery) -> DmarcSummary:
    """Return the DMARC results of the domain's email in the window and in the previous one.

    raises  NotFound
    """
    rollup_queue.drain_domain(account_id, query.domain)
    with transaction(readonly=True, snapshot=True) as session:
        return read(session, domain_lookup.owned(session, account_id, query.domain), query)


def read(session: Session, domain: Domain, query: DmarcQuery) -> DmarcSummary:
    """As ``summarize``, in the caller's transaction."""
    window = query.window
    key = (domain.id, window, query.interval, query.zone.key, query.group_by)
    stamp = cache.stamp(session, domain.id, window.with_before)
    summary = _cached.get(key, stamp)
    if summary is None:
        summary = _read(session, domain, query)
        _cached.put(key, summary, stamp)
    return replace(
        summary,
        domain=domain,
        query=query,
        pending_reports=rollup_queue.pending_count(session, domain.id),
        partial_reports=partial_reports.count(session, DmarcReport, domain, window),
    )


_cached = Cache[Hashable, DmarcSummary](cache.MAX_ENTRIES, cache.lifetime)


def _read(session: Session, domain: Domain, query: DmarcQuery) -> DmarcSummary:
    buckets = Buckets(query.window, query.interval, query.zone)
    totals, previous, series = _series(session, domain.id, query.window, buckets)
    groups, count = _groups(session, domain.id, query, buckets)
    long_reports = session.scalar(
        select(func.count()).where(*multi_day_reports(domain.id, query.window))
    )
    return DmarcSummary(
        domain=domain,
        query=query,
        starts=buckets.starts,
        totals=totals,
        previous_period=previous,
        series=series,
        groups=groups,
        other=_other(totals, groups),
        other_groups=count - len(groups),
        multi_day_reports=long_reports or 0,
    )


def sum_of(messages: Any) -> Cast[int]:
    """Return the sum of a column as an integer, which is read faster than PostgreSQL's numeric."""
    return cast(func.sum(messages), BigInteger)


def _within(window: Window) -> ColumnElement[bool]:
    return and_(DmarcHour.hour >= window.start, DmarcHour.hour < window.stop)


def _series(
    session: Session, domain_id: UUID, window: Window, buckets: Buckets
) -> tuple[Period, Period, list[Totals]]:
    """The totals of the window, of the previous one, and by bucket."""
    current, previous, series = Period(), Period(), [Totals() for _ in buckets.starts]
    hour = _hour_or_previous(DmarcHour.hour, window)
    keys = (hour, DmarcHour.disposition, DmarcHour.dkim, DmarcHour.spf, DmarcHour.trusted)
    both = (DmarcHour.domain_id == domain_id, _within(window.with_before))
    for row in session.execute(
        select(*keys, sum_of(DmarcHour.messages)).where(*both).group_by(*keys)
    ):
        at_hour, disposition, dkim, spf, trusted, messages = row
        total = previous if at_hour == PREVIOUS else current
        total.add(messages, dkim=dkim, spf=spf)
        total.dispositions[disposition] = total.dispositions.get(disposition, 0) + messages
        total.unverified += 0 if trusted else messages
        if at_hour != PREVIOUS:
            series[buckets.index(at_hour)].add(messages, dkim=dkim, spf=spf)
    is_current = DmarcHour.hour >= window.start
    for flag, _ in session.execute(select(is_current, DmarcHour.reporter).where(*both).distinct()):
        (current if flag else previous).reporters += 1
    return current, previous, series


_RESULT = case(
    (and_(DmarcHour.dkim, DmarcHour.spf), "dkim_and_spf"),
    (DmarcHour.dkim, "dkim"),
    (DmarcHour.spf, "spf"),
    else_="fail",
)
_KEYS: Mapping[str, ColumnElement[str]] = {
    "reporter": DmarcHour.reporter.expression,
    "disposition": DmarcHour.disposition.expression,
    "headerFrom": DmarcHour.header_from.expression,
    "result": _RESULT,
}


def _groups(
    session: Session, domain_id: UUID, query: DmarcQuery, buckets: Buckets
) -> tuple[list[Group], int]:
    """The groups with the most messages, with their series, and the number of all groups."""
    window, by = query.window, query.group_by
    if by is None:
        return [], 0
    rows = session.execute(
        _by_address(session, domain_id, window)
        if by == "source"
        else _by_key(by, domain_id, window)
    ).all()
    groups = {
        row[0]: Group(
            messages=row[1],
            passed=row[2],
            dkim_aligned=row[3],
            spf_aligned=row[4],
            key=row[0],
            series=[0] * len(buckets.starts),
            records=_records(by, row[0]),
        )
        for row in rows
    }
    reported = _reported_addresses if by == "source" else partial(_reported_keys, by)
    for key, hour, messages in session.execute(reported(domain_id, window, list(groups))):
        if hour == PREVIOUS:
            groups[key].previous_messages += messages
        else:
            groups[key].series[buckets.index(hour)] += messages
    return list(groups.values()), rows[0][5] if rows else 0


def _records(by: GroupBy, key: str) -> RecordFilter:
    """The filter of a group's records."""
    if by == "result":
        return RESULTS[key]
    return RecordFilter.from_query({"sourceIp" if by == "source" else by: key})


def _largest(key: Any, messages: Any, passed: tuple[Any, Any], rows: Any) -> Select[Any]:
    """(key, messages, passed, DKIM aligned, SPF aligned, number of keys) of the largest groups.

    passed  the columns that are true if DKIM and SPF passed in alignment
    """
    dkim, spf = passed
    total = sum_of(messages)
    sums = (
        sum_of(case((condition, messages), else_=0)) for condition in (or_(dkim, spf), dkim, spf)
    )
    return (
        select(key, total, *sums, func.count().over())
        .select_from(rows)
        .group_by(key)
        .order_by(total.desc(), key)
        .limit(MAX_GROUPS)
    )


def _by_key(by: str, domain_id: UUID, window: Window) -> Select[Any]:
    passed = (DmarcHour.dkim, DmarcHour.spf)
    statement = _largest(_KEYS[by], DmarcHour.messages, passed, DmarcHour)
    return statement.where(DmarcHour.domain_id == domain_id, _within(window)).having(
        func.sum(DmarcHour.messages) > 0
    )


def _by_address(session: Session, domain_id: UUID, window: Window) -> Select[Any]:
    counts = flow_counts(session, domain_id, window).subquery()
    rows = join(
        join(counts, DmarcFlow, DmarcFlow.id == counts.c.flow_id),
        DmarcIdentity,
        DmarcIdentity.id == DmarcFlow.identity_id,
    )
    passed = (DmarcIdentity.dkim, DmarcIdentity.spf)
    statement = _largest(DmarcFlow.source_ip, counts.c.messages, passed, rows)
    return statement.where(
        DmarcFlow.domain_id == domain_id, DmarcIdentity.domain_id == domain_id
    ).having(func.sum(counts.c.messages) > 0)


def _reported_keys(
    by: str, domain_id: UUID, window: Window, keys: Sequence[str]
) -> Select[str, int, int]:
    """(key, hour or PREVIOUS, messages) of the window and the previous one."""
    key, hour = _KEYS[by].label("key"), _hour_or_previous(DmarcHour.hour, window)
    return (
        select(key, hour, sum_of(DmarcHour.messages))
        .where(DmarcHour.domain_id == domain_id, _within(window.with_before), _KEYS[by].in_(keys))
        .group_by(key, hour)
    )


def _reported_addresses(
    domain_id: UUID, window: Window, addresses: Sequence[str]
) -> Select[str, int, int]:
    """(address, hour or PREVIOUS, messages) of the window and the previous one."""
    hour = _hour_or_previous(FlowCount.start, window)
    return (
        select(DmarcFlow.source_ip, hour, sum_of(FlowCount.messages))
        .join(DmarcFlow, DmarcFlow.id == FlowCount.flow_id)
        .where(
            DmarcFlow.domain_id == domain_id,
            DmarcFlow.source_ip.in_(addresses),
            FlowCount.span == 1,
            FlowCount.start >= window.before.start,
            FlowCount.start < window.stop,
        )
        .group_by(DmarcFlow.source_ip, hour)
    )


def _hour_or_previous(hour: Any, window: Window) -> Any:
    """The hour if it is in the window, and PREVIOUS otherwise."""
    return case((hour >= window.start, hour), else_=PREVIOUS).label("at")


def flow_counts(session: Session, domain_id: UUID, window: Window) -> Select[int, int]:
    """Return a SELECT of each ``flow_id`` with its ``messages`` in the window."""
    columns = (FlowCount.flow_id, FlowCount.messages)
    rows = in_blocks(session, columns, domain_id, window).subquery()
    return select(rows.c.flow_id, sum_of(rows.c.messages).label("messages")).group_by(
        rows.c.flow_id
    )


def in_blocks(
    session: Session, columns: Sequence[Any], domain_id: UUID, window: Window
) -> CompoundSelect[Any]:
    """Return a SELECT of the rows whose messages add up to the window.

    It reads compacted weeks that are entirely in the window by week, and the rest by hour.

    columns  columns of FlowCount or of ReporterCount
    """
    table: type[FlowCount] | type[ReporterCount] = columns[0].class_
    weeks = session.scalars(
        select(DmarcWeek.start).where(
            DmarcWeek.domain_id == domain_id,
            DmarcWeek.is_compacted,
            DmarcWeek.start >= window.start,
            DmarcWeek.start < window.stop,
        )
    )
    # One SELECT for each block: for an OR, PostgreSQL may read all rows of the domain.
    return union_all(
        *(
            select(*columns).where(
                table.domain_id == domain_id,
                table.span == span,
                table.start >= start,
                table.start < stop,
            )
            for span, start, stop in window.blocks(weeks)
        )
    )


def _other(totals: Totals, groups: Iterable[Totals]) -> Totals:
    """The totals without the groups."""
    listed = list(groups)
    return Totals(
        messages=totals.messages - sum(group.messages for group in listed),
        passed=totals.passed - sum(group.passed for group in listed),
        dkim_aligned=totals.dkim_aligned - sum(group.dkim_aligned for group in listed),
        spf_aligned=totals.spf_aligned - sum(group.spf_aligned for group in listed),
    )


def multi_day_reports(domain_id: UUID, window: Window) -> Sequence[ColumnElement[bool]]:
    """Return the conditions for reports over several days whose period meets the window."""
    return (
        DmarcReport.domain_id == domain_id,
        DmarcReport.days > 1,
        DmarcReport.begin_at < at(window.stop),
        DmarcReport.end_at > at(window.start),
    )
