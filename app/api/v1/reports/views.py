"""The routes of aggregate, TLS and failure reports, and of report files."""

from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Blueprint, Response
from pydantic import Field

from app import ids
from app.api.http import fields, lists, responses
from app.api.http.auth import current
from app.api.http.endpoint import endpoint
from app.api.v1 import exports
from app.api.v1.exports import Exportable, Table
from app.api.v1.reports import schemas
from app.models import DmarcReport, FailureReport, TlsReport
from app.models.keys import Scope
from app.services.ingest import files
from app.services.ingest.files import ReportFileFilter
from app.services.reports import report_files, reports, serialization
from app.services.reports.reports import ReportFilter

bp = Blueprint("reports", __name__, url_prefix="/reports")

READ = (Scope.REPORTS_READ,)
_PREFIXES = {"dmarc": "dmr", "tls": "tlr", "failure": "flr"}
Result = Literal["pass", "fail"]
ResultType = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]


class ReportQuery(Exportable):
    """Filters of reports; ``from`` and ``to`` limit the start of their period."""

    domain: fields.Name | None = None
    reporter: fields.Text | None = None
    from_at: fields.Timestamp | None = Field(default=None, alias="from")
    to_at: fields.Timestamp | None = Field(default=None, alias="to")


class DmarcQuery(ReportQuery):
    """Filters of aggregate reports; ``result`` is fail if any message failed DMARC."""

    report_id: fields.Text | None = None
    partial: bool | None = None
    result: Result | None = None
    source_ip: fields.Text | None = None


class TlsQuery(ReportQuery):
    """Filters of TLS reports."""

    partial: bool | None = None
    result_type: ResultType | None = None


class FailureQuery(ReportQuery):
    """Filters of failure reports; ``from`` and ``to`` limit when they were received."""

    source_ip: fields.Text | None = None


class ReportFileQuery(Exportable):
    """Filters of report files; ``from`` and ``to`` limit when they were received."""

    status: (
        Literal["received", "parsed", "duplicate", "conflict", "unattributed", "rejected"] | None
    ) = None
    reason: fields.Text | None = None
    kind: Literal["dmarc", "tls", "failure"] | None = None
    policy_domain: fields.Text | None = None
    authenticity: Literal["verified", "failed"] | None = None
    from_at: fields.Timestamp | None = Field(default=None, alias="from")
    to_at: fields.Timestamp | None = Field(default=None, alias="to")


@bp.get("/dmarc")
@endpoint(scopes=READ, query=DmarcQuery, returns=schemas.DmarcReport, is_list=True, exports=True)
def dmarc_index(query: DmarcQuery) -> Response:
    """List aggregate reports."""
    filters = lists.filters(query, ReportFilter)
    listing = reports.dmarc(current().account_id, filters)
    return exports.answer(listing, query, Table("dmarc-reports", schemas.DmarcReport, dmarc_schema))


@bp.get("/dmarc/<id>")
@endpoint(scopes=READ, returns=schemas.DmarcReport)
def dmarc_show(id: str) -> Response:
    """Get an aggregate report."""
    row = reports.find(DmarcReport, current().account_id, fields.path_id("dmr", id))
    return responses.item(dmarc_schema(row))


@bp.get("/dmarc/<id>/raw")
@endpoint(scopes=READ, returns_file=True)
def dmarc_raw(id: str) -> Response:
    """Download the file of an aggregate report."""
    return _download(DmarcReport, id)


@bp.get("/tls-rpt")
@endpoint(scopes=READ, query=TlsQuery, returns=schemas.TlsReport, is_list=True, exports=True)
def tls_index(query: TlsQuery) -> Response:
    """List TLS reports."""
    filters = lists.filters(query, ReportFilter)
    listing = reports.tls(current().account_id, filters)
    return exports.answer(listing, query, Table("tls-reports", schemas.TlsReport, tls_schema))


@bp.get("/tls-rpt/<id>")
@endpoint(scopes=READ, returns=schemas.TlsReportDetail)
def tls_show(id: str) -> Response:
    """Get a TLS report."""
    detail = reports.tls_report(current().account_id, fields.path_id("tlr", id))
    policies = [policy_schema(policy) for policy in detail.policies]
    return responses.item({**tls_schema(detail.report), "policies": policies})


@bp.get("/tls-rpt/<id>/raw")
@endpoint(scopes=READ, returns_file=True)
def tls_raw(id: str) -> Response:
    """Download the file of a TLS report."""
    return _download(TlsReport, id)


@bp.get("/failure")
@endpoint(
    scopes=READ,
    query=FailureQuery,
    returns=schemas.FailureReport,
    is_list=True,
    exports=True,
)
def failure_index(query: FailureQuery) -> Response:
    """List failure reports."""
    filters = lists.filters(query, ReportFilter)
    listing = reports.failures(current().account_id, filters)
    return exports.answer(
        listing, query, Table("failure-reports", schemas.FailureReport, failure_schema)
    )


@bp.get("/failure/<id>")
@endpoint(scopes=READ, returns=schemas.FailureReport)
def failure_show(id: str) -> Response:
    """Get a failure report."""
    row = reports.find(FailureReport, current().account_id, fields.path_id("flr", id))
    return responses.item(failure_schema(row))


@bp.get("/files")
@endpoint(
    scopes=READ, query=ReportFileQuery, returns=schemas.ReportFile, is_list=True, exports=True
)
def file_index(query: ReportFileQuery) -> Response:
    """List report files with their outcomes, newest first."""
    filters = lists.filters(query, ReportFileFilter)
    listing = files.search(current().account_id, filters)
    return exports.answer(listing, query, Table("report-files", schemas.ReportFile, file_schema))


@bp.get("/files/<id>")
@endpoint(scopes=READ, returns=schemas.ReportFile)
def file_show(id: str) -> Response:
    """Get a report file."""
    return responses.item(file_schema(report_files.find(current().account_id, id)))


@bp.get("/files/<id>/raw")
@endpoint(scopes=READ, returns_file=True)
def file_raw(id: str) -> Response:
    """Download a report file."""
    caller = current()
    return responses.attachment(report_files.download(caller.account_id, id, actor=caller.actor))


@bp.post("/files/<id>/reprocess")
@endpoint(scopes=READ, returns=schemas.ReportFile, status=202, errors=(409,))
def file_reprocess(id: str) -> Response:
    """Process a report file again."""
    caller = current()
    row = report_files.reprocess(caller.account_id, id, actor=caller.actor)
    return responses.item(file_schema(row), 202)


def dmarc_schema(row: Any) -> dict[str, Any]:
    """Return an aggregate report as JSON."""
    policy = {"discoveryMethod" if n == "discovery_method" else n: v for n, v in row.policy.items()}
    return {
        **_common(row, "dmr"),
        "orgName": row.org_name,
        "email": row.email,
        "generator": row.generator,
        "namespace": row.namespace,
        "version": row.version,
        "days": row.days,
        "policy": policy,
        "recordCount": row.record_count,
        "messages": row.messages,
        "passed": row.passed,
        "failed": row.failed,
        "skippedRecords": {
            "count": row.skipped_count,
            "messages": row.skipped_messages,
            "reasons": row.skipped_reasons,
        },
    }


def tls_schema(row: Any) -> dict[str, Any]:
    """Return a TLS report as JSON without its policies."""
    return {
        **_common(row, "tlr"),
        "organization": row.organization,
        "skippedRecords": {
            "count": row.skipped_count,
            "sessions": row.skipped_sessions,
            "failedSessions": row.skipped_failed_sessions,
            "reasons": row.skipped_reasons,
        },
    }


def policy_schema(row: Any) -> dict[str, Any]:
    """Return a policy of a TLS report as JSON."""
    return {
        "policyType": row.policy_type,
        "policyDomain": row.policy_domain,
        "policyStrings": row.policy_strings,
        "mxHosts": row.mx_hosts,
        "successful": row.successful,
        "failed": row.failed,
        "failures": [serialization.failure(item) for item in row.failures],
    }


def failure_schema(row: Any) -> dict[str, Any]:
    """Return a failure report as JSON."""
    return {
        "id": ids.public("flr", row.id),
        "domainId": ids.public("dom", row.domain_id),
        "domainName": row.domain_name,
        "reportedDomain": row.reported_domain,
        "reporter": row.reporter,
        "authFailure": row.auth_failure,
        "identityAlignment": row.identity_alignment,
        "deliveryResult": row.delivery_result,
        "sourceIp": row.source_ip,
        "arrivedAt": responses.time(row.arrived_at),
        "incidents": row.incidents,
        "sender": row.sender,
        "recipient": row.recipient,
        "dkimDomain": row.dkim_domain,
        "dkimSelector": row.dkim_selector,
        "details": row.details,
        "provenance": row.provenance,
        "reportFileId": ids.public("file", row.report_file_id),
        "receivedAt": responses.time(row.received_at),
    }


def file_schema(row: Any) -> dict[str, Any]:
    """Return a report file as JSON."""
    return {
        "id": ids.public("file", row.id),
        "status": row.status,
        "reason": row.reason,
        "detail": row.detail,
        "kind": row.kind,
        "policyDomain": row.policy_domain,
        "reportId": _report_id(row.kind, row.report_id),
        "provenance": row.provenance,
        "reporter": row.reporter,
        "envelopeFrom": row.envelope_from,
        "headerFrom": row.header_from,
        "subject": row.subject,
        "attachmentName": row.attachment_name,
        "author": row.author,
        "authenticity": row.authenticity,
        "receivedVia": row.received_via,
        "fileName": row.file_name,
        "entry": row.entry,
        "sizeBytes": row.size_bytes,
        "receivedAt": responses.time(row.received_at),
        "finishedAt": responses.time(row.finished_at),
    }


def _common(row: Any, prefix: str) -> dict[str, Any]:
    return {
        "id": ids.public(prefix, row.id),
        "domainId": ids.public("dom", row.domain_id),
        "domainName": row.domain_name,
        "policyDomain": row.policy_domain,
        "reporter": row.reporter,
        "reportId": row.report_id,
        "beginAt": responses.time(row.begin_at),
        "endAt": responses.time(row.end_at),
        "contact": row.contact,
        "warnings": row.warnings,
        "partial": row.skipped_count > 0,
        "provenance": row.provenance,
        "reportFileId": ids.public("file", row.report_file_id),
        "receivedAt": responses.time(row.received_at),
    }


def _report_id(kind: str | None, report_id: UUID | None) -> str | None:
    return ids.public(_PREFIXES[kind], report_id) if kind and report_id else None


def _download(table: type[DmarcReport] | type[TlsReport], id: str) -> Response:
    caller = current()
    content = reports.download(table, caller.account_id, id, actor=caller.actor)
    return responses.attachment(content)
