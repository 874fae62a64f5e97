"""What aggregate reports say of a domain's mail: totals, series and groups, from the roll-ups."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

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

from app.analysis.mail.periods import Buckets, Interval, Window, at
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
from app.services.analytics import cache, rollup_queue
from app.services.analytics.cache import ResultCache

GroupBy = Literal["source", "reporter", "disposition", "headerFrom", "result"]
UTC = ZoneInfo("UTC")
MAX_GROUPS = 20  # that are shown by themselves; the others are added up
PREVIOUS = -1  # instead of an hour: it is before the window
RESULTS = ("dkim_and_spf", "dkim", "spf", "fail")


@dataclass(frozen=True, slots=True)
class DmarcQuery:
    """Which domain, when, and how it is to be divided."""

    domain: str
    from_at: datetime
    to_at: datetime
    interval: Interval = "day"
    zone: ZoneInfo = UTC
    group_by: GroupBy | None = None

    @property
    def window(self) -> Window:
        """The full hours in it."""
        return Window.between(self.from_at, self.to_at)


@dataclass(slots=True)
class Totals:
    """Messages, and how many of them passed: DMARC, DKIM in alignment, SPF in alignment."""

    messages: int = 0
    passed: int = 0
    dkim_aligned: int = 0
    spf_aligned: int = 0

    def add(self, messages: int, *, dkim: bool, spf: bool) -> None:
        """Count messages with this result."""
        self.messages += messages
        self.passed += messages * (dkim or spf)
        self.dkim_aligned += messages * dkim
        self.spf_aligned += messages * spf

    @property
    def pass_rate(self) -> float | None:
        """From 0 to 1; None without messages."""
        return self.passed / self.messages if self.messages else None


@dataclass(slots=True)
class Period(Totals):
    """The totals of a window of time.

    unverified  messages of reports that came by a way that strangers have, too
    reporters   how many reported any of the messages
    """

    dispositions: dict[str, int] = field(default_factory=dict)
    unverified: int = 0
    reporters: int = 0


@dataclass(slots=True)
class Group(Totals):
    """What one value of ``group_by`` has.

    before  messages in the period before
    series  messages by bucket
    """

    key: str = ""
    previous_messages: int = 0
    series: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mail:
    """The answer.

    series          one for each of ``starts``
    others          what is in groups beyond the first MAX_GROUPS, and how many those are
    spread_reports  how many reports are over long periods, so that their days are a guess
    """

    domain: Domain
    question: DmarcQuery
    starts: Sequence[datetime]
    totals: Period
    previous_period: Period
    series: Sequence[Totals]
    groups: Sequence[Group]
    other: Totals
    other_groups: int
    multi_day_reports: int


def dmarc(account_id: UUID, question: DmarcQuery) -> Mail:
    """Results of the domain's mail in the window and in the previous one.

    raises  NotFound
    """
    window = question.window
    with rollup_queue.snapshot(account_id, question.domain) as (session, domain):
        key = (domain.id, window, question.interval, question.zone.key, question.group_by)
        stamp = cache.stamp(session, domain.id, window.with_before)
        found = _cached.get(key, stamp)
        if found is None:
            found = _answer(session, domain, question)
            _cached.put(key, stamp, found)
    return replace(found, domain=domain, question=question)


_cached = ResultCache[Mail]()


def _answer(session: Session, domain: Domain, question: DmarcQuery) -> Mail:
    buckets = Buckets(question.window, question.interval, question.zone)
    totals, before, series = _series(session, domain.id, question.window, buckets)
    groups, count = _groups(session, domain.id, question, buckets)
    spread_reports = session.scalar(
        select(func.count()).where(*multi_day_reports(domain.id, question.window))
    )
    return Mail(
        domain,
        question,
        buckets.starts,
        totals,
        before,
        series,
        groups,
        _other(totals, groups),
        count - len(groups),
        spread_reports or 0,
    )


def sum_of(messages: Any) -> Cast[int]:
    """The sum of a column, as a number that is quick to read: PostgreSQL's own is a numeric."""
    return cast(func.sum(messages), BigInteger)


def _within(window: Window) -> ColumnElement[bool]:
    return and_(DmarcHour.hour >= window.start, DmarcHour.hour < window.stop)


def _series(
    session: Session, domain_id: UUID, window: Window, buckets: Buckets
) -> tuple[Period, Period, list[Totals]]:
    """Of the window, of the one before, and by bucket."""
    now, before, series = Period(), Period(), [Totals() for _ in buckets.starts]
    hour = _when(DmarcHour.hour, window)
    keys = (hour, DmarcHour.disposition, DmarcHour.dkim, DmarcHour.spf, DmarcHour.trusted)
    both = (DmarcHour.domain_id == domain_id, _within(window.with_before))
    for row in session.execute(
        select(*keys, sum_of(DmarcHour.messages)).where(*both).group_by(*keys)
    ):
        when, disposition, dkim, spf, trusted, messages = row
        total = before if when == PREVIOUS else now
        total.add(messages, dkim=dkim, spf=spf)
        total.dispositions[disposition] = total.dispositions.get(disposition, 0) + messages
        total.unverified += 0 if trusted else messages
        if when != PREVIOUS:
            series[buckets.index(when)].add(messages, dkim=dkim, spf=spf)
    is_now = DmarcHour.hour >= window.start
    for flag, _ in session.execute(select(is_now, DmarcHour.reporter).where(*both).distinct()):
        (now if flag else before).reporters += 1
    return now, before, series


_RESULT = case(
    (and_(DmarcHour.dkim, DmarcHour.spf), RESULTS[0]),
    (DmarcHour.dkim, RESULTS[1]),
    (DmarcHour.spf, RESULTS[2]),
    else_=RESULTS[3],
)
_KEYS: Mapping[str, ColumnElement[str]] = {
    "reporter": DmarcHour.reporter.expression,
    "disposition": DmarcHour.disposition.expression,
    "headerFrom": DmarcHour.header_from.expression,
    "result": _RESULT,
}


def _groups(
    session: Session, domain_id: UUID, question: DmarcQuery, buckets: Buckets
) -> tuple[list[Group], int]:
    """Those with the most messages, with their series; and how many there are."""
    window, by = question.window, question.group_by
    if by is None:
        return [], 0
    rows = session.execute(
        _by_address(session, domain_id, window)
        if by == "source"
        else _by_key(by, domain_id, window)
    ).all()
    groups = {row[0]: Group(row[1], row[2], row[3], row[4], key=row[0]) for row in rows}
    for group in groups.values():
        group.series = [0] * len(buckets.starts)
    told = _reported_addresses if by == "source" else partial(_reported_keys, by)
    for key, hour, messages in session.execute(told(domain_id, window, list(groups))):
        if hour == PREVIOUS:
            groups[key].previous_messages += messages
        else:
            groups[key].series[buckets.index(hour)] += messages
    return list(groups.values()), rows[0][5] if rows else 0


def _largest(key: Any, messages: Any, passed: tuple[Any, Any], rows: Any) -> Select[Any]:
    """(key, messages, passed, DKIM aligned, SPF aligned, how many keys) of the largest ones.

    passed  columns: DKIM passed in alignment, SPF did
    """
    dkim, spf = passed
    total = sum_of(messages)
    sums = (sum_of(case((is_so, messages), else_=0)) for is_so in (or_(dkim, spf), dkim, spf))
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
    """(key, hour or BEFORE, messages) of the window and the one before."""
    key, hour = _KEYS[by].label("key"), _when(DmarcHour.hour, window)
    return (
        select(key, hour, sum_of(DmarcHour.messages))
        .where(DmarcHour.domain_id == domain_id, _within(window.with_before), _KEYS[by].in_(keys))
        .group_by(key, hour)
    )


def _reported_addresses(
    domain_id: UUID, window: Window, addresses: Sequence[str]
) -> Select[str, int, int]:
    """(address, hour or BEFORE, messages) of the window and the one before."""
    hour = _when(FlowCount.start, window)
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


def _when(hour: Any, window: Window) -> Any:
    """The hour if it is in the window, BEFORE if it is in the one before."""
    return case((hour >= window.start, hour), else_=PREVIOUS).label("at")


def flow_counts(session: Session, domain_id: UUID, window: Window) -> Select[int, int]:
    """``flow_id`` and its ``messages`` in the window: closed weeks as weeks, the rest by hours."""
    columns = (FlowCount.flow_id, FlowCount.messages)
    rows = in_blocks(session, columns, domain_id, window).subquery()
    return select(rows.c.flow_id, sum_of(rows.c.messages).label("messages")).group_by(
        rows.c.flow_id
    )


def in_blocks(
    session: Session, columns: Sequence[Any], domain_id: UUID, window: Window
) -> CompoundSelect[Any]:
    """Columns of FlowCount or ReporterCount: the rows that together are the window, each once."""
    table: type[FlowCount] | type[ReporterCount] = columns[0].class_
    weeks = session.scalars(
        select(DmarcWeek.start).where(
            DmarcWeek.domain_id == domain_id,
            DmarcWeek.is_compacted,
            DmarcWeek.start >= window.start,
            DmarcWeek.start < window.stop,
        )
    )
    # One SELECT a block: an OR of them PostgreSQL may answer from all that the domain has.
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


def _other(all_of_it: Totals, groups: Iterable[Totals]) -> Totals:
    """What the groups leave."""
    left = Totals(
        all_of_it.messages, all_of_it.passed, all_of_it.dkim_aligned, all_of_it.spf_aligned
    )
    for group in groups:
        left.messages -= group.messages
        left.passed -= group.passed
        left.dkim_aligned -= group.dkim_aligned
        left.spf_aligned -= group.spf_aligned
    return left


def multi_day_reports(domain_id: UUID, window: Window) -> Sequence[ColumnElement[bool]]:
    """Which reports are over several days, of which some may be in the window."""
    return (
        DmarcReport.domain_id == domain_id,
        DmarcReport.days > 1,
        DmarcReport.begin_at < at(window.stop),
        DmarcReport.end_at > at(window.start),
    )
