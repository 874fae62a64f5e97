"""Events: written in the transaction of what happened; alike in the feed and in webhooks."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app import ids, queue, settings
from app.db import after_commit
from app.models import Alert, Event
from app.protocols import timestamps

TEST = "test"
_BELL = "delivery bell"

_REPORTS = {"tls": "tlr", "ruf": "flr"}  # what alerts of other types come from is a dmr


def record_transition(session: Session, alert: Alert, transition: Mapping[str, Any]) -> None:
    """The event of a change of an alert; a step. Its id is the transition's: there is one of each.

    transition  the values of its row
    """
    data = {
        "alert": alert_as_json(alert),
        "transition": {
            "fromStatus": transition["from_status"],
            "toStatus": transition["to_status"],
            "actor": transition["actor"],
            "note": transition["note"],
            "evidence": transition["evidence"],
        },
    }
    _record(session, transition, transition["type"], alert.id, data)


def record_test(session: Session, account_id: UUID, channel_id: UUID, moment: datetime) -> UUID:
    """An event that only this channel gets; a step."""
    channel = ids.public("chan", channel_id)
    row = {"id": ids.new(), "account_id": account_id, "at": moment}
    _record(session, row, TEST, None, {"channelId": channel, "message": "This is a test."})
    return row["id"]  # type: ignore[return-value]  # the id just made


def as_json(event: Any) -> dict[str, Any]:
    """An event, or a row of its id, sequence and body, as the feed and webhooks have it."""
    return {"id": ids.public("evt", event.id), "sequence": event.sequence, **event.body}


def alert_as_json(alert: Any) -> dict[str, Any]:
    """An alert, or a row of its columns, on the wire."""
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
        "runbook": runbook(alert.type),
        "firstSeenAt": timestamps.text(alert.first_seen_at),
        "lastSeenAt": timestamps.text(alert.last_seen_at),
        "occurrences": alert.occurrences,
        "snoozedUntil": _time(alert.snoozed_until),
        "acceptedUntil": _time(alert.accepted_until),
        "riskOwner": alert.risk_owner,
        "resolvedAt": _time(alert.resolved_at),
        "scanId": ids.public("scan", alert.scan_id) if alert.scan_id else None,
        "reportId": public_report(alert.type, alert.report_id) if alert.report_id else None,
        "updatedAt": timestamps.text(alert.updated_at),
    }


def public_report(type: str, report_id: UUID) -> str:
    """The id of the report that an alert of this type comes from."""
    return ids.public(_REPORTS.get(type.partition(".")[0], "dmr"), report_id)


def runbook(type: str) -> str:
    """Where it is written what alerts of this type mean, and what to do."""
    return f"{settings.current().base_url}/docs/alerts#{type}"


def _dedup_key(alert: Any) -> str:
    """The same for whatever is the same thing in the account: for who groups by something."""
    about = f"{alert.domain_name or ''}|{alert.type}|{alert.subject}"
    return hashlib.sha256(about.encode()).hexdigest()[:32]


def _record(
    session: Session,
    row: Mapping[str, Any],
    type: str,
    alert_id: UUID | None,
    data: Mapping[str, Any],
) -> None:
    body = {"type": type, "timestamp": timestamps.text(row["at"]), "data": data}
    session.execute(
        insert(Event).values(
            id=row["id"],
            account_id=row["account_id"],
            type=type,
            at=row["at"],
            alert_id=alert_id,
            body=body,
        )
    )
    if not session.info.get(_BELL):  # once a transaction
        session.info[_BELL] = True
        after_commit(session, queue.enqueue_delivery)


def _time(moment: datetime | None) -> str | None:
    return timestamps.text(moment) if moment else None
