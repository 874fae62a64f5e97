"""The log of what people and keys have done."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from app.services.core import audit_log, refusals
from app.services.core.audit_log import AuditFilter
from app.web.base import forms, pages, privacy

bp = Blueprint("audit", __name__, url_prefix="/settings/audit")

# What the acts are about, by the beginning of their names.
SUBJECTS = {
    "": "everything",
    "domain.": "domains",
    "alert.": "alerts",
    "key.": "API keys",
    "user.": "people",
    "ingest_token.": "report addresses",
    "intake.": "files of reports",
    "channel.": "notifications",
    "account.": "the account",
    "export.": "exports",
    "report.": "report downloads",
}
PAGE = 50


@bp.get("")
def index() -> ResponseReturnValue:
    """The acts, newest first."""
    given = {
        name: request.args.get(name, "").strip()[:100].replace("\0", "")
        for name in ("actor", "target", "about", "from", "to")
    }
    if given["about"] not in SUBJECTS:
        given["about"] = ""
    is_private = not privacy.sees_addresses()
    if is_private:  # a search by part of an address would give it away
        given["actor"] = given["target"] = ""
    query = AuditFilter(
        actor=given["actor"] or None,
        action=given["about"] or None,
        target=given["target"] or None,
        from_at=forms.day(given["from"]),
        to_at=forms.day_after(given["to"]),
    )
    refusals.flush()
    paging = pages.Paging(given)
    rows, following = audit_log.search(
        pages.user_session().account_id, query, place=paging.given, limit=PAGE
    )
    return pages.render(
        "audit.html",
        events=rows,
        following=paging.following(following),
        filters={name: value for name, value in given.items() if value},
        subjects=SUBJECTS,
        is_private=is_private,
    )
