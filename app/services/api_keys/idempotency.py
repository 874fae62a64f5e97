"""Idempotency keys: a repeated request gets the response of the first one."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, update

from app.db import transactions
from app.db.bulk import insert
from app.db.transactions import transaction
from app.errors import IdempotencyInProgress, IdempotencyMismatch
from app.models import IdempotentCall

RETENTION = timedelta(hours=24)
ABANDONED_AFTER = timedelta(
    minutes=2
)  # a request without a response after this time is considered lost


@dataclass(frozen=True, slots=True)
class Call:
    """A request with an Idempotency-Key.

    key             the Idempotency-Key
    request_digest  of its body
    """

    api_key_id: UUID
    route: str
    key: str
    request_digest: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to the first request."""

    status: int
    body: bytes
    location: str | None


def begin(call: Call) -> Answer | None:
    """Return the response to the first request with this key, or None if this is the first one.

    The caller ends a first request with ``finish`` or ``abandon``.

    raises  IdempotencyMismatch if the first request had a different body; IdempotencyInProgress
            while it runs
    """
    with transaction() as session:
        now = transactions.now(session)
        old = (IdempotentCall.created_at < now - RETENTION) | (
            IdempotentCall.status.is_(None) & (IdempotentCall.created_at < now - ABANDONED_AFTER)
        )
        session.execute(delete(IdempotentCall).where(*_is(call), old))
        statement = insert(session, IdempotentCall).values(
            api_key_id=call.api_key_id,
            route=call.route,
            key=call.key,
            request_digest=call.request_digest,
            created_at=now,
        )
        first = session.scalar(
            statement.on_conflict_do_nothing().returning(IdempotentCall.request_digest)
        )
        if first is not None:
            return None
        row = session.get_one(IdempotentCall, (call.api_key_id, call.route, call.key))
        if row.request_digest != call.request_digest:
            raise IdempotencyMismatch("This Idempotency-Key was used with a different body")
        if row.status is None:
            raise IdempotencyInProgress("A request with this Idempotency-Key is still in progress")
        return Answer(row.status, row.body or b"", row.location)


def finish(call: Call, answer: Answer) -> None:
    """Store the response for repeated requests, for RETENTION."""
    with transaction() as session:
        session.execute(
            update(IdempotentCall)
            .where(*_is(call))
            .values(status=answer.status, body=answer.body, location=answer.location)
        )


def abandon(call: Call) -> None:
    """Delete the key of a request that was refused or failed, so that it can be repeated."""
    with transaction() as session:
        session.execute(delete(IdempotentCall).where(*_is(call), IdempotentCall.status.is_(None)))


def _is(call: Call) -> tuple[ColumnElement[bool], ...]:
    return (
        IdempotentCall.api_key_id == call.api_key_id,
        IdempotentCall.route == call.route,
        IdempotentCall.key == call.key,
    )
