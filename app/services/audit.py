"""The log of what was done: a step of the act itself, so that there is no act without it."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.models import AuditEvent


def record(
    session: Session, account_id: UUID, *, actor: str, action: str, target: str, **details: Any
) -> None:
    """Note one act in its own transaction; ``details`` are JSON without secrets."""
    session.add(
        AuditEvent(
            account_id=account_id, actor=actor, action=action, target=target, details=details
        )
    )
