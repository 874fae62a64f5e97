"""The commands `flask accounts` and `flask users`."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select
from sqlalchemy.engine import Engine

from app.db.transactions import transaction
from app.models import Account, User
from app.services.sign_in import sessions
from app.settings import Settings
from tests.support.factories import make_app, make_domain

EMAIL = "ann@acme.test"


@pytest.fixture
def app(database: Engine, settings: Settings) -> Flask:
    app = make_app(database, settings)
    run(app, "accounts", "create", "Acme")
    return app


def run(app: Flask, *arguments: str, status: int = 0, typed: str | None = None) -> str:
    """Return the output of the command."""
    result: Result = app.test_cli_runner().invoke(args=list(arguments), input=typed)
    assert result.exit_code == status, result.output
    return result.output


def add_user(app: Flask, email: str = EMAIL, role: str = "owner") -> str:
    """Create a user and return the password."""
    output = run(app, "users", "create", "--account", "Acme", "--email", email, "--role", role)
    return output.split()[-1]


def can_sign_in(password: str) -> bool:
    return sessions.sign_in(EMAIL, password) is not None


def test_accounts_are_listed_and_shown(app: Flask) -> None:
    add_user(app)
    assert "Acme  active  0 domains  1 users  0 api keys" in run(app, "accounts", "list")
    (row,) = json.loads(run(app, "accounts", "list", "--json"))
    assert (row["name"], row["status"], row["counts"]["users"]) == ("Acme", "active", 1)
    assert json.loads(run(app, "accounts", "show", "--json", row["id"]))["name"] == "Acme"
    assert "dmarc reports  0" in run(app, "accounts", "show", "Acme")


def test_suspended_account_refuses_sign_in_until_resumed(app: Flask) -> None:
    password = add_user(app)
    entry = sessions.sign_in(EMAIL, password)
    assert entry is not None
    run(app, "accounts", "suspend", "Acme")
    assert not can_sign_in(password)
    assert sessions.find(entry.token) is None
    run(app, "accounts", "resume", "Acme")
    assert can_sign_in(password)


def test_an_account_is_exported(app: Flask, tmp_path: Path) -> None:
    path = tmp_path / "acme.zip"
    assert "rows" in run(app, "accounts", "export", "Acme", str(path))
    assert "File exists" in run(app, "accounts", "export", "Acme", str(path), status=1)


def test_an_account_is_deleted_only_if_its_name_is_typed(app: Flask) -> None:
    with transaction(readonly=True) as session:
        account_id = session.scalars(select(Account.id)).one()
    make_domain(account_id, "acme.test")
    run(app, "accounts", "delete", "Acme", status=1, typed="acme\n")
    assert "Acme" in run(app, "accounts", "list")
    run(app, "accounts", "delete", "Acme", typed="Acme\n")
    assert run(app, "accounts", "list") == ""
    run(app, "accounts", "delete", "--yes", "Acme", status=1)


def test_a_disabled_user_cannot_sign_in_and_has_no_session(app: Flask) -> None:
    password = add_user(app)
    entry = sessions.sign_in(EMAIL, password)
    assert entry is not None
    assert "sessions ended: 1" in run(app, "users", "disable", EMAIL)
    assert sessions.find(entry.token) is None
    assert not can_sign_in(password)
    assert "disabled" in run(app, "users", "list", "--account", "Acme")
    run(app, "users", "enable", EMAIL)
    assert can_sign_in(password)
    (row,) = json.loads(run(app, "users", "list", "--json"))
    assert (row["email"], row["disabledAt"], row["account"]) == (EMAIL, None, "Acme")


def test_password_reset_prints_the_new_password(app: Flask) -> None:
    old = add_user(app)
    entry = sessions.sign_in(EMAIL, old)
    assert entry is not None
    new = run(app, "users", "reset-password", EMAIL).split()[-1]
    assert sessions.find(entry.token) is None
    assert not can_sign_in(old)
    assert can_sign_in(new)


def test_no_command_accepts_a_password_argument(app: Flask) -> None:
    for group in ("users", "accounts", "mailboxes"):
        for command in app.cli.commands[group].commands.values():  # type: ignore[attr-defined]
            for parameter in command.params:
                if parameter.name == "password":
                    is_prompt = parameter.hide_input or parameter.is_flag
                    assert is_prompt, f"{group} {command.name}"
    run(app, "users", "reset-password", EMAIL, "a password in the history", status=2)


def test_last_owner_cannot_be_deleted(app: Flask) -> None:
    add_user(app)
    assert "only owner" in run(app, "users", "delete", "--yes", EMAIL, status=1)
    add_user(app, "bob@acme.test")
    run(app, "users", "delete", EMAIL, status=1, typed="bob@acme.test\n")
    run(app, "users", "delete", EMAIL, typed=f"{EMAIL}\n")
    with transaction(readonly=True) as session:
        assert list(session.scalars(select(User.email))) == ["bob@acme.test"]


def test_retention_is_previewed_and_run(app: Flask) -> None:
    output = run(app, "retention", "preview")
    assert "SCAN_RETENTION_DAYS=400" in output
    assert "resolved alerts with their history" in output
    rows = json.loads(run(app, "retention", "preview", "--json", "--at", "2100-01-01"))
    by_rule = {row["rule"]: row["rows"] for row in rows}
    assert by_rule["audit_events"] == 1
    assert "0 rows deleted" in run(app, "retention", "run")


def test_a_domain_is_held_and_released(app: Flask) -> None:
    with transaction(readonly=True) as session:
        account_id = session.scalars(select(Account.id)).one()
    make_domain(account_id, "acme.test")
    account = ("--account", "Acme")
    run(app, "domains", "hold", *account, "--reason", "case 12", "acme.test")
    assert "legal hold" in run(app, "accounts", "delete", "--yes", "Acme", status=1)
    run(app, "domains", "release", *account, "acme.test")
    run(app, "accounts", "delete", "--yes", "Acme")
