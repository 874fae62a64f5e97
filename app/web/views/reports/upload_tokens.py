"""Pages about upload tokens: the list, and a new token."""

from typing import Any

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from app.errors import InvalidRequest
from app.services.api_keys import key_pages, upload_tokens
from app.services.ingest import tokens as ingest_tokens
from app.web.base import notices, pages, submissions
from app.web.base.forms import BaseForm, ExpiryField, TextField

bp = Blueprint("upload_tokens", __name__, url_prefix="/settings/upload-tokens")


class UploadTokenForm(BaseForm):
    """Create an upload token."""

    name = TextField("Name", 100, render_kw={"required": True, "placeholder": "e.g. mail server"})
    days = ExpiryField()


@bp.get("")
def index() -> ResponseReturnValue:
    """List the account's upload tokens, with a form to create one."""
    return _list()


@bp.post("")
def create() -> ResponseReturnValue:
    """Create an upload token; the next page shows it once."""
    user, form = pages.user_session(), UploadTokenForm.submitted()

    def issue() -> dict[str, Any]:
        row, token = upload_tokens.issue(
            user.account_id,
            form.name.text,
            actor=user.actor,
            expires_at=form.days.expires_at,
        )
        address = ingest_tokens.usable_address(user.account_id)
        notice = f"The upload token {row.name} was created."
        return {"name": row.name, "token": token, "address": address, "notice": notice}

    try:
        form.check()
        return submissions.process("upload_token", issue)
    except InvalidRequest as error:
        form.add_errors(error, otherwise="name")
        return _list(error.status, form)


@bp.post("/<token_id>/revoke")
def revoke(token_id: str) -> ResponseReturnValue:
    """Revoke the token; uploads with it are rejected."""
    user = pages.user_session()
    upload_tokens.revoke(user.account_id, token_id, actor=user.actor)
    return notices.redirect(url_for(".index"), "The upload token was revoked.")


def _list(status: int = 200, form: UploadTokenForm | None = None) -> ResponseReturnValue:
    tokens = key_pages.tokens(pages.user_session().account_id)
    return pages.render("upload_tokens.html", status, tokens=tokens, form=form or UploadTokenForm())
