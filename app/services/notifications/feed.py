"""The event feed of an account, and the fan-out of events to its channels.

An event gets its sequence number after its transaction has committed, under a lock of the account.
So no event can appear before a number that a client has already read, and no number is skipped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import ids
from app.channels.registry import CHANNEL_TYPES
from app.checks.engine.types import Severity
from app.db import transactions
from app.db.bulk import insert
from app.db.transactions import transaction
from app.jobs import queue
from app.models import Account, Channel, Delivery, Domain, Event
from app.services.core import alert_types
from app.services.core.listing import Listing
from app.services.notifications import outbox

BATCH_SIZE = 500  # events per transaction
DIGEST_HOUR = 8  # UTC
# Events that people are notified of; webhooks get every event, so that receivers stay in sync.
NOTIFIED_EVENTS = frozenset(
    ("alert.opened", "alert.reopened", "alert.escalated", "alert.reminded", "alert.resolved")
)
COLUMNS = (Event.id, Event.sequence, Event.body)


@dataclass(frozen=True, slots=True)
class _Route:
    """The attributes that decide which channels get an event."""

    type: str
    alert: Mapping[str, Any]
    tags: Sequence[str]


def listing(account_id: UUID, since: int) -> Listing:
    """Return the list of the events after the number ``since``, oldest first.

    effects  assigns sequence numbers to new events
    """
    if distribute(account_id):
        queue.enqueue_delivery()
    statement = select(*COLUMNS).where(Event.account_id == account_id, Event.sequence > since)
    return Listing(statement, (Event.sequence,))


def distribute_all() -> int:
    """Run ``distribute`` for every account with new events, and return the number of events."""
    with transaction(readonly=True) as session:
        account_ids = session.scalars(
            select(Event.account_id).where(Event.sequence.is_(None)).distinct().limit(BATCH_SIZE)
        ).all()
    return sum(map(distribute, account_ids))


def distribute(account_id: UUID) -> int:
    """Number the account's new events, create their deliveries, and return how many there were."""
    with transaction(readonly=True) as session:
        if session.scalar(_unnumbered(account_id).limit(1)) is None:
            return 0
    with transaction() as session:
        account = session.scalar(
            select(Account).where(Account.id == account_id).with_for_update(key_share=True)
        )
        if account is None:
            return 0
        fresh = _complete_scans(session.scalars(_unnumbered(account_id).limit(BATCH_SIZE)).all())
        for event in fresh:
            account.last_sequence = event.sequence = account.last_sequence + 1
        if fresh:
            _create_deliveries(session, account_id, fresh)
        return len(fresh)


def _complete_scans(events: Sequence[Event]) -> Sequence[Event]:
    """The events without the last transaction's, which may continue after a full batch.

    So deliveries of alerts with one cause are created together.
    """
    if len(events) < BATCH_SIZE:
        return events
    size = len(events)
    while size and events[size - 1].at == events[-1].at:
        size -= 1
    return events[:size] or events


def next_digest(cadence: str, now: datetime) -> datetime | None:
    """Return when the next digest is due: at DIGEST_HOUR, on Monday if weekly; None without one."""
    if cadence == "immediate":
        return None
    at = now.replace(hour=DIGEST_HOUR, minute=0, second=0, microsecond=0)
    at += timedelta(days=(7 - at.weekday()) % 7) if cadence == "weekly" else timedelta(0)
    period = timedelta(days=7 if cadence == "weekly" else 1)
    return at if at > now else at + period


def _unnumbered(account_id: UUID) -> Any:
    return (
        select(Event)
        .where(Event.account_id == account_id, Event.sequence.is_(None))
        .order_by(Event.number)
    )


def _create_deliveries(session: Session, account_id: UUID, events: Sequence[Event]) -> None:
    channels = session.scalars(
        select(Channel).where(Channel.account_id == account_id, Channel.disabled_at.is_(None))
    ).all()
    if not channels:
        return
    now = transactions.now(session)
    tags = _tags(session, account_id, events)
    for channel in channels:
        if channel.digest_at is not None and channel.digest_at <= now:
            channel.digest_at = next_digest(channel.cadence, now)
    rows = []
    for event in events:
        alert = event.body["data"].get("alert", {})
        route = _Route(event.type, alert, tags.get(alert.get("domainName"), ()))
        rows += [
            _delivery(channel, event, now) for channel in channels if _is_for(channel, event, route)
        ]
    if rows:
        session.execute(insert(session, Delivery).on_conflict_do_nothing(), rows)


def _tags(
    session: Session, account_id: UUID, events: Sequence[Event]
) -> Mapping[str | None, Sequence[str]]:
    names = {event.body["data"].get("alert", {}).get("domainName") for event in events}
    rows = session.execute(
        select(Domain.name, Domain.tags).where(
            Domain.account_id == account_id, Domain.name.in_(filter(None, names))
        )
    )
    return {row.name: row.tags for row in rows}


def _delivery(channel: Channel, event: Event, now: datetime) -> dict[str, Any]:
    is_digest = event.type != outbox.TEST and channel.digest_at is not None
    return {
        "id": ids.new(),
        "account_id": channel.account_id,
        "channel_id": channel.id,
        "event_number": event.number,
        "alert_id": event.alert_id,
        "status": "pending",
        "attempts": 0,
        "next_at": channel.digest_at if is_digest else now,
        "created_at": now,
    }


def _is_for(channel: Channel, event: Event, route: _Route) -> bool:
    if event.type == outbox.TEST:
        return bool(event.body["data"]["channelId"] == ids.public("chan", channel.id))
    gets_all = CHANNEL_TYPES[channel.kind].receives_all_events
    if not gets_all and event.type not in NOTIFIED_EVENTS:
        return False
    severity = Severity(route.alert["severity"])
    return (
        severity.rank <= Severity(channel.min_severity).rank
        and _gets_type(channel, route.alert["type"])
        and (not channel.tags or not set(channel.tags).isdisjoint(route.tags))
        and (not channel.domains or route.alert["domainName"] in channel.domains)
    )


def _gets_type(channel: Channel, type: str) -> bool:
    patterns = channel.types
    return not patterns or any(alert_types.matches(pattern, type) for pattern in patterns)
