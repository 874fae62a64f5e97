"""Pages about alerts: what is open, one with its history, and what people make of them."""

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
ACTIONS = ("open", "acknowledged", "dismissed", "snoozed")
SNOOZES = {"1": "a day", "7": "a week", "30": "30 days"}
PAGE = 50
MAX_NOTE = 1000
MAX_OWNER = 200
ACCEPTED_FOR = timedelta(days=90)  # unless somebody says otherwise


@bp.get("")
def index() -> ResponseReturnValue:
    """The alerts of one status, newest first."""
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
        statuses=STATUSES,
        severities=list(Severity),
        snoozes=SNOOZES,
    )


@bp.get("/<id>")
def show(id: str) -> ResponseReturnValue:
    """One alert: what was seen, how to mend it, and what became of it."""
    return _show(id)


@bp.post("/<id>")
def change(id: str) -> ResponseReturnValue:
    """Acknowledge, dismiss, snooze or reopen an alert."""
    visitor, alert_id = pages.user_session(), _parsed(id)
    alerts.change(visitor.account_id, alert_id, _action(), actor=visitor.actor)
    return _back(url_for(".show", id=id))


@bp.post("/<id>/accept")
def accept(id: str) -> ResponseReturnValue:
    """Accept the risk until a day: it is dismissed till then, and opens again by itself."""
    visitor, form = pages.user_session(), Form()
    until = forms.day(form.text("acceptedUntil"))
    owner, note = form.text("riskOwner", MAX_OWNER), form.text("note", MAX_NOTE)
    if until is None:
        form.add_error("acceptedUntil", "a day to come, like 2027-01-31")
    wanted = AlertChange("dismissed", note or None, None, until, owner or None)
    try:
        form.check()
        alerts.change(visitor.account_id, _parsed(id), wanted, actor=visitor.actor)
    except InvalidRequest as error:
        errors = pages.field_errors(error)
        if "status" in errors:
            raise  # it is resolved: there is nothing to accept, and no form for it
        return _show(id, error.status, errors)
    return redirect(url_for(".show", id=id), 303)


@bp.get("/accepted")
def accepted() -> ResponseReturnValue:
    """The risks that somebody has accepted, what ends first first."""
    paging = pages.Paging({})
    found, following = accepted_risks.search(
        pages.user_session().account_id, place=paging.given, limit=PAGE
    )
    return pages.render(
        "alerts_accepted.html",
        acceptances=found,
        following=paging.following(following),
        statuses=STATUSES,
    )


@bp.post("/batch")
def change_many() -> ResponseReturnValue:
    """The same for those that were ticked; one that cannot be changed does not stop the rest."""
    visitor, chosen = pages.user_session(), request.form.getlist("id")[:PAGE]
    if not chosen:
        abort(400, "Tick the alerts first that this is for.")
    alerts.change_many(visitor.account_id, chosen, _action(), actor=visitor.actor)
    return _back(url_for(".index"))


def _show(id: str, code: int = 200, errors: Mapping[str, str] | None = None) -> ResponseReturnValue:
    account, alert_id = pages.user_session().account_id, _parsed(id)
    in_days = datetime.now(UTC) + ACCEPTED_FOR
    offered = {"acceptedUntil": f"{in_days:%Y-%m-%d}", "riskOwner": pages.user_session().email}
    return pages.render(
        "alert.html",
        code,
        alert=alerts.find(account, alert_id),
        transitions=alerts.history(account, alert_id),
        snoozes=SNOOZES,
        form=request.form if errors else offered,
        errors=errors or {},
        is_asked=bool(errors) or request.args.get("accept") == "1",
    )


def _filters() -> dict[str, str]:
    """What the list is asked for; what makes no sense counts as not asked."""
    given = {name: request.args.get(name, "").strip() for name in ("status", "severity")}
    return {
        "status": given["status"] if given["status"] in STATUSES else "open",
        "severity": given["severity"] if given["severity"] in list(Severity) else "",
        "type": request.args.get("type", "").strip()[:64].replace("\0", ""),
        "domain": request.args.get("domain", "").strip()[:253].replace("\0", ""),
    }


def _action() -> AlertChange:
    """What the form wants; anything else is a page that says so."""
    form = Form()
    wish = request.form.get("status", "")
    if wish not in ACTIONS:
        abort(400, "An alert can be acknowledged, dismissed, snoozed or opened again.")
    note = form.text("note", MAX_NOTE)
    form.check()
    if wish != "snoozed":
        return AlertChange(wish, note or None)
    days = request.form.get("days", "")
    if days not in SNOOZES:
        abort(400, "Choose for how long it is to sleep.")
    return AlertChange(wish, note or None, datetime.now(UTC) + timedelta(days=int(days)))


def _back(otherwise: str) -> ResponseReturnValue:
    """To the page that the form was on."""
    return redirect(pages.safe_path(request.form.get("back", otherwise)), 303)


def _parsed(id: str) -> UUID:
    alert_id = ids.parse("alert", id)
    if alert_id is None:
        abort(404)
    return alert_id
