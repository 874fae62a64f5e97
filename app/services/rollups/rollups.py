"""Rollups of aggregate reports; ``rollup_queue`` decides when they are updated.

Adding or removing a report locks the rows of its weeks, so that concurrent updates wait for each
other. Every statement locks its rows in the order of their keys.

Messages are counted by hour. For weeks with few outstanding reports the clock also creates weekly
sums, which are updated together with the hours from then on.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import and_, bindparam, case, delete, func, literal, or_, select, update
from sqlalchemy.orm import Session

from app.analysis.mail import identities, periods
from app.analysis.mail.identities import Identity
from app.analysis.mail.periods import WEEK, hour_of
from app.db import bulk
from app.db.transactions import now, transaction
from app.models import (
    DmarcFlow,
    DmarcHour,
    DmarcIdentity,
    DmarcWeek,
    FlowCount,
    ReporterCount,
)
from app.protocols.report_formats.aggregate import Record

QUIET_HOURS = 72  # after a week before it is summed; most reports have arrived by then
WEEK_BATCH_SIZE = 50

Row = tuple[Any, ...]
_Flow = tuple[str, int]  # source_ip, identity id
_Table = type[DmarcHour] | type[ReporterCount] | type[FlowCount]


@dataclass(frozen=True, slots=True)
class ReportCounts:
    """The contents of a report that are counted.

    records  as the parser of aggregate reports returns them
    """

    domain_id: UUID
    reporter: str
    provenance: str
    begin_at: datetime
    end_at: datetime
    days: int
    records: list[Record]

    @property
    def hours(self) -> tuple[int, ...]:
        """The hours at which the messages are counted."""
        return periods.hours(self.begin_at, self.end_at, self.days)


def add(session: Session, domain_id: UUID, counts: "Counts") -> None:
    """Add the counts of reports of one domain to the rollups."""
    _apply(session, domain_id, counts, 1)


def remove(session: Session, report: ReportCounts) -> None:
    """Remove the records of a report from the rollups."""
    _apply(session, report.domain_id, count([report]), -1)
    starts = {hour // span * span for hour in report.hours for span in periods.SPANS}
    for table, key in (
        (DmarcHour, DmarcHour.hour),
        (ReporterCount, ReporterCount.start),
        (FlowCount, FlowCount.start),
    ):
        session.execute(
            delete(table).where(
                table.domain_id == report.domain_id, key.in_(starts), table.messages == 0
            )
        )
    _shrink(session, report)


@dataclass(slots=True)
class Counts:
    """Messages of one domain; identities are numbered by their index in ``identities``.

    sent      by (source_ip, identity, hour)
    reported  by (hour, reporter, identity)
    """

    identities: dict[Identity, int]
    sent: Counter[tuple[str, int, int]]
    reported: Counter[tuple[int, str, int]]


def count(reports: Iterable[ReportCounts]) -> Counts:
    """Count the messages of reports of one domain."""
    counts = Counts({}, Counter(), Counter())
    sent, reported = counts.sent, counts.reported
    numbers: dict[Row, int] = {}  # most records differ only in their address
    for report in reports:
        hours, trusted = report.hours, report.provenance != "unverified"
        for record in report.records:
            if not record.count:
                continue
            key = (trusted, *record[2:])
            number = numbers.get(key)
            if number is None:
                identity = identities.of(record, trusted=trusted)
                number = counts.identities.setdefault(identity, len(counts.identities))
                numbers[key] = number
            for hour, part in periods.allocate(record.count, hours):
                sent[record.source_ip, number, hour] += part
                reported[hour, report.reporter, number] += part
    return counts


def _apply(session: Session, domain_id: UUID, counts: Counts, sign: int) -> None:
    if not counts.sent:
        return
    compacted = _compacted(
        session, domain_id, {hour // WEEK * WEEK for hour, *_ in counts.reported}
    )
    by_identity = _identity_ids(session, domain_id, counts.identities)
    numbers = [by_identity[identity] for identity in counts.identities]
    flow_ids = _flow_ids(session, domain_id, counts, numbers)

    by_index = list(counts.identities)
    totals, by_reporter, by_flow = Counter[Row](), Counter[Row](), Counter[Row]()
    for (hour, reporter, index), count in counts.reported.items():
        identity = by_index[index]
        result = (
            identity.header_from,
            identity.disposition,
            identity.dkim,
            identity.spf,
            identity.trusted,
        )
        totals[(hour, reporter, *result)] += sign * count
        for span, start in bucket_keys(hour, compacted):
            by_reporter[span, start, reporter, numbers[index]] += sign * count
    for (ip, index, hour), count in counts.sent.items():
        flow_id = flow_ids[ip, numbers[index]]
        for span, start in bucket_keys(hour, compacted):
            by_flow[span, start, flow_id] += sign * count
    _accumulate(session, DmarcHour, domain_id, totals)
    _accumulate(session, ReporterCount, domain_id, by_reporter)
    _accumulate(session, FlowCount, domain_id, by_flow)


def bucket_keys(hour: int, compacted: frozenset[int]) -> tuple[tuple[int, int], ...]:
    """Return (span, start) of the rows in which an hour is counted."""
    week = hour // WEEK * WEEK
    return ((1, hour), (WEEK, week)) if week in compacted else ((1, hour),)


def _compacted(session: Session, domain_id: UUID, weeks: Iterable[int]) -> frozenset[int]:
    """The weeks that have weekly sums; locks the rows of these weeks until the commit."""
    is_compacted: dict[int, bool] = {}
    for part in bulk.batched(sorted(weeks)):
        session.connection().execute(
            bulk.insert(session, DmarcWeek).on_conflict_do_nothing(),
            [{"domain_id": domain_id, "start": start, "is_compacted": False} for start in part],
        )
        matches = and_(DmarcWeek.domain_id == domain_id, DmarcWeek.start.in_(part))
        rows = session.execute(
            select(DmarcWeek.start, DmarcWeek.is_compacted)
            .where(matches)
            .order_by(DmarcWeek.start)
            .with_for_update()
        )
        is_compacted.update((row.start, row.is_compacted) for row in rows)
        session.execute(update(DmarcWeek).where(matches).values(version=DmarcWeek.version + 1))
    return frozenset(start for start, compacted in is_compacted.items() if compacted)


def compact_weeks() -> int:
    """Create the sums of past weeks with few outstanding reports, and return how many."""
    count = 0
    while compacted := _compact_batch():
        count += compacted
    return count


def _compact_batch() -> int:
    with transaction() as session:
        end = hour_of(now(session)) - QUIET_HOURS - WEEK
        rows = session.execute(
            select(DmarcWeek.domain_id, DmarcWeek.start)
            .where(~DmarcWeek.is_compacted, DmarcWeek.start <= end)
            .order_by(DmarcWeek.domain_id, DmarcWeek.start)
            .limit(WEEK_BATCH_SIZE)
            .with_for_update(skip_locked=True)
        ).all()
        for domain_id, start in rows:
            for table, keys in (
                (FlowCount, ("flow_id",)),
                (ReporterCount, ("reporter", "identity_id")),
            ):
                _sum_week(session, table, keys, domain_id, start)
            session.execute(
                update(DmarcWeek)
                .where(DmarcWeek.domain_id == domain_id, DmarcWeek.start == start)
                .values(is_compacted=True)
            )
    return len(rows)


def _sum_week(
    session: Session,
    table: type[FlowCount] | type[ReporterCount],
    keys: Sequence[str],
    domain_id: UUID,
    start: int,
) -> None:
    """Insert the sums of a week that has none yet."""
    columns = [getattr(table, name) for name in keys]
    sums = (
        select(
            literal(domain_id, table.domain_id.type),
            literal(WEEK),
            literal(start),
            *columns,
            func.sum(table.messages),
        )
        .where(
            table.domain_id == domain_id,
            table.span == 1,
            table.start >= start,
            table.start < start + WEEK,
        )
        .group_by(*columns)
    )
    names = ["domain_id", "span", "start", *keys, "messages"]
    session.execute(bulk.insert(session, table).from_select(names, sums))


def _accumulate(
    session: Session, table: _Table, domain_id: UUID, counts: Mapping[Row, int]
) -> None:
    """Add the counts to the rows of these primary keys."""
    connection = session.connection()
    rows = [(*key, counts[key]) for key in sorted(counts)]
    statement = _counting(connection.dialect.name, table)
    connection.execute(
        statement,
        bulk.values_parameters(connection, _counted(table), rows) | {"domain_id": domain_id},
    )


def _counted(table: _Table) -> tuple[str, ...]:
    return (
        *(column.name for column in table.__table__.primary_key if column.name != "domain_id"),
        "messages",
    )


@cache
def _counting(dialect: str, table: _Table) -> Any:
    statement = bulk.insert_values(dialect, table, _counted(table), fixed=("domain_id",))
    total = table.__table__.c.messages + statement.excluded.messages
    keys = [column.name for column in table.__table__.primary_key]
    return statement.on_conflict_do_update(index_elements=keys, set_={"messages": total})


def _identity_ids(
    session: Session, domain_id: UUID, requested: Iterable[Identity]
) -> dict[Identity, int]:
    by_digest = {identity.digest: identity for identity in requested}
    existing = _known_identities(session, domain_id, by_digest)
    if missing := sorted(by_digest.keys() - existing.keys()):
        rows = [
            {"domain_id": domain_id, "digest": digest, **asdict(by_digest[digest])}
            for digest in missing
        ]
        statement = bulk.insert(session, DmarcIdentity).on_conflict_do_nothing(
            index_elements=["domain_id", "digest"]
        )
        session.connection().execute(statement, rows)
        existing |= _known_identities(session, domain_id, missing)
    return {by_digest[digest]: number for digest, number in existing.items()}


def _known_identities(
    session: Session, domain_id: UUID, digests: Iterable[bytes]
) -> dict[bytes, int]:
    by_digest: dict[bytes, int] = {}
    for part in bulk.batched(digests):
        rows = session.execute(
            select(DmarcIdentity.digest, DmarcIdentity.id).where(
                DmarcIdentity.domain_id == domain_id, DmarcIdentity.digest.in_(part)
            )
        )
        by_digest.update((row.digest, row.id) for row in rows)
    return by_digest


_ENDS = ("source_ip", "identity_id", "first_hour", "last_hour")


def _flow_ids(
    session: Session, domain_id: UUID, counts: Counts, numbers: Sequence[int]
) -> dict[_Flow, int]:
    """The numbers of the flows, with each known to have been seen at its hours."""
    ends: dict[_Flow, tuple[int, int]] = {}
    for ip, index, hour in counts.sent:
        flow = (ip, numbers[index])
        first, last = ends.get(flow, (hour, hour))
        ends[flow] = (hour if hour < first else first, hour if hour > last else last)
    connection = session.connection()
    kind, fixed = connection.dialect.name, {"domain_id": domain_id}
    lookup = bulk.values_parameters(
        connection, _ENDS, [(*flow, *ends[flow]) for flow in sorted(ends)]
    )
    numbers_by_flow = {}
    for number, ip, identity, first, last in connection.execute(
        _known_flows(kind), lookup | fixed
    ).all():
        flow = (ip, identity)
        if number is not None and first <= ends[flow][0] and last >= ends[flow][1]:
            numbers_by_flow[flow] = number
    rows = [(*flow, *ends[flow]) for flow in sorted(ends.keys() - numbers_by_flow.keys())]
    if rows:
        inserted = connection.execute(
            _seen_flows(kind), bulk.values_parameters(connection, _ENDS, rows) | fixed
        )
        numbers_by_flow.update(((ip, identity), number) for number, ip, identity in inserted.all())
    return numbers_by_flow


@cache
def _known_flows(dialect: str) -> Any:
    """Each flow with its stored row; the outer join prevents SQLite from scanning all flows."""
    flow, values = DmarcFlow.__table__.c, bulk.values_table(dialect, DmarcFlow, _ENDS)
    is_same_flow = and_(
        flow.domain_id == bulk.fixed_value(DmarcFlow, "domain_id"),
        flow.source_ip == values.c.source_ip,
        flow.identity_id == values.c.identity_id,
    )
    return select(
        flow.id, values.c.source_ip, values.c.identity_id, flow.first_hour, flow.last_hour
    ).select_from(values.outerjoin(DmarcFlow, is_same_flow))


@cache
def _seen_flows(dialect: str) -> Any:
    statement = bulk.insert_values(dialect, DmarcFlow, _ENDS, fixed=("domain_id",))
    new, flow = statement.excluded, DmarcFlow.__table__.c
    first = case((new.first_hour < flow.first_hour, new.first_hour), else_=flow.first_hour)
    last = case((new.last_hour > flow.last_hour, new.last_hour), else_=flow.last_hour)
    return statement.on_conflict_do_update(
        index_elements=["domain_id", "source_ip", "identity_id"],
        set_={"first_hour": first, "last_hour": last},
    ).returning(flow.id, flow.source_ip, flow.identity_id)


_SET_ENDS = (
    update(DmarcFlow.__table__)  # type: ignore[arg-type]
    .where(DmarcFlow.id == bindparam("number"))
    .values(first_hour=bindparam("first"), last_hour=bindparam("last"))
)


def _shrink(session: Session, report: ReportCounts) -> None:
    """Shrink the first and last hours of flows to what remains without this report."""
    hours = set(report.hours)
    touched = select(DmarcFlow.id).where(
        DmarcFlow.domain_id == report.domain_id,
        or_(DmarcFlow.first_hour.in_(hours), DmarcFlow.last_hour.in_(hours)),
    )
    remaining = session.execute(
        select(FlowCount.flow_id, func.min(FlowCount.start), func.max(FlowCount.start))
        .where(FlowCount.flow_id.in_(touched), FlowCount.span == 1)
        .group_by(FlowCount.flow_id)
        .order_by(FlowCount.flow_id)
    ).all()
    unused = set(session.scalars(touched)) - {row[0] for row in remaining}
    if remaining:
        ends = [{"number": row[0], "first": row[1], "last": row[2]} for row in remaining]
        session.connection().execute(_SET_ENDS, ends)
    for part in bulk.batched(sorted(unused)):
        session.execute(delete(DmarcFlow).where(DmarcFlow.id.in_(part)))
