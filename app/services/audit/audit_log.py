"""The audit log: an entry is written in the transaction of the action that it records."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Unpack
from uuid import UUID

from sqlalchemy.orm import Session

from app.db.transactions import transaction
from app.models import AuditEvent
from app.models.stored_json import AuditDetails


@dataclass(frozen=True, slots=True)
class Origin:
    """The client address and the id of the current request."""

    address: str | None = None
    request_id: str | None = None


# Set once for each request, so that services need not pass it on.
origin: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039 - it is frozen


@contextmanager
def acting_from(address: str | None) -> Iterator[None]:
    """Record the entries of the block with the address of the client that requested the work."""
    token = origin.set(Origin(address=address))
    try:
        yield
    finally:
        origin.reset(token)


def record(
    session: Session,
    account_id: UUID,
    *,
    actor: str,
    action: str,
    target: str,
    **details: Unpack[AuditDetails],
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


def record_read(
    account_id: UUID, *, actor: str, action: str, target: str, **details: Unpack[AuditDetails]
) -> None:
    """Record an action without changes, like an export, in a separate transaction."""
    with transaction() as session:
        record(session, account_id, actor=actor, action=action, target=target, **details)
