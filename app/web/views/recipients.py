"""Public pages of the links in emails to recipients: to confirm and to unsubscribe.

A GET request changes nothing, since programs follow the links in emails too.
"""

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.services.notifications import recipients
from app.web.base import pages

bp = Blueprint("recipients", __name__, url_prefix="/notifications")


@bp.route("/confirm/<token>", methods=["GET", "POST"])
def confirm(token: str) -> ResponseReturnValue:
    """Confirm that alerts may be sent to an address."""
    if request.method == "POST":
        recipients.confirm(token)
        return redirect(url_for(".confirm", token=token), 303)
    subscription = recipients.find_confirmation(token)
    return pages.render("recipient_confirm.html", subscription=subscription)


@bp.route("/unsubscribe/<token>", methods=["GET", "POST"])
def unsubscribe(token: str) -> ResponseReturnValue:
    """Unsubscribe an address; email programs POST here automatically.

    source  RFC 8058 section 3.1: such a request is never answered with a redirect
    """
    if request.method == "POST":
        recipients.unsubscribe(token)
        if "List-Unsubscribe" not in request.form:
            return redirect(url_for(".unsubscribe", token=token), 303)
    subscription = recipients.find_unsubscription(token)
    return pages.render("recipient_unsubscribe.html", subscription=subscription)
