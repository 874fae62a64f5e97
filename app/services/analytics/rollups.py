"""What aggregate reports add up to: steps for ``counting``, which tells when.

Whoever adds or takes away holds the rows of the weeks concerned, so that it waits for the others
there, and every statement takes its rows in the order of their keys.

Messages are counted by the hour. Of a week that few reports are still to come about there are sums
too, made by the clock; from then on they are kept along with the hours.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, delete, func, literal, or_, select, update
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

QUIET_HOURS = 72  # after a week until it is added up: most reports have come by then
WEEKS_AT_ONCE = 50

Row = tuple[Any, ...]
_Flow = tuple[str, int]  # source_ip, identity id
_Table = type[DmarcHour] | type[ReporterCount] | type[FlowCount]


@dataclass(frozen=True, slots=True)
class ReportCounts:
    """What a report says that is counted, with the columns of its row.

    records  as ``protocols.dmarc_report`` reads them
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
        """At which its messages are counted."""
        return periods.hours(self.begin_at, self.end_at, self.days)


def add(session: Session, domain_id: UUID, told: Iterable[ReportCounts]) -> None:
    """Count the records of reports of one domain, once."""
    _apply(session, domain_id, _counts(told), 1)


def remove(session: Session, told: ReportCounts) -> None:
    """Take back what ``add`` did for a report."""
    _apply(session, told.domain_id, _counts([told]), -1)
    starts = {hour // span * span for hour in told.hours for span in periods.SPANS}
    for table, key in ((DmarcHour, DmarcHour.hour), (ReporterCount, ReporterCount.start),
                       (FlowCount, FlowCount.start)):  # fmt: skip
        session.execute(
            delete(table).where(
                table.domain_id == told.domain_id, key.in_(starts), table.messages == 0
            )
        )
    _shrink(session, told)


@dataclass(slots=True)
class _Counts:
    """Messages of one domain; identities are named by their place in ``identities``.

    sent  by (source_ip, identity, hour); told by (hour, reporter, identity)
    """

    identities: dict[Identity, int]
    sent: Counter[tuple[str, int, int]]
    told: Counter[tuple[int, str, int]]


def _counts(reports: Iterable[ReportCounts]) -> _Counts:
    found = _Counts({}, Counter(), Counter())
    sent, told = found.sent, found.told
    known: dict[Row, int] = {}  # records are many, and few of them differ but in their address
    for report in reports:
        hours, trusted = report.hours, report.provenance != "unverified"
        for record in report.records:
            if not record.count:
                continue
            key = (trusted, *record[2:])
            number = known.get(key)
            if number is None:
                identity = identities.of(record, trusted=trusted)
                number = found.identities.setdefault(identity, len(found.identities))
                known[key] = number
            for hour, part in periods.allocate(record.count, hours):
                sent[record.source_ip, number, hour] += part
                told[hour, report.reporter, number] += part
    return found


def _apply(session: Session, domain_id: UUID, counts: _Counts, sign: int) -> None:
    if not counts.sent:
        return
    closed = _compacted(session, domain_id, {hour // WEEK * WEEK for hour, *_ in counts.told})
    by_identity = _identity_ids(session, domain_id, counts.identities)
    numbers = [by_identity[identity] for identity in counts.identities]
    flow_ids = _flow_ids(session, domain_id, counts, numbers)

    everyone = list(counts.identities)
    totals, by_reporter, by_flow = Counter[Row](), Counter[Row](), Counter[Row]()
    for (hour, reporter, place), count in counts.told.items():
        one = everyone[place]
        result = (one.header_from, one.disposition, one.dkim, one.spf, one.trusted)
        totals[(hour, reporter, *result)] += sign * count
        for span, start in bucket_keys(hour, closed):
            by_reporter[span, start, reporter, numbers[place]] += sign * count
    for (ip, place, hour), count in counts.sent.items():
        flow_id = flow_ids[ip, numbers[place]]
        for span, start in bucket_keys(hour, closed):
            by_flow[span, start, flow_id] += sign * count
    _accumulate(session, DmarcHour, domain_id, totals)
    _accumulate(session, ReporterCount, domain_id, by_reporter)
    _accumulate(session, FlowCount, domain_id, by_flow)


def bucket_keys(hour: int, closed: frozenset[int]) -> tuple[tuple[int, int], ...]:
    """(span, start) of the rows that an hour is counted in."""
    week = hour // WEEK * WEEK
    return ((1, hour), (WEEK, week)) if week in closed else ((1, hour),)


def _compacted(session: Session, domain_id: UUID, weeks: Iterable[int]) -> frozenset[int]:
    """Those of the weeks that are added up; all of them are the transaction's until it ends."""
    found: dict[int, bool] = {}
    for some in bulk.batched(sorted(weeks)):
        session.connection().execute(
            bulk.insert(session, DmarcWeek).on_conflict_do_nothing(),
            [{"domain_id": domain_id, "start": start, "is_compacted": False} for start in some],
        )
        these = and_(DmarcWeek.domain_id == domain_id, DmarcWeek.start.in_(some))
        rows = session.execute(
            select(DmarcWeek.start, DmarcWeek.is_compacted)
            .where(these)
            .order_by(DmarcWeek.start)
            .with_for_update()
        )
        found.update((row.start, row.is_compacted) for row in rows)
        session.execute(update(DmarcWeek).where(these).values(version=DmarcWeek.version + 1))
    return frozenset(start for start, is_closed in found.items() if is_closed)


def compact_weeks() -> int:
    """Add up the weeks that are over and quiet; how many that were."""
    count = 0
    while closed := _compact_some():
        count += closed
    return count


def _compact_some() -> int:
    with transaction() as session:
        end = hour_of(now(session)) - QUIET_HOURS - WEEK
        rows = session.execute(
            select(DmarcWeek.domain_id, DmarcWeek.start)
            .where(~DmarcWeek.is_compacted, DmarcWeek.start <= end)
            .order_by(DmarcWeek.domain_id, DmarcWeek.start)
            .limit(WEEKS_AT_ONCE)
            .with_for_update(skip_locked=True)
        ).all()
        for domain_id, start in rows:
            for table, keys in ((FlowCount, ("flow_id",)),
                                (ReporterCount, ("reporter", "identity_id"))):  # fmt: skip
                _sum_week(session, table, keys, domain_id, start)
            session.execute(
                update(DmarcWeek)
                .where(DmarcWeek.domain_id == domain_id, DmarcWeek.start == start)
                .values(is_compacted=True)
            )
    return len(rows)


def _sum_week(
    session: Session, table: type[FlowCount] | type[ReporterCount], keys: Sequence[str],
    domain_id: UUID, start: int,
) -> None:  # fmt: skip
    """Insert the sums of a week that has none."""
    columns = [getattr(table, name) for name in keys]
    sums = (
        select(
            literal(domain_id, table.domain_id.type), literal(WEEK), literal(start), *columns,
            func.sum(table.messages),
        )
        .where(
            table.domain_id == domain_id, table.span == 1,
            table.start >= start, table.start < start + WEEK,
        )
        .group_by(*columns)
    )  # fmt: skip
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
    return (*(column.name for column in table.__table__.primary_key if column.name != "domain_id"),
            "messages")  # fmt: skip


@cache
def _counting(dialect: str, table: _Table) -> Any:
    statement = bulk.insert_values(dialect, table, _counted(table), fixed=("domain_id",))
    total = table.__table__.c.messages + statement.excluded.messages
    keys = [column.name for column in table.__table__.primary_key]
    return statement.on_conflict_do_update(index_elements=keys, set_={"messages": total})


def _identity_ids(
    session: Session, domain_id: UUID, wanted: Iterable[Identity]
) -> dict[Identity, int]:
    by_digest = {identity.digest: identity for identity in wanted}
    known = _known_identities(session, domain_id, by_digest)
    if missing := sorted(by_digest.keys() - known.keys()):
        rows = [
            {"domain_id": domain_id, "digest": digest, **asdict(by_digest[digest])}
            for digest in missing
        ]
        statement = bulk.insert(session, DmarcIdentity).on_conflict_do_nothing(
            index_elements=["domain_id", "digest"]
        )
        session.connection().execute(statement, rows)
        known |= _known_identities(session, domain_id, missing)
    return {by_digest[digest]: number for digest, number in known.items()}


def _known_identities(
    session: Session, domain_id: UUID, digests: Iterable[bytes]
) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for some in bulk.batched(digests):
        rows = session.execute(
            select(DmarcIdentity.digest, DmarcIdentity.id).where(
                DmarcIdentity.domain_id == domain_id, DmarcIdentity.digest.in_(some)
            )
        )
        found.update((row.digest, row.id) for row in rows)
    return found


_ENDS = ("source_ip", "identity_id", "first_hour", "last_hour")


def _flow_ids(
    session: Session, domain_id: UUID, counts: _Counts, numbers: Sequence[int]
) -> dict[_Flow, int]:
    """The numbers of the flows, with each known to have been seen at its hours."""
    ends: dict[_Flow, tuple[int, int]] = {}
    for ip, place, hour in counts.sent:
        flow = (ip, numbers[place])
        first, last = ends.get(flow, (hour, hour))
        ends[flow] = (hour if hour < first else first, hour if hour > last else last)
    connection = session.connection()
    kind, fixed = connection.dialect.name, {"domain_id": domain_id}
    wanted = bulk.values_parameters(
        connection, _ENDS, [(*flow, *ends[flow]) for flow in sorted(ends)]
    )
    found = {}
    for number, ip, identity, first, last in connection.execute(
        _known_flows(kind), wanted | fixed
    ).all():
        flow = (ip, identity)
        if number is not None and first <= ends[flow][0] and last >= ends[flow][1]:
            found[flow] = number
    rows = [(*flow, *ends[flow]) for flow in sorted(ends.keys() - found.keys())]
    if rows:
        told = connection.execute(
            _seen_flows(kind), bulk.values_parameters(connection, _ENDS, rows) | fixed
        )
        found.update(((ip, identity), number) for number, ip, identity in told.all())
    return found


@cache
def _known_flows(dialect: str) -> Any:
    """Each given flow, with what is known of it; left to choose, SQLite would begin with all."""
    flow, given = DmarcFlow.__table__.c, bulk.values_table(dialect, DmarcFlow, _ENDS)
    is_it = and_(
        flow.domain_id == bulk.fixed_value(DmarcFlow, "domain_id"),
        flow.source_ip == given.c.source_ip,
        flow.identity_id == given.c.identity_id,
    )
    return select(
        flow.id, given.c.source_ip, given.c.identity_id, flow.first_hour, flow.last_hour
    ).select_from(given.outerjoin(DmarcFlow, is_it))


@cache
def _seen_flows(dialect: str) -> Any:
    statement = bulk.insert_values(dialect, DmarcFlow, _ENDS, fixed=("domain_id",))
    given, flow = statement.excluded, DmarcFlow.__table__.c
    first = case((given.first_hour < flow.first_hour, given.first_hour), else_=flow.first_hour)
    last = case((given.last_hour > flow.last_hour, given.last_hour), else_=flow.last_hour)
    return statement.on_conflict_do_update(
        index_elements=["domain_id", "source_ip", "identity_id"],
        set_={"first_hour": first, "last_hour": last},
    ).returning(flow.id, flow.source_ip, flow.identity_id)


def _shrink(session: Session, told: ReportCounts) -> None:
    """Have the flows that began or ended with this report begin and end with what is left."""
    hours = set(told.hours)
    touched = select(DmarcFlow.id).where(
        DmarcFlow.domain_id == told.domain_id,
        or_(DmarcFlow.first_hour.in_(hours), DmarcFlow.last_hour.in_(hours)),
    )
    left = session.execute(
        select(FlowCount.flow_id, func.min(FlowCount.start), func.max(FlowCount.start))
        .where(FlowCount.flow_id.in_(touched), FlowCount.span == 1)
        .group_by(FlowCount.flow_id)
        .order_by(FlowCount.flow_id)
    ).all()
    gone = set(session.scalars(touched)) - {row[0] for row in left}
    for number, first, last in left:
        session.execute(
            update(DmarcFlow).where(DmarcFlow.id == number).values(first_hour=first, last_hour=last)
        )
    for some in bulk.batched(sorted(gone)):
        session.execute(delete(DmarcFlow).where(DmarcFlow.id.in_(some)))
