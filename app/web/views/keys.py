"""Pages about API keys: the list, a new one, and how one is used."""

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
    Scope.DOMAINS_READ: "List domains, read their DNS verdicts, scans and history.",
    Scope.DOMAINS_WRITE: "Add, change, verify and delete domains.",
    Scope.REPORTS_READ: "Read DMARC, TLS and failure reports, and what they add up to.",
    Scope.ALERTS_READ: "List alerts with their evidence and history, and the feed of events.",
    Scope.ALERTS_WRITE: "Acknowledge, snooze, dismiss and reopen alerts.",
    Scope.SCANS_TRIGGER: "Ask for scans, and follow and cancel them.",
}
GRACES = {"0": "at once", "1": "after an hour", "24": "after a day", "168": "after 7 days"}
MAX_CIDRS = 20
ENDS = ("ok", "error", "denied", "limited")


@bp.get("")
def index() -> ResponseReturnValue:
    """The account's keys, and a form for a new one."""
    return _list()


@bp.post("")
def create() -> ResponseReturnValue:
    """A new key: this answer is the only place that ever shows it."""
    visitor = pages.user_session()
    try:
        key, token = api_keys.issue(visitor.account_id, _wanted(), actor=visitor.actor)
    except InvalidRequest as error:
        errors = pages.field_errors(error)
        if "rateLimit" in errors:  # the service's name of the field
            errors["limit"] = errors["rateLimit"]
        return _list(error.status, errors=errors)
    return _show_made(key, token, old=None)


@bp.get("/<key_id>")
def show(key_id: str) -> ResponseReturnValue:
    """One key, and how it is used."""
    key = _find(key_id)
    activity = usage.activity(key.id)
    days = [(f"{day:%d %b}", counts) for day, counts in activity.by_day()]
    return pages.render(
        "key.html",
        key=key,
        status=_status(key),
        activity=activity,
        chart=charts.stacked(ENDS, days),
        today=usage.today(key.id),
        graces=GRACES,
        pair=[other for other in _keys() if _is_pair(key, other)],
    )


@bp.post("/<key_id>/rotate")
def rotate(key_id: str) -> ResponseReturnValue:
    """A new key like this one, which goes on for a while; shown here and nowhere else."""
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
    """Refuse the key from now on."""
    visitor = pages.user_session()
    api_keys.revoke(visitor.account_id, key_id, actor=visitor.actor, reason="by hand")
    return redirect(url_for(".index"), 303)


def _list(status: int = 200, errors: Mapping[str, str] | None = None) -> ResponseReturnValue:
    rows = [(key, _status(key)) for key in _keys()]
    rows.sort(key=lambda row: row[1] != "active")  # what has ended comes last
    return pages.render(
        "keys.html",
        status,
        keys=rows,
        scopes=MEANINGS,
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


def _is_pair(one: ApiKey, other: ApiKey) -> bool:
    """One was made by rotating the other."""
    return one.id == other.rotated_from or other.id == one.rotated_from


def _status(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "active" if key.is_usable(datetime.now(UTC)) else "expired"


def _wanted() -> NewKey:
    """The key that the form asks for.

    raises  InvalidRequest
    """
    form = Form()
    name = form.text("name", 100)
    span = form.days("days")
    scopes = [Scope(scope) for scope in form.chosen("scopes", list(Scope))]
    cidrs, limit = _cidrs(form), form.text("limit", 6)
    if limit and not re.fullmatch(r"[1-9][0-9]{0,5}", limit):
        form.add_error("limit", "a whole number of requests a minute, 1 to 999999")
    if not name:
        form.add_error("name", "say what will use it")
    if not scopes:
        form.add_error("scopes", "choose at least one")
    form.check()
    expires_at = datetime.now(UTC) + span if span else None
    return NewKey(name, scopes, expires_at, cidrs, f"{limit} per minute" if limit else None)


def _cidrs(form: Form) -> list[str]:
    """Networks, one on each line; an address is a network of one."""
    found = []
    for text in re.split(r"[\s,]+", form.text("cidrs", 1000)):
        try:
            if text:
                found.append(str(ipaddress.ip_network(text)))
        except ValueError:
            form.add_error("cidrs", f"{text[:50]} is no network like 192.0.2.0/24")
    if len(found) > MAX_CIDRS:
        form.add_error("cidrs", f"at most {MAX_CIDRS}")
    return found
