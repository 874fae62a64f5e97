"""Pages about alerts: the list, one alert with its history, and status changes."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app import ids
from app.checks.engine.types import Severity
from app.errors import InvalidRequest
from app.services.alerts import accepted_risks, alerts
from app.services.alerts.alerts import AlertChange, AlertFilter
from app.web.base import forms, pages
from app.web.base.forms import Form

bp = Blueprint("alerts", __name__, url_prefix="/alerts")

STATUSES = ("open", "acknowledged", "snoozed", "dismissed", "resolved")
CHANGES = ("open", "acknowledged", "dismissed", "snoozed")
SNOOZES = {"1": "1 day", "7": "7 days", "30": "30 days"}
PAGE = 50
MAX_NOTE = 1000
MAX_OWNER = 200
ACCEPTED_FOR = timedelta(days=90)  # the default that the form suggests


@bp.get("")
def index() -> ResponseReturnValue:
    """List the alerts of one status, newest first."""
    filters = _filters()
    cursor = pages.Paging(filters)
    query = AlertFilter(
        status=filters["status"],
        severity=filters["severity"] or None,
        type=filters["type"] or None,
        domain=filters["domain"] or None,
    )
    rows, following = alerts.search(
        pages.user_session().account_id, query, place=cursor.given, limit=PAGE
    )
    return pages.render(
        "alerts.html",
        alerts=rows,
        following=cursor.following(following),
        filters={name: value for name, value in filters.items() if value},
        others={name: value for name, value in filters.items() if value and name != "status"},
        statuses=STATUSES,
        severities=list(Severity),
        snoozes=SNOOZES,
    )


@bp.get("/<id>")
def show(id: str) -> ResponseReturnValue:
    """Show an alert with its evidence, how to fix it, and its history."""
    return _show(id)


@bp.post("/<id>")
def change(id: str) -> ResponseReturnValue:
    """Acknowledge, dismiss, snooze or reopen an alert."""
    visitor, alert_id = pages.user_session(), _parsed(id)
    alerts.change(visitor.account_id, alert_id, _change(), actor=visitor.actor)
    return _back(url_for(".show", id=id))


@bp.post("/<id>/accept")
def accept(id: str) -> ResponseReturnValue:
    """Accept the risk until a date: the alert is dismissed until then, and then reopens."""
    visitor, form = pages.user_session(), Form()
    until = forms.day(form.text("acceptedUntil"))
    owner, note = form.text("riskOwner", MAX_OWNER), form.text("note", MAX_NOTE)
    if until is None:
        form.add_error("acceptedUntil", "Enter a future date, such as 2027-01-31")
    change = AlertChange(
        status="dismissed",
        note=note or None,
        snoozed_until=None,
        accepted_until=until,
        risk_owner=owner or None,
    )
    try:
        form.check()
        alerts.change(visitor.account_id, _parsed(id), change, actor=visitor.actor)
    except InvalidRequest as error:
        errors = pages.field_errors(error)
        if "status" in errors:
            raise  # the alert is resolved: its page has no form to show the errors in
        return _show(id, error.status, errors)
    return redirect(url_for(".show", id=id), 303)


@bp.get("/accepted")
def accepted() -> ResponseReturnValue:
    """List the accepted risks, the earliest end date first."""
    paging = pages.Paging({})
    rows, following = accepted_risks.search(
        pages.user_session().account_id, place=paging.given, limit=PAGE
    )
    return pages.render(
        "alerts_accepted.html",
        acceptances=rows,
        following=paging.following(following),
        statuses=STATUSES,
    )


@bp.post("/batch")
def change_many() -> ResponseReturnValue:
    """Change the selected alerts; one that cannot be changed does not stop the others."""
    visitor, chosen = pages.user_session(), request.form.getlist("id")[:PAGE]
    if not chosen:
        abort(400, "Select alerts to change them.")
    alerts.change_many(visitor.account_id, chosen, _change(), actor=visitor.actor)
    return _back(url_for(".index"))


def _show(id: str, code: int = 200, errors: Mapping[str, str] | None = None) -> ResponseReturnValue:
    account, alert_id = pages.user_session().account_id, _parsed(id)
    in_days = datetime.now(UTC) + ACCEPTED_FOR
    defaults = {"acceptedUntil": f"{in_days:%Y-%m-%d}", "riskOwner": pages.user_session().email}
    return pages.render(
        "alert.html",
        code,
        alert=alerts.find(account, alert_id),
        transitions=alerts.history(account, alert_id),
        snoozes=SNOOZES,
        form=request.form if errors else defaults,
        errors=errors or {},
        is_accepting=bool(errors) or request.args.get("accept") == "1",
    )


def _filters() -> dict[str, str]:
    """The filters of the list; invalid values are ignored."""
    values = {name: request.args.get(name, "").strip() for name in ("status", "severity")}
    return {
        "status": values["status"] if values["status"] in STATUSES else "open",
        "severity": values["severity"] if values["severity"] in list(Severity) else "",
        "type": request.args.get("type", "").strip()[:64].replace("\0", ""),
        "domain": request.args.get("domain", "").strip()[:253].replace("\0", ""),
    }


def _change() -> AlertChange:
    """The change that the form requests; an invalid form aborts with 400."""
    form = Form()
    status = request.form.get("status", "")
    if status not in CHANGES:
        abort(400, "Choose an action: acknowledge, dismiss, snooze or reopen.")
    note = form.text("note", MAX_NOTE)
    form.check()
    if status != "snoozed":
        return AlertChange(status, note or None)
    days = request.form.get("days", "")
    if days not in SNOOZES:
        abort(400, "Choose how long to snooze.")
    return AlertChange(status, note or None, datetime.now(UTC) + timedelta(days=int(days)))


def _back(otherwise: str) -> ResponseReturnValue:
    """Redirect to the page that the form was on."""
    return redirect(pages.safe_path(request.form.get("back", otherwise)), 303)


def _parsed(id: str) -> UUID:
    alert_id = ids.parse("alert", id)
    if alert_id is None:
        abort(404)
    return alert_id
