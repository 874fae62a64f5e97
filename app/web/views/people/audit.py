"""The page of the audit log."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from app.services.audit import entries
from app.services.audit.entries import AuditFilter
from app.web.base import dates, pages, privacy, query

bp = Blueprint("audit", __name__, url_prefix="/settings/audit")

# Categories of actions, by the prefix of their names.
SUBJECTS = {
    "": "All actions",
    "domain.": "Domains",
    "alert.": "Alerts",
    "key.": "API keys",
    "user.": "Users",
    "ingest_token.": "Report addresses",
    "report_file.": "Report files",
    "channel.": "Notification channels",
    "account.": "Account",
    "export.": "Exports",
    "report.": "Report downloads",
}
PAGE = 50


@bp.get("")
def index() -> ResponseReturnValue:
    """List the actions, newest first."""
    values = {name: query.text(name, 100) for name in ("actor", "target")}
    values["about"] = query.choice("about", SUBJECTS)
    values |= {name: query.day(name) for name in ("from", "to")}
    is_private = not privacy.sees_addresses()
    if is_private:  # a search by part of an address would reveal it
        values["actor"] = values["target"] = ""
    zone = dates.reader_zone()
    filters = AuditFilter(
        actor=values["actor"] or None,
        action=values["about"] or None,
        target=values["target"] or None,
        from_at=dates.parse_day(values["from"], zone),
        to_at=dates.parse_end_of_day(values["to"], zone),
    )
    paging = pages.Paging(values)
    rows, following = entries.search(
        pages.user_session().account_id, filters, cursor_values=paging.cursor_values, limit=PAGE
    )
    return pages.render(
        "audit.html",
        events=rows,
        following=paging.following(following),
        filters={name: value for name, value in values.items() if value},
        subjects=SUBJECTS,
        presets=query.presets(zone),
        is_private=is_private,
    )
