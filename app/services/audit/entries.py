"""The entries of the audit log, for reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select

from app.models import AuditEvent
from app.services.audit import refusals
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


# The log is immutable: entries of earlier versions keep the former name of their action.
_FORMER_PREFIXES = {"report_file.": "intake."}


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; ``actor`` and ``target`` match a part, ``action`` the beginning of a text."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


def search(
    account_id: UUID,
    filters: AuditFilter,
    *,
    cursor_values: Sequence[Any] | None = None,
    limit: int = 50,
) -> tuple[Sequence[Any], list[Any] | None]:
    """Return rows of COLUMNS, newest first, and the cursor values of the next page, if any.

    effects  stores the refusals that this process has counted, so that they are listed too
    """
    refusals.flush()
    statement: Any = select(*COLUMNS).where(AuditEvent.account_id == account_id)
    for column, part in ((AuditEvent.actor, filters.actor), (AuditEvent.target, filters.target)):
        if part:
            statement = statement.where(column.icontains(part, autoescape=True))
    if filters.action:
        prefixes = [filters.action, _FORMER_PREFIXES.get(filters.action, filters.action)]
        names = (AuditEvent.action.startswith(prefix, autoescape=True) for prefix in prefixes)
        statement = statement.where(or_(*names))
    statement = listing.apply_filters(statement, (), AuditEvent.at, filters)
    return Listing(statement, (AuditEvent.id.desc(),)).page(cursor_values, limit)
