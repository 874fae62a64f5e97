"""The operator commands of the CLI."""

import re

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.engine import Engine

from app.db.transactions import transaction
from app.models import ChannelRecipient
from app.services.api_keys import callers
from app.services.notifications import feed
from app.settings import Settings
from tests.support.cli import run, token_in
from tests.support.factories import make_app

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


@pytest.fixture
def app(database: Engine, settings: Settings) -> Flask:
    return make_app(database, settings)


def test_key_is_created_listed_rotated_and_revoked(app: Flask) -> None:
    run(app, "accounts", "create", "Acme")
    made = run(
        app,
        *("keys", "create", "--account", "Acme", "--name", "ci"),
        *("--scope", "domains:read", "--scope", "scans:trigger", "--expires", "2100-01-31"),
    )
    token = token_in(made)
    caller = callers.resolve(token, "192.0.2.1")
    assert caller is not None
    assert caller.scopes == {"domains:read", "scans:trigger"}
    listed = run(app, "keys", "list", "--account", "Acme")
    assert "active" in listed
    assert "2100-01-31" in listed
    assert token not in listed
    second = token_in(run(app, "keys", "rotate", "--account", "Acme", "--grace", "24h", token))
    assert second != token
    assert callers.resolve(second, "192.0.2.1") is not None
    run(app, "keys", "revoke", "--account", "Acme", token)
    assert callers.resolve(token, "192.0.2.1") is None
    assert callers.resolve(second, "192.0.2.1") is not None


def test_setup_prints_credentials_only_once(app: Flask) -> None:
    token = token_in(run(app, "setup"))
    caller = callers.resolve(token, "192.0.2.1")
    assert caller is not None
    assert len(caller.scopes) == 6
    assert run(app, "setup") == ""


def test_generated_password_is_printed_when_a_user_is_created(app: Flask) -> None:
    run(app, "accounts", "create", "Acme")
    output = run(app, "users", "create", "--account", "Acme", "--email", "a@acme.example")
    assert re.search(r"shown only once\): \S{16,}", output)


def test_scans_are_triggered(app: Flask) -> None:
    run(app, "setup")
    assert "first scans are queued" in run(app, "demo")
    assert "exist already" in run(app, "demo")
    output = run(app, "scans", "trigger", "--account", "default", "perfect.example")
    assert re.match(r"scan_\w{26}  perfect.example  coalesced", output)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("keys", "list", "--account", "Unknown"), 1, "Unknown"),
        (("keys", "create", "--account", "A", "--name", "x", "--scope", "all"), 2, "all"),
        (("keys", "rotate", "--account", "A", "--grace", "soon", "x"), 2, "24h"),
    ],
)
def test_error_is_one_sentence(
    app: Flask, arguments: tuple[str, ...], status: int, words: str
) -> None:
    run(app, "accounts", "create", "A")
    output = run(app, *arguments, status=status)
    assert words in output
    assert "Traceback" not in output


def test_channel_is_added_tested_listed_and_removed(app: Flask) -> None:
    run(app, "accounts", "create", "Acme")
    account = ("--account", "Acme")
    added = ("channels", "add-email", *account, "--name", "ops", "--severity", "high")
    assert "SMTP_URL is not set" in run(app, *added, "--cadence", "daily", "ops@acme.test")
    run(app, *added, "ops@acme.test", status=1)
    assert "ops@acme.test  high+" in run(app, "channels", "list", *account)
    run(app, "channels", "test", *account, "ops", status=1)  # the recipient has not confirmed
    with transaction() as session:
        session.execute(update(ChannelRecipient).values(status="confirmed"))
    assert "Queued test event" in run(app, "channels", "test", *account, "ops")
    feed.distribute_all()
    assert "pending" in run(app, "channels", "log", *account, "ops")
    assert "0 deliveries" in run(app, "channels", "replay", *account, "ops")
    assert "disabled" in run(app, "channels", "disable", *account, "ops")
    assert "disabled" not in run(app, "channels", "enable", *account, "ops")
    run(app, "channels", "remove", *account, "ops")
    assert run(app, "channels", "list", *account) == ""


def test_weekly_summary_is_scheduled_and_stopped(app: Flask) -> None:
    run(app, "accounts", "create", "Acme")
    account = ("--account", "Acme")
    run(app, "channels", "add-email", *account, "--name", "ops", "ops@acme.test")
    weekly = ("channels", "weekly", *account, "ops")
    friday = ("--day", "friday", "--hour", "7", "--zone", "Europe/Berlin")
    assert run(app, *weekly) == "Weekly summary: Monday, 08:00 UTC (before: never)\n"
    changed = run(app, *weekly, *friday)
    assert changed == "Weekly summary: Friday, 07:00 Europe/Berlin (before: Monday, 08:00 UTC)\n"
    stopped = run(app, *weekly, "--day", "never")
    assert stopped == "Weekly summary: never (before: Friday, 07:00 Europe/Berlin)\n"
    assert "unknown time zone" in run(app, *weekly, "--zone", "Nowhere", status=1)
    run(app, "channels", "add-chat", *account, "--name", "chat", SLACK)
    assert "only email channels" in run(app, "channels", "weekly", *account, "chat", status=1)


def test_loopback_webhook_is_rejected_with_a_sentence(app: Flask) -> None:
    run(app, "accounts", "create", "Acme")
    made = ("channels", "add-webhook", "--account", "Acme", "--name", "hook")
    assert "must be a fully qualified domain name" in run(
        app, *made, "https://localhost/", status=1
    )


def test_chat_address_is_never_printed(app: Flask) -> None:
    run(app, "accounts", "create", "Acme")
    made = run(app, "channels", "add-chat", "--account", "Acme", "--name", "chat", SLACK)
    assert "Slack" in made
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in made + run(
        app, "channels", "list", "--account", "Acme"
    )
