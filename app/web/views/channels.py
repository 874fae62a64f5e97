"""Pages about notification channels: the list, one channel with its deliveries, and changes."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, url_for
from flask.typing import ResponseReturnValue

from app import ids
from app.channels.registry import CHANNEL_TYPES
from app.checks.engine.types import Severity
from app.errors import Conflict, InvalidRequest, NotFound, QuotaExceeded, ServiceUnavailable
from app.models import Channel, WeeklySummary
from app.protocols import timestamps
from app.services.notifications import channel_pages, channels, dispatcher, recipients
from app.services.notifications.channels import NewChannel
from app.web.base import dates, notices, pages, submissions
from app.web.base.filters import label
from app.web.base.forms import BaseForm, ChoiceField, TextField, WordsField
from app.web.views.weekly import WeeklyForm

bp = Blueprint("channels", __name__, url_prefix="/settings/notifications")

KINDS = {type.name: type.label for type in CHANNEL_TYPES.values()}
WITH_DIGESTS = {type.name for type in CHANNEL_TYPES.values() if type.has_digests}
CADENCES = {"immediate": "Immediately", "daily": "Daily", "weekly": "Weekly"}
SEVERITIES = {severity.value: label(severity.value) for severity in reversed(Severity)}
GRACES = {"0": "Immediately", "24": "After 24 hours", "168": "After 7 days"}
FORM_NAMES = {type.target_field: "target" for type in CHANNEL_TYPES.values()}  # one for all types


class NewChannelForm(BaseForm):
    """Add a channel."""

    name = TextField("Name", 100, render_kw={"required": True})
    kind = ChoiceField("Type", KINDS)
    target = TextField(
        "Destination",
        2000,
        render_kw={"required": True, "autocapitalize": "none", "spellcheck": "false"},
    )
    severity = ChoiceField("Minimum severity", SEVERITIES, default=Severity.MEDIUM.value)
    cadence = ChoiceField("Frequency (email only)", CADENCES)
    types = WordsField("Alert types", 2000, render_kw={"placeholder": "dmarc.* spf.missing"})
    tags = WordsField("Domain tags", 2000, render_kw={"placeholder": "shop"})
    domains = WordsField("Domains", 2000, render_kw={"placeholder": "example.org"})

    def new_channel(self) -> NewChannel:
        """Return the channel that the form describes; call ``check`` first."""
        return NewChannel(
            name=self.name.text,
            type=self.kind.text,
            target=self.target.text,
            min_severity=Severity(self.severity.text),
            types=self.types.words,
            tags=self.tags.words,
            domains=self.domains.words,
            cadence=self.cadence.text if self.kind.text in WITH_DIGESTS else "immediate",
        )


class RotateSecretForm(BaseForm):
    """Rotate the secret of a webhook."""

    grace = ChoiceField("Old secret expires", GRACES, default="24")


@bp.get("")
def index() -> ResponseReturnValue:
    """List the channels, with a form to add one."""
    return _list()


@bp.post("")
def create() -> ResponseReturnValue:
    """Add a channel; the next page shows the secret of a webhook once."""
    form = NewChannelForm.submitted()
    try:
        form.check()
        return submissions.process("channel", lambda: _add(form))
    except (InvalidRequest, Conflict, QuotaExceeded, ServiceUnavailable) as error:
        form.add_errors(error, otherwise="target", names=FORM_NAMES)
        return _list(error.status, form)


@bp.get("/<id>")
def show(id: str) -> ResponseReturnValue:
    """Show a channel with its recent deliveries."""
    page = channel_pages.find(pages.user_session().account_id, id)
    type = CHANNEL_TYPES[page.channel.kind]
    return pages.render(
        "channel.html",
        channel=page.channel,
        recipients=page.recipients,
        problem=page.problem,
        label=type.label,
        can_rotate_secret=type.has_signing_secret,
        entries=page.deliveries,
        rotate_form=RotateSecretForm(),
        weekly=page.weekly,
        weekly_form=_weekly_form(page.weekly),
        zones=timestamps.zone_names(),
    )


@bp.post("/<id>/test")
def test(id: str) -> ResponseReturnValue:
    """Send a test event."""
    user = pages.user_session()
    channels.test(user.account_id, id, actor=user.actor)
    message = "Test sent. The result appears below; reload the page to see it."
    return notices.redirect(url_for(".show", id=id), message)


@bp.post("/<id>/recipients/<recipient_id>/resend")
def resend(id: str, recipient_id: str) -> ResponseReturnValue:
    """Send a recipient a new confirmation link."""
    user = pages.user_session()
    channel = channels.find(user.account_id, id)
    try:
        row_id = UUID(recipient_id)
    except ValueError:
        raise NotFound from None
    recipients.resend(user.account_id, channel.id, row_id, actor=user.actor)
    message = "A new confirmation email is being sent. Earlier links are no longer valid."
    return notices.redirect(url_for(".show", id=id), message)


@bp.post("/<id>/enable")
def enable(id: str) -> ResponseReturnValue:
    """Enable the channel."""
    user = pages.user_session()
    channels.enable(user.account_id, id, actor=user.actor)
    return notices.redirect(url_for(".show", id=id), "The channel was enabled.")


@bp.post("/<id>/disable")
def disable(id: str) -> ResponseReturnValue:
    """Disable the channel."""
    user = pages.user_session()
    channels.disable(user.account_id, id, actor=user.actor)
    message = "The channel was disabled. It sends no notifications until it is enabled."
    return notices.redirect(url_for(".show", id=id), message)


@bp.post("/<id>/replay")
def replay(id: str) -> ResponseReturnValue:
    """Retry the failed deliveries."""
    user = pages.user_session()
    dispatcher.replay(user.account_id, id, actor=user.actor)
    message = "Failed deliveries are being retried. Reload the page to see the results."
    return notices.redirect(url_for(".show", id=id), message)


@bp.post("/<id>/rotate")
def rotate(id: str) -> ResponseReturnValue:
    """Rotate the secret; the next page shows the new one once."""
    user, form = pages.user_session(), RotateSecretForm.submitted()
    form.check()
    grace = timedelta(hours=int(form.grace.text))

    def replace() -> dict[str, Any]:
        channel, secret = channels.rotate_secret(user.account_id, id, grace, actor=user.actor)
        return _shown(channel, secret, f"The secret of {channel.name} was rotated.")

    return submissions.process("channel", replace)


@bp.post("/<id>/remove")
def remove(id: str) -> ResponseReturnValue:
    """Delete the channel with its delivery log."""
    user = pages.user_session()
    name = channels.find(user.account_id, id).name
    if not notices.is_confirmed(name):
        return notices.refuse(url_for(".show", id=id), f"Enter {name} to delete the channel.")
    channels.remove(user.account_id, id, actor=user.actor)
    return notices.redirect(url_for(".index"), f"The channel {name} was deleted.")


def _add(form: NewChannelForm) -> dict[str, Any]:
    """Create the channel that the form describes, and return what the next page shows.

    raises  InvalidRequest, Conflict, QuotaExceeded, ServiceUnavailable
    """
    user, network = pages.user_session(), current_app.extensions["network"]
    channel, secret = channels.add(user.account_id, form.new_channel(), network, actor=user.actor)
    return _shown(channel, secret, f"The channel {channel.name} was added.")


def _weekly_form(row: WeeklySummary | None) -> WeeklyForm:
    if row is None:
        return WeeklyForm(time_zone=dates.reader_zone().key)
    return WeeklyForm(weekday=str(row.weekday), hour=str(row.hour), time_zone=row.time_zone)


def _list(status: int = 200, form: NewChannelForm | None = None) -> ResponseReturnValue:
    return pages.render(
        "channels.html",
        status,
        channels=channel_pages.listing(pages.user_session().account_id),
        kinds=KINDS,
        types=list(CHANNEL_TYPES.values()),
        form=form or NewChannelForm(),
    )


def _shown(channel: Channel, secret: str | None, notice: str) -> dict[str, Any]:
    """Return what the next page shows; a channel without a secret has its own page."""
    url = url_for(".show", id=ids.public("chan", channel.id))
    if secret is None:
        return {"location": url, "notice": notice}
    return {"name": channel.name, "secret": secret, "url": url, "notice": notice}
