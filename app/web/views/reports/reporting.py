"""The page of an account's report addresses, and of the DNS records to publish for them."""

from datetime import timedelta
from typing import Any

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.services.domains import reporting_setup
from app.services.ingest import tokens as ingest_tokens
from app.web.base import notices, pages, submissions
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
    name = request.args.get("domain", "").strip()[:253]
    setup = reporting_setup.find(pages.user_session().account_id, name)
    return pages.render(
        "reporting.html",
        tokens=setup.tokens,
        address=setup.address,
        tls_address=setup.tls_address,
        overlaps=OVERLAPS,
        requested=name,
        domain=setup.domain,
        dmarc=setup.dmarc,
        tls_record=setup.tls_record,
    )


@bp.post("")
def create() -> ResponseReturnValue:
    """Create a report address."""
    user = pages.user_session()

    def add() -> dict[str, Any]:
        ingest_tokens.create(user.account_id, actor=user.actor)
        return {"location": url_for(".index"), "notice": "A report address was created."}

    return submissions.process("redirect", add)


@bp.post("/<token>/rotate")
def rotate(token: str) -> ResponseReturnValue:
    """Create a new address; the old one stays valid for a while."""
    user, form = pages.user_session(), RotateForm.submitted()
    form.check()
    overlap = timedelta(days=int(form.overlap.text))

    def replace() -> dict[str, Any]:
        ingest_tokens.rotate(user.account_id, token, overlap, actor=user.actor)
        return {"location": url_for(".index"), "notice": "The report address was rotated."}

    return submissions.process("redirect", replace)


@bp.post("/<token>/revoke")
def revoke(token: str) -> ResponseReturnValue:
    """Revoke the address; reports sent there are rejected."""
    user = pages.user_session()
    ingest_tokens.revoke(user.account_id, token, actor=user.actor)
    message = "The report address was revoked. Reports sent there are rejected."
    return notices.redirect(url_for(".index"), message)


@former.get("")
def redirect_former_path() -> ResponseReturnValue:
    """Redirect bookmarks of the former path permanently."""
    target = url_for("web.reporting.index", domain=request.args.get("domain"))
    return redirect(target, 308)
