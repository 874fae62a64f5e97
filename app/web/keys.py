"""Pages about API keys: the list, a new one, and how one is used."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.errors import InvalidRequest, NotFound
from app.models import ApiKey
from app.models.keys import Scope
from app.services import keys, usage
from app.services.keys import NewKey
from app.web import pages

bp = Blueprint("keys", __name__, url_prefix="/settings/keys")

MAX_DAYS = 3650


@bp.get("")
def index() -> ResponseReturnValue:
    """The account's keys, and a form for a new one."""
    return _list()


@bp.post("")
def create() -> ResponseReturnValue:
    """A new key: this answer is the only place that ever shows it."""
    visitor = pages.visitor()
    try:
        key, token = keys.issue(visitor.account_id, _wanted(), actor=visitor.actor)
    except InvalidRequest as error:
        return _list(error.status, errors=pages.complaints(error))
    return pages.render("key_made.html", 201, key=key, token=token)


@bp.get("/<key_id>")
def show(key_id: str) -> ResponseReturnValue:
    """One key, and how it is used today."""
    key = next((key for key in _keys() if key.key_id == key_id), None)
    if key is None:
        raise NotFound
    return pages.render("key.html", key=key, status=_status(key), uses=usage.today(key.id))


@bp.post("/<key_id>/revoke")
def revoke(key_id: str) -> ResponseReturnValue:
    """Refuse the key from now on."""
    visitor = pages.visitor()
    keys.revoke(visitor.account_id, key_id, actor=visitor.actor, reason="by hand")
    return redirect(url_for(".index"), 303)


def _list(status: int = 200, errors: dict[str, str] | None = None) -> ResponseReturnValue:
    rows = [(key, _status(key)) for key in _keys()]
    rows.sort(key=lambda row: row[1] != "active")  # what has ended comes last
    return pages.render(
        "keys.html",
        status,
        keys=rows,
        scopes=list(Scope),
        errors=errors or {},
        form=request.form,
    )


def _keys() -> Sequence[ApiKey]:
    return keys.search(pages.visitor().account_id)


def _status(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "active" if key.is_usable(datetime.now(UTC)) else "expired"


def _wanted() -> NewKey:
    """The key that the form asks for.

    raises  InvalidRequest
    """
    days = request.form.get("days", "").strip()
    expires_at = None
    if days:
        if not re.fullmatch(r"[0-9]{1,4}", days) or not 1 <= int(days) <= MAX_DAYS:
            message = f"a whole number of days, 1 to {MAX_DAYS}"
            raise InvalidRequest([{"field": "days", "code": "invalid", "message": message}])
        expires_at = datetime.now(UTC) + timedelta(days=int(days))
    chosen = request.form.getlist("scopes")
    scopes = [scope for scope in Scope if scope.value in chosen]
    return NewKey(request.form.get("name", "").strip(), scopes, expires_at)
