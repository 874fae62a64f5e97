"""The page with the result of a form: a new secret, which is shown once, or an outcome."""

from dataclasses import dataclass

from flask import Blueprint, g, redirect
from flask.typing import ResponseReturnValue

from app.services.accounts import form_results
from app.web.base import pages

bp = Blueprint("results", __name__, url_prefix="/results")

REPEATABLE = frozenset({"domains", "redirect"})  # without a secret


@dataclass(frozen=True, slots=True)
class Page:
    """How a kind of result is shown.

    advice    what to do without the secret, which was shown once
    endpoint  the page where to do that, with the text of the link
    """

    template: str
    advice: str
    endpoint: str
    link: str


PAGES = {
    "api_key": Page(
        "key_made.html",
        "If you did not copy the key, revoke it and create another one.",
        "web.keys.index",
        "API keys",
    ),
    "channel": Page(
        "channel_secret.html",
        "If you did not copy the secret, rotate it on the page of the channel.",
        "web.channels.index",
        "Notifications",
    ),
    "recovery_codes": Page(
        "recovery_codes.html",
        "If you did not store the recovery codes, replace them with new ones.",
        "web.security.index",
        "Security",
    ),
    "upload_token": Page(
        "upload_token_created.html",
        "If you did not copy the token, revoke it and create another one.",
        "web.upload_tokens.index",
        "Upload tokens",
    ),
    "invitation": Page(
        "invitation_created.html",
        "If you did not copy the link, invite the person again. The earlier link stops working.",
        "web.team.index",
        "Team",
    ),
    "domains": Page("domains_added.html", "", "web.domains.index", "Domains"),
    "redirect": Page("", "", "web.overview.index", "Overview"),
}


@bp.get("/<id>")
def show(id: str) -> ResponseReturnValue:
    """Show the result; a secret only the first time."""
    result = form_results.read(g.session_token, id[:64], repeatable=REPEATABLE)
    page = PAGES[result.kind]
    if result.values is None:
        if result.was_shown:
            return pages.render("result_shown.html", 410, page=page)
        response = pages.render("result_pending.html")
        response.headers["Refresh"] = "1"
        return response
    if "location" in result.values:
        return redirect(pages.safe_path(result.values["location"]), 303)
    return pages.render(page.template, **result.values)
