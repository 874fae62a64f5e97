"""The page of an account's report addresses, and of the DNS records to publish for them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.errors import NotFound
from app.services.domains import dns_status, domains
from app.services.domains.domains import DomainFilter
from app.services.ingest import tokens as ingest_tokens
from app.web.base import pages
from app.web.base.forms import BaseForm, ChoiceField

bp = Blueprint("reporting", __name__, url_prefix="/settings/reporting")

# The path of this page before version 0.2.0.
former = Blueprint("former_reporting", __name__, url_prefix="/settings/intake")

OVERLAPS = {"0": "Immediately", "7": "After 7 days", "30": "After 30 days", "90": "After 90 days"}


class RotateForm(BaseForm):
    """Rotate a report address."""

    overlap = ChoiceField("This address expires", OVERLAPS)


@bp.get("")
def index() -> ResponseReturnValue:
    """Show the report addresses, and the records to publish for one domain."""
    account = pages.user_session().account_id
    now = datetime.now(UTC)
    tokens = [
        (token, ingest_tokens.is_usable(token, now)) for token in ingest_tokens.search(account)
    ]
    current = next((token for token, usable in tokens if usable and not token.expires_at), None)
    name = request.args.get("domain", "").strip()[:253]
    return pages.render(
        "reporting.html",
        tokens=tokens,
        address=ingest_tokens.address(current.token) if current else None,
        tls_address=ingest_tokens.tls_address(current.token) if current else None,
        overlaps=OVERLAPS,
        requested=name,
        **_records(name),
    )


@bp.post("")
def create() -> ResponseReturnValue:
    """Create a report address."""
    user = pages.user_session()
    ingest_tokens.create(user.account_id, actor=user.actor)
    return redirect(url_for(".index"), 303)


@bp.post("/<token>/rotate")
def rotate(token: str) -> ResponseReturnValue:
    """Create a new address; the old one stays valid for a while."""
    user, form = pages.user_session(), RotateForm.submitted()
    form.check()
    overlap = timedelta(days=int(form.overlap.text))
    ingest_tokens.rotate(user.account_id, token, overlap, actor=user.actor)
    return redirect(url_for(".index"), 303)


@bp.post("/<token>/revoke")
def revoke(token: str) -> ResponseReturnValue:
    """Revoke the address; reports sent there are rejected."""
    user = pages.user_session()
    ingest_tokens.revoke(user.account_id, token, actor=user.actor)
    return redirect(url_for(".index"), 303)


@former.get("")
def redirect_former_path() -> ResponseReturnValue:
    """Redirect bookmarks of the former path permanently."""
    target = url_for("web.reporting.index", domain=request.args.get("domain"))
    return redirect(target, 308)


def _records(name: str) -> dict[str, Any]:
    """Return the domain whose records are shown, and its DMARC record in the last scan."""
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
    result = state.last_results.get("dmarc") if state else None
    return {"domain": domain, "dmarc": result["facts"].get("record") if result else None}
