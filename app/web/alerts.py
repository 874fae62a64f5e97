"""Pages about alerts: what is open, one with its history, and what people make of them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app import ids
from app.checks.contract import Severity
from app.services import alerts
from app.services.alerts import AlertChange, AlertFilter
from app.web import pages
from app.web.forms import Form

bp = Blueprint("alerts", __name__, url_prefix="/alerts")

STATUSES = ("open", "acknowledged", "snoozed", "dismissed", "resolved")
WISHES = ("open", "acknowledged", "dismissed", "snoozed")
SNOOZES = {"1": "a day", "7": "a week", "30": "30 days"}
PAGE = 50
MAX_NOTE = 1000


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
        pages.visitor().account_id, query, place=cursor.given, limit=PAGE
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
    account, alert_id = pages.visitor().account_id, _parsed(id)
    return pages.render(
        "alert.html",
        alert=alerts.find(account, alert_id),
        transitions=alerts.history(account, alert_id),
        snoozes=SNOOZES,
    )


@bp.post("/<id>")
def change(id: str) -> ResponseReturnValue:
    """Acknowledge, dismiss, snooze or reopen an alert."""
    visitor, alert_id = pages.visitor(), _parsed(id)
    alerts.change(visitor.account_id, alert_id, _wish(), actor=visitor.actor)
    return _back(url_for(".show", id=id))


@bp.post("/batch")
def change_many() -> ResponseReturnValue:
    """The same for those that were ticked; one that cannot be changed does not stop the rest."""
    visitor, chosen = pages.visitor(), request.form.getlist("id")[:PAGE]
    if not chosen:
        abort(400, "Tick the alerts first that this is for.")
    alerts.change_many(visitor.account_id, chosen, _wish(), actor=visitor.actor)
    return _back(url_for(".index"))


def _filters() -> dict[str, str]:
    """What the list is asked for; what makes no sense counts as not asked."""
    given = {name: request.args.get(name, "").strip() for name in ("status", "severity")}
    return {
        "status": given["status"] if given["status"] in STATUSES else "open",
        "severity": given["severity"] if given["severity"] in list(Severity) else "",
        "type": request.args.get("type", "").strip()[:64].replace("\0", ""),
        "domain": request.args.get("domain", "").strip()[:253].replace("\0", ""),
    }


def _wish() -> AlertChange:
    """What the form wants; anything else is a page that says so."""
    form = Form()
    wish = request.form.get("status", "")
    if wish not in WISHES:
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
