"""One try of one parcel, by the kind of its channel."""

import asyncio
import logging
from concurrent.futures import Executor

import orjson

from app import settings
from app.channels import chat, mail, webhook
from app.channels.contract import BadTarget, Outcome
from app.checks.answers import OpenAnswers
from app.services import channels
from app.services.attempts import Parcel

logger = logging.getLogger(__name__)

UNREADABLE = "its secret cannot be read: SECRET_KEY is another than when it was kept"


async def send(parcel: Parcel, open_answers: OpenAnswers, threads: Executor) -> Outcome:
    """What became of it, within DELIVERY_SECONDS.

    threads  for what blocks while it sends; never those that the database is asked in
    """
    try:
        return await _send(parcel, open_answers, threads)
    except Exception:  # a defect in one way out costs the tries of its own channels only
        logger.exception("not sent", extra={"channel": str(parcel.channel.id)})
        return Outcome(error="it was not sent; this is a defect of the service")


async def _send(parcel: Parcel, open_answers: OpenAnswers, threads: Executor) -> Outcome:
    if parcel.secrets is None:
        return Outcome(error=UNREADABLE)
    if parcel.channel.kind == "webhook":
        return await _by_webhook(parcel, open_answers)
    if parcel.channel.kind == "chat":
        return await _by_chat(parcel, open_answers)
    seconds = settings.current().delivery_seconds
    blocking = asyncio.get_running_loop().run_in_executor(threads, _by_mail, parcel, seconds)
    try:
        return await asyncio.wait_for(blocking, seconds)
    except TimeoutError:
        return Outcome(error="it did not answer in time")


def _by_mail(parcel: Parcel, seconds: float) -> Outcome:
    current = settings.current()
    if current.mail_url is None:
        return Outcome(error=mail.NOT_SET)
    letter = mail.Letter(
        current.mail_from,
        parcel.channel.target.split(","),
        parcel.events,
        parcel.at,
        current.base_url,
        f"{parcel.since:%d %b %H:%M} UTC" if parcel.since else None,
    )
    return mail.send(mail.parse_server(current.mail_url), letter, seconds=seconds)


async def _by_chat(parcel: Parcel, open_answers: OpenAnswers) -> Outcome:
    assert parcel.secrets is not None
    (event,) = parcel.events
    try:
        target = chat.parse(parcel.secrets.url or "")
    except BadTarget:
        return Outcome(error=chat.NOT_ACCEPTED, disable_reason=chat.NOT_ACCEPTED)
    seconds = settings.current().delivery_seconds
    return await chat.send(open_answers(), target, event, seconds=seconds)


async def _by_webhook(parcel: Parcel, open_answers: OpenAnswers) -> Outcome:
    assert parcel.secrets is not None
    current = settings.current()
    (event,) = parcel.events
    try:
        target = webhook.parse(parcel.channel.target, current.egress_ports)
    except BadTarget as error:
        return Outcome(error=f"its URL is not allowed any more: {error}")
    return await webhook.send(
        open_answers(),
        target,
        channels.keys_at(parcel.secrets, parcel.at),
        webhook.Message(event["id"], orjson.dumps(event)),
        timestamp=int(parcel.at.timestamp()),
        seconds=current.delivery_seconds,
    )
