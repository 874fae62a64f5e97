"""The database of this process: sessions, transactions, what runs after a commit, and paging.

The same code runs on SQLite (WAL, ``BEGIN IMMEDIATE`` for whatever may write) and on PostgreSQL.
"""

import base64
import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

import orjson
import psycopg
from sqlalchemy import (
    ARRAY,
    DateTime,
    MetaData,
    Table,
    Text,
    bindparam,
    cast,
    create_engine,
    event,
    func,
    select,
    text,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.types import JSON, TypeDecorator

from app.db import errors
from app.errors import InvalidRequest, ServiceUnavailable

logger = logging.getLogger(__name__)

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The base of every table."""

    metadata = MetaData(naming_convention=NAMING)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite keeps no zone, and PostgreSQL's connections are in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a datetime without a zone")
        return value.astimezone(UTC) if value else None

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[str | None], datetime | None] | None:
        return _utc if dialect.name == "sqlite" else None


def _utc(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(f"{text}+00:00")


Json = JSON  # not JSONB: read and written whole, never searched

INSERTED_AT_ONCE = 5_000  # rows that are in memory
REST_SECONDS = 1.0  # after which a connection is asked whether it is still one

_sessions: sessionmaker[Session] | None = None
_engine: Engine | None = None


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


_JSON: Mapping[str, Any] = {"json_serializer": _json, "json_deserializer": orjson.loads}


# What is asked is short and finds its rows by an index, in memory or on disks that do not turn:
# compiling it, helpers for it and reading whole tables instead cost more than they bring.
_PLANNING = {
    "lock_timeout": "3s", "timezone": "UTC", "jit": "off",
    "max_parallel_workers_per_gather": "0", "random_page_cost": "1.1",
}  # fmt: skip


def connect(url: str, *, pool_size: int = 6, statement_seconds: int = 10) -> Engine:
    """An engine with the pragmas and time-outs that this service relies on."""
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
        # With a driver that begins no transactions by itself a single question needs none.
        connect_args={
            "connect_timeout": 3, "options": options, "autocommit": True,
            "cursor_factory": _Cursor,
        },
        **_JSON,
    )  # fmt: skip
    event.listen(engine, "begin", _begin_postgresql)
    event.listen(engine, "checkin", _note_rest)
    event.listen(engine, "checkout", partial(_ask_whether_it_lives, engine.dialect))
    return engine


class _Cursor(psycopg.Cursor[Any]):
    """It tells of columns what SQLAlchemy reads, name and type: a third of the cost of all."""

    @property
    def description(self) -> Any:
        found = self.pgresult
        if found is None or not found.nfields:
            return None
        return [
            ((found.fname(i) or b"").decode(), found.ftype(i), None, None, None, None, None)
            for i in range(found.nfields)
        ]


def _note_rest(_connection: Any, record: Any) -> None:
    record.info["rests_since"] = time.monotonic()


def _ask_whether_it_lives(dialect: Dialect, connection: Any, record: Any, _proxy: Any) -> None:
    """Replace a connection that was lost while it rested; one just used need not be asked."""
    since = record.info.get("rests_since")
    if since is None or time.monotonic() - since < REST_SECONDS:
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
    # A deferred BEGIN fails at once when a reader turns writer, whatever busy_timeout says.
    readonly = connection.get_execution_options().get("readonly")
    connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("snapshot"):
        connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ")
    elif not options.get("readonly"):
        connection.exec_driver_sql("BEGIN")


def bind(engine: Engine) -> None:
    """Have this process's transactions run on ``engine``."""
    global _sessions, _engine
    _sessions = sessionmaker(engine, expire_on_commit=False)
    _engine = engine


@contextmanager
def transaction(*, readonly: bool = False, snapshot: bool = False) -> Iterator[Session]:
    """A session whose work is committed at the end, or rolled back by an exception.

    readonly  nothing is written
    snapshot  … and all of it is as of one moment: for answers of which the parts must add up
    raises    ServiceUnavailable if the database cannot be reached, or does not answer in time
    effects   what ``after_commit`` was given runs once the commit is done, in order
    """
    if _sessions is None:
        raise RuntimeError("runtime.start() has not been called in this process")
    with available(), _sessions() as session:
        with session.begin():
            if readonly:
                session.connection(execution_options={"readonly": True, "snapshot": snapshot})
            yield session
        callbacks: list[Callable[[], object]] = session.info.pop("after_commit", [])
    for callback in callbacks:
        callback()


def engine() -> Engine:
    """The one that this process's transactions run on."""
    if _engine is None:
        raise RuntimeError("runtime.start() has not been called in this process")
    return _engine


@contextmanager
def available() -> Iterator[None]:
    """Whatever is done with the database, past SQLAlchemy too.

    raises  ServiceUnavailable if it cannot be reached, does not answer in time, or has not the
            tables of this version yet
    """
    driver: Any = engine().dialect.loaded_dbapi
    try:
        yield
    except (DBAPIError, PoolTimeout, driver.Error) as error:
        reason = errors.reason(error, driver)
        if reason is None:
            raise
        logger.warning("database: %s", error)
        raise ServiceUnavailable(reason) from error


def after_commit(session: Session, callback: Callable[[], object]) -> None:
    """Run ``callback`` once the session's transaction is committed; never if it is rolled back."""
    session.info.setdefault("after_commit", []).append(callback)


def insert(session: Session, table: type[Base] | Table) -> Any:
    """An INSERT of this database's dialect, for ``on_conflict_do_nothing`` and ``…_do_update``."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    return (sqlite.insert if is_sqlite else postgresql.insert)(table)


def insert_many(
    session: Session, table: type[Base], names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Insert many rows quickly: by COPY on PostgreSQL, by executemany on SQLite.

    names  of the columns, in the order of each row's values
    """
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        named = (dict(zip(names, row, strict=True)) for row in rows)
        while batch := list(islice(named, INSERTED_AT_ONCE)):
            connection.execute(table.__table__.insert(), batch)  # type: ignore[attr-defined]
        return
    quoted = ", ".join(f'"{name}"' for name in names)
    places = [i for i, name in enumerate(names) if isinstance(_columns(table)[name].type, JSON)]
    driver: Any = connection.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f'COPY "{table.__tablename__}" ({quoted}) FROM STDIN') as copy,
    ):
        for row in rows:
            values = list(row)
            for place in places:
                if values[place] is not None:
                    values[place] = _json(values[place])
            copy.write_row(values)


def given_table(dialect: str, table: type[Base], names: Sequence[str]) -> Any:
    """Rows that a statement is given as one value, to select from; ``given`` makes the value.

    names  of the columns of ``table`` that they are for
    """
    columns = [_columns(table)[name] for name in names]
    if dialect == "sqlite":
        rows = func.json_each(bindparam("given", required=True)).table_valued("value")
        cells = [
            func.json_extract(rows.c.value, f"$[{place}]", type_=column.type).label(column.name)
            for place, column in enumerate(columns)
        ]
        return select(*cells).subquery("given")
    arrays = [
        cast(bindparam(f"given_{column.name}", type_=Text, required=True), ARRAY(column.type))
        for column in columns
    ]
    return func.unnest(*arrays).table_valued(*columns, name="given").render_derived()


def given(
    connection: Connection, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> dict[str, Any]:
    """The parameters of a statement with ``given_table``; cells are text, numbers or booleans."""
    if connection.dialect.name == "sqlite":
        return {"given": _json(rows)}
    columns = zip(*rows, strict=True) if rows else (() for _ in names)
    return {f"given_{name}": _array(cells) for name, cells in zip(names, columns, strict=True)}


def _array(cells: Sequence[Any]) -> str:
    """An array as PostgreSQL writes it; the driver's own way with lists takes ten times as long."""
    if cells and isinstance(cells[0], str):
        quoted = (cell.replace("\\", r"\\").replace('"', r"\"") for cell in cells)
        return '{"' + '","'.join(quoted) + '"}'
    return "{" + ",".join(map(str, cells)) + "}"


def insert_given(
    dialect: str, table: type[Base], names: Sequence[str], *, fixed: Sequence[str] = ()
) -> Any:
    """An INSERT of the rows that it is given, in their order: a fifth of the time of one a row.

    fixed  columns that all rows have alike, parameters of their own
    """
    rows = given_table(dialect, table, names)
    cells = [*(fixed_value(table, name) for name in fixed), *(rows.c[name] for name in names)]
    insert = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)
    # SQLite would take ON CONFLICT for the condition of a join.
    return insert.from_select([*fixed, *names], select(*cells).where(true()))


def fixed_value(table: type[Base], name: str) -> Any:
    """The parameter for a column that all rows have alike."""
    return bindparam(name, type_=_columns(table)[name].type, required=True)


def _columns(table: type[Base]) -> Any:
    return Base.metadata.tables[table.__tablename__].c


def now(session: Session) -> datetime:
    """The database's clock, the one clock of leases and life-cycles."""
    if session.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)  # the file is on this machine, so its clock is ours
    value: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return value.astimezone(UTC)


def is_ready() -> bool:
    """The database answers."""
    with transaction(readonly=True) as session:
        return bool(session.execute(text("SELECT 1")).scalar_one())


class Cursor:
    """Opaque, signed places in a list, bound to the list: account, route, filters and sort."""

    def __init__(self, keys: Sequence[bytes], binding: Mapping[str, Any]) -> None:
        """Cursors are signed with the first key; those of the others can be opened, too."""
        self._keys = keys
        self._binding = orjson.dumps(binding, default=str, option=orjson.OPT_SORT_KEYS)

    def seal(self, place: Sequence[Any]) -> str:
        """The cursor for the row whose sort columns are ``place`` (JSON values)."""
        body = orjson.dumps(place)
        return base64.urlsafe_b64encode(self._tag(self._keys[0], body) + body).rstrip(b"=").decode()

    def open(self, text: str) -> list[Any]:
        """The place a cursor holds.

        raises  InvalidRequest for one that was not made here, or for another list
        """
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            raw = b""
        tag, body = raw[:16], raw[16:]
        if not any(hmac.compare_digest(tag, self._tag(key, body)) for key in self._keys):
            message = "not a cursor of this list; start again without one"
            raise InvalidRequest([{"field": "cursor", "code": "invalid", "message": message}])
        place: list[Any] = orjson.loads(body)
        return place

    def _tag(self, key: bytes, body: bytes) -> bytes:
        signed = self._binding + b"\0" + body
        return hashlib.blake2b(signed, key=key, digest_size=16).digest()
