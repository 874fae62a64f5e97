"""The feed: an account's events in one order, and from there to its channels.

An event is numbered only once its transaction is over, under a lock of the account: so none can
appear behind a number that somebody has read already, and no number is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import ids
from app.checks.engine.types import Severity
from app.db.bulk import insert
from app.db.transactions import now, transaction
from app.jobs import queue
from app.models import Account, Channel, Delivery, Domain, Event
from app.services.core.listing import Listing
from app.services.notifications import outbox

BATCH_SIZE = 500  # events a transaction
DIGEST_HOUR = 8  # UTC
# What people are told; webhooks get everything, so that what listens there can keep in step.
NOTIFIED_EVENTS = frozenset(
    ("alert.opened", "alert.reopened", "alert.escalated", "alert.reminded", "alert.resolved")
)
COLUMNS = (Event.id, Event.sequence, Event.body)


@dataclass(frozen=True, slots=True)
class _Route:
    """What decides whether a channel gets an event."""

    type: str
    alert: Mapping[str, Any]
    tags: Sequence[str]


def read(
    account_id: UUID, since: int, *, place: Sequence[Any] | None = None, limit: int = 50
) -> tuple[Sequence[Any], list[Any] | None]:
    """Rows of COLUMNS behind the number ``since``, in order, and the place of the next page.

    effects  events that have no number yet get one
    """
    if distribute(account_id):
        queue.enqueue_delivery()
    statement = select(*COLUMNS).where(Event.account_id == account_id, Event.sequence > since)
    return Listing(statement, (Event.sequence,)).page(place, limit)


def distribute_all() -> int:
    """As ``spread`` for every account that has events without a number; how many those were."""
    with transaction(readonly=True) as session:
        waiting = session.scalars(
            select(Event.account_id).where(Event.sequence.is_(None)).distinct().limit(BATCH_SIZE)
        ).all()
    return sum(map(distribute, waiting))


def distribute(account_id: UUID) -> int:
    """Number the account's new events and hand them to its channels; how many there were."""
    with transaction(readonly=True) as session:
        if session.scalar(_unnumbered(account_id).limit(1)) is None:
            return 0
    with transaction() as session:
        account = session.scalar(
            select(Account).where(Account.id == account_id).with_for_update(key_share=True)
        )
        if account is None:
            return 0
        fresh = session.scalars(_unnumbered(account_id).limit(BATCH_SIZE)).all()
        for event in fresh:
            account.last_sequence = event.sequence = account.last_sequence + 1
        if fresh:
            _hand_over(session, account_id, fresh)
        return len(fresh)


def next_digest(cadence: str, moment: datetime) -> datetime | None:
    """When the next digest is due: at DIGEST_HOUR, on a Monday if it is weekly."""
    if cadence == "immediate":
        return None
    at = moment.replace(hour=DIGEST_HOUR, minute=0, second=0, microsecond=0)
    at += timedelta(days=(7 - at.weekday()) % 7) if cadence == "weekly" else timedelta(0)
    period = timedelta(days=7 if cadence == "weekly" else 1)
    return at if at > moment else at + period


def _unnumbered(account_id: UUID) -> Any:
    return (
        select(Event)
        .where(Event.account_id == account_id, Event.sequence.is_(None))
        .order_by(Event.number)
    )


def _hand_over(session: Session, account_id: UUID, fresh: Sequence[Event]) -> None:
    channels = session.scalars(
        select(Channel).where(Channel.account_id == account_id, Channel.disabled_at.is_(None))
    ).all()
    if not channels:
        return
    moment = now(session)
    tags = _tags(session, account_id, fresh)
    for channel in channels:
        if channel.digest_at is not None and channel.digest_at <= moment:
            channel.digest_at = next_digest(channel.cadence, moment)
    rows = []
    for event in fresh:
        alert = event.body["data"].get("alert", {})
        route = _Route(event.type, alert, tags.get(alert.get("domainName"), ()))
        rows += [
            _delivery(channel, event, moment)
            for channel in channels
            if _is_for(channel, event, route)
        ]
    if rows:
        session.execute(insert(session, Delivery).on_conflict_do_nothing(), rows)


def _tags(
    session: Session, account_id: UUID, fresh: Sequence[Event]
) -> Mapping[str | None, Sequence[str]]:
    names = {event.body["data"].get("alert", {}).get("domainName") for event in fresh}
    rows = session.execute(
        select(Domain.name, Domain.tags).where(
            Domain.account_id == account_id, Domain.name.in_(filter(None, names))
        )
    )
    return {row.name: row.tags for row in rows}


def _delivery(channel: Channel, event: Event, moment: datetime) -> dict[str, Any]:
    waits = event.type != outbox.TEST and channel.digest_at is not None
    return {
        "id": ids.new(),
        "account_id": channel.account_id,
        "channel_id": channel.id,
        "event_number": event.number,
        "alert_id": event.alert_id,
        "status": "pending",
        "attempts": 0,
        "next_at": channel.digest_at if waits else moment,
        "created_at": moment,
    }


def _is_for(channel: Channel, event: Event, route: _Route) -> bool:
    if event.type == outbox.TEST:
        return bool(event.body["data"]["channelId"] == ids.public("chan", channel.id))
    if channel.kind != "webhook" and event.type not in NOTIFIED_EVENTS:
        return False
    severity = Severity(route.alert["severity"])
    return (
        severity.rank <= Severity(channel.min_severity).rank
        and (not channel.types or any(_matches(p, route.alert["type"]) for p in channel.types))
        and (not channel.tags or not set(channel.tags).isdisjoint(route.tags))
        and (not channel.domains or route.alert["domainName"] in channel.domains)
    )


def _matches(pattern: str, type: str) -> bool:
    return type.startswith(pattern[:-1]) if pattern.endswith("*") else type == pattern
