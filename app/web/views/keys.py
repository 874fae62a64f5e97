"""Pages about API keys: the list, a new key, and the usage of a key."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app import settings
from app.errors import InvalidRequest, NotFound
from app.models import ApiKey
from app.models.keys import Scope
from app.services.api_keys import api_keys, usage
from app.services.api_keys.api_keys import NewKey
from app.web.base import charts, pages
from app.web.base.forms import Form

bp = Blueprint("keys", __name__, url_prefix="/settings/keys")

MEANINGS = {
    Scope.DOMAINS_READ: "List domains and read their check results, scans and DNS history.",
    Scope.DOMAINS_WRITE: "Add, change, verify and delete domains.",
    Scope.REPORTS_READ: "Read DMARC, TLS and failure reports, and analytics.",
    Scope.ALERTS_READ: "List alerts with their evidence and history, and the event feed.",
    Scope.ALERTS_WRITE: "Acknowledge, snooze, dismiss and reopen alerts.",
    Scope.SCANS_TRIGGER: "Start scans, follow their progress and cancel them.",
}
GRACES = {"0": "Immediately", "1": "After 1 hour", "24": "After 24 hours", "168": "After 7 days"}
MAX_CIDRS = 20
RESULTS = ("ok", "error", "denied", "limited")


@bp.get("")
def index() -> ResponseReturnValue:
    """List the account's keys, with a form to create one."""
    return _list()


@bp.post("")
def create() -> ResponseReturnValue:
    """Create a key; only this response shows it."""
    visitor = pages.user_session()
    try:
        key, token = api_keys.issue(visitor.account_id, _new_key(), actor=visitor.actor)
    except InvalidRequest as error:
        errors = pages.field_errors(error)
        if "rateLimit" in errors:  # the service's name of the field
            errors["limit"] = errors["rateLimit"]
        return _list(error.status, errors=errors)
    return _show_made(key, token, old=None)


@bp.get("/<key_id>")
def show(key_id: str) -> ResponseReturnValue:
    """Show a key with its usage."""
    key = _find(key_id)
    activity = usage.activity(key.id)
    days = [(f"{day:%d %b}", counts) for day, counts in activity.by_day()]
    return pages.render(
        "key.html",
        key=key,
        status=_status(key),
        activity=activity,
        totals={
            "all": activity.total(),
            **{name: activity.total(name) for name in ("denied", "limited", "error")},
        },
        remarks=activity.remarks(),
        chart=charts.stacked(RESULTS, days),
        today=usage.today(key.id),
        graces=GRACES,
        pair=[other for other in _keys() if _is_pair(key, other)],
    )


@bp.post("/<key_id>/rotate")
def rotate(key_id: str) -> ResponseReturnValue:
    """Create a key like this one, which stays valid for a while; only this response shows it."""
    visitor, form = pages.user_session(), Form()
    hours = form.choice("grace", GRACES)
    form.check()
    grace = timedelta(hours=int(hours))
    key, token = api_keys.rotate(visitor.account_id, key_id, grace, actor=visitor.actor)
    return _show_made(key, token, old=_find(key_id))


def _show_made(key: ApiKey, token: str, *, old: ApiKey | None) -> ResponseReturnValue:
    base_url = settings.current().base_url
    return pages.render("key_made.html", 201, key=key, token=token, old=old, base_url=base_url)


@bp.post("/<key_id>/revoke")
def revoke(key_id: str) -> ResponseReturnValue:
    """Revoke the key; requests with it get 401."""
    visitor = pages.user_session()
    api_keys.revoke(visitor.account_id, key_id, actor=visitor.actor, reason="by hand")
    return redirect(url_for(".index"), 303)


def _list(status: int = 200, errors: Mapping[str, str] | None = None) -> ResponseReturnValue:
    rows = [(key, _status(key)) for key in _keys()]
    rows.sort(key=lambda row: row[1] != "active")  # active keys first
    return pages.render(
        "keys.html",
        status,
        keys=rows,
        scopes=MEANINGS,
        selected_scopes=request.form.getlist("scopes"),
        limit=settings.current().rate_limit,
        errors=errors or {},
        form=request.form,
    )


def _keys() -> Sequence[ApiKey]:
    return api_keys.search(pages.user_session().account_id)


def _find(key_id: str) -> ApiKey:
    key = next((key for key in _keys() if key.key_id == key_id), None)
    if key is None:
        raise NotFound
    return key


def _is_pair(key: ApiKey, other: ApiKey) -> bool:
    """Whether one of the keys was created by rotating the other."""
    return key.id == other.rotated_from or other.id == key.rotated_from


def _status(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "active" if key.is_usable(datetime.now(UTC)) else "expired"


def _new_key() -> NewKey:
    """The key that the form describes.

    raises  InvalidRequest
    """
    form = Form()
    name = form.text("name", 100)
    lifetime = form.days("days")
    scopes = [Scope(scope) for scope in form.chosen("scopes", list(Scope))]
    cidrs, limit = _cidrs(form), form.text("limit", 6)
    if limit and not re.fullmatch(r"[1-9][0-9]{0,5}", limit):
        form.add_error("limit", "Enter a whole number of requests per minute, 1 to 999999")
    if not name:
        form.add_error("name", "Enter a name, such as CI pipeline")
    if not scopes:
        form.add_error("scopes", "Choose at least one permission")
    form.check()
    expires_at = datetime.now(UTC) + lifetime if lifetime else None
    return NewKey(name, scopes, expires_at, cidrs, f"{limit} per minute" if limit else None)


def _cidrs(form: Form) -> list[str]:
    """Networks, one per line; a single address is a network of one."""
    networks = []
    for text in re.split(r"[\s,]+", form.text("cidrs", 1000)):
        try:
            if text:
                networks.append(str(ipaddress.ip_network(text)))
        except ValueError:
            form.add_error("cidrs", f"{text[:50]} is not a network. Enter one such as 192.0.2.0/24")
    if len(networks) > MAX_CIDRS:
        form.add_error("cidrs", f"Enter at most {MAX_CIDRS} networks")
    return networks
