"""What aggregate reports add up to, kept along with them: steps for whoever stores or deletes one.

Intakes of one domain may run at the same time. Every statement takes its rows in the order of
their keys, and the statements follow in one order, so that two reports wait for each other but
never in a circle. A transaction should therefore add or remove one report only, or several in the
order of their domains.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, bindparam, case, delete, func, or_, select, update
from sqlalchemy.orm import Session

from app import db
from app.insight import identities, periods
from app.insight.identities import Identity
from app.models import (
    Base,
    DmarcFlow,
    DmarcHour,
    DmarcIdentity,
    DmarcRecord,
    DmarcReport,
    FlowCount,
    ReporterCount,
)
from app.protocols.dmarc_report import DkimResult, Reason, Record, SpfResult

MAX_COUNT = 10**12  # of one record: with what nobody can have sent, no sum must overflow
AT_ONCE = 5_000  # values that one statement names

Row = tuple[Any, ...]
_Flow = tuple[str, int]  # source_ip, identity id


def add(session: Session, report: DmarcReport, records: Iterable[Record]) -> None:
    """Count the records of a report that is being stored, once.

    records  as ``protocols.dmarc_report`` reads them
    """
    _apply(session, report, records, 1)


def remove(session: Session, report_id: UUID) -> None:
    """Take back what ``add`` did for the report, while it and its records are still there.

    It goes by the rows: to change a report, remove it first, change it, and add it again.
    """
    report = session.get_one(DmarcReport, report_id)
    found = session.scalars(select(DmarcRecord).where(DmarcRecord.report_id == report_id))
    _apply(session, report, map(_as_read, found), -1)
    starts = {hour // span * span for hour in _hours(report) for span in periods.SPANS}
    for table, key in ((DmarcHour, DmarcHour.hour), (ReporterCount, ReporterCount.start),
                       (FlowCount, FlowCount.start)):  # fmt: skip
        session.execute(
            delete(table).where(
                table.domain_id == report.domain_id, key.in_(starts), table.messages == 0
            )
        )
    _shrink(session, report)


def _as_read(row: DmarcRecord) -> Record:
    """The row as ``protocols.dmarc_report`` read it."""
    return Record(
        row.source_ip, row.count, row.disposition, row.dkim, row.spf, row.header_from,
        row.envelope_from, row.envelope_to,
        tuple(Reason(one["type"], one["comment"]) for one in row.reasons or ()),
        tuple(
            DkimResult(one["domain"], one["selector"], one["result"])
            for one in row.dkim_results or ()
        ),
        tuple(
            SpfResult(one["domain"], one["scope"], one["result"]) for one in row.spf_results or ()
        ),
    )  # fmt: skip


def _hours(report: DmarcReport) -> tuple[int, ...]:
    return periods.hours(report.begin_at, report.end_at, report.days)


def _apply(session: Session, report: DmarcReport, records: Iterable[Record], sign: int) -> None:
    trusted = report.provenance != "unverified"
    messages: dict[tuple[str, Identity], list[int]] = {}
    hours = _hours(report)
    for record in records:
        if not record.count:
            continue
        key = (record.source_ip, identities.of(record, trusted=trusted))
        parts = periods.shares(min(record.count, MAX_COUNT), len(hours))
        known = messages.get(key)
        messages[key] = [a + b for a, b in zip(known, parts, strict=True)] if known else parts
    if not messages:
        return
    domain_id = report.domain_id
    numbers = _identity_ids(session, domain_id, {identity for _, identity in messages})
    ends = {
        (ip, numbers[identity]): (hours[0], hours[len(parts) - parts.count(0) - 1])
        for (ip, identity), parts in messages.items()
    }
    flow_ids = _flow_ids(session, domain_id, ends)

    totals, by_reporter, by_flow = Counter[Row](), Counter[Row](), Counter[Row]()
    for (ip, identity), parts in messages.items():
        number = numbers[identity]
        result = (identity.disposition, identity.dkim, identity.spf, trusted)
        for hour, part in zip(hours, parts, strict=True):
            if not part:
                break  # the larger parts come first
            count = sign * part
            totals[domain_id, hour, report.reporter, identity.header_from, *result] += count
            for span in periods.SPANS:
                place = (domain_id, span, hour // span * span)
                by_reporter[*place, report.reporter, number] += count
                by_flow[*place, flow_ids[ip, number]] += count
    _accumulate(session, DmarcHour, totals)
    _accumulate(session, ReporterCount, by_reporter)
    _accumulate(session, FlowCount, by_flow)


def _accumulate(session: Session, table: type[Base], counts: Mapping[Row, int]) -> None:
    """Add the counts to the rows of these primary keys."""
    rows = [(*key, counts[key]) for key in sorted(counts)]
    keys = [column.name for column in table.__table__.primary_key]
    statement = _insert(session, table, (*keys, "messages"), rows)
    total = table.__table__.c.messages + statement.excluded.messages
    session.execute(
        statement.on_conflict_do_update(index_elements=keys, set_={"messages": total}),
        _parameters(session, (*keys, "messages"), rows),
    )


def _insert(session: Session, table: type[Base], names: Sequence[str], rows: Sequence[Row]) -> Any:
    """An INSERT of the rows in their order; ``_parameters`` has their values.

    On PostgreSQL it is one statement over arrays: a fifth of the time of a statement a row.
    """
    statement = db.insert(session, Base.metadata.tables[table.__tablename__])
    if session.get_bind().dialect.name == "sqlite":
        return statement
    columns = [table.__table__.c[name] for name in names]
    arrays = [bindparam(column.name, type_=ARRAY(column.type), required=True) for column in columns]
    given = func.unnest(*arrays).table_valued(*names).render_derived()
    return statement.from_select(list(names), select(*(given.c[name] for name in names)))


def _parameters(session: Session, names: Sequence[str], rows: Sequence[Row]) -> Any:
    if session.get_bind().dialect.name == "sqlite":
        return [dict(zip(names, row, strict=True)) for row in rows]
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


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
        statement = db.insert(session, DmarcIdentity).on_conflict_do_nothing(
            index_elements=["domain_id", "digest"]
        )
        session.execute(statement, rows)
        known |= _known_identities(session, domain_id, missing)
    return {by_digest[digest]: number for digest, number in known.items()}


def _known_identities(
    session: Session, domain_id: UUID, digests: Iterable[bytes]
) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for some in batched(digests):
        rows = session.execute(
            select(DmarcIdentity.digest, DmarcIdentity.id).where(
                DmarcIdentity.domain_id == domain_id, DmarcIdentity.digest.in_(some)
            )
        )
        found.update((row.digest, row.id) for row in rows)
    return found


def _flow_ids(
    session: Session, domain_id: UUID, ends: Mapping[_Flow, tuple[int, int]]
) -> dict[_Flow, int]:
    """The numbers of the flows, with each known to have been seen between its ``ends``."""
    flows = sorted(ends)
    known = _known_flows(session, domain_id, flows)
    names = ("domain_id", "source_ip", "identity_id", "first_hour", "last_hour")
    rows = [
        (domain_id, *flow, *ends[flow])
        for flow in flows
        if flow not in known or not _covers(known[flow], *ends[flow])
    ]
    if rows:
        statement = _insert(session, DmarcFlow, names, rows)
        given, table = statement.excluded, DmarcFlow
        statement = statement.on_conflict_do_update(
            index_elements=names[:3],
            set_={
                "first_hour": case(
                    (given.first_hour < table.first_hour, given.first_hour),
                    else_=table.first_hour,
                ),
                "last_hour": case(
                    (given.last_hour > table.last_hour, given.last_hour), else_=table.last_hour
                ),
            },
        )
        session.execute(statement, _parameters(session, names, rows))
        missing = [flow for flow in flows if flow not in known]
        known |= _known_flows(session, domain_id, missing)
    return {flow: known[flow].id for flow in flows}


def _covers(flow: Any, first: int, last: int) -> bool:
    is_covered: bool = flow.first_hour <= first and flow.last_hour >= last
    return is_covered


def _known_flows(session: Session, domain_id: UUID, wanted: Sequence[_Flow]) -> dict[_Flow, Any]:
    found: dict[_Flow, Any] = {}
    for some in batched(wanted):
        rows = session.execute(
            select(
                DmarcFlow.id, DmarcFlow.source_ip, DmarcFlow.identity_id,
                DmarcFlow.first_hour, DmarcFlow.last_hour,
            ).where(
                DmarcFlow.domain_id == domain_id,
                DmarcFlow.source_ip.in_({ip for ip, _ in some}),
                DmarcFlow.identity_id.in_({number for _, number in some}),
            )
        )  # fmt: skip
        found.update(((row.source_ip, row.identity_id), row) for row in rows)
    return found


def _shrink(session: Session, report: DmarcReport) -> None:
    """Have the flows that began or ended with this report begin and end with what is left."""
    hours = set(_hours(report))
    touched = select(DmarcFlow.id).where(
        DmarcFlow.domain_id == report.domain_id,
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
    for some in batched(sorted(gone)):
        session.execute(delete(DmarcFlow).where(DmarcFlow.id.in_(some)))


T = TypeVar("T")


def batched(values: Iterable[T]) -> Iterator[list[T]]:
    """The values in lists that a statement can name: databases have a limit of parameters."""
    iterator = iter(values)
    while some := list(islice(iterator, AT_ONCE)):
        yield some
