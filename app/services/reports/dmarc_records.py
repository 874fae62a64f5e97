"""Records of aggregate reports: those of one report, and those that a figure of analytics has."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, case, cast, func, literal, or_, select

from app.analysis.mail import periods, record_query
from app.analysis.mail.periods import Window
from app.db import transactions
from app.db.transactions import transaction
from app.models import DmarcRecord, DmarcReport
from app.models.reports import PROVENANCES, TRUSTED
from app.protocols.report_formats.aggregate import values
from app.services.core import domain_lookup
from app.services.core.listing import Listing
from app.services.reports import reports

_UNCHANGED = re.compile(r"[A-Za-z0-9._@+-]+")  # how JSON writes it

_REPORT = (
    DmarcReport.report_id.label("named"),
    DmarcReport.reporter,
    DmarcReport.begin_at,
    DmarcReport.end_at,
    DmarcReport.days,
    DmarcReport.provenance,
)


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records; what is None leaves all.

    result, dkim, spf  ``pass`` or ``fail``: of DMARC, and of either in alignment
    source_ips         one of these addresses
    below              only from authors below the domain: all but itself; of ``of_domain``
    dkim_domain, dkim_selector, dkim_result  all of one DKIM result, as the report has it; a result
                       may be ``behind.NOT_PASS``
    spf_domain, spf_result  likewise of SPF
    """

    result: str | None = None
    dkim: str | None = None
    spf: str | None = None
    disposition: str | None = None
    header_from: str | None = None
    reporter: str | None = None
    provenance: str | None = None
    source_ips: Sequence[str] = ()
    subdomains_only: bool = False
    dkim_domain: str | None = None
    dkim_selector: str | None = None
    dkim_result: str | None = None
    spf_domain: str | None = None
    spf_result: str | None = None


def of_report(account_id: UUID, report_id: UUID, filters: RecordFilter) -> Listing:
    """The records of one aggregate report, in its order.

    raises  NotFound; InvalidRequest for a bad address
    """
    reports.find(DmarcReport, account_id, report_id)
    statement = select(*DmarcRecord.__table__.columns).where(
        DmarcRecord.report_id == report_id,
        DmarcRecord.account_id == account_id,
        *_conditions(filters),
    )
    return Listing(statement, (DmarcRecord.position,))


def of_domain(account_id: UUID, ref: str, window: Window, filters: RecordFilter) -> Listing:
    """The records of a domain that count in the window, the newest mail first.

    Besides its columns each has its report's: ``named`` is the reporter's id of it. Those of a
    report over several days are listed if its period touches the window: ``counted`` may be 0.

    raises  NotFound for a domain that the account has not; InvalidRequest for a bad address
    """
    domain = domain_lookup.find(account_id, ref)
    start, stop = periods.at(window.start), periods.at(window.stop)
    spread = and_(
        DmarcReport.domain_id == domain.id,
        DmarcReport.days > 1,
        DmarcReport.begin_at < stop,
        DmarcReport.end_at >= start,
    )
    first, last = _ends(spread)
    statement = (
        select(*DmarcRecord.__table__.columns, *_REPORT)
        .join(DmarcReport, DmarcReport.id == DmarcRecord.report_id)
        .where(
            DmarcRecord.account_id == account_id,
            DmarcRecord.domain_id == domain.id,
            # What an index can find; reports over several days are found by their middle.
            DmarcRecord.at >= min(start, first or start),
            DmarcRecord.at < max(stop, last or stop),
            or_(
                and_(DmarcReport.days == 1, DmarcRecord.at >= start, DmarcRecord.at < stop), spread
            ),
            *_conditions(filters),
            *([DmarcRecord.header_from != domain.name] if filters.subdomains_only else ()),
        )
    )
    order = (DmarcRecord.at.desc(), DmarcRecord.report_id.desc(), DmarcRecord.position)
    return Listing(statement, order)


def counts(row: Any, window: Window) -> int:
    """How many messages of a row of ``of_domain`` count in the window, as analytics have it."""
    hours = periods.hours(row.begin_at, row.end_at, row.days)
    placed = periods.allocate(row.count, hours)
    return sum(part for hour, part in placed if window.start <= hour < window.stop)


def _ends(spread: ColumnElement[bool]) -> tuple[datetime | None, datetime | None]:
    """From when to when these reports' periods are."""
    statement = select(func.min(DmarcReport.begin_at), func.max(DmarcReport.end_at)).where(spread)
    with transaction(readonly=True) as session:
        first, last = session.execute(statement).one()
    return first, last


def _conditions(filters: RecordFilter) -> list[ColumnElement[bool]]:
    passed = or_(DmarcRecord.dkim, DmarcRecord.spf)
    found = [
        condition if wanted == "pass" else ~condition
        for condition, wanted in (
            (passed, filters.result),
            (DmarcRecord.dkim.expression, filters.dkim),
            (DmarcRecord.spf.expression, filters.spf),
        )
        if wanted
    ]
    for column, value in (
        (DmarcRecord.disposition, filters.disposition),
        (DmarcReport.reporter, filters.reporter),
        (DmarcReport.provenance, filters.provenance if filters.provenance != TRUSTED else None),
    ):
        if value:
            found.append(column == value.lower())
    if filters.provenance == TRUSTED:
        found.append(DmarcReport.provenance != PROVENANCES[0])
    if filters.header_from:
        found.append(DmarcRecord.header_from == _name(filters.header_from))
    found += _raw_results(filters)
    if filters.source_ips:
        addresses = map(reports.address, filters.source_ips)
        found.append(or_(*(DmarcRecord.source_ip == address for address in addresses)))
    return found


def _raw_results(filters: RecordFilter) -> Iterator[ColumnElement[bool]]:
    """What must be so of one of the results in a record's lists of them."""
    domain, selector, result = filters.dkim_domain, filters.dkim_selector, filters.dkim_result
    wanted = {"domain": domain and _name(domain), "selector": selector, "result": result}
    yield from _has(DmarcRecord.dkim_results, wanted)
    domain, result = filters.spf_domain, filters.spf_result
    wanted = {"domain": domain and _name(domain), "result": result}
    yield from _has(DmarcRecord.spf_results, wanted)


def _has(column: Any, wanted: Mapping[str, str | None]) -> Iterator[ColumnElement[bool]]:
    """One of the objects in the column's JSON array, if it is one, has all these values."""
    if transactions.current_engine().dialect.name == "sqlite":
        items, place = func.json_each(column), func.instr
        read, path = func.json_extract, "$.{}"
    else:
        is_array = func.json_typeof(column) == "array"
        items, place = func.json_array_elements(case((is_array, column))), func.strpos
        read, path = func.json_extract_path_text, "{}"
    item = items.table_valued("value", name="item")
    conditions = []
    for name, value in wanted.items():
        found = read(item.c.value, path.format(name), type_=Text)
        if value == record_query.NOT_PASS:
            conditions.append(found != "pass")
        elif value:
            conditions.append(found == value)
            if _UNCHANGED.fullmatch(value):  # a text is looked through in a tenth of the time
                yield place(cast(column, Text), value) > 0
    if conditions:
        yield select(literal(1)).select_from(item).where(*conditions).exists()


def _name(text: str) -> str:
    """A domain as reports' are stored."""
    return values.host(text) or text.lower()
