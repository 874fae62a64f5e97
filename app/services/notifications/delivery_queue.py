"""The tries of deliveries: which is next for a channel, and what the end of one means for it."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session, aliased

from app import processes, settings
from app.channels.email_html import PROBLEM_EVENTS
from app.channels.types import Outcome
from app.db.transactions import now, transaction
from app.models import Channel, ChannelRecipient, Delivery, Event
from app.services.core import encryption
from app.services.notifications import channels, outbox, recipients
from app.services.notifications.channels import Secrets

GIVE_UP_AFTER = timedelta(days=5)  # without a success
MAX_RETRY_AFTER = timedelta(hours=24)
MAX_BACKOFF = timedelta(minutes=5)
DIGEST_BATCH_SIZE = 500
WEBHOOK_BATCH_SIZE = 20
JITTER = 0.2


@dataclass(frozen=True, slots=True)
class Claim:
    """A channel that this process has until the lease ends.

    is_failing  its last try was no success
    """

    channel_id: UUID
    lease_token: int
    is_failing: bool


@dataclass(frozen=True, slots=True)
class DeliveryBatch:
    """What one try sends: an event, or those of a digest.

    secrets  None: they cannot be read, as SECRET_KEY is another
    since    of a digest: when the last one was; None: it is none
    recipients  of an email channel: the confirmed ones that do not have it yet
    """

    claim: Claim
    delivery_ids: Sequence[UUID]
    channel: Channel
    secrets: Secrets | None
    events: Sequence[dict[str, Any]]
    claimed_at: datetime
    since: datetime | None = None
    recipients: Sequence[ChannelRecipient] = ()
    claimed: float = field(default_factory=time.monotonic)

    @property
    def at(self) -> datetime:
        """Now, by the clock of the database."""
        return self.claimed_at + timedelta(seconds=time.monotonic() - self.claimed)


Done = tuple[DeliveryBatch, Outcome]


def claim_due(most: int, *, failing: int) -> list[Claim]:
    """Take channels that have something due, and that nobody has; those that do well come first.

    failing  how many may be among them whose last try was no success
    """
    with transaction() as session:
        moment = now(session)
        found = session.scalars(
            select(Channel)
            .where(_has_due(moment, _ended_holders(session, moment)))
            .order_by(Channel.failures, Channel.last_success_at.nulls_first(), Channel.id)
            .limit(most)
            .with_for_update(skip_locked=True)
        ).all()
        well = sum(channel.failures == 0 for channel in found)
        taken = found[: well + failing]
        for channel in taken:
            channel.lease_token += 1
            channel.lease_holder = processes.own_name()
            channel.lease_until = moment + settings.current().delivery_lease_seconds
        return [Claim(channel.id, channel.lease_token, channel.failures > 0) for channel in taken]


def is_due() -> bool:
    """Whether any channel that nobody has can be sent something."""
    with transaction(readonly=True) as session:
        moment = now(session)
        due = _has_due(moment, _ended_holders(session, moment))
        return session.scalar(select(Channel.id).where(due).limit(1)) is not None


def renew(claims: Sequence[Claim]) -> None:
    """Keep the channels for another lease."""
    with transaction() as session:
        until = now(session) + settings.current().delivery_lease_seconds
        for claim in claims:
            if channel := _leased(session, claim):
                channel.lease_until = until


def advance(claim: Claim, done: Sequence[Done], *, take: bool) -> list[DeliveryBatch]:
    """Write what came of tries, and take the next, in order; the channel is given back if none is.

    take     False: there is to be no next
    effects  none if another has the channel by now
    """
    with transaction() as session:
        channel = _leased(session, claim)
        if channel is None:
            return []
        moment = now(session)
        for parcel, outcome in done:
            _write(session, channel, parcel.delivery_ids, outcome, moment)
        parcels = _next(session, claim, channel, moment) if take else []
        channel.lease_until = (
            moment + settings.current().delivery_lease_seconds if parcels else None
        )
        return parcels


def _leased(session: Session, claim: Claim) -> Channel | None:
    """The channel, unless another has it by now, or it was given back."""
    return session.scalar(
        select(Channel)
        .where(
            Channel.id == claim.channel_id,
            Channel.lease_token == claim.lease_token,
            Channel.lease_until.is_not(None),
        )
        .with_for_update()
    )


def _ended_holders(session: Session, moment: datetime) -> list[str]:
    """Processes that have channels and are no more: killed, as others give them back."""
    holders = session.scalars(
        select(Channel.lease_holder)
        .where(Channel.lease_until >= moment, Channel.lease_holder.is_not(None))
        .distinct()
    )
    return [holder for holder in holders if holder and processes.has_ended(holder)]


def _has_due(moment: datetime, ended_holders: Sequence[str]) -> ColumnElement[bool]:
    return and_(
        Channel.disabled_at.is_(None),
        or_(
            Channel.lease_until.is_(None),
            Channel.lease_until < moment,
            Channel.lease_holder.in_(ended_holders),
        ),
        or_(Channel.backoff_until.is_(None), Channel.backoff_until <= moment),
        exists().where(Delivery.channel_id == Channel.id, *_ready(moment)),
    )


def _ready(moment: datetime) -> tuple[ColumnElement[bool], ...]:
    """It is time, and nothing earlier of the same alert waits: an alert is told in order."""
    earlier = aliased(Delivery)
    return (
        Delivery.status == "pending",
        Delivery.next_at <= moment,
        ~exists().where(
            earlier.channel_id == Delivery.channel_id,
            earlier.alert_id == Delivery.alert_id,
            earlier.status == "pending",
            earlier.event_number < Delivery.event_number,
            earlier.next_at > moment,
        ),
    )


def _next(
    session: Session, claim: Claim, channel: Channel, moment: datetime
) -> list[DeliveryBatch]:
    is_resting = channel.backoff_until is not None and channel.backoff_until > moment
    if channel.disabled_at is not None or is_resting:
        return []
    rows = _due_of(session, channel, moment)
    is_digest = channel.digest_at is not None and all(e.type != outbox.TEST for _, e in rows)
    if is_digest and not any(event.type in PROBLEM_EVENTS for _, event in rows):
        _finish(rows, "skipped", moment)
        return []
    together = [rows] if is_digest else [[row] for row in rows[: _batch_size(channel)]]
    addressees = _addressees(session, channel, together, moment)
    if addressees is None:
        return []
    try:
        secrets = channels.decrypt_secrets(channel)
        channels.renew_sealing(session, channel)
    except encryption.DecryptionError:
        secrets = None
    since = (channel.last_success_at or channel.created_at) if is_digest else None
    return [
        DeliveryBatch(
            claim,
            [delivery.id for delivery, _ in part],
            channel,
            secrets,
            [outbox.as_json(event) for _, event in part],
            moment,
            since,
            addressees,
        )
        for part in together
    ]


def _addressees(
    session: Session,
    channel: Channel,
    together: Sequence[Sequence[tuple[Delivery, Event]]],
    at: datetime,
) -> Sequence[ChannelRecipient] | None:
    """Of an email channel: the confirmed recipients that its deliveries have not reached yet.

    returns  None if there are none, and the deliveries are finished
    """
    if channel.kind != "email" or not together:
        return ()
    (rows,) = together  # people are sent one email at a time
    confirmed = recipients.confirmed(session, channel.id)
    if not confirmed:
        _finish(rows, "skipped", at, recipients.NONE_CONFIRMED)
        return None
    reached = [set(delivery.delivered_to or ()) for delivery, _ in rows]
    remaining = [row for row in confirmed if any(row.id.hex not in done for done in reached)]
    if not remaining:
        _finish(rows, "delivered", at)
        return None
    return remaining


def _due_of(
    session: Session, channel: Channel, moment: datetime
) -> Sequence[tuple[Delivery, Event]]:
    """What is due to the channel, in order: all of it for a digest, else the first; tests first."""
    rows = session.execute(
        select(Delivery, Event)
        .join(Event, Event.number == Delivery.event_number)
        .where(Delivery.channel_id == channel.id, *_ready(moment))
        .order_by(Event.type != outbox.TEST, Delivery.event_number)
        .limit(DIGEST_BATCH_SIZE if channel.digest_at is not None else _batch_size(channel))
    )
    return [(row.Delivery, row.Event) for row in rows]


def _batch_size(channel: Channel) -> int:
    """How many are sent before their ends are written: the more, the more come again after a kill.

    Receivers of webhooks know an event by its id; people do not.
    """
    return WEBHOOK_BATCH_SIZE if channel.kind == "webhook" else 1


def _finish(
    rows: Sequence[tuple[Delivery, Event]], status: str, at: datetime, error: str | None = None
) -> None:
    """End deliveries without sending anything."""
    for delivery, _ in rows:
        delivery.status, delivery.finished_at, delivery.error = status, at, error


def _write(
    session: Session,
    channel: Channel,
    delivery_ids: Sequence[UUID],
    outcome: Outcome,
    moment: datetime,
) -> None:
    tried = session.scalars(
        select(Delivery).where(Delivery.id.in_(delivery_ids), Delivery.status == "pending")
    ).all()
    for delivery in tried:
        delivery.attempts += 1
        delivery.response_status, delivery.error = outcome.status, outcome.error
        if outcome.delivered_to:
            reached = {*(delivery.delivered_to or ()), *outcome.delivered_to}
            delivery.delivered_to = sorted(reached)
        if outcome.error is None:
            delivery.status, delivery.finished_at = "delivered", moment
        else:
            _schedule_retry(delivery, outcome, moment)
    if outcome.error is None:
        channel.failures, channel.failing_since, channel.backoff_until = 0, None, None
        channel.last_success_at = moment
    else:
        _back_off(session, channel, outcome, moment)


def _schedule_retry(delivery: Delivery, outcome: Outcome, moment: datetime) -> None:
    """To the next time of the schedule, or later if the receiver asks for that; or for good."""
    schedule = settings.current().delivery_schedule
    if delivery.attempts >= len(schedule):
        delivery.status, delivery.finished_at = "dead", moment
        return
    wait = timedelta(seconds=schedule[delivery.attempts] * random.uniform(1 - JITTER, 1 + JITTER))
    delivery.next_at = moment + max(wait, _retry_after(outcome.retry_after, moment))


def _back_off(session: Session, channel: Channel, outcome: Outcome, moment: datetime) -> None:
    """One that fails is left alone, twice as long each time; and given up in the end."""
    channel.failures += 1
    channel.failing_since = channel.failing_since or moment
    schedule = settings.current().delivery_schedule
    first = timedelta(seconds=schedule[1] * (1 - JITTER)) if len(schedule) > 1 else timedelta(0)
    longest = min(MAX_BACKOFF, timedelta(seconds=max(schedule)))
    rest = min(first * 2 ** min(channel.failures - 1, 10), longest)
    channel.backoff_until = moment + max(rest, _retry_after(outcome.retry_after, moment))
    if outcome.disable_reason is not None:
        channels.give_up(session, channel, outcome.disable_reason)
    elif channel.kind != "email" and moment - channel.failing_since >= GIVE_UP_AFTER:
        channels.give_up(session, channel, f"no success for {GIVE_UP_AFTER.days} days")


def _retry_after(retry_after: str, moment: datetime) -> timedelta:
    """What Retry-After means, within MAX_RETRY_AFTER (RFC 9110 §10.2.3)."""
    if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10:
        return min(timedelta(seconds=int(retry_after)), MAX_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return timedelta(0)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(at - moment, timedelta(0)), MAX_RETRY_AFTER)
