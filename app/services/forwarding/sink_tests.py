"""Tests of sinks, and what waits for them."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import ids
from app.db import transactions
from app.db.transactions import transaction
from app.errors import ServiceUnavailable
from app.models import RecordLogEntry, RecordSink
from app.ports.network import Network, SessionFactory
from app.protocols import timestamps
from app.services.audit import audit_log
from app.services.forwarding import attempts, kinds, sinks
from app.services.forwarding.attempts import Result

MAX_TESTS = 2  # at a time in this process, as a receiver may take long to answer

_tests = threading.BoundedSemaphore(MAX_TESTS)


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """A sink, and since when the oldest record waits for it; None if none waits."""

    row: RecordSink
    waiting_since: datetime | None


def test(account_id: UUID, sink_id: UUID, network: Network, *, actor: str) -> str | None:
    """Send a test record, and return why it was not accepted; None if it was.

    raises   NotFound; ServiceUnavailable if MAX_TESTS others run
    effects  an entry in the audit log
    """
    row = sinks.find(account_id, sink_id)
    with transaction() as session:
        now = timestamps.text(transactions.now(session))
        target = ids.public(sinks.PREFIX, row.id)
        audit_log.record(session, account_id, actor=actor, action="sink.tested", target=target)
    record = {
        "id": f"test-{ids.new()}",
        "kind": "test",
        "at": now,
        "storedAt": now,
        "domain": None,
        "message": "This is a test record from mailwatch.",
    }

    async def send(new_session: SessionFactory) -> Result:
        return await attempts.send(row, [record], new_session())

    with _slot():
        return network.run(send).error


def overview(account_id: UUID) -> Sequence[SinkStatus]:
    """Return the sinks of the account by name, with what waits for them."""
    with transaction(readonly=True, snapshot=True) as session:
        rows = session.scalars(
            select(RecordSink).where(RecordSink.account_id == account_id).order_by(RecordSink.name)
        ).all()
        return [SinkStatus(row, _waiting_since(session, row)) for row in rows]


def status(account_id: UUID, sink_id: UUID) -> SinkStatus:
    """Return a sink with what waits for it; raises NotFound."""
    row = sinks.find(account_id, sink_id)
    with transaction(readonly=True) as session:
        return SinkStatus(row, _waiting_since(session, row))


def _waiting_since(session: Session, row: RecordSink) -> datetime | None:
    entries = (
        select(RecordLogEntry.at)
        .where(
            RecordLogEntry.account_id == row.account_id,
            RecordLogEntry.kind.in_(kinds.entry_kinds(row.record_kinds)),
        )
        .limit(1)
    )
    # A sink that has read a part of an entry may have read all of it.
    first = row.sequence + (1 if row.offset else 0)
    numbered = entries.where(RecordLogEntry.sequence >= first).order_by(RecordLogEntry.sequence)
    oldest = session.scalar(numbered)
    if oldest is not None:
        return oldest
    fresh = entries.where(RecordLogEntry.sequence.is_(None)).order_by(RecordLogEntry.number)
    return session.scalar(fresh)


@contextmanager
def _slot() -> Iterator[None]:
    """Limit the number of tests that run at the same time."""
    if not _tests.acquire(blocking=False):
        raise ServiceUnavailable("Other sinks are being tested. Try again in a minute.")
    try:
        yield
    finally:
        _tests.release()
