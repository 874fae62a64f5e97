"""The forwarding worker: claims sinks with waiting records, sends batches and stores the outcomes.

1. A worker claims a sink with a lease, and reads a batch from its position in the stream.
2. It sends the batch. The network is used between two transactions.
3. It moves the position only if it still holds the lease. A worker that is killed between 2 and 3
   leaves the position unchanged, and the batch is sent again: receivers get every record at least
   once, with the same id.
4. After a failure the sink is not tried again before ``next_at``. It is never given up; the records
   wait in the stream as long as they are stored. Only a record that fails by itself is skipped,
   while the receiver accepts others: at once if it is refused, else if it fails for LASTING.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, and_, exists, select
from sqlalchemy.orm import Session

from app import settings
from app.db import transactions
from app.db.transactions import transaction
from app.jobs import queue
from app.models import RecordLogEntry, RecordSink
from app.ports.network import Network, NetworkSession, SessionFactory
from app.protocols import retry_after
from app.services.core import encryption
from app.services.core.leases import Lease, LeaseTable
from app.services.forwarding import attempts, sinks, stream
from app.services.forwarding.attempts import Result
from app.services.forwarding.records import Record
from app.services.forwarding.stream import Batch, Position
from app.services.record_log import record_log
from app.sinks.registry import SINK_TYPES

MAX_SINKS = 50  # in one run
RUN_SECONDS = 10.0  # of one run, as report files wait behind it
STARVATION_LIMIT = timedelta(minutes=1)  # after which a due sink is served before files
MAX_BATCH_BYTES = 1024 * 1024
MAX_BACKOFF = timedelta(minutes=10)
FIRST_BACKOFF = timedelta(seconds=5)
JITTER = 0.2
LASTING = timedelta(hours=1)  # a failure that is not a refusal may have one record as its reason
MAX_SKIPPED_SHOWN = 20

LEASES = LeaseTable(
    key=RecordSink.id,
    until=RecordSink.lease_until,
    attempt=RecordSink.lease_token,
    holder=RecordSink.lease_holder,
    duration=lambda: settings.current().delivery_lease_seconds,
)


def run(network: Network, *, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Forward what waits, to all sinks concurrently, and return the number of attempts.

    is_stopping  once true, no further attempt starts
    effects      enqueues a job for what is still waiting after RUN_SECONDS
    """
    leases = _claim()
    if not leases:
        return 0
    made = network.run(lambda new_session: _Run(new_session, is_stopping).work(leases))
    enqueue_if_due()
    return made


def enqueue_if_due() -> bool:
    """Enqueue a forwarding job if records wait for a sink, and return whether one is due."""
    with transaction(readonly=True) as session:
        due_since = session.scalar(
            select(RecordSink.next_at)
            .where(_is_due(session), LEASES.is_free(session, transactions.now(session)))
            .order_by(RecordSink.next_at)
            .limit(1)
        )
        if due_since is None:
            return False
        is_late = transactions.now(session) - due_since > STARVATION_LIMIT
    return queue.enqueue_forwarding(is_late=is_late)


@dataclass(frozen=True, slots=True)
class _Work:
    """A sink with a batch of its records."""

    row: RecordSink
    batch: Batch


class _Run:
    """One run over the claimed sinks; each has its own task, so that none waits for another."""

    def __init__(self, new_session: SessionFactory, is_stopping: Callable[[], bool]) -> None:
        self._network: NetworkSession = new_session()
        self._is_stopping = is_stopping
        self._until = time.monotonic() + RUN_SECONDS
        self._leases: dict[UUID, Lease[UUID]] = {}

    async def work(self, leases: Sequence[Lease[UUID]]) -> int:
        """Forward to these sinks, and return the number of attempts."""
        self._leases = {lease.key: lease for lease in leases}
        with LEASES.renewing(lambda: list(self._leases.values())):
            results = await asyncio.gather(*map(self._forward, leases), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result  # after the other sinks; the lease of this one expires
        return sum(result for result in results if isinstance(result, int))

    async def _forward(self, lease: Lease[UUID]) -> int:
        """Send batches to one sink until none waits, it fails, or the time is over."""
        made, work = 0, await asyncio.to_thread(_next, lease)
        while work is not None:
            result = Result(0)
            if work.batch.records:
                result = await self._send(work)
                made += 1
            is_last = self._is_stopping() or time.monotonic() > self._until
            work = await asyncio.to_thread(_advance, lease, work, result, take=not is_last)
        del self._leases[lease.key]
        return made

    async def _send(self, work: _Work) -> Result:
        """Send the batch; records that are refused by themselves are found with other records."""
        row, records = work.row, work.batch.records
        result = await attempts.send(row, records, self._network)
        if not result.suspects or not (
            result.is_refused or await asyncio.to_thread(_is_lasting, row)
        ):
            return result
        samples = await asyncio.to_thread(_samples, row)
        return await attempts.confirm(row, result, records[0], samples, self._network)


def _is_due(session: Session) -> ColumnElement[bool]:
    waiting = exists().where(
        RecordLogEntry.account_id == RecordSink.account_id,
        record_log.is_unread(RecordSink.sequence),
    )
    return and_(
        RecordSink.paused_at.is_(None),
        RecordSink.next_at <= transactions.now(session),
        waiting,
    )


def _claim() -> list[Lease[UUID]]:
    with transaction() as session:
        return LEASES.claim(session, _is_due(session), order=(RecordSink.next_at,), limit=MAX_SINKS)


def _next(lease: Lease[UUID]) -> _Work | None:
    """Return the next batch of the sink; None and the sink is released if nothing waits."""
    with transaction(readonly=True) as session:
        row = session.scalar(select(RecordSink).where(LEASES.is_held([lease])))
    return None if row is None else _read(row)


def _read(row: RecordSink) -> _Work:
    size = SINK_TYPES[row.kind].batch_size
    position = Position(row.sequence, row.offset)
    batch = stream.read(row.account_id, position, row.record_kinds, size)
    return _Work(row, _bounded(batch))


def _samples(row: RecordSink) -> Sequence[Record]:
    return stream.samples(row.account_id, Position(row.sequence, row.offset), row.record_kinds)


def _is_lasting(row: RecordSink) -> bool:
    """Whether the first record of the batch fails for a long time."""
    with transaction(readonly=True) as session:
        now = transactions.now(session)
    return row.failing_since is not None and now - row.failing_since >= LASTING


def _bounded(batch: Batch) -> Batch:
    """Return the beginning of the batch that has at most MAX_BATCH_BYTES, but one record."""
    total = 0
    for index, record in enumerate(batch.records):
        total += len(orjson.dumps(record))
        if total > MAX_BATCH_BYTES and index:
            return Batch(batch.records[:index], _after(batch.records[index - 1]), has_more=True)
    return batch


def _after(record: Record) -> Position:
    return stream.parse_cursor(record["cursor"])


def _advance(lease: Lease[UUID], work: _Work, result: Result, *, take: bool) -> _Work | None:
    """Store the outcome, and return the next batch; without one, release the sink.

    take     False to release the sink
    effects  none if another process holds the sink by now, or it was removed or paused
    """
    with transaction() as session:
        row = session.scalar(select(RecordSink).where(LEASES.is_held([lease])).with_for_update())
        if row is None:
            return None
        _store(session, row, work.batch, result)
        is_complete = result.done == len(work.batch.records)
        is_finished = result.error is not None or (is_complete and not work.batch.has_more)
        if is_finished or not take or row.paused_at is not None:
            row.lease_until = None
            return None
    return _read(row)


def _store(session: Session, row: RecordSink, batch: Batch, result: Result) -> None:
    now = transactions.now(session)
    if result.error is None and result.done == len(batch.records):
        row.sequence, row.offset = batch.position
    elif result.done:
        row.sequence, row.offset = _after(batch.records[result.done - 1])
    row.forwarded_count += result.done - len(result.rejected)
    if result.rejected:
        row.skipped_count += len(result.rejected)
        listed = {**(row.skipped or {}), **result.rejected}
        row.skipped = dict(list(listed.items())[-MAX_SKIPPED_SHOWN:])
    if result.error is None:
        row.failures, row.failure, row.failing_since = 0, None, None
        if batch.records:
            row.succeeded_at = now
            encryption.renew(
                session,
                RecordSink.secret_encrypted,
                row.id,
                row.secret_encrypted,
                sinks.purpose(row),
            )
        return
    if result.done:  # another record is the first one
        row.failures, row.failing_since = 0, None
    row.failures += 1
    row.failure = result.error[:500]
    row.failing_since = row.failing_since or now
    row.next_at = now + _backoff(row.failures, result.retry_after, now)


def _backoff(failures: int, text: str, now: datetime) -> timedelta:
    """Return how long to wait after this number of failures, and as Retry-After demands."""
    jitter = random.uniform(1 - JITTER, 1 + JITTER)
    backoff: timedelta = min(FIRST_BACKOFF * 2 ** min(failures - 1, 10), MAX_BACKOFF)
    return max(backoff * jitter, retry_after.wait(text, now) or timedelta(0))
