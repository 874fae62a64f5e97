"""The forms of the weekly summary on the page of an email channel."""

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue
from wtforms.validators import AnyOf

from app.errors import InvalidRequest, QuotaExceeded
from app.protocols import timestamps
from app.services.weekly import schedules, sending
from app.services.weekly.schedules import WEEKDAYS, Schedule
from app.web.base import notices, pages
from app.web.base.forms import BaseForm, ChoiceField, TextField

bp = Blueprint("weekly", __name__, url_prefix="/settings/notifications/<id>/weekly")

OFF = "off"
DAYS = {OFF: "Never", **{str(number): f"Every {day}" for number, day in enumerate(WEEKDAYS)}}
HOURS = {str(hour): f"{hour:02}:00" for hour in range(24)}


class WeeklyForm(BaseForm):
    """When a channel sends its weekly summary."""

    weekday = ChoiceField("Send", DAYS, default=OFF)
    hour = ChoiceField("At", HOURS, default="8")
    time_zone = TextField(
        "Time zone",
        timestamps.MAX_ZONE_NAME,
        [AnyOf(timestamps.zone_names(), "Enter a time zone such as Europe/Berlin")],
        id="weekly-zone",
        render_kw={
            "list": "zones",
            "required": True,
            "maxlength": timestamps.MAX_ZONE_NAME,
            "autocomplete": "off",
            "autocapitalize": "none",
            "spellcheck": "false",
        },
    )

    def schedule(self) -> Schedule | None:
        """Return the schedule; None to send no summary. Call ``check`` first."""
        if self.weekday.text == OFF:
            return None
        return Schedule(int(self.weekday.text), int(self.hour.text), self.time_zone.text)


@bp.post("")
def change(id: str) -> ResponseReturnValue:
    """Change when the channel sends its weekly summary."""
    user, form, url = pages.user_session(), WeeklyForm.submitted(), _url(id)
    try:
        form.check()
        schedule = form.schedule()
        before = schedules.change(user.account_id, id, schedule, actor=user.actor)
    except InvalidRequest as error:
        return notices.refuse(url, f"{error.extra['details'][0]['message']}.")
    message = (
        f"The weekly summary is sent every {schedule}."
        if schedule
        else "The weekly summary is off."
    )
    undo = {"kind": "weekly", "url": url, "channel": id, "schedule": before}
    return notices.redirect(url, message, undo=undo)


@bp.post("/preview")
def preview(id: str) -> ResponseReturnValue:
    """Send the summary of the last week to the signed-in user only."""
    user = pages.user_session()
    try:
        sending.preview(user, id)
    except InvalidRequest as error:
        message = error.extra["details"][0]["message"]
        return notices.refuse(_url(id), f"No preview was sent: {message}.")
    except QuotaExceeded as error:
        return notices.refuse(_url(id), error.message)
    return notices.redirect(_url(id), f"A preview is being sent to {user.email}.")


def _url(id: str) -> str:
    return url_for("web.channels.show", id=id, _anchor="weekly")
