"""The security page of a user: password, two-factor authentication and active sessions."""

from collections.abc import Mapping
from typing import Any

import segno
from flask import Blueprint, abort, g, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.errors import InvalidRequest
from app.services.accounts import credentials, sessions, two_factor
from app.web.base import guesses, pages
from app.web.base.forms import Form
from app.web.views.auth import without_cookie

bp = Blueprint("security", __name__, url_prefix="/settings/security")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show the security settings, with the forms to change them."""
    return _page(done=request.args.get("done"))


@bp.post("/password")
def change_password() -> ResponseReturnValue:
    """Change the password; all other sessions end."""
    form = Form()
    try:
        if request.form.get("password") != request.form.get("again"):
            form.add_error("again", "The passwords don't match. Enter the new password again")
        form.check()
        current, password = request.form.get("current", ""), request.form.get("password", "")
        with guesses.limited():
            credentials.change_password(pages.user_session(), g.session_token, current, password)
    except InvalidRequest as error:
        return _page(error.status, "password", pages.field_errors(error))
    return redirect(url_for(".index", done="password"), 303)


@bp.get("/second-factor")
def offer() -> ResponseReturnValue:
    """Show a new secret as a QR code, with the form for its first code."""
    if two_factor.state(pages.user_session().user_id).is_on:
        return redirect(url_for(".index"), 303)
    return _offer()


@bp.post("/second-factor")
def turn_on() -> ResponseReturnValue:
    """Enable two-factor authentication; only this response shows the recovery codes."""
    sealed, code = request.form.get("offer", "")[:1000], request.form.get("code", "")[:100]
    current = request.form.get("current", "")
    try:
        with guesses.limited():
            codes = credentials.enable_two_factor(
                pages.user_session(), g.session_token, current, sealed, code
            )
    except InvalidRequest as error:
        return _offer(error.status, sealed, pages.field_errors(error))
    return pages.render("recovery_codes.html", 201, codes=codes)


@bp.post("/second-factor/off")
def turn_off() -> ResponseReturnValue:
    """Disable two-factor authentication."""
    try:
        current = request.form.get("current", "")
        with guesses.limited():
            credentials.disable_two_factor(pages.user_session(), g.session_token, current)
    except InvalidRequest as error:
        return _page(error.status, "factor", pages.field_errors(error))
    return redirect(url_for(".index", done="factor"), 303)


@bp.post("/recovery-codes")
def renew_codes() -> ResponseReturnValue:
    """Replace the recovery codes; only this response shows the new ones."""
    try:
        current = request.form.get("current", "")
        with guesses.limited():
            codes = credentials.renew_codes(pages.user_session(), g.session_token, current)
    except InvalidRequest as error:
        return _page(error.status, "codes", pages.field_errors(error))
    return pages.render("recovery_codes.html", 201, codes=codes)


@bp.post("/sessions/<id>/end")
def end_session(id: str) -> ResponseReturnValue:
    """End one session."""
    try:
        sessions.end_one(pages.user_session().user_id, bytes.fromhex(id))
    except ValueError:
        abort(404)
    return redirect(url_for(".index", done="session"), 303)


@bp.post("/sessions/end-all")
def end_all() -> ResponseReturnValue:
    """End all sessions, including this one."""
    sessions.end_all(pages.user_session())
    return without_cookie(redirect(url_for("web.auth.login"), 303))


def _page(
    status: int = 200,
    wrong: str | None = None,
    errors: Mapping[str, str] | None = None,
    done: str | None = None,
) -> ResponseReturnValue:
    """The page; ``wrong`` is the form that the ``errors`` are about."""
    visitor = pages.user_session()
    rows = sessions.of_user(visitor.user_id)
    return pages.render(
        "security.html",
        status,
        factor=two_factor.state(visitor.user_id),
        sessions=[(row, sessions.is_of(row, g.session_token)) for row in rows],
        errors={wrong: errors or {}},
        done=done,
    )


def _offer(
    status: int = 200, sealed: str | None = None, errors: Mapping[str, str] | None = None
) -> ResponseReturnValue:
    visitor = pages.user_session()
    offer = two_factor.offer(visitor.user_id, visitor.email, sealed)
    code: Any = segno.make(offer.uri, error="m", micro=False)
    dark = [
        (x, y)
        for y, row in enumerate(code.matrix_iter(border=4))
        for x, is_on in enumerate(row)
        if is_on
    ]
    size = code.symbol_size(border=4)[0]
    return pages.render(
        "second_factor.html", status, offer=offer, dark=dark, size=size, errors=errors or {}
    )
