"""Indexes of tables that grow, which PostgreSQL builds without blocking writes.

``CREATE INDEX CONCURRENTLY`` cannot run in a transaction, and migrations run in one. Therefore a
migration creates such an index on SQLite only. On PostgreSQL, ``build_missing`` builds it after the
migrations: every index of the models that does not exist, or that an interrupted run left invalid.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import op
from sqlalchemy import Index, MetaData, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.schema import CreateIndex, DropIndex

from app.db.engine import TransactionKind, engine_for

_LOCK = 7_102_027  # any number, but always the same
_INVALID, _VALID = False, True
_STATES = text(
    "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
    " WHERE pg_table_is_visible(i.indrelid)"
)


def create(name: str, table: str, columns: list[Any], where: str | None = None) -> None:
    """Create the index on SQLite; PostgreSQL builds it after the migrations.

    where  the condition of a partial index
    """
    if op.get_bind().dialect.name == "sqlite":
        condition = text(where) if where else None
        op.create_index(name, table, columns, sqlite_where=condition)


def drop(name: str, table: str) -> None:
    """Drop the index, if it was built."""
    op.drop_index(name, table, if_exists=True)


def build_missing(engine: Engine, metadata: MetaData, *, is_pooled: bool) -> None:
    """Build each index of the models that PostgreSQL does not have, one after the other.

    is_pooled  a pooler gives each statement another connection, whose settings must stay
    """
    with _exclusively(engine), engine.connect() as connection:
        connection.detach()  # so that no other user of the pool gets its settings
        if not is_pooled:
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("SET lock_timeout = 0"))  # it waits without blocking others
        for index, state in _missing(connection, metadata):
            with _concurrently(index):
                if state is _INVALID:
                    connection.execute(DropIndex(index))
                sys.stderr.write(f"Building the index {index.name}. Writes are not blocked.\n")
                sys.stderr.flush()
                connection.execute(CreateIndex(index))


def _missing(connection: Connection, metadata: MetaData) -> list[tuple[Index, bool | None]]:
    """The indexes that are not valid, each with its state; None if it does not exist."""
    states = dict(iter(connection.execute(_STATES)))
    indexes = [index for table in metadata.sorted_tables for index in table.indexes]
    by_name = sorted(indexes, key=lambda index: str(index.name))
    found = [(index, states.get(str(index.name))) for index in by_name]
    return [(index, state) for index, state in found if state is not _VALID]


@contextmanager
def _exclusively(engine: Engine) -> Iterator[None]:
    """Let other processes wait: they would take an index that is being built for an invalid one."""
    with engine_for(engine, TransactionKind.WRITE).begin() as connection:
        for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(text(f"SET LOCAL {setting} = 0"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        yield


@contextmanager
def _concurrently(index: Index) -> Iterator[None]:
    options = index.dialect_options["postgresql"]
    options["concurrently"] = True
    try:
        yield
    finally:
        options["concurrently"] = False
