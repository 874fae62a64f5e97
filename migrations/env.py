"""Runs the migrations on DATABASE_URL, or on the ``url`` that the caller of Alembic gives.

One migrator at a time: on PostgreSQL the others wait for its advisory lock. A migration waits
only three seconds for a table that is in use, since all later users of the table wait behind it; it
is then undone and tried again.
"""

import os
import sys
import time
from typing import Any, Literal

from alembic import context
from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import OperationalError

from app import models
from app.db import engine as db_engine
from app.db import types
from app.db.engine import TransactionKind, engine_for
from app.settings.types import database_url
from migrations import large_indexes

_LOCK = 7_102_026  # any number, but always the same
_ATTEMPTS, _PAUSE_SECONDS, _STATEMENT_SECONDS = 20, 3, 600
_LOCK_NOT_AVAILABLE = "55P03"  # the code of PostgreSQL for a lock timeout


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
    """Migrate the database to the requested revision, in one transaction.

    Indexes of large tables follow on PostgreSQL, without blocking writes.
    """
    engine = db_engine.connect(_url(), is_pooled=_is_pooled())
    is_current = False
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            is_current = _run(engine)
            break
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            _wait(attempt)
    if engine.dialect.name == "postgresql" and is_current:
        large_indexes.build_missing(engine, models.Base.metadata, is_pooled=_is_pooled())
    engine.dispose()


def _wait(attempt: int) -> None:
    """Wait until the next attempt; end the process after the last one."""
    found = "A table is in use by a long transaction. Nothing was changed."
    if attempt == _ATTEMPTS:
        sys.exit(
            f"{found} The view pg_stat_activity shows the transactions: end those that last long, "
            "and run the migrations again."
        )
    following = f"Attempt {attempt + 1} of {_ATTEMPTS} starts in {_PAUSE_SECONDS} seconds."
    sys.stderr.write(f"{found} {following}\n")
    sys.stderr.flush()
    time.sleep(_PAUSE_SECONDS)


def _run(engine: Engine) -> bool:
    """Run the migrations, and return whether the tables are now those of the models."""
    with engine_for(engine, TransactionKind.WRITE).connect() as connection:
        # SQLite changes a table by a copy and drops the old one, which must not take its children.
        # The pragma is one of the connection's, and does nothing within a transaction.
        _pragma(connection, "foreign_keys=OFF")
        with connection.begin():
            is_postgresql = connection.dialect.name == "postgresql"
            if is_postgresql:
                _wait_for_other_migrators(connection)
            context.configure(
                connection=connection,
                target_metadata=models.Base.metadata,
                render_as_batch=True,
                render_item=_rendered,
                transaction_per_migration=False,
            )
            context.run_migrations()
            if is_postgresql and _is_pooled():
                _set_session_settings(connection)
            _check_references(connection)
            return context.get_context().get_current_revision() == context.get_head_revision()


def _wait_for_other_migrators(connection: Connection) -> None:
    limit = db_engine.SESSION_SETTINGS["lock_timeout"]
    connection.execute(text(f"SET LOCAL statement_timeout = '{_STATEMENT_SECONDS}s'"))
    connection.execute(text("SET LOCAL lock_timeout = 0"))  # which also limits advisory locks
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    connection.execute(text(f"SET LOCAL lock_timeout = '{limit}'"))


def _is_pooled() -> bool:
    """Whether a pooler gives each transaction another connection, as the setting says."""
    return TypeAdapter(bool).validate_python(os.environ.get("DATABASE_TRANSACTION_POOLING", "off"))


def _set_session_settings(connection: Connection) -> None:
    """Give the role the settings of a session, which no client can choose behind a pooler."""
    database = connection.dialect.identifier_preparer.quote(
        connection.scalar(text("SELECT current_database()"))
    )
    for name, value in db_engine.SESSION_SETTINGS.items():
        connection.exec_driver_sql(
            f"ALTER ROLE CURRENT_USER IN DATABASE {database} SET {name} = '{value}'"
        )


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
