"""The security page of a user: password, two-factor authentication and active sessions."""

from typing import Any

import segno
from flask import Blueprint, abort, g, url_for
from flask.typing import ResponseReturnValue
from wtforms import HiddenField
from wtforms.validators import EqualTo

from app.errors import InvalidRequest
from app.services.people import people_pages
from app.services.sign_in import credentials, sessions, two_factor
from app.web.base import notices, pages, submissions
from app.web.base.forms import BaseForm, SecretField, TextField
from app.web.sign_in import guesses
from app.web.views.people.auth import without_cookie

bp = Blueprint("security", __name__, url_prefix="/settings/security")


MESSAGES = {
    "password": "Your password was changed. Your other sessions have ended.",
    "factor": "Two-factor authentication is off. Your other sessions have ended.",
    "session": "The session was signed out.",
}


class PasswordForm(BaseForm):
    """Change the password."""

    current = SecretField("Current password", "current-password", id="password-current")
    password = SecretField(
        "New password",
        "new-password",
        id="password-password",
        description="At least 12 characters. Several words are easiest to remember.",
    )
    again = SecretField(
        "Confirm new password",
        "new-password",
        id="password-again",
        validators=[EqualTo("password", "The passwords don't match. Enter the new password again")],
    )


class RenewCodesForm(BaseForm):
    """Replace the recovery codes."""

    current = SecretField("Current password", "current-password", id="codes-current")


class DisableTwoFactorForm(BaseForm):
    """Disable two-factor authentication."""

    current = SecretField("Current password", "current-password", id="factor-current")


class EnableTwoFactorForm(BaseForm):
    """Enable two-factor authentication; ``offer`` is the encrypted secret that was shown."""

    offer = HiddenField()
    code = TextField(
        "Code",
        100,
        render_kw={
            "required": True,
            "maxlength": 10,
            "inputmode": "numeric",
            "autocomplete": "one-time-code",
        },
    )
    current = SecretField("Current password", "current-password")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show the security settings, with the forms to change them."""
    return _page()


@bp.post("/password")
def change_password() -> ResponseReturnValue:
    """Change the password; all other sessions end."""
    form = PasswordForm.submitted()
    try:
        form.check()
        with guesses.limited():
            credentials.change_password(
                pages.user_session(), g.session_token, form.current.text, form.password.text
            )
    except InvalidRequest as error:
        form.add_errors(error, otherwise="password")
        return _page(error.status, form)
    return notices.redirect(url_for(".index"), MESSAGES["password"])


@bp.get("/second-factor")
def offer() -> ResponseReturnValue:
    """Show a new secret as a QR code, with the form for its first code."""
    return _offer()


@bp.post("/second-factor")
def turn_on() -> ResponseReturnValue:
    """Enable two-factor authentication; the next page shows the recovery codes once."""
    form = EnableTwoFactorForm.submitted()

    def enable() -> dict[str, Any]:
        with guesses.limited():
            codes = credentials.enable_two_factor(
                pages.user_session(),
                g.session_token,
                form.current.text,
                (form.offer.data or "")[:1000],
                form.code.text,
            )
        return {"codes": codes, "notice": "Two-factor authentication is on."}

    try:
        form.check()
        return submissions.process("recovery_codes", enable)
    except InvalidRequest as error:
        form.add_errors(error, otherwise="code")
        return _offer(error.status, form)


@bp.post("/second-factor/off")
def turn_off() -> ResponseReturnValue:
    """Disable two-factor authentication."""
    form = DisableTwoFactorForm.submitted()
    try:
        with guesses.limited():
            credentials.disable_two_factor(pages.user_session(), g.session_token, form.current.text)
    except InvalidRequest as error:
        form.add_errors(error, otherwise="current")
        return _page(error.status, form)
    return notices.redirect(url_for(".index"), MESSAGES["factor"])


@bp.post("/recovery-codes")
def renew_codes() -> ResponseReturnValue:
    """Replace the recovery codes; the next page shows the new ones once."""
    form = RenewCodesForm.submitted()

    def renew() -> dict[str, Any]:
        with guesses.limited():
            codes = credentials.renew_codes(
                pages.user_session(), g.session_token, form.current.text
            )
        return {"codes": codes, "notice": "The recovery codes were replaced."}

    try:
        return submissions.process("recovery_codes", renew)
    except InvalidRequest as error:
        form.add_errors(error, otherwise="current")
        return _page(error.status, form)


@bp.post("/sessions/<id>/end")
def end_session(id: str) -> ResponseReturnValue:
    """End one session."""
    try:
        sessions.end_one(pages.user_session().user_id, bytes.fromhex(id))
    except ValueError:
        abort(404)
    return notices.redirect(url_for(".index"), MESSAGES["session"])


@bp.post("/sessions/end-all")
def end_all() -> ResponseReturnValue:
    """End all sessions, including this one."""
    sessions.end_all(pages.user_session())
    signed_out = notices.redirect(url_for("web.auth.login"), "You are signed out on all devices.")
    return without_cookie(signed_out)


def _page(status: int = 200, submitted: BaseForm | None = None) -> ResponseReturnValue:
    """Render the page, with the submitted form in place of an empty one."""
    forms = (PasswordForm(), RenewCodesForm(), DisableTwoFactorForm())
    by_type = {type(form): form for form in (*forms, *([submitted] if submitted else ()))}
    page = people_pages.security(pages.user_session().user_id, g.session_token)
    return pages.render(
        "security.html",
        status,
        factor=page.two_factor,
        sessions=page.sessions,
        password_form=by_type[PasswordForm],
        codes_form=by_type[RenewCodesForm],
        factor_form=by_type[DisableTwoFactorForm],
    )


def _offer(status: int = 200, form: EnableTwoFactorForm | None = None) -> ResponseReturnValue:
    user, form = pages.user_session(), form or EnableTwoFactorForm()
    offer = two_factor.offer(user.user_id, user.email, form.offer.data or None)
    if offer is None:
        return notices.refuse(url_for(".index"), "Two-factor authentication is already on.")
    form.offer.data = offer.secret_encrypted
    code: Any = segno.make(offer.uri, error="m", micro=False)
    dark = [
        (x, y)
        for y, row in enumerate(code.matrix_iter(border=4))
        for x, is_on in enumerate(row)
        if is_on
    ]
    size = code.symbol_size(border=4)[0]
    return pages.render("second_factor.html", status, offer=offer, dark=dark, size=size, form=form)
