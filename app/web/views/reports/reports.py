"""Pages about reports: the lists, and one report with its records."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, abort, make_response
from flask.typing import ResponseReturnValue

from app import ids
from app.analysis.mail.record_filter import RESULTS, RecordFilter
from app.errors import InvalidRequest, NotFound
from app.models import DmarcReport, FailureReport, TlsReport
from app.services.core.listing import Listing
from app.services.reports import dmarc_records, reports
from app.services.reports.reports import ReportFilter, Table
from app.web.base import dates, pages, query

bp = Blueprint("reports", __name__, url_prefix="/reports")

PAGE = 50
PARTIAL = {"true": True, "false": False}
FILES: Mapping[str, Table] = {
    "dmr": DmarcReport,
    "tlr": TlsReport,
}  # files of other kinds are not stored


@bp.get("")
def dmarc() -> ResponseReturnValue:
    """List the aggregate reports, newest first."""
    return _list("reports.html", reports.dmarc, ("result", "partial"))


@bp.get("/tls")
def tls() -> ResponseReturnValue:
    """List the TLS reports, newest first."""
    return _list("reports_tls.html", reports.tls, ("partial",))


@bp.get("/failure")
def failure() -> ResponseReturnValue:
    """List the failure reports, newest first."""
    return _list("reports_failure.html", reports.failures)


@bp.get("/dmarc/<id>")
def show_dmarc(id: str) -> ResponseReturnValue:
    """Show an aggregate report with its records."""
    account, report_id = pages.user_session().account_id, _parsed("dmr", id)
    filters = {"result": query.choice("result", RESULTS)}
    paging = pages.Paging(filters)
    page = dmarc_records.report_page(
        account, report_id, RecordFilter.from_query(filters), paging.cursor_values
    )
    return pages.render(
        "report_dmarc.html",
        report=page.report,
        conflicts=page.conflicts,
        obstacle=page.obstacle,
        records=page.records,
        following=paging.following(page.cursor_values),
        id=id,
        filters=filters,
    )


@bp.get("/tls/<id>")
def show_tls(id: str) -> ResponseReturnValue:
    """Show a TLS report with its policies and the failures of each."""
    detail = reports.tls_report(pages.user_session().account_id, _parsed("tlr", id))
    return pages.render(
        "report_tls.html",
        report=detail.report,
        policies=detail.policies,
        conflicts=detail.conflicts,
        obstacle=detail.obstacle,
        id=id,
    )


@bp.get("/failure/<id>")
def show_failure(id: str) -> ResponseReturnValue:
    """Show a failure report without private data."""
    account, report_id = pages.user_session().account_id, _parsed("flr", id)
    report = reports.find(FailureReport, account, report_id)
    return pages.render("report_failure.html", report=report, id=id)


@bp.get("/raw/<id>")
def raw(id: str) -> ResponseReturnValue:
    """Download the file of a report; browsers save it, and never show it as a page."""
    prefix = id.partition("_")[0]
    if prefix not in FILES:
        abort(404)
    user = pages.user_session()
    content = reports.download(FILES[prefix], user.account_id, id, actor=user.actor)
    response: Response = make_response(content)
    response.content_type = "application/octet-stream"
    response.headers["Content-Disposition"] = 'attachment; filename="report.bin"'
    return response


def _list(template: str, search: Any, extra: Sequence[str] = ()) -> ResponseReturnValue:
    values = {name: query.text(name) for name in ("domain", "reporter")}
    values |= {name: query.day(name) for name in ("from", "to")}
    for name, valid in (("result", RESULTS), ("partial", PARTIAL)):
        values[name] = query.choice(name, valid) if name in extra else ""
    filters = ReportFilter(
        domain=values["domain"] or None,
        reporter=values["reporter"] or None,
        result=values["result"] or None,
        partial=PARTIAL.get(values["partial"]),
        from_at=dates.parse_day(values["from"]),
        to_at=dates.parse_end_of_day(values["to"]),
    )
    paging = pages.Paging(values)
    try:
        listing: Listing = search(pages.user_session().account_id, filters)
        rows, following = listing.page(paging.cursor_values, PAGE)
    except (NotFound, InvalidRequest):
        if not values["domain"]:
            raise
        rows, following = [], None  # the domain is not in this account
    return pages.render(
        template,
        reports=rows,
        following=paging.following(following),
        filters={name: value for name, value in values.items() if value},
        presets=query.presets(),
    )


def _parsed(prefix: str, text: str) -> UUID:
    report_id = ids.parse(prefix, text)
    if report_id is None:
        abort(404)
    return report_id
