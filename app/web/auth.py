"""Signing in and out."""

import logging

from flask import Blueprint, Response, current_app, g, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.services import sessions
from app.web import pages
from app.web.failures import WINDOW_SECONDS, Failures

bp = Blueprint("auth", __name__, url_prefix="/auth")
logger = logging.getLogger(__name__)

WRONG = "The e-mail address and the password do not fit."
TOO_MANY = "Too many attempts. Wait a minute, and try again."


@bp.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """The form, and what comes of it."""
    following = pages.safe_path(request.values.get("next", "/"))
    if request.method == "POST":
        return _sign_in(following)
    if g.visitor is not None:
        return redirect(following, 303)
    return pages.render("login.html", following=following)


@bp.post("/logout")
def logout() -> ResponseReturnValue:
    """End the session, wherever copies of its cookie are."""
    sessions.end(g.session_token)
    response = redirect(url_for("web.auth.login"), 303)
    response.delete_cookie(
        pages.cookie_name(),
        secure=not pages.is_local(),
        httponly=True,
        samesite="Lax",
    )
    return response


def _sign_in(following: str) -> ResponseReturnValue:
    email, password = request.form.get("email", ""), request.form.get("password", "")
    address = request.remote_addr or "unknown"
    failures: Failures = current_app.extensions["login_failures"]
    if not failures.may_try(email, address):
        g.retry_after = WINDOW_SECONDS
        return _again(following, email, TOO_MANY, 429)
    token = sessions.sign_in(email, password)
    if token is None:
        logger.warning("a login failed", extra={"request_id": g.get("request_id")})
        return _again(following, email, WRONG, 400)
    failures.forgive(email, address)
    if g.session_token:
        sessions.end(g.session_token)
    response = redirect(following, 303)
    response.set_cookie(
        pages.cookie_name(),
        token,
        max_age=int(sessions.LONGEST.total_seconds()),
        secure=not pages.is_local(),
        httponly=True,
        samesite="Lax",
        path="/",
    )
    return response


def _again(following: str, email: str, error: str, status: int) -> Response:
    g.visitor = None
    return pages.render("login.html", status, following=following, email=email, error=error)
