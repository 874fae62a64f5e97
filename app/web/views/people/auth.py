"""Pages to sign in, with a code if two-factor authentication is on, to sign out and to join."""

import logging
from typing import Any

from flask import Blueprint, current_app, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response
from wtforms.widgets import EmailInput

from app.errors import Conflict, InvalidRequest
from app.services.people import invitations
from app.services.sign_in import sessions
from app.web.base import notices, pages
from app.web.base.forms import BaseForm, SecretField, TextField
from app.web.sign_in import known_devices
from app.web.sign_in.login_throttle import Attempt, LoginThrottle

bp = Blueprint("auth", __name__, url_prefix="/auth")
logger = logging.getLogger(__name__)

WRONG = "Incorrect email or password."
JOINED = "Your account is ready. Sign in to continue."
WRONG_CODE = "Invalid or already used code."


class LoginForm(BaseForm):
    """Sign in."""

    email = TextField(
        "Email",
        254,
        widget=EmailInput(),
        render_kw={"required": True, "autocomplete": "username"},
    )
    password = SecretField("Password", "current-password")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        first = self.password if self.email.text else self.email
        first.render_kw = {**(first.render_kw or {}), "autofocus": True}


class CodeForm(BaseForm):
    """Enter a code of the second factor, or a recovery code."""

    code = TextField(
        "Code",
        100,
        render_kw={
            "required": True,
            "maxlength": 40,
            "autocomplete": "one-time-code",
            "inputmode": "text",
            "autocapitalize": "none",
            "spellcheck": "false",
            "autofocus": True,
        },
    )


class JoinForm(BaseForm):
    """Join an account."""

    password = SecretField(
        "Password",
        "new-password",
        description="At least 12 characters. Several words are easiest to remember.",
        render_kw={"minlength": 12, "autofocus": True},
    )


@bp.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """Show the sign-in form, and sign in."""
    following = pages.safe_path(request.values.get("next", "/"))
    if request.method == "POST":
        return _sign_in(following)
    if g.user is not None:
        return redirect(following, 303)
    return pages.render("login.html", following=following, form=LoginForm())


@bp.route("/code", methods=["GET", "POST"])
def code() -> ResponseReturnValue:
    """Show the form for the second factor, and complete the sign-in."""
    following = pages.safe_path(request.values.get("next", "/"))
    email = sessions.awaiting_code(g.session_token)
    if email is None:
        return redirect(url_for(".login", next=following), 303)
    if request.method == "GET":
        return pages.render("code.html", following=following, form=CodeForm())
    attempt = _attempt(email, is_code=True)
    if wait := _throttle().start(attempt):
        g.retry_after = wait
        message = pages.too_many(wait)
        return pages.render("code.html", 429, following=following, error=message, form=CodeForm())
    entered = CodeForm.submitted().code.text[:100]
    token = sessions.enter_code(g.session_token, entered, _agent())
    if token is None:
        return pages.render(
            "code.html", 400, following=following, error=WRONG_CODE, form=CodeForm()
        )
    _throttle().succeed(attempt)
    response = _with_cookie(redirect(following, 303), token)
    known_devices.remember(response, email)
    return response


@bp.post("/logout")
def logout() -> ResponseReturnValue:
    """End the session; copies of its cookie stop working too."""
    sessions.end(g.session_token)
    return without_cookie(notices.redirect(url_for("web.auth.login"), "You are signed out."))


@bp.route("/invitation/<token>", methods=["GET", "POST"])
def invitation(token: str) -> ResponseReturnValue:
    """Show the invitation with the form to join, and join."""
    invited = invitations.find(token)
    if request.method == "GET":
        return pages.render("invitation.html", invited=invited, form=JoinForm())
    form = JoinForm.submitted()
    try:
        invitations.accept(token, form.password.text)
    except (InvalidRequest, Conflict) as error:
        form.add_errors(error, otherwise="password")
        return pages.render("invitation.html", error.status, invited=invited, form=form)
    return notices.redirect(url_for(".login"), JOINED)


def without_cookie(response: Response) -> Response:
    """Return the response with a header that deletes the session cookie."""
    response.delete_cookie(
        pages.cookie_name(),
        secure=not pages.is_local(),
        httponly=True,
        samesite="Lax",
    )
    return response


def _sign_in(following: str) -> ResponseReturnValue:
    form = LoginForm.submitted()
    email = form.email.text
    attempt = _attempt(email)
    if wait := _throttle().start(attempt):
        g.retry_after = wait
        return _again(following, form, pages.too_many(wait), 429)
    entry = sessions.sign_in(email, form.password.text, _agent())
    if entry is None:
        logger.warning("failed login", extra={"request_id": g.get("request_id")})
        return _again(following, form, WRONG, 400)
    _throttle().succeed(attempt)
    if g.session_token:
        sessions.end(g.session_token)
    after = url_for(".code", next=following) if entry.mfa_pending else following
    response = _with_cookie(redirect(after, 303), entry.token)
    if not entry.mfa_pending:
        known_devices.remember(response, email)
    return response


def _with_cookie(response: Response, token: str) -> Response:
    response.set_cookie(
        pages.cookie_name(),
        token,
        max_age=int(sessions.MAX_LIFETIME.total_seconds()),
        secure=not pages.is_local(),
        httponly=True,
        samesite="Lax",
        path="/",
    )
    return response


def _again(following: str, form: LoginForm, error: str, status: int) -> Response:
    g.user = None
    return pages.render("login.html", status, following=following, form=form, error=error)


def _attempt(email: str, *, is_code: bool = False) -> Attempt:
    address = request.remote_addr or "unknown"
    return Attempt(
        email=email, address=address, device=known_devices.identify(email), is_code=is_code
    )


def _throttle() -> LoginThrottle:
    throttle: LoginThrottle = current_app.extensions["login_throttle"]
    return throttle


def _agent() -> str:
    return request.headers.get("User-Agent", "")
