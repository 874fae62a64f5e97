"""Records of aggregate reports: of one report, and of a domain in a window."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Text, and_, case, cast, func, literal, or_, select
from sqlalchemy.orm import Session

from app.analysis.mail import periods
from app.analysis.mail.periods import Window
from app.analysis.mail.record_filter import MAX_ADDRESSES, NOT_PASS, RecordFilter
from app.db import transactions
from app.db.transactions import transaction
from app.errors import InvalidRequest
from app.models import DmarcRecord, DmarcReport, Domain, ReportFile
from app.models.reports import PROVENANCES, TRUSTED
from app.protocols.report_formats.aggregate import values as report_values
from app.services.core import domain_lookup
from app.services.core.listing import Listing
from app.services.filing import conflicts, retries
from app.services.reports import reports

_UNCHANGED = re.compile(r"[A-Za-z0-9._@+-]+")  # JSON writes these characters unchanged

PAGE_SIZE = 50  # records of a domain
REPORT_PAGE_SIZE = 100  # records of a report
_REPORT = (
    DmarcReport.report_id.label("named"),
    DmarcReport.reporter,
    DmarcReport.begin_at,
    DmarcReport.end_at,
    DmarcReport.days,
    DmarcReport.provenance,
    (DmarcReport.skipped_count > 0).label("is_partial"),
)


class CountedRecord(NamedTuple):
    """A record of a domain, and how many of its messages count in the window."""

    record: Any
    messages: int


@dataclass(frozen=True, slots=True)
class RecordPage:
    """A page of a domain's records.

    cursor_values  the start of the next page; None if there is none
    messages       the sum of all records, if they are all on this page
    error          why the filter is invalid, and no records are on the page; None if it is valid
    """

    domain: Domain
    rows: Sequence[CountedRecord]
    cursor_values: Sequence[Any] | None
    messages: int | None
    error: InvalidRequest | None = None


@dataclass(frozen=True, slots=True)
class ReportPage:
    """An aggregate report with a page of its records.

    conflicts      the files that contradict the report, newest first
    obstacle       why its file cannot be reprocessed; None: it can
    cursor_values  the start of the next page of records; None if there is none
    """

    report: Row[Any]
    conflicts: Sequence[ReportFile]
    obstacle: str | None
    records: Sequence[Any]
    cursor_values: Sequence[Any] | None


def of_report(account_id: UUID, report_id: UUID, filter: RecordFilter) -> Listing:
    """Return the records of one aggregate report, in its order.

    raises  NotFound; InvalidRequest for an invalid address
    """
    reports.find(DmarcReport, account_id, report_id)
    return _of_report(account_id, report_id, filter)


def report_page(
    account_id: UUID, report_id: UUID, filter: RecordFilter, after: Sequence[Any] | None
) -> ReportPage:
    """Return an aggregate report with REPORT_PAGE_SIZE of its records.

    after   the cursor values of the previous page
    raises  NotFound
    """
    with transaction(readonly=True, snapshot=True) as session:
        report = reports.read(session, DmarcReport, account_id, report_id)
        records, cursor_values = _of_report(account_id, report_id, filter).page(
            after, REPORT_PAGE_SIZE, session
        )
        return ReportPage(
            report=report,
            conflicts=conflicts.read(session, account_id, report_id),
            obstacle=retries.obstacle(session, report.report_file_id),
            records=records,
            cursor_values=cursor_values,
        )


def of_domain(account_id: UUID, ref: str, window: Window, filter: RecordFilter) -> Listing:
    """Return the records of a domain that count in the window, newest email first.

    The rows are CountedRecords. Each record also has the columns of its report: ``named`` is the
    reporter's id of the report. Records of a report over several days are listed if its period
    meets the window, also if none of their messages count in it.

    raises  NotFound for a domain that is not in the account; InvalidRequest for an invalid address
    """
    with transaction(readonly=True) as session:
        return _of_domain(session, domain_lookup.owned(session, account_id, ref), window, filter)


def page(
    account_id: UUID,
    ref: str,
    window: Window,
    filter: RecordFilter,
    after: Sequence[Any] | None,
) -> RecordPage:
    """Return PAGE_SIZE records of ``of_domain``, with their sum.

    after   the cursor values of the previous page
    raises  NotFound for a domain that is not in the account
    """
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        try:
            listing = _of_domain(session, domain, window, filter)
        except InvalidRequest as error:
            return RecordPage(domain, rows=(), cursor_values=None, messages=None, error=error)
        rows, cursor_values = listing.page(after, PAGE_SIZE, session)
    is_complete = after is None and cursor_values is None
    return RecordPage(
        domain=domain,
        rows=rows,
        cursor_values=cursor_values,
        messages=sum(row.messages for row in rows) if is_complete else None,
    )


def _of_report(account_id: UUID, report_id: UUID, filter: RecordFilter) -> Listing:
    statement = select(*DmarcRecord.__table__.columns).where(
        DmarcRecord.report_id == report_id,
        DmarcRecord.account_id == account_id,
        *_conditions(filter),
    )
    return Listing(statement, (DmarcRecord.position,))


def _of_domain(session: Session, domain: Domain, window: Window, filter: RecordFilter) -> Listing:
    start, stop = periods.at(window.start), periods.at(window.stop)
    spread = and_(
        DmarcReport.domain_id == domain.id,
        DmarcReport.days > 1,
        DmarcReport.begin_at < stop,
        DmarcReport.end_at >= start,
    )
    first, last = _bounds(session, spread)
    statement = (
        select(*DmarcRecord.__table__.columns, *_REPORT)
        .join(DmarcReport, DmarcReport.id == DmarcRecord.report_id)
        .where(
            DmarcRecord.account_id == domain.account_id,
            DmarcRecord.domain_id == domain.id,
            # For the index; records of reports over several days are stored with their middle.
            DmarcRecord.at >= min(start, first or start),
            DmarcRecord.at < max(stop, last or stop),
            or_(
                and_(DmarcReport.days == 1, DmarcRecord.at >= start, DmarcRecord.at < stop), spread
            ),
            *_conditions(filter),
            *([DmarcRecord.header_from != domain.name] if filter.subdomains_only else ()),
        )
    )
    order = (DmarcRecord.at.desc(), DmarcRecord.report_id.desc(), DmarcRecord.position)
    return Listing(statement, order, lambda row: CountedRecord(row, _count(row, window)))


def _count(row: Any, window: Window) -> int:
    """The messages of a record that count in the window."""
    hours = periods.hours(row.begin_at, row.end_at, row.days)
    parts = periods.allocate(row.count, hours)
    return sum(part for hour, part in parts if window.start <= hour < window.stop)


def _bounds(
    session: Session, matches: ColumnElement[bool]
) -> tuple[datetime | None, datetime | None]:
    """The first start and the last end of these reports' periods."""
    statement = select(func.min(DmarcReport.begin_at), func.max(DmarcReport.end_at)).where(matches)
    first, last = session.execute(statement).one()
    return first, last


def _conditions(filter: RecordFilter) -> list[ColumnElement[bool]]:
    passed = or_(DmarcRecord.dkim, DmarcRecord.spf)
    conditions = [
        condition if result == "pass" else ~condition
        for condition, result in (
            (passed, filter.result),
            (DmarcRecord.dkim.expression, filter.dkim),
            (DmarcRecord.spf.expression, filter.spf),
        )
        if result
    ]
    for column, value in (
        (DmarcRecord.disposition, filter.disposition),
        (DmarcReport.reporter, filter.reporter),
        (DmarcReport.provenance, filter.provenance if filter.provenance != TRUSTED else None),
    ):
        if value:
            conditions.append(column == value.lower())
    if filter.provenance == TRUSTED:
        conditions.append(DmarcReport.provenance != PROVENANCES[0])
    if filter.header_from:
        conditions.append(DmarcRecord.header_from == _name(filter.header_from))
    conditions += _raw_results(filter)
    if filter.source_ips:
        conditions.append(or_(*(DmarcRecord.source_ip == ip for ip in _addresses(filter))))
    return conditions


def _addresses(filter: RecordFilter) -> Sequence[str]:
    if len(filter.source_ips) > MAX_ADDRESSES:
        raise InvalidRequest.field("sourceIp", f"Enter at most {MAX_ADDRESSES} addresses")
    return [reports.address(text) for text in filter.source_ips]


def _raw_results(filter: RecordFilter) -> Iterator[ColumnElement[bool]]:
    """The conditions that one of the raw DKIM results, and one of the SPF results, must meet."""
    domain, selector, result = filter.dkim_domain, filter.dkim_selector, filter.dkim_result
    values = {"domain": domain and _name(domain), "selector": selector, "result": result}
    yield from _has(DmarcRecord.dkim_results, values)
    domain, result = filter.spf_domain, filter.spf_result
    values = {"domain": domain and _name(domain), "result": result}
    yield from _has(DmarcRecord.spf_results, values)


def _has(column: Any, expected: Mapping[str, str | None]) -> Iterator[ColumnElement[bool]]:
    """The conditions that one object in the column's JSON array has all these values."""
    if transactions.current_engine().dialect.name == "sqlite":
        items, position = func.json_each(column), func.instr
        read, path = func.json_extract, "$.{}"
    else:
        is_array = func.json_typeof(column) == "array"
        items, position = func.json_array_elements(case((is_array, column))), func.strpos
        read, path = func.json_extract_path_text, "{}"
    item = items.table_valued("value", name="item")
    conditions = []
    for name, value in expected.items():
        actual = read(item.c.value, path.format(name), type_=Text)
        if value == NOT_PASS:
            conditions.append(actual != "pass")
        elif value:
            conditions.append(actual == value)
            if _UNCHANGED.fullmatch(value):  # ten times as fast as parsing the JSON
                yield position(cast(column, Text), value) > 0
    if conditions:
        yield select(literal(1)).select_from(item).where(*conditions).exists()


def _name(text: str) -> str:
    """The domain in the form in which reports are stored."""
    return report_values.host(text) or text.lower()
