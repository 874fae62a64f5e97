"""Pages about notification channels: the list, one channel with its deliveries, and changes."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from flask import Blueprint, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app import ids
from app.channels.registry import CHANNEL_TYPES
from app.checks.engine.types import Severity
from app.errors import Conflict, InvalidRequest, NotFound, QuotaExceeded, ServiceUnavailable
from app.models import Channel
from app.services.notifications import channels, dispatcher, recipients
from app.services.notifications.channels import NewChannel
from app.web.base import pages
from app.web.base.forms import Form

bp = Blueprint("channels", __name__, url_prefix="/settings/notifications")

KINDS = {type.name: type.label for type in CHANNEL_TYPES.values()}
CADENCES = ("immediate", "daily", "weekly")
WITH_DIGESTS = {type.name for type in CHANNEL_TYPES.values() if type.has_digests}
GRACES = {"0": "Immediately", "24": "After 24 hours", "168": "After 7 days"}


@bp.get("")
def index() -> ResponseReturnValue:
    """List the channels, with a form to add one."""
    return _list()


@bp.post("")
def create() -> ResponseReturnValue:
    """Add a channel; only this response shows the secret of a webhook."""
    try:
        channel, secret = _added()
    except (InvalidRequest, Conflict, QuotaExceeded, ServiceUnavailable) as error:
        return _list(error.status, errors=pages.field_errors(error, "target"))
    if secret is None:
        return redirect(url_for(".show", id=_public(channel)), 303)
    return pages.render("channel_secret.html", 201, channel=channel, secret=secret)


@bp.get("/<id>")
def show(id: str) -> ResponseReturnValue:
    """Show a channel with its recent deliveries."""
    account = pages.user_session().account_id
    channel = channels.find(account, id)
    type = CHANNEL_TYPES[channel.kind]
    return pages.render(
        "channel.html",
        channel=channel,
        recipients=recipients.search(account, channel.id),
        problem=channels.target_error(channel),
        label=type.label,
        can_rotate_secret=type.has_signing_secret,
        entries=dispatcher.log(account, id),
        graces=GRACES,
        done=request.args.get("done"),
    )


@bp.post("/<id>/test")
def test(id: str) -> ResponseReturnValue:
    """Send a test event."""
    visitor = pages.user_session()
    channels.test(visitor.account_id, id, actor=visitor.actor)
    return redirect(url_for(".show", id=id, done="test"), 303)


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
    return redirect(url_for(".show", id=id, done="resend"), 303)


@bp.post("/<id>/enable")
def enable(id: str) -> ResponseReturnValue:
    """Enable the channel."""
    visitor = pages.user_session()
    channels.enable(visitor.account_id, id, actor=visitor.actor)
    return redirect(url_for(".show", id=id), 303)


@bp.post("/<id>/disable")
def disable(id: str) -> ResponseReturnValue:
    """Disable the channel."""
    visitor = pages.user_session()
    channels.disable(visitor.account_id, id, actor=visitor.actor)
    return redirect(url_for(".show", id=id), 303)


@bp.post("/<id>/replay")
def replay(id: str) -> ResponseReturnValue:
    """Retry the failed deliveries."""
    visitor = pages.user_session()
    dispatcher.replay(visitor.account_id, id, actor=visitor.actor)
    return redirect(url_for(".show", id=id, done="replay"), 303)


@bp.post("/<id>/rotate")
def rotate(id: str) -> ResponseReturnValue:
    """Rotate the secret; only this response shows the new one."""
    visitor, form = pages.user_session(), Form()
    hours = form.choice("grace", GRACES)
    form.check()
    grace = timedelta(hours=int(hours))
    channel, secret = channels.rotate_secret(visitor.account_id, id, grace, actor=visitor.actor)
    return pages.render("channel_secret.html", 201, channel=channel, secret=secret)


@bp.post("/<id>/remove")
def remove(id: str) -> ResponseReturnValue:
    """Delete the channel with its delivery log."""
    visitor = pages.user_session()
    channels.remove(visitor.account_id, id, actor=visitor.actor)
    return redirect(url_for(".index"), 303)


def _added() -> tuple[Channel, str | None]:
    """Create the channel that the form describes; returns its secret if it has one to show.

    raises  InvalidRequest, Conflict, ServiceUnavailable
    """
    visitor, form = pages.user_session(), Form()
    kind, target = form.choice("kind", KINDS), form.text("target", 2000)
    severity = form.choice("severity", list(Severity))
    cadence = form.choice("cadence", CADENCES)
    new = NewChannel(
        name=form.text("name", 100),
        type=kind,
        target=target,
        min_severity=Severity(severity) if severity in list(Severity) else Severity.INFO,
        types=form.words("types"),
        tags=form.words("tags"),
        domains=form.words("domains"),
        cadence=cadence if kind in WITH_DIGESTS else "immediate",
    )
    form.check()
    network = current_app.extensions["door"]
    return channels.add(visitor.account_id, new, network, actor=visitor.actor)


def _list(status: int = 200, errors: Mapping[str, str] | None = None) -> ResponseReturnValue:
    rows = channels.search(pages.user_session().account_id)
    by_field = dict(errors or {})
    for type in CHANNEL_TYPES.values():  # the form has one field for the targets of all types
        if type.target_field in by_field:
            by_field["target"] = by_field.pop(type.target_field)
    return pages.render(
        "channels.html",
        status,
        channels=[(row, channels.target_error(row)) for row in rows],
        kinds=KINDS,
        types=list(CHANNEL_TYPES.values()),
        cadences=CADENCES,
        severities=list(Severity),
        errors=by_field,
        form=request.form,
    )


def _public(channel: Channel) -> str:
    return ids.public("chan", channel.id)
