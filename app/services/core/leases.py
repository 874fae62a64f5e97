"""Leases: a row that is a unit of work belongs to one worker for a limited time.

1. ``claim`` locks free rows with SKIP LOCKED, so that workers never wait for each other. It counts
   the attempt and sets the time at which the lease expires.
2. ``renewing`` extends the leases while the work continues; ``release`` ends them early.
3. The worker writes a result only where ``is_held``: the attempt is still the one that it claimed,
   and the lease was not released. A lease that expired is held until another worker claims the row.
4. ``requeue_stale`` queues rows again whose lease expired or whose job was lost, and fails those
   that have used all their attempts.

A table without a column for the attempt is identified by the time at which the lease expires.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, and_, false, or_, select, true, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import SQLCoreOperations

from app import processes
from app.db import bulk, transactions
from app.db.transactions import transaction
from app.errors import ServiceUnavailable

logger = logging.getLogger(__name__)

RENEWALS = 3  # attempts to renew a lease before it expires
REQUEUE_BATCH_SIZE = 5_000

Key = TypeVar("Key")


class Lease(NamedTuple, Generic[Key]):
    """A row that this process holds until the lease expires.

    attempt  the number of the attempt; the end of the lease if the table does not count attempts
    """

    key: Key
    attempt: int | datetime


@dataclass(frozen=True, slots=True)
class Requeue:
    """When and how ``requeue_stale`` queues rows again, or fails them.

    is_waiting    the condition of rows that wait for a job that may be lost
    max_attempts  a row whose lease expired in this attempt fails
    queued        column values of rows that are queued again
    failed        column values of rows that fail
    """

    is_waiting: ColumnElement[bool]
    max_attempts: int
    queued: Mapping[str, Any]
    failed: Mapping[str, Any]


class Requeued(NamedTuple, Generic[Key]):
    """The rows that ``requeue_stale`` changed: the keys by what happened to them.

    tried  queued again after an attempt in which the lease expired
    fresh  queued again before their first attempt, or after a release
    """

    failed: Sequence[Key]
    tried: Sequence[Key]
    fresh: Sequence[Key]


@dataclass(frozen=True, slots=True)
class LeaseTable(Generic[Key]):
    """The leases of the rows of one table; its fields are columns of the table.

    key       the primary key
    until     when the lease expires; NULL or past: the row is free
    duration  called at each claim and renewal, so that it may come from the settings
    attempt   counts the claims
    holder    the name of the process, so that the lease ends when the process ends
    active    the condition of every leased row
    """

    key: SQLCoreOperations[Key]
    until: Any
    duration: Callable[[], timedelta]
    attempt: Any = None
    holder: Any = None
    active: ColumnElement[bool] | None = None

    def is_free(self, session: Session, now: datetime) -> ColumnElement[bool]:
        """Return the condition of rows that no running worker holds."""
        free = [self.until <= now]
        if self.until.property.columns[0].nullable:
            free.append(self.until.is_(None))
        if self.holder is not None:
            free.append(self.holder.in_(self._ended_holders(session, now)))
        return or_(*free)

    def is_held(self, leases: Sequence[Lease[Key]]) -> ColumnElement[bool]:
        """Return the condition of rows that still belong to these leases."""
        counter = self._counter()
        keys_by_attempt: dict[int | datetime, list[Key]] = {}
        for lease in leases:
            keys_by_attempt.setdefault(lease.attempt, []).append(lease.key)
        own = (
            and_(self.key.in_(keys), counter == attempt)
            for attempt, keys in keys_by_attempt.items()
        )
        return and_(self._active(), self.until.is_not(None), or_(false(), *own))

    def lock(
        self, session: Session, condition: ColumnElement[bool], *, order: Any = (), limit: int
    ) -> Sequence[Key]:
        """Lock up to ``limit`` free rows and return their keys in order.

        Rows that another transaction has locked are skipped.
        """
        key = self.key
        now = transactions.now(session)
        return session.scalars(
            select(key)
            .where(self.is_free(session, now), condition)
            .order_by(*order, key)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()

    def lock_listed(
        self, session: Session, keys: Sequence[Key], condition: ColumnElement[bool], *, limit: int
    ) -> list[Key]:
        """Lock the first ``limit`` rows of these keys that are free and satisfy the condition."""
        locked: list[Key] = []
        for start in range(0, len(keys), limit):
            part = keys[start : start + limit]
            is_listed = and_(self.key.in_(part), condition)
            rows = set(self.lock(session, is_listed, limit=len(part)))
            locked += [key for key in part if key in rows]
            if len(locked) >= limit:
                break
        return locked[:limit]

    def take(self, session: Session, keys: Sequence[Key], **values: Any) -> list[Lease[Key]]:
        """Lease these rows, which the caller has locked, and return the leases in their order.

        values  further columns to set
        """
        return [lease for lease, *_ in self.take_rows(session, keys, (), **values)]

    def take_rows(
        self, session: Session, keys: Sequence[Key], columns: Sequence[Any], **values: Any
    ) -> list[tuple[Any, ...]]:
        """Lease these rows as ``take`` does, and return each lease and these columns of its row."""
        until = transactions.now(session) + self.duration()
        values |= {self.until.key: until}
        if self.attempt is not None:
            values |= {self.attempt.key: self.attempt + 1}
        if self.holder is not None:
            values |= {self.holder.key: processes.own_name()}
        rows = session.execute(
            update(self._table())
            .where(bulk.is_any(session, self.key, keys))
            .values(values)
            .returning(self.key, self._counter(), *columns)
            .execution_options(synchronize_session=False)
        )
        taken = {key: (Lease(key, attempt), *others) for key, attempt, *others in rows}
        return [taken[key] for key in keys if key in taken]

    def claim(
        self, session: Session, condition: ColumnElement[bool], *, order: Any = (), limit: int
    ) -> list[Lease[Key]]:
        """Lease up to ``limit`` free rows that satisfy the condition, the first in order."""
        return self.take(session, self.lock(session, condition, order=order, limit=limit))

    def renew(self, leases: Sequence[Lease[Key]]) -> None:
        """Extend the leases that are still held; only for tables that count attempts."""
        with transaction() as session:
            until = transactions.now(session) + self.duration()
            self._update(session, leases, {self.until.key: until})

    @contextmanager
    def renewing(self, leases: Callable[[], Sequence[Lease[Key]]]) -> Iterator[None]:
        """Renew the leases in a thread until the block ends.

        leases  called before each renewal
        """
        is_finished = threading.Event()

        def work() -> None:
            while not is_finished.wait(self.duration().total_seconds() / RENEWALS):
                try:
                    self.renew(leases())
                except ServiceUnavailable as error:
                    logger.warning("cannot renew leases", extra={"reason": str(error)})

        thread = threading.Thread(target=work, name="leases", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_finished.set()
            thread.join()

    def release(
        self, session: Session, leases: Sequence[Lease[Key]], **values: Any
    ) -> Sequence[Key]:
        """End the leases that are still held, and return their keys; the attempts do not count.

        values  further columns to set
        """
        values |= {self.until.key: None}
        if self.attempt is not None:
            values |= {self.attempt.key: self.attempt - 1}
        return self._update(session, leases, values)

    def requeue_stale(
        self, session: Session, rule: Requeue, *, is_idle: bool, limit: int = REQUEUE_BATCH_SIZE
    ) -> Requeued[Key]:
        """Queue rows again whose lease expired or whose job was lost.

        is_idle  whether no job waits in the queue. While jobs wait, the job of a waiting row may be
                 among them, and only rows with an expired lease are queued again
        """
        is_expired = and_(self._active(), self.until < transactions.now(session))
        failed = session.scalars(
            update(self._table())
            .where(is_expired, self.attempt >= rule.max_attempts)
            .values({**rule.failed, self.until.key: None})
            .returning(self.key)
            .execution_options(synchronize_session=False)
        ).all()
        stale = session.execute(
            select(self.key, self.attempt)
            .where(or_(is_expired, rule.is_waiting) if is_idle else is_expired)
            .order_by(self.key)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        session.execute(
            update(self._table())
            .where(self.key.in_([key for key, _ in stale]))
            .values({**rule.queued, self.until.key: None})
            .execution_options(synchronize_session=False)
        )
        tried = [key for key, attempt in stale if attempt]
        return Requeued(failed, tried, [key for key, attempt in stale if not attempt])

    def _table(self) -> Any:
        return self.until.class_

    def _counter(self) -> Any:
        """The column that distinguishes two claims of a row."""
        return self.until if self.attempt is None else self.attempt

    def _active(self) -> ColumnElement[bool]:
        return true() if self.active is None else self.active

    def _update(
        self, session: Session, leases: Sequence[Lease[Key]], values: Mapping[str, Any]
    ) -> Sequence[Key]:
        return session.scalars(
            update(self._table())
            .where(self.is_held(leases))
            .values(values)
            .returning(self.key)
            .execution_options(synchronize_session=False)
        ).all()

    def _ended_holders(self, session: Session, now: datetime) -> list[str]:
        """Return the names of processes that hold rows but no longer run, as they were killed."""
        names = session.scalars(
            select(self.holder).where(self.until > now, self.holder.is_not(None)).distinct()
        )
        return [name for name in names if name and processes.has_ended(name)]
