"""Engines for SQLite (WAL) and PostgreSQL, with the options that this service relies on."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson
import psycopg
from sqlalchemy import (
    create_engine,
    event,
)
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.exc import InvalidatePoolError

from app.db.types import dump_json

IDLE_CHECK_SECONDS = 1.0  # idle time after which a connection is tested before use


_JSON: Mapping[str, Any] = {"json_serializer": dump_json, "json_deserializer": orjson.loads}


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
    """An engine with the pragmas and timeouts that this service relies on."""
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
    engine = create_engine(
        url,
        pool_size=pool_size,
        # In autocommit mode the driver starts no transaction for a single query.
        connect_args={
            "connect_timeout": 3,
            "options": options,
            "autocommit": True,
            "cursor_factory": _Cursor,
        },
        **_JSON,
    )
    event.listen(engine, "begin", _begin_postgresql)
    event.listen(engine, "checkin", _note_idle)
    event.listen(engine, "checkout", partial(_check_connection, engine.dialect))
    return engine


class _Cursor(psycopg.Cursor[Any]):
    """A cursor whose description has only name and type: a third of the cost of all columns."""

    @property
    def description(self) -> Any:
        result = self.pgresult
        if result is None or not result.nfields:
            return None
        return [
            ((result.fname(i) or b"").decode(), result.ftype(i), None, None, None, None, None)
            for i in range(result.nfields)
        ]


def _note_idle(_connection: Any, record: Any) -> None:
    record.info["rests_since"] = time.monotonic()


def _check_connection(dialect: Dialect, connection: Any, record: Any, _proxy: Any) -> None:
    """Replace a connection that was lost while idle; a recently used one is not tested."""
    since = record.info.get("rests_since")
    if since is None or time.monotonic() - since < IDLE_CHECK_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise InvalidatePoolError from error


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # pysqlite's own transactions lose updates
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred BEGIN fails immediately when a reader becomes a writer, despite busy_timeout.
    readonly = connection.get_execution_options().get("readonly")
    connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("snapshot"):
        connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ")
    elif not options.get("readonly"):
        connection.exec_driver_sql("BEGIN")
