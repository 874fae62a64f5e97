"""The pages of notification channels: the list, and one channel with its deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from app.db.transactions import transaction
from app.models import Channel, ChannelRecipient, WeeklySummary
from app.services.notifications import channels, dispatcher, recipients
from app.services.notifications.dispatcher import Entry

MAX_DELIVERIES = 50


@dataclass(frozen=True, slots=True)
class ListedChannel:
    """A channel, and why nothing can be sent to it now; None if it is ready."""

    channel: Channel
    problem: str | None


@dataclass(frozen=True, slots=True)
class ChannelPage:
    """A channel, from one snapshot.

    problem     why nothing can be sent to it now; None if it is ready
    recipients  of an email channel, ordered by address
    deliveries  the last ones, newest first
    weekly      when its weekly summary is sent; None: never
    """

    channel: Channel
    problem: str | None
    recipients: Sequence[ChannelRecipient]
    deliveries: Sequence[Entry]
    weekly: WeeklySummary | None


def listing(account_id: UUID) -> Sequence[ListedChannel]:
    """Return the account's channels, ordered by name."""
    with transaction(readonly=True, snapshot=True) as session:
        rows = session.scalars(
            select(Channel).where(Channel.account_id == account_id).order_by(Channel.name)
        ).all()
        return [ListedChannel(row, channels.target_error(session, row)) for row in rows]


def find(account_id: UUID, ref: str) -> ChannelPage:
    """Return the channel with this id (``chan_…``) or name.

    raises  NotFound
    """
    with transaction(readonly=True, snapshot=True) as session:
        channel = channels.owned(session, account_id, ref)
        return ChannelPage(
            channel=channel,
            problem=channels.target_error(session, channel),
            recipients=recipients.of_channel(session, channel.id),
            deliveries=dispatcher.read_log(session, channel, MAX_DELIVERIES),
            weekly=session.get(WeeklySummary, channel.id),
        )
