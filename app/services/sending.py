"""One try of one parcel, by the kind of its channel."""

import orjson

from app import settings
from app.channels import webhook
from app.channels.contract import BadTarget, Outcome
from app.checks.answers import OpenAnswers
from app.services import channels
from app.services.attempts import Parcel

UNREADABLE = "its secret cannot be read: SECRET_KEY is another than when it was kept"


async def send(parcel: Parcel, open_answers: OpenAnswers) -> Outcome:
    """What became of it, within DELIVERY_SECONDS."""
    if parcel.secrets is None:
        return Outcome(error=UNREADABLE)
    return await _by_webhook(parcel, open_answers)


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
