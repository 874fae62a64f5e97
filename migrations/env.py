"""Runs the migrations on DATABASE_URL, or on the ``url`` that the caller of Alembic gives.

One migrator at a time: on PostgreSQL the others wait for its advisory lock.
"""

import os
import sys
from typing import Any, Literal

from alembic import context
from sqlalchemy import text
from sqlalchemy.engine import Connection

from app import models
from app.db import engine as db_engine
from app.db import types
from app.db.engine import TransactionKind, engine_for
from app.settings.types import database_url

_LOCK = 7_102_026  # any number, but always the same


def _url() -> str:
    if given := context.config.attributes.get("url"):
        return str(given)
    if not (found := os.environ.get("DATABASE_URL")):
        sys.exit("DATABASE_URL is missing: set it to postgresql://… (or sqlite:///…).")
    return database_url(found)


def _rendered(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Column types as they are in the database: migrations must not import what changes later."""
    names = {types.UtcDateTime: "sa.DateTime(timezone=True)", types.WordList: "sa.Text()"}
    return names.get(type(item), False) if kind == "type" else False


def migrate() -> None:
    """Bring the database to the revision that was asked for, in one transaction."""
    engine = db_engine.connect(_url(), statement_seconds=600)
    with engine_for(engine, TransactionKind.WRITE).connect() as connection:
        # SQLite changes a table by a copy and drops the old one, which must not take its children.
        # The pragma is one of the connection's, and does nothing within a transaction.
        _pragma(connection, "foreign_keys=OFF")
        with connection.begin():
            _run(connection)
            _check_references(connection)
    engine.dispose()


def _run(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    context.configure(
        connection=connection,
        target_metadata=models.Base.metadata,
        render_as_batch=True,
        render_item=_rendered,
        transaction_per_migration=False,
    )
    context.run_migrations()


def _pragma(connection: Connection, text: str) -> None:
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.execute(f"PRAGMA {text}")


def _check_references(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if broken:
            raise RuntimeError(f"rows refer to what is not there: {broken[:5]}")


migrate()
