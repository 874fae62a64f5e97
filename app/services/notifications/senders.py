"""Sends one batch of deliveries through its channel."""

import logging

from app.channels.types import Message, Outcome, Recipient, Secrets, Transport
from app.services.notifications import channels, recipients
from app.services.notifications.delivery_queue import DeliveryBatch

logger = logging.getLogger(__name__)

SECRET_UNREADABLE = (
    "the stored secret cannot be decrypted, because SECRET_KEY has changed; "
    "restore the old key, or delete the channel and add it again"
)


async def send(batch: DeliveryBatch, transport: Transport) -> Outcome:
    """Send the batch, within DELIVERY_SECONDS, and return the outcome of the attempt."""
    if batch.secrets is None:
        return Outcome(error=SECRET_UNREADABLE)
    try:
        type = channels.type_of(batch.channel)
        return await type.send(_message(batch, batch.secrets), transport, channels.config())
    except Exception:  # a defect in one channel type must not stop the others
        logger.exception(
            "delivery failed with an unexpected error", extra={"channel": str(batch.channel.id)}
        )
        return Outcome(error="not sent because of an internal error in mailwatch")


def _message(batch: DeliveryBatch, secrets: Secrets) -> Message:
    channel = batch.channel
    return Message(
        channel_name=channel.name,
        min_severity=channel.min_severity,
        target=channel.target,
        secrets=secrets,
        events=batch.events,
        at=batch.at,
        since=batch.since,
        recipients=[
            Recipient(row.id.hex, row.address, recipients.unsubscribe_url(row.id))
            for row in batch.recipients
        ],
    )
