"""Calls that may be repeated: each is done once, and every repeat gets the first answer."""

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
ABANDONED_AFTER = timedelta(minutes=2)  # a call that has run this long ended without an answer


@dataclass(frozen=True, slots=True)
class Call:
    """One call: by which key, on which route, with which Idempotency-Key and body."""

    api_key_id: UUID
    route: str
    key: str
    request_digest: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the first call was answered."""

    status: int
    body: bytes
    location: str | None


def begin(call: Call) -> Answer | None:
    """None if the call is the first: it must then end in ``finish`` or ``abandon``.

    returns  otherwise the answer that the first one got
    raises   IdempotencyMismatch if that had another body, IdempotencyInProgress while it runs
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
        found = session.get_one(IdempotentCall, (call.api_key_id, call.route, call.key))
        if found.request_digest != call.request_digest:
            raise IdempotencyMismatch("This Idempotency-Key was used with another body")
        if found.status is None:
            raise IdempotencyInProgress("A request with this Idempotency-Key is still in progress")
        return Answer(found.status, found.body or b"", found.location)


def finish(call: Call, answer: Answer) -> None:
    """Keep the answer for repeats, for a day."""
    with transaction() as session:
        session.execute(
            update(IdempotentCall)
            .where(*_is(call))
            .values(status=answer.status, body=answer.body, location=answer.location)
        )


def abandon(call: Call) -> None:
    """The call was refused or failed: it may be made again."""
    with transaction() as session:
        session.execute(delete(IdempotentCall).where(*_is(call), IdempotentCall.status.is_(None)))


def _is(call: Call) -> tuple[ColumnElement[bool], ...]:
    return (
        IdempotentCall.api_key_id == call.api_key_id,
        IdempotentCall.route == call.route,
        IdempotentCall.key == call.key,
    )
