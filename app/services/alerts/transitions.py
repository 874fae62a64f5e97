"""Status changes of alerts: the row, its history and its event, in one transaction.

Every function runs in the caller's transaction. The events table is the outbox: deliveries are sent
from app.protocols.json_values import JsonObject
from its rows once they are committed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app import ids
from app.checks.engine.types import Severity
from app.db import bulk
from app.models import Account, Alert, AlertTransition, Domain
from app.protocols.json_values import JsonObject
from app.rules.engine.types import AlertDraft
from app.services.alerts.causes import CauseIds
from app.services.core import lifecycle_log
from app.services.core.lifecycle_log import Lifecycle
from app.services.notifications import outbox

SYSTEM = "system"
REOPEN_WINDOW = timedelta(hours=24)  # a recurrence within it reopens the same alert

_EVENTS_BY_STATUS = {
    "open": "alert.reopened",
    "acknowledged": "alert.acknowledged",
    "snoozed": "alert.snoozed",
    "dismissed": "alert.dismissed",
    "resolved": "alert.resolved",
}


@dataclass(frozen=True, slots=True)
class Transition:
    """One status change of an alert.

    event     the event type; by default that of the new status
    evidence  the observations, for the history
    """

    status: str
    actor: str = SYSTEM
    note: str | None = None
    evidence: JsonObject | None = None
    event: str | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """When alerts were seen, and by which scan.

    scan_id  None for scheduled tasks
    causes   the ids of the causes of the alerts
    """

    now: datetime
    scan_id: UUID | None = None
    causes: CauseIds = field(default_factory=CauseIds)


def open_alert(
    session: Session, owner: Domain | Account, drafts: Sequence[AlertDraft], seen: Sighting
) -> list[UUID]:
    """Open an alert for each draft, and return the ids of the alerts.

    A draft of an alert that was resolved within REOPEN_WINDOW reopens that alert.
    """
    if not drafts:
        return []
    recent = _recently_resolved(session, owner, drafts, seen.now)
    for draft in drafts:
        if alert := recent.get((draft.type, draft.subject[:300])):
            _update(alert, draft, seen)
            alert.cause_id = seen.causes.of(draft)
            note = "the problem was seen again"
            transition(session, alert, Transition("open", note=note), seen.now)
    fresh = [draft for draft in drafts if (draft.type, draft.subject[:300]) not in recent]
    opened = _insert(session, owner, fresh, seen) if fresh else []
    return [alert.id for alert in recent.values()] + opened


def refresh(session: Session, alert: Alert, draft: AlertDraft, seen: Sighting) -> None:
    """Refresh an alert that is seen again; a higher severity reopens it, whatever its status."""
    old = Severity(alert.severity)
    _update(alert, draft, seen)
    if draft.severity.rank < old.rank:
        alert.cause_id = seen.causes.of(draft)
        note = f"severity raised from {old} to {draft.severity}"
        change = Transition("open", note=note, event="alert.escalated")
        transition(session, alert, change, seen.now)


def transition(session: Session, alert: Alert, change: Transition, now: datetime) -> None:
    """Change the status of the alert, and record the transition and its event."""
    before = alert.status
    alert.status, alert.updated_at = change.status, now
    alert.resolved_at = now if change.status == "resolved" else None
    if change.status != "snoozed":
        alert.snoozed_until = None
    if change.status != "dismissed":
        alert.accepted_until = alert.risk_owner = None
    if change.status == "open":
        alert.reminded_at = now
    _record(session, [(alert, before, change)], now)


def _recently_resolved(
    session: Session, owner: Domain | Account, drafts: Sequence[AlertDraft], now: datetime
) -> dict[tuple[str, str], Alert]:
    """Return the last alert resolved within the window, by (type, subject); locked."""
    recent: dict[tuple[str, str], Alert] = {}
    keys = {(draft.type, draft.subject[:300]) for draft in drafts}
    for alert in session.scalars(
        select(Alert)
        .where(
            *_of_owner(owner),
            Alert.status == "resolved",
            Alert.resolved_at > now - REOPEN_WINDOW,
            Alert.type.in_({draft.type for draft in drafts}),
        )
        .order_by(Alert.resolved_at)
        .with_for_update()
    ):
        if (alert.type, alert.subject) in keys:
            recent[(alert.type, alert.subject)] = alert
    return recent


def _insert(
    session: Session,
    owner: Domain | Account,
    drafts: Sequence[AlertDraft],
    seen: Sighting,
) -> list[UUID]:
    """Insert the alerts; the unique index decides which of two concurrent inserts opens one."""
    common = {
        "status": "open",
        "first_seen_at": seen.now,
        "last_seen_at": seen.now,
        "updated_at": seen.now,
        "occurrences": 1,
        "scan_id": seen.scan_id,
        "snoozed_until": None,
        "resolved_at": None,
        **_identity(owner),
    }
    rows = [
        {"id": ids.new(), "cause_id": seen.causes.of(draft), **common, **_values(draft)}
        for draft in drafts
    ]
    statement = bulk.insert(session, Alert).on_conflict_do_nothing().returning(Alert.id)
    opened = list(session.scalars(statement, rows))
    alerts = [Alert(**row) for row in rows if row["id"] in opened]
    change = Transition("open", event="alert.opened")
    _record(session, [(alert, None, change) for alert in alerts], seen.now)
    return opened


def _record(
    session: Session, changes: Sequence[tuple[Alert, str | None, Transition]], now: datetime
) -> None:
    if not changes:
        return
    rows = [
        {
            "id": ids.new(),
            "alert_id": alert.id,
            "account_id": alert.account_id,
            "at": now,
            "from_status": before,
            "to_status": change.status,
            "actor": change.actor,
            "note": change.note,
            "evidence": change.evidence,
            "type": change.event or _EVENTS_BY_STATUS[change.status],
        }
        for alert, before, change in changes
    ]
    session.execute(insert(AlertTransition), rows)
    alerts = [alert for alert, _, _ in changes]
    outbox.record_transitions(session, list(zip(alerts, rows, strict=True)))
    for alert, row in zip(alerts, rows, strict=True):
        lifecycle_log.record(
            session,
            Lifecycle(str(row["type"])),
            account_id=alert.account_id,
            domain_id=alert.domain_id,
            alert_id=alert.id,
            alert_type=alert.type,
            severity=alert.severity,
        )


def _update(alert: Alert, draft: AlertDraft, seen: Sighting) -> None:
    for name, value in _values(draft).items():
        setattr(alert, name, value)
    alert.scan_id = seen.scan_id or alert.scan_id
    alert.last_seen_at, alert.updated_at = seen.now, seen.now
    alert.occurrences = alert.occurrences + 1


def _values(draft: AlertDraft) -> dict[str, Any]:
    return {
        "type": draft.type,
        "subject": draft.subject[:300],
        "severity": draft.severity.value,
        "title": draft.title[:200],
        "message": draft.message[:1000],
        "evidence": dict(draft.evidence),
        "fix": (draft.fix.as_json() if draft.fix else None),
        "reference": draft.reference,
    }


def _identity(owner: Domain | Account) -> dict[str, Any]:
    if isinstance(owner, Account):
        return {"account_id": owner.id, "domain_id": None, "domain_name": None}
    return {
        "account_id": owner.account_id,
        "domain_id": owner.id,
        "domain_name": owner.name,
    }


def _of_owner(owner: Domain | Account) -> tuple[Any, ...]:
    if isinstance(owner, Domain):
        return (Alert.domain_id == owner.id,)
    return Alert.account_id == owner.id, Alert.domain_id.is_(None)
