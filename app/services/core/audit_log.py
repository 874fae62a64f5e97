"""The audit log: an entry is written in the transaction of the action that it records."""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from app.db.transactions import transaction
from app.models import AuditEvent
from app.services.core import listing
from app.services.core.listing import Listing

COLUMNS = (
    AuditEvent.id,
    AuditEvent.at,
    AuditEvent.actor,
    AuditEvent.action,
    AuditEvent.target,
    AuditEvent.details,
    AuditEvent.address,
    AuditEvent.request_id,
)


@dataclass(frozen=True, slots=True)
class Origin:
    """The client address and the id of the current request."""

    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; ``actor`` and ``target`` match a part, ``action`` the beginning of a text."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


# The log is immutable: entries of earlier versions keep the former name of their action.
_FORMER_PREFIXES = {"report_file.": "intake."}

# Set once for each request, so that services need not pass it on.
origin: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039 - it is frozen


def record(
    session: Session, account_id: UUID, *, actor: str, action: str, target: str, **details: Any
) -> None:
    """Record an action in its own transaction; ``details`` are JSON without secrets."""
    source = origin.get()
    session.add(
        AuditEvent(
            account_id=account_id,
            actor=actor,
            action=action,
            target=target,
            details=details,
            address=source.address,
            request_id=source.request_id,
        )
    )


def record_read(account_id: UUID, *, actor: str, action: str, target: str, **details: Any) -> None:
    """Record an action without changes, like an export, in a transaction of its own."""
    with transaction() as session:
        record(session, account_id, actor=actor, action=action, target=target, **details)


def search(
    account_id: UUID,
    filters: AuditFilter,
    *,
    cursor_values: Sequence[Any] | None = None,
    limit: int = 50,
) -> tuple[Sequence[Any], list[Any] | None]:
    """Return rows of COLUMNS, newest first, and the cursor values of the next page, if any."""
    statement: Select[Any] = select(*COLUMNS).where(AuditEvent.account_id == account_id)
    for column, part in ((AuditEvent.actor, filters.actor), (AuditEvent.target, filters.target)):
        if part:
            statement = statement.where(column.icontains(part, autoescape=True))
    if filters.action:
        prefixes = [filters.action, _FORMER_PREFIXES.get(filters.action, filters.action)]
        names = (AuditEvent.action.startswith(prefix, autoescape=True) for prefix in prefixes)
        statement = statement.where(or_(*names))
    statement = listing.apply_filters(statement, (), AuditEvent.at, filters)
    return Listing(statement, (AuditEvent.id.desc(),)).page(cursor_values, limit)
