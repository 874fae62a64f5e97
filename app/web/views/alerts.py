"""Pages about alerts: the list, one alert with its history, and status changes."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue
from wtforms.validators import ValidationError
from wtforms.widgets import DateInput

from app import ids, wall_clock
from app.checks.engine.types import Severity
from app.errors import InvalidRequest
from app.protocols import timestamps
from app.protocols.quantities import quantity
from app.services.alerts import accepted_risks, alert_lists, alert_notes, alert_pages, alerts
from app.services.alerts.alert_lists import ListFilter
from app.services.alerts.alerts import AlertChange, BulkChange
from app.services.core import alert_types
from app.web.base import dates, notices, pages, query
from app.web.base.forms import BaseForm, ChoiceField, TextField

bp = Blueprint("alerts", __name__, url_prefix="/alerts")

STATUSES = ("open", "acknowledged", "snoozed", "dismissed", "resolved")
CHANGES = {
    "open": "Reopen",
    "acknowledged": "Acknowledge",
    "dismissed": "Dismiss",
    "snoozed": "Snooze",
}
SNOOZES = {
    "4h": "4 hours",
    "1": "1 day",
    "monday": "Until Monday, 08:00 ({})",
    "7": "7 days",
    "30": "30 days",
    "90": "90 days",
}
MONDAY, MONDAY_HOUR = 0, 8
SORTS = {"severity": "Severity", "newest": "Newest first", "oldest": "Oldest first"}
GROUPS = {"domain": "Domain", "cause": "Cause"}
ME = "me"
PAGE = 50
MAX_NOTE = 1000
MAX_OWNER = 200
SERVICE_NAMES = {"acceptedUntil": "accepted_until", "riskOwner": "risk_owner"}
ACCEPTED_FOR = timedelta(days=90)  # the default that the form suggests


NOTHING_SELECTED = (
    "No alerts were changed: none were selected. Select alerts, then choose an action."
)
RESULTS = {  # by status
    "open": "reopened",
    "acknowledged": "acknowledged",
    "snoozed": "snoozed",
    "dismissed": "dismissed",
    "accepted": "dismissed until the acceptance of the risk expires",
}


class ChangeForm(BaseForm):
    """Change the status of alerts."""

    status = ChoiceField(
        "Status", CHANGES, "Choose an action: acknowledge, dismiss, snooze or reopen."
    )
    note = TextField("Note (optional)", MAX_NOTE)
    days = TextField("For", 10)

    def validate_days(self, field: TextField) -> None:
        """Check for how long to snooze."""
        if self.status.text == "snoozed" and field.text not in SNOOZES:
            raise ValidationError("Choose how long to snooze.")

    def change(self) -> AlertChange:
        """Return the change; an invalid form aborts with 400."""
        if not self.validate():
            abort(400, next(message for field in self for message in field.errors))
        status, note = self.status.text, self.note.text or None
        if status != "snoozed":
            return AlertChange(status, note)
        return AlertChange(status, note, _snoozed_until(self.days.text))


class AcceptForm(BaseForm):
    """Accept the risk of an alert."""

    accepted_until = TextField(
        "Accept until (date, UTC)",
        name="acceptedUntil",
        widget=DateInput(),
        render_kw={"required": True},
    )
    risk_owner = TextField("Risk owner", MAX_OWNER, name="riskOwner", render_kw={"required": True})
    note = TextField("Reason", MAX_NOTE, render_kw={"required": True})

    def validate_accepted_until(self, field: TextField) -> None:
        """Check the date."""
        if dates.parse_day(field.text) is None:
            raise ValidationError("Enter a future date, such as 2027-01-31")

    def change(self) -> AlertChange:
        """Return the change; call ``check`` first."""
        return AlertChange(
            status="dismissed",
            note=self.note.text or None,
            snoozed_until=None,
            accepted_until=dates.parse_day(self.accepted_until.text),
            risk_owner=self.risk_owner.text or None,
        )


@bp.get("")
def index() -> ResponseReturnValue:
    """List the alerts of one status, most severe first."""
    filters = _filters()
    cursor = pages.Paging(filters)
    page = alert_lists.page(
        pages.user_session().account_id, _selection(filters), cursor.cursor_values, PAGE
    )
    hidden = ("status", "sort", "group")
    return pages.render(
        "alerts.html",
        page=page,
        following=cursor.following(page.cursor_values),
        filters=set_filters(filters),
        others={name: value for name, value in set_filters(filters).items() if name != "status"},
        narrowing={name: v for name, v in set_filters(filters).items() if name not in hidden},
        statuses=STATUSES,
        severities=list(Severity),
        snoozes=_snoozes(),
        sorts=SORTS,
        groups=GROUPS,
        types=[*(f"{group}.*" for group in alert_types.GROUPS), *alert_types.TYPES],
    )


@bp.get("/<id>")
def show(id: str) -> ResponseReturnValue:
    """Show an alert with its evidence, how to fix it, and its history."""
    return _show(id)


@bp.post("/<id>")
def change(id: str) -> ResponseReturnValue:
    """Acknowledge, dismiss, snooze or reopen an alert, or comment on it."""
    if request.form.get("status") == "comment":
        return _comment(id)
    change = ChangeForm.submitted().change()
    return _changed(_change(id, change), url_for(".show", id=id))


@bp.post("/<id>/assign")
def assign(id: str) -> ResponseReturnValue:
    """Assign an alert to a user of the account, or to no one."""
    return _assign([id], _path(url_for(".show", id=id)))


@bp.post("/<id>/accept")
def accept(id: str) -> ResponseReturnValue:
    """Accept the risk until a date: the alert is dismissed until then, and then reopens."""
    form = AcceptForm.submitted()
    try:
        form.check()
        changed = _change(id, form.change())
    except InvalidRequest as error:
        if any(detail["field"] == "status" for detail in error.extra["details"]):
            raise  # the alert is resolved: its page has no form to show the errors in
        form.add_errors(error, otherwise="note", names=SERVICE_NAMES)
        return _show(id, error.status, form)
    return _changed(changed, url_for(".show", id=id))


@bp.get("/accepted")
def accepted() -> ResponseReturnValue:
    """List the accepted risks, the earliest end date first."""
    paging = pages.Paging({})
    rows, following = accepted_risks.search(
        pages.user_session().account_id, cursor_values=paging.cursor_values, limit=PAGE
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
    user, selected_ids = pages.user_session(), request.form.getlist("id")[:PAGE]
    if not selected_ids:
        return notices.refuse(_path(url_for(".index")), NOTHING_SELECTED)
    if request.form.get("status") == "assign":
        return _assign(selected_ids, _path(url_for(".index")))
    change = ChangeForm.submitted().change()
    changed = alerts.change_many(user.account_id, selected_ids, change, actor=user.actor)
    return _changed(changed, url_for(".index"))


def _show(id: str, code: int = 200, form: AcceptForm | None = None) -> ResponseReturnValue:
    user, alert_id = pages.user_session(), _parsed(id)
    in_days = wall_clock.now() + ACCEPTED_FOR
    suggested = AcceptForm(accepted_until=f"{in_days:%Y-%m-%d}", risk_owner=user.email)
    filters = _filters()
    page = alert_pages.find(user.account_id, alert_id, _selection(filters))
    return pages.render(
        "alert.html",
        code,
        page=page,
        alert=page.alert,
        filters=set_filters(filters),
        documentation=page.documentation,
        snoozes=_snoozes(),
        form=form or suggested,
        is_accepting=form is not None or request.args.get("accept") == "1",
    )


def _filters() -> dict[str, str]:
    """Return the filters of the list; invalid values are reported on the page."""
    return {
        "status": query.choice("status", STATUSES, "open"),
        "q": query.text("q", 100),
        "severity": query.choice("severity", list(Severity)),
        "type": query.text("type", 64),
        "domain": query.text("domain"),
        "assignee": query.text("assignee", 254),
        "group": query.choice("group", GROUPS),
        "sort": query.choice("sort", SORTS, "severity"),
    }


def set_filters(filters: Mapping[str, str]) -> dict[str, Any]:
    """Return the filters for the address of the list, without those of the default."""
    return {
        name: value
        for name, value in filters.items()
        if value and (name, value) != ("sort", "severity")
    }


def _selection(filters: Mapping[str, str]) -> ListFilter:
    assignee = filters["assignee"]
    return ListFilter(
        status=filters["status"],
        q=filters["q"] or None,
        severity=filters["severity"] or None,
        type=filters["type"] or None,
        domain=filters["domain"] or None,
        assignee=(pages.user_session().email if assignee == ME else assignee) or None,
        group=filters["group"] or None,
        sort=filters["sort"],
    )


def _snoozes() -> Mapping[str, str]:
    """The labels of the times to snooze, with the zone of the reader."""
    zone = dates.reader_zone().key
    return {value: label.format(zone) for value, label in SNOOZES.items()}


def _snoozed_until(preset: str) -> datetime:
    now = wall_clock.now()
    if preset == "monday":
        return timestamps.next_weekly(MONDAY, MONDAY_HOUR, dates.reader_zone(), now)
    if preset.endswith("h"):
        return now + timedelta(hours=int(preset.removesuffix("h")))
    return now + timedelta(days=int(preset))


def _comment(id: str) -> ResponseReturnValue:
    user, url = pages.user_session(), _path(url_for(".show", id=id))
    text = request.form.get("note", "").strip()
    try:
        alert_notes.comment(user.account_id, _parsed(id), text, actor=user.actor)
    except InvalidRequest as error:
        return notices.refuse(url, f"{error.extra['details'][0]['message']}.")
    return notices.redirect(url, "Your comment was added.")


def _assign(alert_ids: Sequence[str], url: str) -> ResponseReturnValue:
    user, assignee = pages.user_session(), request.form.get("assignee", "")[:254]
    email = user.email if assignee == ME else assignee or None
    try:
        steps = alert_notes.assign(user.account_id, alert_ids, email, actor=user.actor)
    except InvalidRequest as error:
        return notices.refuse(url, f"{error.extra['details'][0]['message']}.")
    if not steps:
        return notices.refuse(url, "No alerts were changed: they are already assigned this way.")
    target = f"assigned to {email}" if email else "assigned to no one"
    undo = {"kind": "assignments", "url": url, "steps": steps}
    return notices.redirect(url, f"{quantity(len(steps), 'alert')} {target}.", undo=undo)


def _change(id: str, change: AlertChange) -> BulkChange:
    """Change one alert; raises the error if it cannot be changed."""
    user = pages.user_session()
    changed = alerts.change_many(user.account_id, [id], change, actor=user.actor)
    for result in changed.results:
        if result.error is not None:
            raise result.error
    return changed


def _changed(changed: BulkChange, otherwise: str) -> ResponseReturnValue:
    """Redirect to the page that the form was on, which says how many alerts were changed."""
    url, done = _path(otherwise), next(iter(changed.undo_steps), None)
    if done is None:
        return notices.refuse(url, "No alerts were changed. Resolved alerts can't be changed.")
    result = RESULTS["accepted" if done.after.accepted_until else done.after.status]
    message = f"{quantity(changed.changed_count, 'alert')} {result}."
    if changed.rejected_count:
        message += f" {quantity(changed.rejected_count, 'alert')} could not be changed."
    undo = {"kind": "alerts", "url": url, "steps": changed.undo_steps}
    return notices.redirect(url, message, undo=undo)


def _path(otherwise: str) -> str:
    """Return the path of the page that the form was on."""
    return pages.safe_path(request.form.get("back", otherwise))


def _parsed(id: str) -> UUID:
    alert_id = ids.parse("alert", id)
    if alert_id is None:
        abort(404)
    return alert_id
