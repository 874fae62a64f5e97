"""Reports as their readers see them: listed, found, and as they came."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, Text, cast, exists, select
from sqlalchemy.orm import Session

from app.db.transactions import transaction
from app.errors import InvalidRequest, NotFound
from app.models import (
    DmarcRecord,
    DmarcReport,
    Domain,
    FailureReport,
    TlsPolicy,
    TlsReport,
)
from app.services.core import domain_lookup, listing
from app.services.core.listing import Listing
from app.services.ingest import files

Table = type[DmarcReport] | type[TlsReport] | type[FailureReport]


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """Which reports; ``domain`` is an id or a name of a watched domain.

    from_at, to_at  bound the beginning of the report's period; of a failure report, when it came
    result          ``pass``: all its messages passed DMARC; ``fail``: some did not
    """

    domain: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    reporter: str | None = None
    report_id: str | None = None
    result: str | None = None
    source_ip: str | None = None
    result_type: str | None = None


def dmarc(account_id: UUID, filters: ReportFilter) -> Listing:
    """Aggregate reports with ``domain_name``, the newest first.

    raises  NotFound for a domain that the account has not; InvalidRequest for a bad address
    """
    statement = _of(DmarcReport, account_id, filters, DmarcReport.begin_at)
    if filters.report_id:
        statement = statement.where(DmarcReport.report_id == filters.report_id)
    if filters.result == "pass":
        statement = statement.where(DmarcReport.passed == DmarcReport.messages)
    elif filters.result == "fail":
        statement = statement.where(DmarcReport.passed < DmarcReport.messages)
    if filters.source_ip:
        statement = statement.where(
            exists().where(
                DmarcRecord.report_id == DmarcReport.id,
                DmarcRecord.account_id == account_id,
                DmarcRecord.source_ip == address(filters.source_ip),
            )
        )
    return Listing(statement, (DmarcReport.id.desc(),))


def tls(account_id: UUID, filters: ReportFilter) -> Listing:
    """TLS reports with ``domain_name``, the newest first.

    raises  NotFound for a domain that the account has not
    """
    statement = _of(TlsReport, account_id, filters, TlsReport.begin_at)
    if filters.result_type:
        # Searched as text: few policies have failures, and each has few.
        said = cast(TlsPolicy.failures, Text).contains(
            f'"result_type":"{filters.result_type}"', autoescape=True
        )
        statement = statement.where(exists().where(TlsPolicy.report_id == TlsReport.id, said))
    return Listing(statement, (TlsReport.id.desc(),))


def policies(account_id: UUID, report_id: UUID) -> Sequence[TlsPolicy]:
    """The policies of a TLS report, in its order."""
    with transaction(readonly=True) as session:
        return session.scalars(
            select(TlsPolicy)
            .where(TlsPolicy.report_id == report_id, TlsPolicy.account_id == account_id)
            .order_by(TlsPolicy.position)
        ).all()


def failures(account_id: UUID, filters: ReportFilter) -> Listing:
    """Failure reports with ``domain_name``, the newest first.

    raises  NotFound for a domain that the account has not; InvalidRequest for a bad address
    """
    statement = _of(FailureReport, account_id, filters, FailureReport.received_at)
    if filters.source_ip:
        statement = statement.where(FailureReport.source_ip == address(filters.source_ip))
    return Listing(statement, (FailureReport.id.desc(),))


def find(table: Table, account_id: UUID, report_id: UUID) -> Row[Any]:
    """One report of the account, with ``domain_name``.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        return _found(session, table, account_id, report_id)


def raw(table: Table, account_id: UUID, report_id: UUID) -> bytes:
    """The file in which the report came, as it was received.

    raises  NotFound, also when it is not kept any more
    """
    with transaction(readonly=True) as session:
        report = _found(session, table, account_id, report_id)
        return files.raw_of(session, account_id, report.report_file_id)


def _of(table: Table, account_id: UUID, filters: ReportFilter, now: Any) -> Select[Any]:
    """What the filters of every kind of report leave."""
    statement = _columns(table).where(table.account_id == account_id)
    if filters.domain:
        domain = domain_lookup.find(account_id, filters.domain)
        statement = statement.where(table.domain_id == domain.id)
    wanted = ((table.reporter, filters.reporter and filters.reporter.lower()),)
    return listing.apply_filters(statement, wanted, now, filters)


def _columns(table: Table) -> Select[Any]:
    columns = [column for column in table.__table__.columns if column.name != "content_digest"]
    return select(*columns, Domain.name.label("domain_name")).join(
        Domain, Domain.id == table.domain_id
    )


def _found(session: Session, table: Table, account_id: UUID, report_id: UUID) -> Row[Any]:
    row = session.execute(
        _columns(table).where(table.account_id == account_id, table.id == report_id)
    ).first()
    if row is None:
        raise NotFound
    return row


def address(text: str) -> str:
    """As addresses are kept, however it was typed.

    raises  InvalidRequest
    """
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise InvalidRequest.field("sourceIp", "not an IP address") from None
