"""Transactions: the only way to a session, and what runs after a commit."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Executable, Row, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from app import wall_clock
from app.db import errors, watchdog
from app.db.engine import TransactionKind, engine_for
from app.db.watchdog import Watchdog
from app.errors import ServiceUnavailable

logger = logging.getLogger(__name__)


FULL_SECONDS = 60.0  # for which a write that failed counts, unless a later one succeeds

_sessions: dict[TransactionKind, sessionmaker[Session]] = {}
_reader: Engine | None = None
_watchdog: Watchdog | None = None
_full_until = 0.0


def bind(engine: Engine) -> None:
    """Run the transactions of this process on ``engine``."""
    global _reader, _watchdog, _full_until
    _watchdog = watchdog.of(engine)
    _full_until = 0.0
    for kind in TransactionKind:
        _sessions[kind] = sessionmaker(engine_for(engine, kind), expire_on_commit=False)
    _reader = engine_for(engine, TransactionKind.READ)


@contextmanager
def transaction(*, readonly: bool = False, snapshot: bool = False) -> Iterator[Session]:
    """Yield a session whose work is committed at the end, or rolled back by an exception.

    readonly  nothing is written
    snapshot  with ``readonly``: all queries see the same state, for answers that must add up
    raises    ServiceUnavailable if the database cannot be reached or does not answer in time
    effects   callbacks of ``after_commit`` run in order once the transaction is committed
    """
    kind = TransactionKind.WRITE
    if readonly:
        kind = TransactionKind.SNAPSHOT if snapshot else TransactionKind.READ
    with _translated_errors(), _sessions[kind]() as session:
        with session.begin():
            yield session
        if kind is TransactionKind.WRITE:
            _note_write(is_full=False)
        callbacks: list[Callable[[], object]] = session.info.pop("after_commit", [])
    for callback in callbacks:
        callback()


def fetch_all(statement: Executable, parameters: Mapping[str, Any]) -> Sequence[Row[Any]]:
    """Return the rows of a SELECT of columns, which runs in a separate transaction.

    It needs no session, whose cost is a third of that of a page of rows.

    raises  ServiceUnavailable as ``transaction``
    """
    with _translated_errors(), current_engine().connect() as connection:
        return connection.execute(statement, parameters).all()


def current_engine() -> Engine:
    """Return the engine of this process, for queries that only read."""
    if _reader is None:
        raise RuntimeError("runtime.start() has not been called in this process")
    return _reader


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Translate the database failures of the block.

    raises  ServiceUnavailable if the database cannot be reached, does not answer in time, or lacks
            the tables of this version
    """
    if _watchdog is not None and _watchdog.is_hanging:
        raise ServiceUnavailable(errors.UNAVAILABLE)
    driver: Any = current_engine().dialect.loaded_dbapi  # COPY uses it without SQLAlchemy
    try:
        yield
    except (DBAPIError, PoolTimeout, driver.Error) as error:
        reason = errors.reason(error, driver)
        if reason is None:
            raise
        if errors.is_disk_full(error):
            _note_write(is_full=True)
        logger.warning("database unavailable: %s", error)
        raise ServiceUnavailable(reason) from error


def after_commit(session: Session, callback: Callable[[], object]) -> None:
    """Run ``callback`` after the transaction of the session is committed, not if rolled back."""
    session.info.setdefault("after_commit", []).append(callback)


def now(session: Session) -> datetime:
    """Return the time of the database, which is the clock for all leases and lifecycles."""
    if session.get_bind().dialect.name == "sqlite":
        return wall_clock.now()  # the file is on this machine
    value: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return value.astimezone(UTC)


def _note_write(*, is_full: bool) -> None:
    """Remember whether the last write of this process failed because the disk is full."""
    global _full_until
    if is_full or _full_until:
        _full_until = time.monotonic() + FULL_SECONDS if is_full else 0.0


def is_full() -> bool:
    """Whether the last write of this process failed recently because the disk is full."""
    return time.monotonic() < _full_until


def is_ready() -> bool:
    """Whether the database answers."""
    with transaction(readonly=True) as session:
        return bool(session.execute(text("SELECT 1")).scalar_one())
