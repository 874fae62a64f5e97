"""The page with the result of a form: a new secret, which is shown once, or an outcome."""

from dataclasses import dataclass

from flask import Blueprint, g
from flask.typing import ResponseReturnValue

from app.errors import NotFound
from app.services.sign_in import form_results
from app.web.base import notices, pages

bp = Blueprint("results", __name__, url_prefix="/results")


@dataclass(frozen=True, slots=True)
class Page:
    """How a kind of result is shown.

    advice    what to do without the secret, which is shown once; empty if there is no secret
    endpoint  the page where to do that, with the text of the link
    """

    template: str
    advice: str = ""
    endpoint: str = ""
    link: str = ""


PAGES = {
    "api_key": Page(
        template="key_made.html",
        advice="If you did not copy the key, revoke it and create another one.",
        endpoint="web.keys.index",
        link="API keys",
    ),
    "channel": Page(
        template="channel_secret.html",
        advice="If you did not copy the secret, rotate it on the page of the channel.",
        endpoint="web.channels.index",
        link="Notifications",
    ),
    "recovery_codes": Page(
        template="recovery_codes.html",
        advice="If you did not store the recovery codes, replace them with new ones.",
        endpoint="web.security.index",
        link="Security",
    ),
    "sink": Page(
        template="channel_secret.html",
        advice="If you did not copy the secret, delete the integration and add it again.",
        endpoint="web.sinks.index",
        link="Integrations",
    ),
    "upload_token": Page(
        template="upload_token_created.html",
        advice="If you did not copy the token, revoke it and create another one.",
        endpoint="web.upload_tokens.index",
        link="Upload tokens",
    ),
    "share_link": Page(
        template="share_created.html",
        advice="If you did not copy the link, revoke it on the page of the domain and create one.",
        endpoint="web.domains.index",
        link="Domains",
    ),
    "invitation": Page(
        template="invitation_created.html",
        advice="If you did not copy the link, invite the person again; the old link stops working.",
        endpoint="web.team.index",
        link="Team",
    ),
    "domains": Page(template="domains_added.html"),
    "domains_to_delete": Page(template="domains_delete.html"),
    "redirect": Page(template=""),  # its values have the location
}
REPEATABLE = frozenset(kind for kind, page in PAGES.items() if not page.advice)


@bp.get("/<id>")
def show(id: str) -> ResponseReturnValue:
    """Show the result; a secret only the first time."""
    result = form_results.read(g.session_token, id[:64], repeatable=REPEATABLE)
    page = PAGES.get(result.kind)
    if page is None:
        raise NotFound
    if result.values is None:
        if result.was_shown:
            return pages.render("result_shown.html", 410, page=page)
        response = pages.render("result_pending.html")
        response.headers["Refresh"] = "1"
        return response
    if "location" in result.values:
        path = pages.safe_path(result.values["location"])
        return notices.redirect(path, result.values["notice"])
    return pages.render(page.template, **result.values)
