"""Aggregate, TLS and failure reports: the lists, single reports, and the files they came in."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, Text, cast, exists, select
from sqlalchemy.orm import Session

from app import ids
from app.db.transactions import transaction
from app.errors import InvalidRequest, NotFound
from app.models import (
    DmarcRecord,
    DmarcReport,
    Domain,
    FailureReport,
    ReportFile,
    TlsPolicy,
    TlsReport,
)
from app.models.reports import is_partial
from app.services.audit import audit_log
from app.services.core import domain_lookup, listing
from app.services.core.listing import Listing
from app.services.filing import conflicts, retries
from app.services.ingest import files

Table = type[DmarcReport] | type[TlsReport] | type[FailureReport]
PREFIXES: Mapping[Table, str] = {DmarcReport: "dmr", TlsReport: "tlr", FailureReport: "flr"}


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """A filter of reports; ``domain`` is the id or the name of a domain in the account.

    from_at, to_at  bound the start of the report's period; for failure reports, the time of receipt
    partial         whether a part of the report could not be read
    result          ``pass``: all messages passed DMARC; ``fail``: some did not
    """

    domain: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    reporter: str | None = None
    report_id: str | None = None
    result: str | None = None
    source_ip: str | None = None
    result_type: str | None = None
    partial: bool | None = None


def dmarc(account_id: UUID, filters: ReportFilter) -> Listing:
    """Return the aggregate reports with ``domain_name``, newest first.

    raises  NotFound for a domain that is not in the account; InvalidRequest for an invalid address
    """
    statement = _of(DmarcReport, account_id, filters, DmarcReport.begin_at)
    statement = _partial(statement, DmarcReport.skipped_count, filters)
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
    """Return the TLS reports with ``domain_name``, newest first.

    raises  NotFound for a domain that is not in the account
    """
    statement = _of(TlsReport, account_id, filters, TlsReport.begin_at)
    statement = _partial(statement, TlsReport.skipped_count, filters)
    if filters.result_type:
        # Searched as text: few policies have failures, and each has few.
        has_type = cast(TlsPolicy.failures, Text).contains(
            f'"result_type":"{filters.result_type}"', autoescape=True
        )
        statement = statement.where(exists().where(TlsPolicy.report_id == TlsReport.id, has_type))
    return Listing(statement, (TlsReport.id.desc(),))


@dataclass(frozen=True, slots=True)
class TlsReportDetail:
    """A TLS report with its policies, in its order.

    conflicts  the files that contradict the report, newest first
    obstacle   why its file cannot be reprocessed; None: it can
    """

    report: Row[Any]
    policies: Sequence[TlsPolicy]
    conflicts: Sequence[ReportFile]
    obstacle: str | None


def tls_report(account_id: UUID, report_id: UUID) -> TlsReportDetail:
    """Return a TLS report of the account.

    raises  NotFound
    """
    with transaction(readonly=True, snapshot=True) as session:
        report = read(session, TlsReport, account_id, report_id)
        return TlsReportDetail(
            report=report,
            policies=session.scalars(
                select(TlsPolicy)
                .where(TlsPolicy.report_id == report_id, TlsPolicy.account_id == account_id)
                .order_by(TlsPolicy.position)
            ).all(),
            conflicts=conflicts.read(session, account_id, report_id),
            obstacle=retries.obstacle(session, report.report_file_id),
        )


def failures(account_id: UUID, filters: ReportFilter) -> Listing:
    """Return the failure reports with ``domain_name``, newest first.

    raises  NotFound for a domain that is not in the account; InvalidRequest for an invalid address
    """
    statement = _of(FailureReport, account_id, filters, FailureReport.received_at)
    if filters.source_ip:
        statement = statement.where(FailureReport.source_ip == address(filters.source_ip))
    return Listing(statement, (FailureReport.id.desc(),))


def find(table: Table, account_id: UUID, report_id: UUID) -> Row[Any]:
    """Return a report of the account, with ``domain_name``.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        return read(session, table, account_id, report_id)


def download(table: Table, account_id: UUID, public_id: str, *, actor: str) -> bytes:
    """Return the file of the report as it was received, and record the download.

    public_id  the id with its prefix
    raises     NotFound, also if the file is no longer stored
    effects    an entry in the audit log
    """
    report_id = ids.parse(PREFIXES[table], public_id)
    if report_id is None:
        raise NotFound.of(PREFIXES[table], public_id)
    with transaction() as session:
        report = read(session, table, account_id, report_id)
        content = files.raw_of(session, account_id, report.report_file_id)
        audit_log.record(
            session, account_id, actor=actor, action="report.downloaded", target=public_id
        )
    return content


def _of(table: Table, account_id: UUID, filters: ReportFilter, time_column: Any) -> Select[Any]:
    """The reports of one kind that match the filters that all kinds have."""
    statement = columns(table).where(table.account_id == account_id)
    if filters.domain:
        domain = domain_lookup.find(account_id, filters.domain)
        statement = statement.where(table.domain_id == domain.id)
    equals = ((table.reporter, filters.reporter and filters.reporter.lower()),)
    return listing.apply_filters(statement, equals, time_column, filters)


def _partial(statement: Select[Any], skipped_count: Any, filters: ReportFilter) -> Select[Any]:
    if filters.partial is None:
        return statement
    return statement.where(is_partial(skipped_count) if filters.partial else skipped_count == 0)


def columns(table: Table) -> Select[Any]:
    columns = [column for column in table.__table__.columns if column.name != "content_digest"]
    if table is DmarcReport:
        columns.append((DmarcReport.messages - DmarcReport.passed).label("failed"))
    return select(*columns, Domain.name.label("domain_name")).join(
        Domain, Domain.id == table.domain_id
    )


def read(session: Session, table: Table, account_id: UUID, report_id: UUID) -> Row[Any]:
    """As ``find``, in the caller's transaction."""
    row = session.execute(
        columns(table).where(table.account_id == account_id, table.id == report_id)
    ).first()
    if row is None:
        raise NotFound.of(PREFIXES[table], report_id)
    return row


def address(text: str) -> str:
    """Return the address in the form in which it is stored.

    raises  InvalidRequest
    """
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise InvalidRequest.field("sourceIp", "not an IP address") from None
