"""Lists on the command line can be printed as JSON."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import click
import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy.engine import Engine

from app.services.accounts import accounts
from app.services.notifications import feed
from app.settings import Settings
from tests.support.cli import run
from tests.support.factories import make_app, make_domain
from tests.support.paths import ROOT

ACCOUNT = ("--account", "default")
CHAT = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
LISTS: tuple[tuple[tuple[str, ...], set[str]], ...] = (
    (("accounts", "list"), {"id", "name", "status", "counts"}),
    (("users", "list", *ACCOUNT), {"id", "email", "role", "createdAt"}),
    (("keys", "list", *ACCOUNT), {"id", "name", "status", "scopes", "expiresAt", "lastUsedAt"}),
    (("upload-tokens", "list", *ACCOUNT), {"id", "name", "status", "lastUsedAt"}),
    (("ingest-tokens", "list", *ACCOUNT), {"id", "status", "address", "tlsRecord"}),
    (("channels", "list", *ACCOUNT), {"id", "name", "type", "target", "status"}),
    (("domains", "list", *ACCOUNT), {"id", "name", "tags", "score", "lastScanAt"}),
    (("files", "list", *ACCOUNT), {"id", "status", "reason", "fileName"}),
    (("files", "counts", *ACCOUNT), {"status", "reason", "count"}),
    (("retention", "preview"), {"rule", "setting", "rows"}),
)


@pytest.fixture
def app(database: Engine, settings: Settings) -> Flask:
    app = make_app(database, settings)
    run(app, "setup")
    run(app, "demo")
    run(app, "upload-tokens", "create", *ACCOUNT, "--name", "mail server")
    run(app, "channels", "add-chat", *ACCOUNT, "--name", "team", CHAT)
    return app


def read(app: Flask, *arguments: str) -> Any:
    """Return the value that the command prints with ``--json``."""
    return json.loads(run(app, *arguments, "--json"))


@pytest.mark.parametrize(
    ("command", "members"), LISTS, ids=[" ".join(command) for command, _ in LISTS]
)
def test_list_is_printed_as_json(app: Flask, command: tuple[str, ...], members: set[str]) -> None:
    rows = read(app, *command)
    assert isinstance(rows, list)
    assert rows or command[0] == "files"
    assert all(members <= row.keys() for row in rows)


def test_domains_are_listed_by_name_and_tag(app: Flask) -> None:
    names = [row["name"] for row in read(app, "domains", "list", *ACCOUNT)]
    assert names == sorted(names)
    assert "perfect.example" in names
    assert read(app, "domains", "list", *ACCOUNT, "--tag", "no-such-tag") == []
    assert "perfect.example  no score  not scanned" in run(app, "domains", "list", *ACCOUNT)


def test_channel_log_shows_a_delivery_as_json(app: Flask) -> None:
    [channel] = read(app, "channels", "list", *ACCOUNT)
    run(app, "channels", "test", *ACCOUNT, channel["id"])
    feed.distribute_all()
    [entry] = read(app, "channels", "log", *ACCOUNT, channel["id"])
    assert (entry["status"], entry["attempts"]) == ("pending", 0)


def test_every_listing_has_the_option(app: Flask) -> None:
    groups = {name: group for name, group in app.cli.commands.items() if name != "routes"}
    for name, group in groups.items():
        commands = group.commands if isinstance(group, click.Group) else {}
        for verb in {"list", "show", "log", "counts", "preview"} & commands.keys():
            options = {option.name for option in commands[verb].params}
            assert "as_json" in options, f"{name} {verb}"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("domains", "list", "--account", "default"), 0),
        (("domains", "list", "--account", "Globex"), 1),
        (("domains", "list"), 2),
        (("domains", "list", "--account", "default", "--no-such-option"), 2),
    ],
)
def test_exit_status_says_what_kind_of_error_occurred(
    app: Flask, arguments: tuple[str, ...], status: int
) -> None:
    result: Result = app.test_cli_runner().invoke(args=list(arguments))
    assert result.exit_code == status
    assert bool(result.stderr) == bool(status)


def test_log_lines_are_on_stderr(app: Flask, settings: Settings) -> None:
    command = (sys.executable, "-m", "flask", "--app", "wsgi", "scans", "trigger", *ACCOUNT)
    environment = {
        "SECRET_KEY": settings.secret_key,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "ALLOWED_HOSTS": "watch.test",
    }
    domain = make_domain(accounts.find("default").id, "acme.test")
    result = subprocess.run(
        (*command, domain.name),
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"scan_\w+  acme\.test  \w+\n", result.stdout)
    assert "Redis unavailable" in result.stderr
