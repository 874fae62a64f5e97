"""Public pages of the links in emails to recipients: to confirm and to unsubscribe.

A GET request changes nothing, since programs follow the links in emails too.
"""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from app.services.notifications import recipients
from app.web.base import pages

bp = Blueprint("recipients", __name__, url_prefix="/notifications")


@bp.route("/confirm/<token>", methods=["GET", "POST"])
def confirm(token: str) -> ResponseReturnValue:
    """Confirm that alerts may be sent to an address."""
    action = recipients.confirm if request.method == "POST" else recipients.find_confirmation
    return pages.render("recipient_confirm.html", subscription=action(token))


@bp.route("/unsubscribe/<token>", methods=["GET", "POST"])
def unsubscribe(token: str) -> ResponseReturnValue:
    """Unsubscribe an address; email programs POST here automatically (RFC 8058)."""
    action = recipients.unsubscribe if request.method == "POST" else recipients.find_unsubscription
    return pages.render("recipient_unsubscribe.html", subscription=action(token))
