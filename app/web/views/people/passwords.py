"""Pages for people who lost their password: request a link by email, and choose a new password."""

from flask import Blueprint, current_app, g, request, url_for
from flask.typing import ResponseReturnValue
from wtforms.validators import DataRequired
from wtforms.widgets import EmailInput

from app.errors import InvalidRequest, NotFound
from app.services.emails import emails
from app.services.sign_in import password_resets
from app.web.base import notices, pages
from app.web.base.forms import BaseForm, SecretField, TextField
from app.web.sign_in.login_throttle import LoginThrottle

bp = Blueprint("passwords", __name__, url_prefix="/auth/password")

REQUESTED = (
    "If this address belongs to a user, an email with a link is on its way. The link works once, "
    "for one hour."
)
CHANGED = "Your password was changed, and all your sessions have ended. Sign in to continue."


class LostForm(BaseForm):
    """Request a link to choose a new password."""

    email = TextField(
        "Email",
        254,
        [DataRequired("Enter your email address")],
        widget=EmailInput(),
        render_kw={"required": True, "autocomplete": "username", "autofocus": True},
    )


class ResetForm(BaseForm):
    """Choose a new password."""

    password = SecretField(
        "New password",
        "new-password",
        description="At least 12 characters. Several words are easiest to remember.",
        render_kw={"minlength": 12, "autofocus": True},
    )


@bp.route("", methods=["GET", "POST"])
def lost() -> ResponseReturnValue:
    """Show the form that requests a link, and request it; the response reveals no users."""
    if request.method == "GET" or not emails.is_configured():
        return _lost(LostForm())
    form = LostForm.submitted()
    try:
        form.check()
    except InvalidRequest:
        return _lost(form, 400)
    throttle: LoginThrottle = current_app.extensions["login_throttle"]
    if wait := throttle.start_reset(form.email.text, request.remote_addr or "unknown"):
        g.retry_after = wait
        return _lost(form, 429, pages.too_many(wait))
    password_resets.request(form.email.text)
    return notices.redirect(url_for("web.auth.login"), REQUESTED)


@bp.route("/<token>", methods=["GET", "POST"])
def reset(token: str) -> ResponseReturnValue:
    """Show the form for a new password to the person with the link, and set the password."""
    try:
        email = password_resets.find(token)
        if request.method == "GET":
            return _reset(email, ResetForm())
        form = ResetForm.submitted()
        try:
            password_resets.use(token, form.password.text)
        except InvalidRequest as error:
            form.add_errors(error, otherwise="password")
            return _reset(email, form, error.status)
    except NotFound as error:
        return pages.render("password_link_expired.html", error.status)
    return notices.redirect(url_for("web.auth.login"), CHANGED)


def _lost(form: LostForm, status: int = 200, error: str = "") -> ResponseReturnValue:
    return pages.render(
        "password_lost.html", status, form=form, error=error, can_send=emails.is_configured()
    )


def _reset(email: str, form: ResetForm, status: int = 200) -> ResponseReturnValue:
    return pages.render("password_reset.html", status, email=email, form=form)
