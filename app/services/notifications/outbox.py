"""Events: written in the transaction of the change, with one format in the feed and in webhooks."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app import ids
from app.db.transactions import after_commit
from app.jobs import queue
from app.models import Alert, Channel, Event
from app.models.stored_json import EventBody, EventData, StoredAlert
from app.protocols import timestamps
from app.services.core import finding_docs, privacy
from app.services.record_log import record_log
from app.services.record_log.record_log import Entry, EntryKind

TEST = "test"
_NOTIFIED = "delivery notification"


def record_transitions(
    session: Session, changed: Sequence[tuple[Alert, Mapping[str, Any]]]
) -> None:
    """Write the events of alert transitions; runs in the caller's transaction.

    An event has the id of its transition, so there is exactly one.

    changed  each alert with the values of its transition row
    """
    _record(
        session,
        [
            _row(transition, transition["type"], alert.id, _change_data(alert, transition))
            for alert, transition in changed
        ],
    )


def record_test(session: Session, account_id: UUID, channel_id: UUID, now: datetime) -> UUID:
    """Write a test event for one channel in the caller's transaction, and return its id."""
    channel = ids.public("chan", channel_id)
    row = {"id": ids.new(), "account_id": account_id, "at": now}
    data: EventData = {"channelId": channel, "message": "This is a test message from mailwatch."}
    _record(session, [_row(row, TEST, None, data)])
    return row["id"]  # type: ignore[return-value]  # the id just made


def tests_since(session: Session, channel: Channel, since: datetime) -> int:
    """Return how many tests of the channel were recorded; runs in the caller's transaction."""
    rows = session.scalars(
        select(Event.body).where(
            Event.account_id == channel.account_id, Event.type == TEST, Event.at > since
        )
    )
    name = ids.public("chan", channel.id)
    return sum(body["data"]["channelId"] == name for body in rows)


def as_json(event: Any) -> dict[str, Any]:
    """Return the JSON of an event, or of a row with id, sequence and body, as clients get it."""
    return {"id": ids.public("evt", event.id), "sequence": event.sequence, **event.body}


def alert_as_json(alert: Any) -> StoredAlert:
    """Return the JSON of an alert, or of a row with its columns."""
    return {
        "id": ids.public("alert", alert.id),
        "domainId": ids.public("dom", alert.domain_id) if alert.domain_id else None,
        "domainName": alert.domain_name,
        "type": alert.type,
        "subject": alert.subject,
        "dedupKey": _dedup_key(alert),
        "severity": alert.severity,
        "status": alert.status,
        "title": alert.title,
        "message": alert.message,
        "evidence": alert.evidence,
        "fix": alert.fix,
        "reference": alert.reference,
        "runbook": finding_docs.docs_url(alert.type),
        **finding_docs.explain(alert.type),
        "firstSeenAt": timestamps.text(alert.first_seen_at),
        "lastSeenAt": timestamps.text(alert.last_seen_at),
        "occurrences": alert.occurrences,
        "snoozedUntil": _time(alert.snoozed_until),
        "acceptedUntil": _time(alert.accepted_until),
        "riskOwner": alert.risk_owner,
        "assignee": alert.assignee,
        "resolvedAt": _time(alert.resolved_at),
        "scanId": ids.public("scan", alert.scan_id) if alert.scan_id else None,
        "causeId": ids.public("cause", alert.cause_id or alert.id),
        "updatedAt": timestamps.text(alert.updated_at),
    }


def _dedup_key(alert: Any) -> str:
    """Return a key that is the same for all events of one problem, so that receivers can group."""
    identity = f"{alert.domain_name or ''}|{alert.type}|{alert.subject}"
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def _change_data(alert: Alert, transition: Mapping[str, Any]) -> EventData:
    return {
        "alert": alert_as_json(alert),
        "transition": {
            "fromStatus": transition["from_status"],
            "toStatus": transition["to_status"],
            "actor": privacy.public_actor(transition["actor"]),
            "note": transition["note"],
            "evidence": transition["evidence"],
        },
    }


def _row(
    columns: Mapping[str, Any], type: str, alert_id: UUID | None, data: EventData
) -> dict[str, Any]:
    body: EventBody = {"type": type, "timestamp": timestamps.text(columns["at"]), "data": data}
    base = {name: columns[name] for name in ("id", "account_id", "at")}
    return {**base, "type": type, "alert_id": alert_id, "body": body}


def _record(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    session.execute(insert(Event), rows)
    record_log.append(
        session,
        (
            Entry(
                account_id=row["account_id"],
                domain_id=None,
                kind=EntryKind.ALERT,
                row_id=row["id"],
            )
            for row in rows
            if row["type"] != TEST
        ),
    )
    if not session.info.get(_NOTIFIED):  # once per transaction
        session.info[_NOTIFIED] = True
        after_commit(session, queue.enqueue_delivery)


def _time(at: datetime | None) -> str | None:
    return timestamps.text(at) if at else None
