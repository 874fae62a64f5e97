"""Sends one batch of deliveries through its channel."""

import asyncio
import logging
from concurrent.futures import Executor
from dataclasses import replace

import orjson

from app import settings
from app.channels import chat, email, webhook
from app.channels.types import BadTarget, Outcome
from app.models import ChannelRecipient
from app.ports.network import SessionFactory
from app.services.notifications import channels, recipients
from app.services.notifications.delivery_queue import DeliveryBatch

logger = logging.getLogger(__name__)

SECRET_UNREADABLE = (
    "the stored secret cannot be decrypted, because SECRET_KEY has changed; "
    "restore the old key, or delete the channel and add it again"
)


async def send(parcel: DeliveryBatch, open_answers: SessionFactory, threads: Executor) -> Outcome:
    """The outcome of the attempt, within DELIVERY_SECONDS.

    threads  for senders that block; never the threads that run database calls
    """
    try:
        return await _send(parcel, open_answers, threads)
    except Exception:  # a defect in one channel type must not stop the others
        logger.exception(
            "delivery failed with an unexpected error", extra={"channel": str(parcel.channel.id)}
        )
        return Outcome(error="not sent because of an internal error in mailwatch")


async def _send(parcel: DeliveryBatch, open_answers: SessionFactory, threads: Executor) -> Outcome:
    if parcel.secrets is None:
        return Outcome(error=SECRET_UNREADABLE)
    if parcel.channel.kind == "webhook":
        return await _by_webhook(parcel, open_answers)
    if parcel.channel.kind == "chat":
        return await _by_chat(parcel, open_answers)
    return await _by_email(parcel, threads)


async def _by_email(parcel: DeliveryBatch, threads: Executor) -> Outcome:
    """Send one message to each recipient; what was accepted before a timeout counts."""
    accepted: list[str] = []
    seconds = settings.current().delivery_seconds
    loop = asyncio.get_running_loop()
    blocking = loop.run_in_executor(threads, _submit, parcel, seconds, accepted)
    try:
        outcome = await asyncio.wait_for(blocking, seconds)
    except TimeoutError:
        outcome = Outcome(error="the mail server did not answer in time")
    return replace(outcome, delivered_to=tuple(accepted))


def _submit(parcel: DeliveryBatch, seconds: float, accepted: list[str]) -> Outcome:
    """Send to every recipient: the first failure, or success; stops if the server is unusable."""
    current = settings.current()
    if current.smtp_url is None:
        return Outcome(error=email.NOT_SET)
    server = email.parse_server(current.smtp_url)
    result = Outcome(250)
    for recipient in parcel.recipients:
        outcome = email.send(server, _letter(parcel, recipient), seconds=seconds)
        if outcome.error is None:
            accepted.append(recipient.id.hex)
        elif result.error is None:
            result = outcome
        if outcome.error is not None and outcome.status is None:
            break
    return result


def _letter(parcel: DeliveryBatch, recipient: ChannelRecipient) -> email.EmailContent:
    current = settings.current()
    channel = parcel.channel
    return email.EmailContent(
        sender=current.mail_from,
        recipient=recipient.address,
        events=parcel.events,
        at=parcel.at,
        base_url=current.base_url,
        reason=(
            f"You receive this because the channel {channel.name} sends alerts of severity "
            f"{channel.min_severity} and above to {recipient.address}."
        ),
        unsubscribe_url=recipients.unsubscribe_url(recipient.id),
        since=f"{parcel.since:%d %b %H:%M} UTC" if parcel.since else None,
    )


async def _by_chat(parcel: DeliveryBatch, open_answers: SessionFactory) -> Outcome:
    assert parcel.secrets is not None
    (event,) = parcel.events
    try:
        target = chat.parse(parcel.secrets.url or "")
    except BadTarget:
        return Outcome(error=chat.NOT_ACCEPTED, disable_reason=chat.NOT_ACCEPTED)
    seconds = settings.current().delivery_seconds
    return await chat.send(open_answers(), target, event, seconds=seconds)


async def _by_webhook(parcel: DeliveryBatch, open_answers: SessionFactory) -> Outcome:
    assert parcel.secrets is not None
    current = settings.current()
    (event,) = parcel.events
    try:
        target = webhook.parse(parcel.channel.target, current.egress_ports)
    except BadTarget as error:
        return Outcome(error=f"the URL is no longer allowed ({error})")
    return await webhook.send(
        open_answers(),
        target,
        channels.keys_at(parcel.secrets, parcel.at),
        webhook.Message(event["id"], orjson.dumps(event)),
        timestamp=int(parcel.at.timestamp()),
        seconds=current.delivery_seconds,
    )
