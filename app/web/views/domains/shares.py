"""Links that show the checks of a domain without signing in: create, revoke and open them."""

from typing import Any

from flask import Blueprint, g, url_for
from flask.typing import ResponseReturnValue

from app import ids, settings
from app.analysis.scan.labels import check_name
from app.checks import CHECKS
from app.errors import InvalidRequest, NotFound
from app.services.domain_status import share_links
from app.web.base import dashboard_limits, notices, pages, submissions
from app.web.base.forms import BaseForm, ChoiceField

bp = Blueprint("shares", __name__, url_prefix="/domains/<domain>/shares")
shared = Blueprint("shared", __name__, url_prefix="/shared")

ALL = "all"
CHECK_NAMES = {ALL: "All checks", **{item.name: check_name(item.name) for item in CHECKS}}
DAYS = {"1": "1 day", "7": "7 days", "30": "30 days"}


class ShareForm(BaseForm):
    """Create a link that shows the checks of a domain."""

    shows = ChoiceField("Shows", CHECK_NAMES, default=ALL)
    days = ChoiceField("Expires after", DAYS, default="7")


@bp.post("")
def create(domain: str) -> ResponseReturnValue:
    """Create a link; the next page shows it once."""
    user, form = pages.user_session(), ShareForm.submitted()

    def issue() -> dict[str, Any]:
        check = None if form.shows.text == ALL else form.shows.text
        link, token = share_links.create(
            user.account_id, domain, int(form.days.text), check, actor=user.actor
        )
        url = f"{settings.current().base_url}{url_for('web.shared.show', token=token)}"
        return {
            "url": url,
            "domain": domain,
            "shows": CHECK_NAMES[check or ALL],
            "expires_at": link.expires_at.isoformat(),
            "notice": "The share link was created.",
        }

    try:
        if not form.validate():
            raise InvalidRequest.field("days", "choose what to share, and for how long")
        return submissions.process("share_link", issue)
    except InvalidRequest as error:
        message = f"No link was created: {error.extra['details'][0]['message']}."
        return notices.refuse(_url(domain), message)


@bp.post("/<id>/revoke")
def revoke(domain: str, id: str) -> ResponseReturnValue:
    """Revoke a link."""
    user = pages.user_session()
    share_links.revoke(user.account_id, domain, id, actor=user.actor)
    undo = {"kind": "share_link", "url": _url(domain), "domain": domain, "id": id}
    return notices.redirect(_url(domain), "The share link was revoked.", undo=undo)


@shared.get("/<token>")
def show(token: str) -> ResponseReturnValue:
    """Show the checks of the link, without anything about the account or the reader."""
    if g.user is not None:
        dashboard_limits.count(None)  # by address, also of users
        g.user = None  # the page is the same for all readers
    try:
        checks = share_links.open_shared(token)
    except NotFound:
        response = pages.render("shared_missing.html", 404)
    else:
        response = pages.render("shared.html", checks=checks)
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return response


def listed(links: Any) -> list[dict[str, Any]]:
    """Return the links as the page of the domain shows them."""
    return [
        {
            "id": ids.public("share", link.id),
            "shows": CHECK_NAMES.get(link.check or ALL, link.check),
            "created_by": link.created_by.removeprefix("user:"),
            "created_at": link.created_at,
            "expires_at": link.expires_at,
        }
        for link in links
    ]


def _url(domain: str) -> str:
    return url_for("web.domains.show", domain=domain, _anchor="share")
