"""Pages about alerts: what is open, and what people make of it."""

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app import ids
from app.checks.contract import Severity
from app.services import alerts
from app.services.alerts import AlertChange, AlertFilter
from app.web import pages

bp = Blueprint("alerts", __name__, url_prefix="/alerts")

STATUSES = ("open", "acknowledged", "snoozed", "dismissed", "resolved")
WISHES = ("open", "acknowledged", "dismissed")
PAGE = 50
MAX_NOTE = 1000


@bp.get("")
def index() -> ResponseReturnValue:
    """The alerts of one status, newest first."""
    status, severity = request.args.get("status"), request.args.get("severity")
    status = status if status in STATUSES else "open"
    severity = severity if severity in list(Severity) else None
    cursor = pages.cursor({"status": status, "severity": severity})
    given = request.args.get("cursor")
    place = cursor.open(given) if given else None
    query = AlertFilter(status=status, severity=severity)
    rows, following = alerts.search(pages.visitor().account_id, query, place=place, limit=PAGE)
    return pages.render(
        "alerts.html",
        alerts=rows,
        following=cursor.seal(following) if following else None,
        status=status,
        severity=severity,
        statuses=STATUSES,
        severities=list(Severity),
    )


@bp.post("/<id>")
def change(id: str) -> ResponseReturnValue:
    """Acknowledge, dismiss or reopen an alert."""
    visitor = pages.visitor()
    alert_id = ids.parse("alert", id)
    if alert_id is None:
        abort(404)
    wish, note = request.form.get("status", ""), request.form.get("note", "").strip()
    if wish not in WISHES:
        abort(400, "An alert can be acknowledged, dismissed or opened again.")
    if len(note) > MAX_NOTE:
        abort(400, f"A note may have {MAX_NOTE} characters.")
    change = AlertChange(wish, note or None)
    alerts.change(visitor.account_id, alert_id, change, actor=visitor.actor)
    seen = request.form.get("seen", "")
    return redirect(url_for(".index", status=seen if seen in STATUSES else None), 303)
