"""Records of aggregate reports: those of one report, and those that a figure of analytics has."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select

from app.db import transaction
from app.insight import periods
from app.insight.periods import Window
from app.models import DmarcRecord, DmarcReport
from app.services import domains, reports, rollups
from app.services.listing import Listing

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
    """

    result: str | None = None
    dkim: str | None = None
    spf: str | None = None
    disposition: str | None = None
    header_from: str | None = None
    reporter: str | None = None
    provenance: str | None = None
    source_ips: Sequence[str] = ()


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

    Beside its columns each has its report's: ``named`` is the reporter's id of it. Those of a
    report over several days are listed if its period touches the window: ``counted`` may be 0.

    raises  NotFound for a domain that the account has not; InvalidRequest for a bad address
    """
    domain = domains.find(account_id, ref)
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
        )
    )
    order = (DmarcRecord.at.desc(), DmarcRecord.report_id.desc(), DmarcRecord.position)
    return Listing(statement, order)


def counted(row: Any, window: Window) -> int:
    """How many messages of a row of ``of_domain`` count in the window, as analytics have it."""
    hours = periods.hours(row.begin_at, row.end_at, row.days)
    placed = rollups.placed(row.count, hours)
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
        (DmarcRecord.header_from, filters.header_from),
        (DmarcReport.reporter, filters.reporter),
        (DmarcReport.provenance, filters.provenance),
    ):
        if value:
            found.append(column == value.lower())
    if filters.source_ips:
        addresses = map(reports.address, filters.source_ips)
        found.append(or_(*(DmarcRecord.source_ip == address for address in addresses)))
    return found
