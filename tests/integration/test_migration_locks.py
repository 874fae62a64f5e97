"""Migrations of a PostgreSQL database whose tables are in use."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.engine import Engine

from app.db import engine as db_engine
from app.settings.types import database_url as driver_url
from tests.support import databases
from tests.support.paths import ROOT
from tests.support.servers import Server

LOCK = 7_102_026  # of migrations/env.py


@pytest.fixture
def engine(postgres_server: Server) -> Iterator[Engine]:
    """A database at an earlier revision, from which the next one refers to ``accounts``."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    url = make_url(driver_url(postgres_server.url)).set(database=f"mailwatch_locks_{worker}")
    address = url.render_as_string(hide_password=False)
    databases.create(postgres_server.url, address)
    engine = db_engine.connect(address)
    with migrating(engine, "0045") as process:
        assert process.wait(120) == 0, process.communicate()
    yield engine
    engine.dispose()


@contextmanager
def migrating(engine: Engine, revision: str) -> Iterator["subprocess.Popen[str]"]:
    """Migrate in a process of its own, as a release does."""
    address = engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "alembic", "upgrade", revision]
    environment = os.environ | {"DATABASE_URL": address}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def revision_of(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


def test_migration_is_tried_again_after_a_long_transaction(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="READ COMMITTED") as user:
        user.execute(text("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE"))
        with migrating(engine, "head") as process:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "in use" in line)
            assert "Nothing was changed. Attempt 2 of 20 starts in 3 seconds." in line
            assert revision_of(engine) == "0045"
            user.rollback()
            assert process.wait(120) == 0
    assert revision_of(engine) != "0045"


def test_migrator_waits_for_another_one_longer_than_for_a_table(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="READ COMMITTED") as other:
        other.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        with migrating(engine, "head") as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(8)  # the limit for tables is 3 seconds
            other.rollback()
            assert process.wait(120) == 0


def test_large_indexes_are_built_while_others_write(engine: Engine) -> None:
    """An index that an interrupted run left invalid, and one that is missing."""
    with migrating(engine, "head") as process:
        assert process.wait(120) == 0
    with engine.connect() as connection:
        connection.execute(text("DROP INDEX ix_alerts_by_severity"))
        connection.execute(
            text(
                "UPDATE pg_index SET indisvalid = false"
                " WHERE indexrelid = 'ix_dmarc_reports_reporter'::regclass"
            )
        )
    with engine.connect().execution_options(isolation_level="READ COMMITTED") as writer:
        writer.execute(text("LOCK TABLE alerts, dmarc_reports IN ROW EXCLUSIVE MODE"))
        with migrating(engine, "head") as process:
            assert process.stderr is not None
            line = next(process.stderr)
            assert line == "Building the index ix_alerts_by_severity. Writes are not blocked.\n"
            with engine.connect() as another:  # it would wait behind an index that blocks writes
                another.execute(text("UPDATE alerts SET title = title"))
            writer.rollback()
            assert process.wait(120) == 0
    assert invalid_indexes(engine) == set()
    with engine.connect() as connection:
        names = "'ix_alerts_by_severity', 'ix_dmarc_reports_reporter'"
        count = f"SELECT count(*) FROM pg_class WHERE relname IN ({names})"
        assert connection.scalar(text(count)) == 2


def invalid_indexes(engine: Engine) -> set[str]:
    statement = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
    with engine.connect() as connection:
        return set(connection.scalars(text(statement)))
