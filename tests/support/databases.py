"""The databases of the tests: created, migrated and emptied."""

import time

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import OperationalError

from app import models
from app import settings as app_settings
from app.db import transactions
from app.db.engine import TransactionKind, engine_for
from app.jobs import queue
from app.settings import Settings
from tests.support.paths import ROOT


def create(server_url: str, url: str) -> None:
    """Create the empty database of the URL; one from an earlier run is deleted."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        database = sql.Identifier(str(make_url(url).database))
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database))
        # Not template1, which several workers may use at the same time.
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(database))


def migrate(url: str) -> None:
    """Create the tables."""
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = url
    command.upgrade(config, "head")


def use(engine: Engine, settings: Settings) -> None:
    """Have the application use the database and the settings in this process."""
    app_settings.use(settings)
    transactions.bind(engine)
    queue.bind(settings.redis_url)


def empty(engine: Engine) -> None:
    """Delete all rows, which is faster than TRUNCATE for few rows.

    Transactions of a process that a test has killed may hold locks briefly.
    """
    for is_last in (False, False, True):
        try:
            with engine_for(engine, TransactionKind.WRITE).begin() as connection:
                for table in reversed(models.Base.metadata.sorted_tables):
                    connection.execute(table.delete())
            return
        except OperationalError:
            if is_last:
                raise
            time.sleep(1)
