"""The page of the account: the user's settings, and the form to delete the account."""

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from app.errors import Conflict, InvalidRequest
from app.protocols import timestamps
from app.services.accounts import deletion
from app.services.people import preferences
from app.web.base import notices, pages
from app.web.base.forms import BaseForm, SecretField, TextField
from app.web.sign_in import guesses
from app.web.views.people.auth import without_cookie

bp = Blueprint("account", __name__, url_prefix="/settings/account")


class TimeZoneForm(BaseForm):
    """Choose the time zone of the pages."""

    time_zone = TextField(
        "Time zone",
        timestamps.MAX_ZONE_NAME,
        id="time-zone",
        render_kw={
            "list": "zones",
            "maxlength": timestamps.MAX_ZONE_NAME,
            "placeholder": "Europe/Berlin",
            "autocomplete": "off",
            "autocapitalize": "none",
            "spellcheck": "false",
        },
        description="Enter part of a name to search. Leave empty for the zone of your browser.",
    )


class DeleteAccountForm(BaseForm):
    """Delete the account."""

    name = TextField(
        "Account name",
        200,
        id="confirm-name",
        render_kw={"required": True, "maxlength": 100, "autocomplete": "off"},
    )
    current = SecretField("Current password", "current-password")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show the account's name, the user's settings, and the form to delete the account."""
    return _page()


@bp.post("/time-zone")
def set_time_zone() -> ResponseReturnValue:
    """Choose the time zone of the pages of this user."""
    user, form = pages.user_session(), TimeZoneForm.submitted()
    try:
        form.check()
        preferences.set_time_zone(user, form.time_zone.text or None)
    except InvalidRequest as error:
        form.add_errors(error, otherwise="time_zone")
        return _page(error.status, zone_form=form)
    zone = form.time_zone.text or "the zone of your browser"
    undo = {"kind": "time_zone", "url": url_for(".index"), "time_zone": user.time_zone}
    return notices.redirect(url_for(".index"), f"Times are shown in {zone}.", undo=undo)


@bp.post("/delete")
def delete() -> ResponseReturnValue:
    """Delete the account; all users are signed out immediately."""
    form = DeleteAccountForm.submitted()
    try:
        form.check()
        with guesses.limited():
            deletion.request_by_owner(pages.user_session(), form.name.text, form.current.text)
    except (InvalidRequest, Conflict) as error:
        form.add_errors(error, otherwise="name")
        return _page(error.status, form)
    message = "The account is being deleted. All of its users are signed out."
    return without_cookie(notices.redirect(url_for("web.auth.login"), message))


def _page(
    status: int = 200,
    form: DeleteAccountForm | None = None,
    zone_form: TimeZoneForm | None = None,
) -> ResponseReturnValue:
    return pages.render(
        "account.html",
        status,
        form=form or DeleteAccountForm(),
        zone_form=zone_form or TimeZoneForm(time_zone=pages.user_session().time_zone),
        zones=timestamps.zone_names(),
    )
