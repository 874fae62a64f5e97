"""Where alerts are sent to: channels added, tested, stopped, and what became of each delivery."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from flask import Blueprint, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app import ids
from app.checks.engine.types import Severity
from app.errors import Conflict, InvalidRequest, NotFound, QuotaExceeded, ServiceUnavailable
from app.models import Channel
from app.services.notifications import channels, dispatcher, recipients
from app.services.notifications.channels import NewChannel
from app.web.base import pages
from app.web.base.forms import Form

bp = Blueprint("channels", __name__, url_prefix="/settings/notifications")

KINDS = {"webhook": "Webhook", "email": "Email", "chat": "Chat or pager"}
CADENCES = ("immediate", "daily", "weekly")
GRACES = {"0": "at once", "24": "after a day", "168": "after 7 days"}


@bp.get("")
def index() -> ResponseReturnValue:
    """The channels, and a form for a new one."""
    return _list()


@bp.post("")
def create() -> ResponseReturnValue:
    """A new channel; the secret of a webhook is shown in this answer and nowhere else."""
    try:
        channel, secret = _added()
    except (InvalidRequest, Conflict, QuotaExceeded, ServiceUnavailable) as error:
        return _list(error.status, errors=pages.field_errors(error, "target"))
    if secret is None:
        return redirect(url_for(".show", id=_public(channel)), 303)
    return pages.render("channel_secret.html", 201, channel=channel, secret=secret)


@bp.get("/<id>")
def show(id: str) -> ResponseReturnValue:
    """One channel, and its last deliveries."""
    account = pages.user_session().account_id
    channel = channels.find(account, id)
    return pages.render(
        "channel.html",
        channel=channel,
        recipients=recipients.search(account, channel.id),
        complaint=channels.target_error(channel),
        kinds=KINDS,
        entries=dispatcher.log(account, id),
        graces=GRACES,
        told=request.args.get("told"),
    )


@bp.post("/<id>/test")
def test(id: str) -> ResponseReturnValue:
    """Have a test event sent."""
    visitor = pages.user_session()
    channels.test(visitor.account_id, id, actor=visitor.actor)
    return redirect(url_for(".show", id=id, told="test"), 303)


@bp.post("/<id>/recipients/<recipient_id>/resend")
def resend(id: str, recipient_id: str) -> ResponseReturnValue:
    """Send a recipient a new confirmation link."""
    visitor = pages.user_session()
    channel = channels.find(visitor.account_id, id)
    try:
        row_id = UUID(recipient_id)
    except ValueError:
        raise NotFound from None
    recipients.resend(visitor.account_id, channel.id, row_id, actor=visitor.actor)
    return redirect(url_for(".show", id=id, told="resend"), 303)


@bp.post("/<id>/enable")
def enable(id: str) -> ResponseReturnValue:
    """Send again."""
    visitor = pages.user_session()
    channels.enable(visitor.account_id, id, actor=visitor.actor)
    return redirect(url_for(".show", id=id), 303)


@bp.post("/<id>/disable")
def disable(id: str) -> ResponseReturnValue:
    """Send nothing more."""
    visitor = pages.user_session()
    channels.disable(visitor.account_id, id, actor=visitor.actor)
    return redirect(url_for(".show", id=id), 303)


@bp.post("/<id>/replay")
def replay(id: str) -> ResponseReturnValue:
    """Send again what was given up."""
    visitor = pages.user_session()
    dispatcher.replay(visitor.account_id, id, actor=visitor.actor)
    return redirect(url_for(".show", id=id, told="replay"), 303)


@bp.post("/<id>/rotate")
def rotate(id: str) -> ResponseReturnValue:
    """A new secret, shown in this answer and nowhere else."""
    visitor, form = pages.user_session(), Form()
    hours = form.choice("grace", GRACES)
    form.check()
    grace = timedelta(hours=int(hours))
    channel, secret = channels.rotate_secret(visitor.account_id, id, grace, actor=visitor.actor)
    return pages.render("channel_secret.html", 201, channel=channel, secret=secret)


@bp.post("/<id>/remove")
def remove(id: str) -> ResponseReturnValue:
    """Delete it with its log."""
    visitor = pages.user_session()
    channels.remove(visitor.account_id, id, actor=visitor.actor)
    return redirect(url_for(".index"), 303)


def _added() -> tuple[Channel, str | None]:
    """The channel that the form asks for, and its secret if it has one to show.

    raises  InvalidRequest, Conflict, ServiceUnavailable
    """
    visitor, form = pages.user_session(), Form()
    kind, target = form.choice("kind", KINDS), form.text("target", 2000)
    severity = form.choice("severity", list(Severity))
    cadence = form.choice("cadence", CADENCES)
    new = NewChannel(
        form.text("name", 100),
        Severity(severity) if severity in list(Severity) else Severity.INFO,
        types=form.words("types"),
        tags=form.words("tags"),
        domains=form.words("domains"),
        cadence=cadence if kind == "email" else "immediate",
    )
    form.check()
    account, actor = visitor.account_id, visitor.actor
    if kind == "webhook":
        door = current_app.extensions["door"]
        return channels.add_webhook(account, target, new, door, actor=actor)
    if kind == "email":
        return channels.add_email(account, target, new, actor=actor), None
    return channels.add_chat(account, target, new, actor=actor), None


def _list(status: int = 200, errors: Mapping[str, str] | None = None) -> ResponseReturnValue:
    rows = channels.search(pages.user_session().account_id)
    found = dict(errors or {})
    for name in ("url", "addresses"):  # what the services call the one field of the form
        if name in found:
            found["target"] = found.pop(name)
    return pages.render(
        "channels.html",
        status,
        channels=[(row, channels.target_error(row)) for row in rows],
        kinds=KINDS,
        chat_forms=channels.chat_forms(),
        cadences=CADENCES,
        severities=list(Severity),
        errors=found,
        form=request.form,
    )


def _public(channel: Channel) -> str:
    return ids.public("chan", channel.id)
