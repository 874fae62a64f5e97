"""Engines for SQLite (WAL) and PostgreSQL, with the options that this service relies on."""

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Dialect, Engine

from app.db.text import dump_json

READ_ONLY = "read_only"  # the execution option of a SQLite connection that only reads

_JSON: Mapping[str, Any] = {
    "json_serializer": lambda value: dump_json(value).decode(),
    "json_deserializer": orjson.loads,
}
# Queries are short and use an index, in memory or on solid-state disks: JIT compilation, parallel
# workers and sequential scans cost more than they save.
_PLANNING = {
    "lock_timeout": "3s",
    "timezone": "UTC",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1.1",
}


def connect(url: str, *, pool_size: int = 6, statement_seconds: int = 10) -> Engine:
    """Return an engine with the pragmas and timeouts that this service relies on."""
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
    options = " ".join(
        f"-c {name}={value}"
        for name, value in (_PLANNING | {"statement_timeout": f"{statement_seconds}s"}).items()
    )
    return create_engine(
        url,
        pool_size=pool_size,
        pool_pre_ping=True,  # replaces connections that were lost while idle
        connect_args={"connect_timeout": 3, "options": options},
        **_JSON,
    )


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # pysqlite's own transactions lose updates
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred BEGIN fails immediately when a reader becomes a writer, despite busy_timeout.
    is_read_only = connection.get_execution_options().get(READ_ONLY)
    connection.exec_driver_sql("BEGIN" if is_read_only else "BEGIN IMMEDIATE")


def read_options(dialect: Dialect, *, is_snapshot: bool) -> dict[str, Any]:
    """Return the execution options of a connection that only reads.

    is_snapshot  all queries see the same state
    """
    if dialect.name == "sqlite":
        return {READ_ONLY: True}  # a transaction of SQLite is always a snapshot
    # Without a snapshot each query is a separate transaction, which saves BEGIN and COMMIT.
    return {"isolation_level": "REPEATABLE READ" if is_snapshot else "AUTOCOMMIT"}
