"""Status changes of alerts: the row, its history and its event, in one transaction.

Every function runs in the caller's transaction. The events table is the outbox: deliveries are sent
from its rows once they are committed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app import ids
from app.checks.engine.types import Severity
from app.db import bulk
from app.models import Account, Alert, AlertTransition, Domain
from app.rules.engine.types import AlertDraft
from app.services.notifications import outbox

SYSTEM = "system"
REOPEN_WINDOW = timedelta(hours=24)  # a recurrence within it reopens the same alert

_OF_STATUS = {
    "open": "alert.reopened",
    "acknowledged": "alert.acknowledged",
    "snoozed": "alert.snoozed",
    "dismissed": "alert.dismissed",
    "resolved": "alert.resolved",
}


@dataclass(frozen=True, slots=True)
class Trigger:
    """What triggered the rules: a scan or a report; neither for people and scheduled tasks."""

    scan_id: UUID | None = None
    report_id: UUID | None = None

    def values(self) -> dict[str, UUID]:
        """The columns of an alert to set; an unknown cause leaves them unchanged."""
        columns = {"scan_id": self.scan_id, "report_id": self.report_id}
        return {name: id for name, id in columns.items() if id is not None}


@dataclass(frozen=True, slots=True)
class Transition:
    """One status change of an alert.

    event     the event type; by default that of the new status
    evidence  what was seen, for the history
    """

    status: str
    actor: str = SYSTEM
    note: str | None = None
    evidence: Mapping[str, Any] | None = None
    event: str | None = None


def open_alert(
    session: Session,
    owner: Domain | Account,
    drafts: Sequence[AlertDraft],
    now: datetime,
    cause: Trigger,
) -> list[UUID]:
    """The ids of the alerts opened, or reopened because they were resolved recently."""
    if not drafts:
        return []
    recent = _recently_resolved(session, owner, drafts, now)
    for draft in drafts:
        if alert := recent.get((draft.type, draft.subject[:300])):
            _reopen(session, alert, draft, now, cause)
    fresh = [draft for draft in drafts if (draft.type, draft.subject[:300]) not in recent]
    opened = _insert(session, owner, fresh, now, cause) if fresh else []
    return [alert.id for alert in recent.values()] + opened


def refresh(
    session: Session, alert: Alert, draft: AlertDraft, now: datetime, cause: Trigger
) -> None:
    """Refresh an alert that is seen again; a higher severity reopens it, whatever its status."""
    old = Severity(alert.severity)
    _update(alert, draft, now, cause)
    if draft.severity.rank < old.rank:
        note = f"severity raised from {old} to {draft.severity}"
        transition(session, alert, Transition("open", note=note, event="alert.escalated"), now)


def transition(session: Session, alert: Alert, step: Transition, now: datetime) -> None:
    """Change the status of the alert, and record the transition and its event."""
    before = alert.status
    alert.status, alert.updated_at = step.status, now
    alert.resolved_at = now if step.status == "resolved" else None
    if step.status != "snoozed":
        alert.snoozed_until = None
    if step.status != "dismissed":
        alert.accepted_until = alert.risk_owner = None
    if step.status == "open":
        alert.reminded_at = now
    _record(session, [(alert, before, step)], now)


def _recently_resolved(
    session: Session, owner: Domain | Account, drafts: Sequence[AlertDraft], now: datetime
) -> dict[tuple[str, str], Alert]:
    """The last alert resolved within the window by (type, subject); locked."""
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


def _reopen(
    session: Session, alert: Alert, draft: AlertDraft, now: datetime, cause: Trigger
) -> None:
    _update(alert, draft, now, cause)
    transition(session, alert, Transition("open", note="the problem was seen again"), now)


def _insert(
    session: Session,
    owner: Domain | Account,
    drafts: Sequence[AlertDraft],
    now: datetime,
    cause: Trigger,
) -> list[UUID]:
    """Insert the alerts; the unique index decides which of two concurrent inserts opens one."""
    common = {
        "status": "open",
        "first_seen_at": now,
        "last_seen_at": now,
        "updated_at": now,
        "occurrences": 1,
        "scan_id": None,
        "report_id": None,
        "snoozed_until": None,
        "resolved_at": None,
        **_identity(owner),
        **cause.values(),
    }
    rows = [{"id": ids.new(), **common, **_values(draft)} for draft in drafts]
    statement = bulk.insert(session, Alert).on_conflict_do_nothing().returning(Alert.id)
    opened = list(session.scalars(statement, rows))
    alerts = [Alert(**row) for row in rows if row["id"] in opened]
    step = Transition("open", event="alert.opened")
    _record(session, [(alert, None, step) for alert in alerts], now)
    return opened


def _record(
    session: Session, steps: Sequence[tuple[Alert, str | None, Transition]], now: datetime
) -> None:
    if not steps:
        return
    rows = [
        {
            "id": ids.new(),
            "alert_id": alert.id,
            "account_id": alert.account_id,
            "at": now,
            "from_status": before,
            "to_status": step.status,
            "actor": step.actor,
            "note": step.note,
            "evidence": step.evidence,
            "type": step.event or _OF_STATUS[step.status],
        }
        for alert, before, step in steps
    ]
    session.execute(insert(AlertTransition), rows)
    alerts = [alert for alert, _, _ in steps]
    outbox.record_transitions(session, list(zip(alerts, rows, strict=True)))


def _update(alert: Alert, draft: AlertDraft, now: datetime, cause: Trigger) -> None:
    for name, value in {**_values(draft), **cause.values()}.items():
        setattr(alert, name, value)
    alert.last_seen_at, alert.updated_at = now, now
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
