"""Runs the migrations on DATABASE_URL, or on the ``url`` that the caller of Alembic gives.

One migrator at a time: on PostgreSQL the others wait for its advisory lock.
"""

import os
import sys
from typing import Any, Literal

from alembic import context
from sqlalchemy import text

from app import db, models
from app.models.domains import Words
from app.settings import database_url

_LOCK = 7_102_026  # any number, but always the same


def _url() -> str:
    if given := context.config.attributes.get("url"):
        return str(given)
    if not (found := os.environ.get("DATABASE_URL")):
        sys.exit("DATABASE_URL is missing: set it to postgresql://… (or sqlite:///…).")
    return database_url(found)


def _rendered(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Column types as they are in the database: migrations must not import what changes later."""
    names = {db.UtcDateTime: "sa.DateTime(timezone=True)", Words: "sa.Text()"}
    return names.get(type(item), False) if kind == "type" else False


def migrate() -> None:
    """Bring the database to the revision that was asked for, in one transaction."""
    engine = db.connect(_url(), statement_seconds=600)
    with engine.connect() as connection, connection.begin():
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
    engine.dispose()


migrate()
