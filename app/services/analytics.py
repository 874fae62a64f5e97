"""What aggregate reports say of a domain's mail: totals, series and groups, from the roll-ups."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Cast, ColumnElement, Select, and_, case, cast, func, or_, select
from sqlalchemy.orm import Session

from app.db import transaction
from app.insight.periods import Buckets, Interval, Window, at
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
from app.services import domains

GroupBy = Literal["source", "reporter", "disposition", "headerFrom", "result"]
UTC = ZoneInfo("UTC")
MAX_GROUPS = 20  # that are shown by themselves; the others are added up
BEFORE = -1  # instead of an hour: it is before the window
RESULTS = ("dkim_and_spf", "dkim", "spf", "fail")


@dataclass(frozen=True, slots=True)
class Question:
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
    before: int = 0
    series: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mail:
    """The answer.

    series          one for each of ``starts``
    others          what is in groups beyond the first MAX_GROUPS, and how many those are
    spread_reports  how many reports are over long periods, so that their days are a guess
    """

    domain: Domain
    question: Question
    starts: Sequence[datetime]
    totals: Period
    before: Period
    series: Sequence[Totals]
    groups: Sequence[Group]
    others: Totals
    other_groups: int
    spread_reports: int


def dmarc(account_id: UUID, question: Question) -> Mail:
    """What became of the domain's mail in the window, and in the one before.

    raises  NotFound
    """
    window = question.window
    buckets = Buckets(window, question.interval, question.zone)
    with transaction(readonly=True) as session:
        domain = domains.owned(session, account_id, question.domain)
        totals, before, series = _series(session, domain.id, window, buckets)
        groups: list[Group] = []
        if question.group_by == "source":
            groups = _sources(session, domain.id, window)
        elif question.group_by:
            groups = _groups(session, domain.id, window, question.group_by)
        shown = groups[:MAX_GROUPS]
        if question.group_by and shown:
            _fill(session, domain.id, question, shown, buckets)
        return Mail(
            domain, question, buckets.starts, totals, before, series, shown,
            _sum(groups[MAX_GROUPS:]), len(groups) - len(shown),
            _spread(session, domain.id, question),
        )  # fmt: skip


def sum_of(messages: Any) -> Cast[int]:
    """The sum of a column, as a number that is quick to read: PostgreSQL's own is a numeric."""
    return cast(func.sum(messages), BigInteger)


def _in(window: Window) -> ColumnElement[bool]:
    return and_(DmarcHour.hour >= window.start, DmarcHour.hour < window.stop)


def _series(
    session: Session, domain_id: UUID, window: Window, buckets: Buckets
) -> tuple[Period, Period, list[Totals]]:
    """Of the window, of the one before, and by bucket."""
    now, before, series = Period(), Period(), [Totals() for _ in buckets.starts]
    hour = case((DmarcHour.hour >= window.start, DmarcHour.hour), else_=BEFORE).label("at")
    keys = (hour, DmarcHour.disposition, DmarcHour.dkim, DmarcHour.spf, DmarcHour.trusted)
    both = (
        DmarcHour.domain_id == domain_id,
        DmarcHour.hour >= window.before.start,
        DmarcHour.hour < window.stop,
    )
    for row in session.execute(
        select(*keys, sum_of(DmarcHour.messages)).where(*both).group_by(*keys)
    ):
        when, disposition, dkim, spf, trusted, messages = row[0], *row[1:5], row[5]
        total = before if when == BEFORE else now
        total.add(messages, dkim=dkim, spf=spf)
        total.dispositions[disposition] = total.dispositions.get(disposition, 0) + messages
        total.unverified += 0 if trusted else messages
        if when != BEFORE:
            series[buckets.index(when)].add(messages, dkim=dkim, spf=spf)
    is_now = (DmarcHour.hour >= window.start).label("is_now")
    for flag, count in session.execute(
        select(is_now, func.count(DmarcHour.reporter.distinct())).where(*both).group_by(is_now)
    ):
        (now if flag else before).reporters = count
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


def _groups(session: Session, domain_id: UUID, window: Window, by: str) -> list[Group]:
    """All of them, those with the most messages first."""
    key = _KEYS[by].label("key")
    is_now = (DmarcHour.hour >= window.start).label("is_now")
    rows = session.execute(
        select(key, is_now, DmarcHour.dkim, DmarcHour.spf, sum_of(DmarcHour.messages))
        .where(DmarcHour.domain_id == domain_id, or_(_in(window), _in(window.before)))
        .group_by(key, is_now, DmarcHour.dkim, DmarcHour.spf)
    )
    return _grouped(rows)


def _sources(session: Session, domain_id: UUID, window: Window) -> list[Group]:
    found = []
    for part, is_now in ((window, True), (window.before, False)):
        counts = flow_counts(session, domain_id, part).subquery()
        found += [
            (row[0], is_now, row[1], row[2], row[3])
            for row in session.execute(
                select(
                    DmarcFlow.source_ip, DmarcIdentity.dkim, DmarcIdentity.spf,
                    sum_of(counts.c.messages),
                )
                .join(DmarcFlow, DmarcFlow.id == counts.c.flow_id)
                .join(DmarcIdentity, DmarcIdentity.id == DmarcFlow.identity_id)
                .where(DmarcFlow.domain_id == domain_id)
                .group_by(DmarcFlow.source_ip, DmarcIdentity.dkim, DmarcIdentity.spf)
            )
        ]  # fmt: skip
    return _grouped(found)


def flow_counts(session: Session, domain_id: UUID, window: Window) -> Select[int, int]:
    """``flow_id`` and its ``messages`` in the window: closed weeks as weeks, the rest by hours."""
    return (
        select(
            FlowCount.flow_id,
            sum_of(FlowCount.messages).label("messages"),
        )
        .where(FlowCount.domain_id == domain_id, in_blocks(session, FlowCount, domain_id, window))
        .group_by(FlowCount.flow_id)
    )


def in_blocks(
    session: Session, table: type[FlowCount] | type[ReporterCount], domain_id: UUID, window: Window
) -> ColumnElement[bool]:
    """The rows of the table that together are the window, each message once."""
    weeks = session.scalars(
        select(DmarcWeek.start).where(
            DmarcWeek.domain_id == domain_id,
            DmarcWeek.is_closed,
            DmarcWeek.start >= window.start,
            DmarcWeek.start < window.stop,
        )
    )
    return or_(
        *(
            and_(table.span == span, table.start >= start, table.start < stop)
            for span, start, stop in window.blocks(weeks)
        )
    )


def _grouped(rows: Iterable[Any]) -> list[Group]:
    """Those that have messages now, from rows of key, is it now, dkim, spf, messages."""
    groups: dict[str, Group] = {}
    for key, is_now, dkim, spf, messages in rows:
        group = groups.setdefault(key, Group(key=key))
        if is_now:
            group.add(messages, dkim=dkim, spf=spf)
        else:
            group.before += messages
    shown = [group for group in groups.values() if group.messages]
    return sorted(shown, key=lambda group: (-group.messages, group.key))


def _fill(
    session: Session, domain_id: UUID, question: Question, groups: Sequence[Group], buckets: Buckets
) -> None:
    """Give each group its series."""
    by_key = {group.key: group for group in groups}
    for group in groups:
        group.series = [0] * len(buckets.starts)
    window = question.window
    if question.group_by == "source":
        statement: Select[str, int, int] = (
            select(DmarcFlow.source_ip, FlowCount.start, sum_of(FlowCount.messages))
            .join(DmarcFlow, DmarcFlow.id == FlowCount.flow_id)
            .where(
                DmarcFlow.domain_id == domain_id,
                DmarcFlow.source_ip.in_(by_key),
                FlowCount.span == 1,
                FlowCount.start >= window.start,
                FlowCount.start < window.stop,
            )
            .group_by(DmarcFlow.source_ip, FlowCount.start)
        )
    else:
        key = _KEYS[question.group_by or ""].label("key")
        statement = (
            select(key, DmarcHour.hour, sum_of(DmarcHour.messages))
            .where(DmarcHour.domain_id == domain_id, _in(window), key.in_(by_key))
            .group_by(key, DmarcHour.hour)
        )
    for name, hour, messages in session.execute(statement):
        by_key[name].series[buckets.index(hour)] += messages


def _sum(groups: Iterable[Group]) -> Totals:
    total = Totals()
    for group in groups:
        total.messages += group.messages
        total.passed += group.passed
        total.dkim_aligned += group.dkim_aligned
        total.spf_aligned += group.spf_aligned
    return total


def _spread(session: Session, domain_id: UUID, question: Question) -> int:
    window = question.window
    return session.scalar(
        select(func.count()).where(
            DmarcReport.domain_id == domain_id,
            DmarcReport.days > 1,
            DmarcReport.begin_at < at(window.stop),
            DmarcReport.end_at > at(window.start),
        )
    ) or 0  # fmt: skip
