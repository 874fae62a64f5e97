"""Delivery attempts: claims channels, selects their next deliveries and stores the outcomes."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session, aliased

from app import settings
from app.channels.email_html import PROBLEM_EVENTS
from app.channels.types import Outcome, Secrets
from app.db import query_plans, transactions
from app.db.transactions import transaction
from app.models import Channel, ChannelRecipient, Delivery, Event
from app.protocols import retry_after
from app.services.core import encryption, lifecycle_log
from app.services.core.leases import Lease, LeaseTable
from app.services.core.lifecycle_log import Lifecycle
from app.services.notifications import causes, channel_secrets, channels, outbox, recipients

GIVE_UP_AFTER = timedelta(days=5)  # without a success
MAX_BACKOFF = timedelta(minutes=5)
DIGEST_BATCH_SIZE = 500
JITTER = 0.2


LEASES = LeaseTable(
    key=Channel.id,
    until=Channel.lease_until,
    attempt=Channel.lease_token,
    holder=Channel.lease_holder,
    duration=lambda: settings.current().delivery_lease_seconds,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A channel that this process holds until the lease expires.

    is_failing  whether its last attempt failed
    """

    lease: Lease[UUID]
    is_failing: bool

    @property
    def channel_id(self) -> UUID:
        """The id of the channel."""
        return self.lease.key


@dataclass(frozen=True, slots=True)
class DeliveryBatch:
    """The deliveries of one attempt: one event, the events of one cause, or those of a digest.

    secrets     None if they cannot be decrypted, because SECRET_KEY has changed
    since       for a digest, when the previous one was sent; None for other messages
    recipients  the confirmed recipients that the deliveries have not reached yet
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
        """The current time by the clock of the database."""
        return self.claimed_at + timedelta(seconds=time.monotonic() - self.claimed)


Done = tuple[DeliveryBatch, Outcome]


def claim_due(limit: int, *, failing: int) -> list[Claim]:
    """Claim free channels with due deliveries; channels that do not fail come first.

    failing  how many channels whose last attempt failed may be among them
    """
    with transaction() as session:
        order = (Channel.failures, Channel.last_success_at.nulls_first())
        is_due = _has_due(transactions.now(session))
        channel_ids = LEASES.lock(session, is_due, order=order, limit=limit)
        failures = {
            row.id: row.failures
            for row in session.execute(
                select(Channel.id, Channel.failures).where(Channel.id.in_(channel_ids))
            )
        }
        healthy = sum(count == 0 for count in failures.values())
        leases = LEASES.take(session, channel_ids[: healthy + failing])
        return [Claim(lease, failures[lease.key] > 0) for lease in leases]


def is_due() -> bool:
    """Return whether any free channel has a due delivery."""
    with transaction(readonly=True) as session:
        now = transactions.now(session)
        is_free = LEASES.is_free(session, now)
        statement = select(Channel.id).where(is_free, _has_due(now)).limit(1)
        return session.scalar(statement) is not None


def advance(claim: Claim, done: Sequence[Done], *, take: bool) -> list[DeliveryBatch]:
    """Store the outcomes and return the next deliveries; release the channel if none is due.

    take     False to return none and release the channel
    effects  none if another process holds the channel by now
    """
    with transaction() as session:
        channel = _held(session, claim)
        if channel is None:
            return []
        now = transactions.now(session)
        for batch, outcome in done:
            _write(session, channel, batch.delivery_ids, outcome, now)
        batches = _next(session, claim, channel, now) if take else []
        channel.lease_until = now + settings.current().delivery_lease_seconds if batches else None
        return batches


def _held(session: Session, claim: Claim) -> Channel | None:
    """The channel with a lock; None if another process holds it by now or it was released."""
    is_held = LEASES.is_held([claim.lease])
    return session.scalar(select(Channel).where(is_held).with_for_update())


def _has_due(now: datetime) -> ColumnElement[bool]:
    return and_(
        Channel.disabled_at.is_(None),
        or_(Channel.backoff_until.is_(None), Channel.backoff_until <= now),
        exists().where(Delivery.channel_id == Channel.id, *_ready(now)),
    )


def _ready(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Conditions for due deliveries; the events of one alert are delivered in order."""
    earlier = aliased(Delivery)
    return (
        Delivery.status == "pending",
        Delivery.next_at <= now,
        ~exists().where(
            earlier.channel_id == Delivery.channel_id,
            earlier.alert_id == Delivery.alert_id,
            earlier.status == "pending",
            earlier.event_number < Delivery.event_number,
            earlier.next_at > now,
        ),
    )


def _next(session: Session, claim: Claim, channel: Channel, now: datetime) -> list[DeliveryBatch]:
    is_backing_off = channel.backoff_until is not None and channel.backoff_until > now
    if channel.disabled_at is not None or is_backing_off:
        return []
    rows = _due_of(session, channel, now)
    is_digest = channel.digest_at is not None and all(e.type != outbox.TEST for _, e in rows)
    if is_digest and not any(event.type in PROBLEM_EVENTS for _, event in rows):
        _finish(session, rows, "skipped", now)
        return []
    size = channels.type_of(channel).batch_size
    batches = [rows] if is_digest else [_group(session, channel, row, now) for row in rows[:size]]
    pending = _pending_recipients(session, channel, batches, now)
    if pending is None:
        return []
    try:
        secrets = channel_secrets.decrypt(channel)
        channel_secrets.renew(session, channel)
    except encryption.DecryptionError:
        secrets = None
    since = (channel.last_success_at or channel.created_at) if is_digest else None
    return [
        DeliveryBatch(
            claim=claim,
            delivery_ids=[delivery.id for delivery, _ in batch],
            channel=channel,
            secrets=secrets,
            events=[outbox.as_json(event) for _, event in batch],
            claimed_at=now,
            since=since,
            recipients=pending,
        )
        for batch in batches
    ]


def _group(
    session: Session, channel: Channel, row: tuple[Delivery, Event], now: datetime
) -> list[tuple[Delivery, Event]]:
    """The deliveries that are sent as one message, led by the worst alert."""
    if not channels.type_of(channel).groups_by_cause(channel.target):
        return [row]
    return causes.with_same_cause(session, row, _ready(now))


def _pending_recipients(
    session: Session,
    channel: Channel,
    batches: Sequence[Sequence[tuple[Delivery, Event]]],
    at: datetime,
) -> Sequence[ChannelRecipient] | None:
    """Return the confirmed recipients that the deliveries have not reached yet.

    returns  None if there are none; the deliveries are finished then
    """
    if not channels.type_of(channel).has_recipients or not batches:
        return ()
    (rows,) = batches  # people are sent one email at a time
    confirmed = recipients.confirmed(session, channel.id)
    if not confirmed:
        _finish(session, rows, "skipped", at, recipients.NONE_CONFIRMED)
        return None
    reached = [set(delivery.delivered_to or ()) for delivery, _ in rows]
    remaining = [row for row in confirmed if any(row.id.hex not in done for done in reached)]
    if not remaining:
        _finish(session, rows, "delivered", at)
        return None
    return remaining


def _due_of(session: Session, channel: Channel, now: datetime) -> Sequence[tuple[Delivery, Event]]:
    """Return the due deliveries in order, test events first; for a digest all of them.

    PostgreSQL reads only these, by ``ix_deliveries_in_order``; SQLite sorts all due ones.
    """
    size = channels.type_of(channel).batch_size
    with query_plans.index_order(session):
        rows = session.execute(
            select(Delivery, Event)
            .join(Event, Event.number == Delivery.event_number)
            .where(Delivery.channel_id == channel.id, *_ready(now))
            .order_by(Delivery.alert_id.is_not(None), Delivery.event_number)
            .limit(DIGEST_BATCH_SIZE if channel.digest_at is not None else size)
        ).all()
    return [(row.Delivery, row.Event) for row in rows]


def _finish(
    session: Session,
    rows: Sequence[tuple[Delivery, Event]],
    status: str,
    at: datetime,
    error: str | None = None,
) -> None:
    """Finish deliveries without sending anything."""
    for delivery, _ in rows:
        delivery.status, delivery.finished_at, delivery.error = status, at, error
        _log(session, delivery)


def _write(
    session: Session,
    channel: Channel,
    delivery_ids: Sequence[UUID],
    outcome: Outcome,
    now: datetime,
) -> None:
    deliveries = session.scalars(
        select(Delivery).where(Delivery.id.in_(delivery_ids), Delivery.status == "pending")
    ).all()
    jitter = random.uniform(1 - JITTER, 1 + JITTER)  # the same, so that one message stays one
    for delivery in deliveries:
        delivery.attempts += 1
        delivery.response_status, delivery.error = outcome.status, outcome.error
        if outcome.delivered_to:
            reached = {*(delivery.delivered_to or ()), *outcome.delivered_to}
            delivery.delivered_to = sorted(reached)
        if outcome.error is None:
            delivery.status, delivery.finished_at = "delivered", now
        else:
            _schedule_retry(delivery, outcome, now, jitter)
        _log(session, delivery)
    if outcome.error is None:
        channel.failures, channel.failing_since, channel.backoff_until = 0, None, None
        channel.last_success_at = now
    else:
        _back_off(session, channel, outcome, now)


_EVENTS = {
    "delivered": Lifecycle.DELIVERY_SENT,
    "pending": Lifecycle.DELIVERY_FAILED,
    "dead": Lifecycle.DELIVERY_ABANDONED,
    "skipped": Lifecycle.DELIVERY_SKIPPED,
}


def _log(session: Session, delivery: Delivery) -> None:
    lifecycle_log.record(
        session,
        _EVENTS[delivery.status],
        account_id=delivery.account_id,
        channel_id=delivery.channel_id,
        delivery_id=delivery.id,
        alert_id=delivery.alert_id,
        attempt=delivery.attempts,
        response_status=delivery.response_status,
    )


def _schedule_retry(delivery: Delivery, outcome: Outcome, now: datetime, jitter: float) -> None:
    """Schedule the next attempt, later if the receiver demands it; or give the delivery up."""
    schedule = settings.current().delivery_schedule
    if delivery.attempts >= len(schedule):
        delivery.status, delivery.finished_at = "dead", now
        return
    wait = timedelta(seconds=schedule[delivery.attempts] * jitter)
    delivery.next_at = now + max(wait, _demanded_wait(outcome, now))


def _back_off(session: Session, channel: Channel, outcome: Outcome, now: datetime) -> None:
    """Back off a failing channel, twice as long each time, and disable it after GIVE_UP_AFTER."""
    channel.failures += 1
    channel.failing_since = channel.failing_since or now
    schedule = settings.current().delivery_schedule
    first = timedelta(seconds=schedule[1] * (1 - JITTER)) if len(schedule) > 1 else timedelta(0)
    longest = min(MAX_BACKOFF, timedelta(seconds=max(schedule)))
    backoff = min(first * 2 ** min(channel.failures - 1, 10), longest)
    channel.backoff_until = now + max(backoff, _demanded_wait(outcome, now))
    if outcome.disable_reason is not None:
        channels.give_up(session, channel, outcome.disable_reason)
    elif channels.type_of(channel).is_given_up and now - channel.failing_since >= GIVE_UP_AFTER:
        channels.give_up(session, channel, f"no successful delivery for {GIVE_UP_AFTER.days} days")


def _demanded_wait(outcome: Outcome, now: datetime) -> timedelta:
    """Return how long the receiver asks to wait."""
    return retry_after.wait(outcome.retry_after, now) or timedelta(0)
