"""The migrations create exactly the tables of the models and can be downgraded."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import inspect
from sqlalchemy.engine import Engine

from app import models
from app.db import engine as db_engine
from tests.support.paths import ROOT


@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_migrated_schema_matches_the_models(database: Engine) -> None:
    with database.connect() as connection:
        options = {"compare_type": False, "include_object": _can_be_compared}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, models.Base.metadata) == []


def _can_be_compared(_object: object, name: str, *_: object) -> bool:
    """Whether the databases show the definition as it was written; not so an expression.

    tests/services/alerts/test_alert_lists.py holds that the index exists and is used.
    """
    return name != "ix_alerts_by_severity"


def test_migrations_can_be_downgraded(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'fresh.db'}"
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = url
    command.upgrade(config, "head")
    command.downgrade(config, "base")
    engine = db_engine.connect(url)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()


def test_weekly_sums_are_complete_before_and_after_open_weeks(tmp_path: Path) -> None:
    """Before revision 0014, all weeks were compacted, so a downgrade must compact them."""
    path = tmp_path / "weeks.db"
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = f"sqlite:///{path}"
    counts = "INSERT INTO dmarc_flow_counts (domain_id, span, start, flow_id, messages) VALUES "
    command.upgrade(config, "0013")
    with closing(sqlite3.connect(path)) as connection, connection:
        _insert(connection, "accounts", id="a")
        _insert(connection, "domains", id="d", account_id="a")
        connection.execute(f"{counts} ('d', 1, 170, 7, 3), ('d', 168, 168, 7, 3)")
    command.upgrade(config, "0014")
    with closing(sqlite3.connect(path)) as connection, connection:
        weeks = connection.execute("SELECT start, is_closed FROM dmarc_weeks").fetchall()
        assert weeks == [(168, 1)]
        connection.execute("INSERT INTO dmarc_weeks VALUES ('d', 336, 0, 0)")
        connection.execute(f"{counts} ('d', 1, 340, 7, 4), ('d', 1, 341, 7, 1)")
    command.downgrade(config, "0013")
    with closing(sqlite3.connect(path)) as connection:
        sums = "SELECT start, messages FROM dmarc_flow_counts WHERE span = 168 ORDER BY start"
        assert connection.execute(sums).fetchall() == [(168, 3), (336, 5)]


def test_chat_channels_keep_their_rows_and_constraints(tmp_path: Path) -> None:
    """Revision 0026: the kind has another name, and SQLite copies the table for it."""
    path = tmp_path / "chat.db"
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = f"sqlite:///{path}"
    command.upgrade(config, "0025")
    with closing(sqlite3.connect(path)) as connection, connection:
        _insert(connection, "accounts", id="a")
        channel = {"account_id": "a", "cadence": "immediate"}
        _insert(connection, "channels", id="c", name="c", kind="apprise", **channel)
        _insert(connection, "channels", id="w", name="w", kind="webhook", **channel)
        _insert(connection, "events", number="1", id="e", account_id="a")
        delivery = {"account_id": "a", "channel_id": "c", "event_number": "1"}
        _insert(connection, "deliveries", id="d", status="pending", **delivery)
    command.upgrade(config, "0026")
    with closing(sqlite3.connect(path)) as connection:
        kinds = connection.execute("SELECT id, kind FROM channels ORDER BY id").fetchall()
        assert kinds == [("c", "chat"), ("w", "webhook")]
        assert connection.execute("SELECT channel_id FROM deliveries").fetchall() == [("c",)]
        for column in ("kind", "cadence"):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(f"UPDATE channels SET {column} = 'other'")
    command.downgrade(config, "0025")
    with closing(sqlite3.connect(path)) as connection:
        assert ("c", "apprise") in connection.execute("SELECT id, kind FROM channels").fetchall()


def test_recipients_with_a_user_account_are_confirmed(tmp_path: Path) -> None:
    """Revision 0032: the others are sent an email by which they confirm."""
    path = tmp_path / "recipients.db"
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = f"sqlite:///{path}"
    command.upgrade(config, "0031")
    account, other, channel = "a" * 32, "b" * 32, "c" * 32
    with closing(sqlite3.connect(path)) as connection, connection:
        _insert(connection, "accounts", id=account, name="a")
        _insert(connection, "accounts", id=other, name="b")
        _insert(connection, "users", id="1" * 32, account_id=account, email="me@acme.test")
        _insert(connection, "users", id="2" * 32, account_id=other, email="you@acme.test")
        _insert(
            connection,
            "channels",
            id=channel,
            account_id=account,
            kind="email",
            cadence="immediate",
            target="Me@acme.test,you@acme.test,all@acme.test",
        )
    command.upgrade(config, "0032")
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT address, status, requested_at FROM channel_recipients ORDER BY address"
        ).fetchall()
    assert rows == [
        ("Me@acme.test", "confirmed", None),
        ("all@acme.test", "pending", None),
        ("you@acme.test", "pending", None),
    ]


def test_queued_scans_keep_an_order_in_which_accounts_alternate(tmp_path: Path) -> None:
    """Revision 0058: the order is stored; before, it was computed for each claim."""
    path = tmp_path / "scans.db"
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = f"sqlite:///{path}"
    command.upgrade(config, "0057")
    queued = (("1", "a", "api"), ("2", "a", "schedule"), ("3", "a", "schedule"), ("4", "b", "api"))
    with closing(sqlite3.connect(path)) as connection, connection:
        for account in ("a", "b"):
            _insert(connection, "accounts", id=account, name=account)
        _insert(connection, "scan_batches", id="x", account_id="b")
        for scan, account, trigger in queued:
            _insert(connection, "domains", id=scan, account_id=account, name=scan)
            row = {"id": scan, "account_id": account, "domain_id": scan, "trigger": trigger}
            _insert(connection, "scans", status="queued", **row)
        _insert(connection, "scans", id="0", account_id="b", domain_id="4", status="completed")
        _insert(connection, "batch_scans", batch_id="x", scan_id="4")
    command.upgrade(config, "0058")
    with closing(sqlite3.connect(path)) as connection:
        order = "SELECT id, is_bulk FROM scans WHERE status = 'queued' ORDER BY {}, id"
        rows = connection.execute(order.format("is_bulk, virtual_start")).fetchall()
        assert rows == [("1", 0), ("2", 1), ("4", 1), ("3", 1)]
        last = connection.execute("SELECT * FROM queue_accounts ORDER BY queue, account_id")
        assert last.fetchall() == [
            ("a", "scans", 1),
            ("a", "scans.bulk", 2),
            ("b", "scans.bulk", 1),
        ]
    command.downgrade(config, "0057")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM scans").fetchone() == (5,)


def test_queued_files_keep_an_order_in_which_accounts_alternate(tmp_path: Path) -> None:
    """Revision 0059: the order is stored; before, it was computed for each claim."""
    path = tmp_path / "files.db"
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = f"sqlite:///{path}"
    command.upgrade(config, "0058")
    files = (("1", "a", "received"), ("2", "a", "received"), ("3", "b", "received"))
    with closing(sqlite3.connect(path)) as connection, connection:
        for account in ("a", "b"):
            _insert(connection, "accounts", id=account, name=account)
        for file, account, status in (*files, ("4", "a", "parsed")):
            row = {"id": file, "account_id": account, "sha256": file, "status": status}
            _insert(connection, "report_files", attempt="0", **row)
        connection.execute("UPDATE report_files SET lease_until = NULL")
    command.upgrade(config, "0059")
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT id FROM report_files WHERE status = 'received' ORDER BY virtual_start, id"
        ).fetchall()
        assert rows == [("1",), ("3",), ("2",)]
        last = connection.execute("SELECT * FROM queue_accounts ORDER BY account_id").fetchall()
        assert last == [("a", "report_files", 2), ("b", "report_files", 1)]
    command.downgrade(config, "0058")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM report_files").fetchone() == (4,)


def _insert(connection: sqlite3.Connection, table: str, **given: str) -> None:
    """Insert a row with these values, and a value in every other required column."""
    connection.execute("PRAGMA ignore_check_constraints = ON")
    columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    row = {name: "x" for _, name, _, needed, default, _ in columns if needed and default is None}
    row |= given
    places = ", ".join("?" for _ in row)
    connection.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", list(row.values())
    )


KILLED = """
import os, signal, sys
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import event
from sqlalchemy.engine import Engine

_, toml_file, url, left = sys.argv
statements = iter(range(int(left)))

@event.listens_for(Engine, "after_cursor_execute")
def count(*_):
    if next(statements, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)

config = Config(toml_file=toml_file)
config.attributes["url"] = url
command.upgrade(config, "head")
"""


@pytest.mark.parametrize("statements", [3, 20, 40])
def test_killed_migration_leaves_sqlite_unchanged(tmp_path: Path, statements: int) -> None:
    path = tmp_path / "killed.db"
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = f"sqlite:///{path}"
    command.upgrade(config, "0007")
    with closing(sqlite3.connect(path)) as connection, connection:
        _insert(connection, "accounts", id="a")
        before = list(connection.iterdump())
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, "pyproject.toml", f"sqlite:///{path}", str(statements)],
        cwd=ROOT,
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before
    command.upgrade(config, "head")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id FROM accounts").fetchall() == [("a",)]
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert tables >= set(models.Base.metadata.tables)
    assert not {name for name in tables if name.startswith("_alembic_tmp")}
