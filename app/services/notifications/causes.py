"""Deliveries of alerts with one cause, which people get as one message."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from app.checks.engine.types import Severity
from app.models import Alert, Delivery, Event

MAX_EVENTS = 50  # in one message
_RESOLVED = "alert.resolved"

Row = tuple[Delivery, Event]


def with_same_cause(
    session: Session, row: Row, is_ready: Sequence[ColumnElement[bool]]
) -> list[Row]:
    """Return the delivery with those to its channel that report the same cause, worst first.

    They report changes of one transaction: alerts that opened, or alerts that were resolved.

    is_ready  conditions of the deliveries that can be sent now
    """
    delivery, event = row
    if event.alert_id is None:
        return [row]
    is_resolved = Event.type == _RESOLVED
    cause_id = select(Alert.cause_id).where(Alert.id == event.alert_id).scalar_subquery()
    rows = session.execute(
        select(Delivery, Event)
        .join(Event, Event.number == Delivery.event_number)
        .join(Alert, Alert.id == Delivery.alert_id)
        .where(
            Alert.cause_id == cause_id,
            Delivery.channel_id == delivery.channel_id,
            Event.at == event.at,
            is_resolved if event.type == _RESOLVED else ~is_resolved,
            *is_ready,
        )
        .order_by(Delivery.event_number)
        .limit(MAX_EVENTS)
    )
    group = [(result.Delivery, result.Event) for result in rows]
    if delivery.id not in {other.id for other, _ in group}:
        return [row]  # the alert was deleted
    return sorted(group, key=_rank)


def _rank(row: Row) -> int:
    severity: str = row[1].body["data"]["alert"]["severity"]
    return Severity(severity).rank
