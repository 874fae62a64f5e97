"""Where an account's reports are sent to: its addresses, and the records that name them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.errors import NotFound
from app.services.domains import dns_status, domains
from app.services.domains.domains import DomainFilter
from app.services.ingest import tokens as ingest_tokens
from app.web.base import pages
from app.web.base.forms import Form

bp = Blueprint("intake_settings", __name__, url_prefix="/settings/intake")

OVERLAPS = {"0": "at once", "7": "after 7 days", "30": "after 30 days", "90": "after 90 days"}


@bp.get("")
def index() -> ResponseReturnValue:
    """The addresses, and what to publish for one domain."""
    account = pages.user_session().account_id
    moment = datetime.now(UTC)
    tokens = [
        (token, ingest_tokens.is_usable(token, moment)) for token in ingest_tokens.search(account)
    ]
    current = next((token for token, usable in tokens if usable and not token.expires_at), None)
    name = request.args.get("domain", "").strip()[:253]
    return pages.render(
        "intake_settings.html",
        tokens=tokens,
        address=ingest_tokens.address(current.token) if current else None,
        tls_address=ingest_tokens.tls_address(current.token) if current else None,
        overlaps=OVERLAPS,
        asked=name,
        **_records(name),
    )


@bp.post("")
def create() -> ResponseReturnValue:
    """A new address."""
    visitor = pages.user_session()
    ingest_tokens.create(visitor.account_id, actor=visitor.actor)
    return redirect(url_for(".index"), 303)


@bp.post("/<token>/rotate")
def rotate(token: str) -> ResponseReturnValue:
    """A new address; this one goes on for a while, since records change slowly."""
    visitor, form = pages.user_session(), Form()
    days = form.choice("overlap", OVERLAPS)
    form.check()
    overlap = timedelta(days=int(days))
    ingest_tokens.rotate(visitor.account_id, token, overlap, actor=visitor.actor)
    return redirect(url_for(".index"), 303)


@bp.post("/<token>/revoke")
def revoke(token: str) -> ResponseReturnValue:
    """Take nothing in at this address from now on."""
    visitor = pages.user_session()
    ingest_tokens.revoke(visitor.account_id, token, actor=visitor.actor)
    return redirect(url_for(".index"), 303)


def _records(name: str) -> dict[str, Any]:
    """The domain whose records are shown, and its DMARC record as the last scan saw it."""
    account = pages.user_session().account_id
    if not name:
        rows, _ = domains.search(account, DomainFilter(sort="name"), limit=1)
        if not rows:
            return {"domain": None, "dmarc": None}
        name = rows[0].name
    try:
        domain, state = dns_status.status(account, name)
    except NotFound:
        return {"domain": None, "dmarc": None}
    known = state.last_results.get("dmarc", {}) if state else {}
    return {"domain": domain, "dmarc": known.get("facts", {}).get("record")}
