"""The DMARC results of a domain's email: totals, series and groups, from the rollups."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Cast,
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    bindparam,
    case,
    cast,
    func,
    join,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from app.analysis.mail.periods import Block, Buckets, SeriesQuery, Window, at
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
from app.services.core import domain_lookup
from app.services.core.caches import Cache
from app.services.rollups import cache as rollup_cache
from app.services.rollups import partial_reports, rollup_queue

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
    stamp = rollup_cache.stamp(session, domain.id, window.with_before)
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


_cached = Cache[Hashable, DmarcSummary](rollup_cache.MAX_ENTRIES, rollup_cache.lifetime)


def _read(session: Session, domain: Domain, query: DmarcQuery) -> DmarcSummary:
    buckets = Buckets(query.window, query.interval, query.zone)
    totals, previous, series = _series(session, domain.id, query.window, buckets)
    groups, count = _groups(session, domain.id, query, buckets)
    long_reports = session.scalar(_LONG_REPORTS, report_bounds(domain.id, query.window))
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


_HOUR = case((DmarcHour.hour >= bindparam("start"), DmarcHour.hour), else_=PREVIOUS).label("at")
IN_WINDOW = (
    DmarcHour.domain_id == bindparam("domain_id"),
    DmarcHour.hour >= bindparam("start"),
    DmarcHour.hour < bindparam("stop"),
)
_IN_BOTH = (  # in the window or in the previous one
    DmarcHour.domain_id == bindparam("domain_id"),
    DmarcHour.hour >= bindparam("before"),
    DmarcHour.hour < bindparam("stop"),
)
_SERIES_KEYS = (_HOUR, DmarcHour.disposition, DmarcHour.dkim, DmarcHour.spf, DmarcHour.trusted)
_SERIES = select(*_SERIES_KEYS, sum_of(DmarcHour.messages)).where(*_IN_BOTH).group_by(*_SERIES_KEYS)
_REPORTERS = (
    select(DmarcHour.hour >= bindparam("start"), DmarcHour.reporter).where(*_IN_BOTH).distinct()
)


def _bounds(domain_id: UUID, window: Window) -> dict[str, Any]:
    """The parameters of the window and the previous one."""
    return {
        "domain_id": domain_id,
        "before": window.before.start,
        "start": window.start,
        "stop": window.stop,
    }


def _series(
    session: Session, domain_id: UUID, window: Window, buckets: Buckets
) -> tuple[Period, Period, list[Totals]]:
    """The totals of the window, of the previous one, and by bucket."""
    current, previous, series = Period(), Period(), [Totals() for _ in buckets.starts]
    connection, bounds = session.connection(), _bounds(domain_id, window)
    for row in connection.execute(_SERIES, bounds):
        at_hour, disposition, dkim, spf, trusted, messages = row
        total = previous if at_hour == PREVIOUS else current
        total.add(messages, dkim=dkim, spf=spf)
        total.dispositions[disposition] = total.dispositions.get(disposition, 0) + messages
        total.unverified += 0 if trusted else messages
        if at_hour != PREVIOUS:
            series[buckets.index(at_hour)].add(messages, dkim=dkim, spf=spf)
    for flag, _ in connection.execute(_REPORTERS, bounds):
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
    connection = session.connection()
    if by == "source":
        parts = blocks(session, domain_id, window)
        parameters = block_parameters(domain_id, parts)
        rows = connection.execute(_by_address(len(parts)), parameters).all()
    else:
        rows = connection.execute(_by_key(by), _bounds(domain_id, window)).all()
    groups = {
        row[0]: Group(key=row[0], series=[0] * len(buckets.starts), records=_records(by, row[0]))
        for row in rows
    }
    statement = _REPORTED_ADDRESSES if by == "source" else _reported_keys(by)
    bounds = _bounds(domain_id, window) | {"keys": list(groups)}
    for key, hour, dkim, spf, messages in connection.execute(statement, bounds):
        group = groups[key]
        if hour == PREVIOUS:
            group.previous_messages += messages
        else:
            group.add(messages, dkim=dkim, spf=spf)
            group.series[buckets.index(hour)] += messages
    return list(groups.values()), rows[0][2] if rows else 0


def _records(by: GroupBy, key: str) -> RecordFilter:
    """The filter of a group's records."""
    if by == "result":
        return RESULTS[key]
    return RecordFilter.from_query({"sourceIp" if by == "source" else by: key})


def _largest(key: Any, messages: Any, rows: Any) -> Select[Any]:
    """(key, messages, number of keys) of the largest groups."""
    total = sum_of(messages)
    return (
        select(key, total, func.count().over())
        .select_from(rows)
        .group_by(key)
        .order_by(total.desc(), key)
        .limit(MAX_GROUPS)
        .having(func.sum(messages) > 0)
    )


@cache
def _by_key(by: str) -> Select[Any]:
    return _largest(_KEYS[by], DmarcHour.messages, DmarcHour).where(*IN_WINDOW)


@lru_cache(maxsize=64)
def _by_address(block_count: int) -> Select[Any]:
    counts = flow_counts(block_count).subquery()
    rows = join(counts, DmarcFlow, DmarcFlow.id == counts.c.flow_id)
    statement = _largest(DmarcFlow.source_ip, counts.c.messages, rows)
    return statement.where(DmarcFlow.domain_id == bindparam("domain_id"))


@cache
def _reported_keys(by: str) -> Select[Any]:
    """(key, hour or PREVIOUS, DKIM, SPF, messages) of the window and the previous one."""
    keys = (_KEYS[by].label("key"), _HOUR, DmarcHour.dkim, DmarcHour.spf)
    is_listed = _KEYS[by].in_(bindparam("keys", expanding=True))
    return select(*keys, sum_of(DmarcHour.messages)).where(*_IN_BOTH, is_listed).group_by(*keys)


def _reported_addresses() -> Select[Any]:
    """(address, hour or PREVIOUS, DKIM, SPF, messages) of the window and the previous one."""
    hour = case((FlowCount.start >= bindparam("start"), FlowCount.start), else_=PREVIOUS)
    keys = (DmarcFlow.source_ip, hour.label("at"), DmarcIdentity.dkim, DmarcIdentity.spf)
    return (
        select(*keys, sum_of(FlowCount.messages))
        .select_from(DmarcFlow)
        .join(FlowCount, FlowCount.flow_id == DmarcFlow.id)
        .join(DmarcIdentity, DmarcIdentity.id == DmarcFlow.identity_id)
        .where(
            DmarcFlow.domain_id == bindparam("domain_id"),
            DmarcFlow.source_ip.in_(bindparam("keys", expanding=True)),
            FlowCount.span == 1,
            FlowCount.start >= bindparam("before"),
            FlowCount.start < bindparam("stop"),
        )
        .group_by(*keys)
    )


_REPORTED_ADDRESSES = _reported_addresses()


def flow_counts(block_count: int) -> Select[int, int]:
    """Return a SELECT of each ``flow_id`` with its ``messages`` in the blocks of a window.

    Its parameters are those of ``block_parameters``.
    """
    rows = in_blocks((FlowCount.flow_id, FlowCount.messages), block_count).subquery()
    return select(rows.c.flow_id, sum_of(rows.c.messages).label("messages")).group_by(
        rows.c.flow_id
    )


def in_blocks(columns: Sequence[Any], block_count: int) -> CompoundSelect[Any]:
    """Return a SELECT of the rows whose messages add up to the blocks of a window.

    Its parameters are those of ``block_parameters``.

    columns  columns of FlowCount or of ReporterCount
    """
    table: type[FlowCount] | type[ReporterCount] = columns[0].class_
    # One SELECT for each block: for an OR, PostgreSQL may read all rows of the domain.
    return union_all(
        *(
            select(*columns).where(
                table.domain_id == bindparam("domain_id"),
                table.span == bindparam(f"span_{number}"),
                table.start >= bindparam(f"start_{number}"),
                table.start < bindparam(f"stop_{number}"),
            )
            for number in range(block_count)
        )
    )


def blocks(session: Session, domain_id: UUID, window: Window) -> Sequence[Block]:
    """Return the blocks that cover the window, in the caller's transaction.

    They are the compacted weeks that are entirely in the window, and hours elsewhere.
    """
    bounds = {"domain_id": domain_id, "start": window.start, "stop": window.stop}
    return window.blocks(row[0] for row in session.connection().execute(_COMPACTED, bounds))


_COMPACTED = select(DmarcWeek.start).where(
    DmarcWeek.domain_id == bindparam("domain_id"),
    DmarcWeek.is_compacted,
    DmarcWeek.start >= bindparam("start"),
    DmarcWeek.start < bindparam("stop"),
)


def block_parameters(domain_id: UUID, blocks: Sequence[Block]) -> dict[str, Any]:
    """Return the parameters of a SELECT of ``in_blocks``."""
    parameters: dict[str, Any] = {"domain_id": domain_id}
    for number, (span, start, stop) in enumerate(blocks):
        parameters |= {f"span_{number}": span, f"start_{number}": start, f"stop_{number}": stop}
    return parameters


def _other(totals: Totals, groups: Iterable[Totals]) -> Totals:
    """The totals without the groups."""
    listed = list(groups)
    return Totals(
        messages=totals.messages - sum(group.messages for group in listed),
        passed=totals.passed - sum(group.passed for group in listed),
        dkim_aligned=totals.dkim_aligned - sum(group.dkim_aligned for group in listed),
        spf_aligned=totals.spf_aligned - sum(group.spf_aligned for group in listed),
    )


MULTI_DAY_REPORTS = (  # whose period meets the window of ``report_bounds``
    DmarcReport.domain_id == bindparam("domain_id"),
    DmarcReport.days > 1,
    DmarcReport.begin_at < bindparam("stop_at"),
    DmarcReport.end_at > bindparam("start_at"),
)
_LONG_REPORTS = select(func.count()).where(*MULTI_DAY_REPORTS)


def report_bounds(domain_id: UUID, window: Window) -> dict[str, Any]:
    """Return the parameters of ``MULTI_DAY_REPORTS``."""
    return {"domain_id": domain_id, "start_at": at(window.start), "stop_at": at(window.stop)}
