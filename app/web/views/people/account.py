"""The page of the account: its name, and the form to delete it."""

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from app.errors import Conflict, InvalidRequest
from app.services.accounts import deletion
from app.web.base import notices, pages
from app.web.base.forms import BaseForm, SecretField, TextField
from app.web.sign_in import guesses
from app.web.views.people.auth import without_cookie

bp = Blueprint("account", __name__, url_prefix="/settings/account")


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
    """Show the account's name, and the form to delete it."""
    return _page()


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


def _page(status: int = 200, form: DeleteAccountForm | None = None) -> ResponseReturnValue:
    return pages.render("account.html", status, form=form or DeleteAccountForm())
