"""Engines for SQLite (WAL) and PostgreSQL, with the options that this service relies on."""

import enum
import select
from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DisconnectionError

from app.db.text import dump_json

READ_ONLY = "read_only"  # the execution option of a SQLite connection that only reads

_JSON: Mapping[str, Any] = {
    "json_serializer": lambda value: dump_json(value).decode(),
    "json_deserializer": orjson.loads,
}
# Queries are short and use an index, in memory or on solid-state disks: JIT compilation, parallel
# workers and sequential scans cost more than they save.
SESSION_SETTINGS = {
    "lock_timeout": "3s",
    "timezone": "UTC",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1.1",
    "statement_timeout": "10s",
}


class TransactionKind(enum.Enum):
    """What a transaction does.

    WRITE     reads and writes
    READ      only reads; each query sees the latest committed state, which saves BEGIN and COMMIT
    SNAPSHOT  only reads; all queries see the same state
    """

    WRITE = enum.auto()
    READ = enum.auto()
    SNAPSHOT = enum.auto()


def connect(
    url: str, *, pool_size: int = 6, statement_seconds: int | None = None, is_pooled: bool = False
) -> Engine:
    """Return an engine with the pragmas and timeouts that this service relies on.

    On PostgreSQL each statement is a separate transaction, except on an engine of ``engine_for``.

    is_pooled  a pooler gives each transaction another connection of the server: it has no prepared
               statements, and its settings are those that the migrations gave to the role
    """
    if url.startswith("sqlite"):
        engine = create_engine(
            url,
            connect_args={"timeout": 5, "check_same_thread": False},
            pool_size=pool_size,
            **_JSON,
        )
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    arguments: dict[str, Any] = {"connect_timeout": 3}
    if is_pooled:
        arguments["prepare_threshold"] = None
    else:
        chosen = dict(SESSION_SETTINGS)
        if statement_seconds:
            chosen["statement_timeout"] = f"{statement_seconds}s"
        arguments["options"] = " ".join(f"-c {name}={value}" for name, value in chosen.items())
    engine = create_engine(
        url,
        pool_size=pool_size,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_timeout=3,
        connect_args=arguments,
        **_JSON,
    )
    event.listen(engine, "checkout", _check_is_open)
    return engine


def _check_is_open(connection: Any, _record: Any, _proxy: Any) -> None:
    """Refuse a connection that the server has closed while it was idle.

    The socket of an idle connection has something to read only if the server has closed it. This
    test needs no round trip, unlike that of ``pool_pre_ping``.

    raises  DisconnectionError, after which the pool opens another connection
    """
    if connection.closed:
        raise DisconnectionError
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    if poll.poll(0):
        raise DisconnectionError


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # pysqlite's own transactions lose updates
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred BEGIN fails immediately when a reader becomes a writer, despite busy_timeout.
    is_read_only = connection.get_execution_options().get(READ_ONLY)
    connection.exec_driver_sql("BEGIN" if is_read_only else "BEGIN IMMEDIATE")


def engine_for(engine: Engine, kind: TransactionKind) -> Engine:
    """Return an engine for one kind of transaction, with the same connections."""
    if engine.dialect.name == "sqlite":  # each transaction of SQLite is a snapshot
        return engine.execution_options(**{READ_ONLY: kind is not TransactionKind.WRITE})
    match kind:
        case TransactionKind.WRITE:
            return engine.execution_options(isolation_level="READ COMMITTED")
        case TransactionKind.SNAPSHOT:
            return engine.execution_options(isolation_level="REPEATABLE READ")
        case TransactionKind.READ:
            return engine
