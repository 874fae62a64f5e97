"""Pages about reports: what came, and one with its records."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, abort, make_response, request
from flask.typing import ResponseReturnValue

from app import ids
from app.errors import InvalidRequest, NotFound
from app.models import DmarcReport, FailureReport, TlsReport
from app.services.core import audit_log
from app.services.core.listing import Listing
from app.services.ingest import conflicts as ingest_conflicts
from app.services.reports import dmarc_records, reports
from app.services.reports.dmarc_records import RecordFilter
from app.services.reports.reports import ReportFilter, Table
from app.web.base import forms, pages

bp = Blueprint("reports", __name__, url_prefix="/reports")

PAGE = 50
RECORDS = 100
FILES: Mapping[str, Table] = {"dmr": DmarcReport, "tlr": TlsReport}  # others are not kept whole
RESULTS = ("pass", "fail")


@bp.get("")
def dmarc() -> ResponseReturnValue:
    """Aggregate reports, newest first."""
    return _list("reports.html", reports.dmarc, result=True)


@bp.get("/tls")
def tls() -> ResponseReturnValue:
    """TLS reports, newest first."""
    return _list("reports_tls.html", reports.tls)


@bp.get("/failure")
def failure() -> ResponseReturnValue:
    """Failure reports, newest first."""
    return _list("reports_failure.html", reports.failures)


@bp.get("/dmarc/<id>")
def show_dmarc(id: str) -> ResponseReturnValue:
    """An aggregate report with its records."""
    account, report_id = pages.user_session().account_id, _parsed("dmr", id)
    result = request.args.get("result", "")
    filters = {"result": result if result in RESULTS else ""}
    paging = pages.Paging(filters)
    listing = dmarc_records.of_report(
        account, report_id, RecordFilter(result=filters["result"] or None)
    )
    rows, following = listing.page(paging.given, RECORDS)
    return pages.render(
        "report_dmarc.html",
        report=reports.find(DmarcReport, account, report_id),
        conflicts=ingest_conflicts.of_report(account, report_id),
        records=rows,
        following=paging.following(following),
        id=id,
        filters=filters,
    )


@bp.get("/tls/<id>")
def show_tls(id: str) -> ResponseReturnValue:
    """A TLS report with its policies and what failed under each."""
    account, report_id = pages.user_session().account_id, _parsed("tlr", id)
    report = reports.find(TlsReport, account, report_id)
    policies = reports.policies(account, report_id)
    conflicts = ingest_conflicts.of_report(account, report_id)
    return pages.render(
        "report_tls.html", report=report, policies=policies, conflicts=conflicts, id=id
    )


@bp.get("/failure/<id>")
def show_failure(id: str) -> ResponseReturnValue:
    """A failure report, without what is private."""
    account, report_id = pages.user_session().account_id, _parsed("flr", id)
    report = reports.find(FailureReport, account, report_id)
    return pages.render("report_failure.html", report=report, id=id)


@bp.get("/raw/<id>")
def raw(id: str) -> ResponseReturnValue:
    """The file in which the report came: kept by browsers, and never shown as a page."""
    prefix = id.partition("_")[0]
    if prefix not in FILES:
        abort(404)
    visitor = pages.user_session()
    content = reports.raw(FILES[prefix], visitor.account_id, _parsed(prefix, id))
    audit_log.record_read(
        visitor.account_id, actor=visitor.actor, action="report.downloaded", target=id
    )
    response: Response = make_response(content)
    response.content_type = "application/octet-stream"
    response.headers["Content-Disposition"] = 'attachment; filename="report.bin"'
    return response


def _list(template: str, search: Any, *, result: bool = False) -> ResponseReturnValue:
    given = {
        name: request.args.get(name, "").strip()[:253].replace("\0", "")
        for name in ("domain", "reporter", "result", "from", "to")
    }
    if not result or given["result"] not in RESULTS:
        given["result"] = ""
    query = ReportFilter(
        domain=given["domain"] or None,
        reporter=given["reporter"] or None,
        result=given["result"] or None,
        from_at=forms.day(given["from"]),
        to_at=forms.day_after(given["to"]),
    )
    paging = pages.Paging(given)
    try:
        listing: Listing = search(pages.user_session().account_id, query)
        rows, following = listing.page(paging.given, PAGE)
    except (NotFound, InvalidRequest):
        if not given["domain"]:
            raise
        rows, following = [], None  # no such domain: nothing was found
    return pages.render(
        template,
        reports=rows,
        following=paging.following(following),
        filters={name: value for name, value in given.items() if value},
    )


def _parsed(prefix: str, text: str) -> UUID:
    found = ids.parse(prefix, text)
    if found is None:
        abort(404)
    return found
