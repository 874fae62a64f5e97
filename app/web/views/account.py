"""The page of the account: its name, and the form to delete it."""

from collections.abc import Mapping

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.errors import Conflict, InvalidRequest
from app.services.accounts import deletion
from app.web.base import guesses, pages
from app.web.views.auth import without_cookie

bp = Blueprint("account", __name__, url_prefix="/settings/account")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show the account's name, and the form to delete it."""
    return _page()


@bp.post("/delete")
def delete() -> ResponseReturnValue:
    """Delete the account; all users are signed out immediately."""
    name, password = request.form.get("name", "")[:200], request.form.get("current", "")[:200]
    try:
        with guesses.limited():
            deletion.request_by_owner(pages.user_session(), name, password)
    except (InvalidRequest, Conflict) as error:
        return _page(error.status, pages.field_errors(error))
    return without_cookie(redirect(url_for("web.auth.login"), 303))


def _page(status: int = 200, errors: Mapping[str, str] | None = None) -> ResponseReturnValue:
    return pages.render("account.html", status, errors=errors or {})
