"""Comments on alerts, and the user whom an alert is assigned to. Neither changes the status.

Both are entries of the history of the alert, without an event and without notifications.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import ids
from app.db import transactions
from app.db.transactions import transaction
from app.errors import InvalidRequest
from app.models import Alert, AlertTransition, User
from app.services.alerts import alerts
from app.services.audit import audit_log

MAX_COMMENT = 1000
COMMENTED, ASSIGNED = "alert.commented", "alert.assigned"


@dataclass(frozen=True, slots=True)
class Assignment:
    """Whom an alert was assigned to before a change, and after it; None for no one."""

    alert_id: UUID
    before: str | None
    after: str | None


def comment(account_id: UUID, alert_id: UUID, text: str, *, actor: str) -> None:
    """Add a comment to the history of the alert, whatever its status.

    raises  NotFound; InvalidRequest for an empty or too long comment
    """
    if not 1 <= len(text) <= MAX_COMMENT:
        message = f"Enter a comment of 1 to {MAX_COMMENT} characters"
        raise InvalidRequest.field("note", message, "length")
    with transaction() as session:
        alert = alerts.owned(session, account_id, alert_id, lock=True)
        _add_entry(session, alert, COMMENTED, actor=actor, note=text)


def assign(
    account_id: UUID, alert_ids: Sequence[str], email: str | None, *, actor: str
) -> Sequence[Assignment]:
    """Assign the alerts to a user of the account, or to no one; unknown alerts are left out.

    raises  InvalidRequest if the account has no such active user
    """
    parsed = [alert_id for text in alert_ids if (alert_id := ids.parse("alert", text))]
    with transaction() as session:
        if email is not None and email not in assignees(session, account_id):
            message = "Choose a user of this account"
            raise InvalidRequest.field("assignee", message, "not_found")
        rows = alerts.locked(session, account_id, parsed)
        return [_assign(session, row, email, actor) for row in rows if row.assignee != email]


def undo(account_id: UUID, assignments: Sequence[Assignment], *, actor: str) -> int:
    """Restore whom alerts were assigned to, and return how many were restored.

    An alert that was assigned to another user since then stays unchanged.
    """
    by_id = {assignment.alert_id: assignment for assignment in assignments}
    with transaction() as session:
        rows = alerts.locked(session, account_id, by_id)
        unchanged = [row for row in rows if row.assignee == by_id[row.id].after]
        for row in unchanged:
            _assign(session, row, by_id[row.id].before, actor)
        return len(unchanged)


def assignees(session: Session, account_id: UUID) -> Sequence[str]:
    """Return the addresses of the account's active users, in the caller's transaction."""
    active = User.account_id == account_id, User.disabled_at.is_(None)
    return session.scalars(select(User.email).where(*active).order_by(User.email)).all()


def _assign(session: Session, alert: Alert, email: str | None, actor: str) -> Assignment:
    assignment = Assignment(alert.id, alert.assignee, email)
    alert.assignee = email
    _add_entry(session, alert, ASSIGNED, actor=actor, note=email)
    return assignment


def _add_entry(session: Session, alert: Alert, type: str, *, actor: str, note: str | None) -> None:
    now = transactions.now(session)
    alert.updated_at = now
    session.add(
        AlertTransition(
            alert_id=alert.id,
            account_id=alert.account_id,
            at=now,
            type=type,
            from_status=alert.status,
            to_status=alert.status,
            actor=actor,
            note=note,
        )
    )
    audit_log.record(
        session,
        alert.account_id,
        actor=actor,
        action=type,
        target=ids.public("alert", alert.id),
        note=note,
    )
