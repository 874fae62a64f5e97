"""The command `flask mailboxes add` for every type: its options, its prompts and its errors."""

from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import Result
from sqlalchemy.engine import Engine

from app.mailboxes.registry import MAILBOX_TYPES
from app.services.mailboxes import access, mailboxes
from app.settings import Settings
from tests.support.factories import make_account, make_app

Run = Callable[..., Result]
# The options of each type that have no default, and what is typed at its prompts.
REQUIRED: Mapping[str, Mapping[str, str]] = {
    "imap": {"host": "imap.acme.test", "username": "reports@acme.test"},
    "graph": {"address": "dmarc@acme.test", "tenant": "acme.test", "client_id": "app-1"},
    "gmail": {"address": "dmarc@acme.test", "client_id": "app-1"},
    "imap_microsoft": {"username": "dmarc@acme.test", "tenant": "acme.test", "client_id": "app-1"},
    "imap_gmail": {"username": "dmarc@acme.test", "client_id": "app-1"},
    "pop3": {"host": "pop.acme.test", "username": "reports@acme.test"},
    "s3": {"bucket": "acme-reports", "access_key_id": "AKIA1"},
    "folder": {"path": "acme/reports"},
}
TYPED = {
    "imap": {"password": "pass word"},
    "graph": {"client_secret": "secret-1"},
    "gmail": {"client_secret": "secret-1", "refresh_token": "refresh-1"},
    "imap_microsoft": {"client_secret": "secret-1"},
    "imap_gmail": {"client_secret": "secret-1", "refresh_token": "refresh-1"},
    "pop3": {"password": "pass word"},
    "s3": {"secret_access_key": "secret-1", "session_token": ""},
    "folder": {},
}


@pytest.fixture
def account_id(database: Engine) -> UUID:
    return make_account("Acme").id


@pytest.fixture
def run(account_id: UUID, database: Engine, settings: Settings) -> Run:
    app = make_app(database, settings)
    assert account_id

    def invoke(type: str, options: Mapping[str, str], typed: Mapping[str, str]) -> Result:
        flags = [
            word
            for name, value in options.items()
            for word in (f"--{name.replace('_', '-')}", value)
        ]
        words = ["mailboxes", "add", "--account", "Acme", "--type", type, "--skip-test", *flags]
        text = "".join(f"{secret}\n" for secret in typed.values())
        return app.test_cli_runner().invoke(args=words, input=text)

    return invoke


def test_every_type_is_covered() -> None:
    assert set(REQUIRED) == set(TYPED) == set(MAILBOX_TYPES)


@pytest.mark.parametrize("type", MAILBOX_TYPES)
def test_mailbox_is_added_with_its_options_and_typed_secrets(
    account_id: UUID, run: Run, type: str
) -> None:
    result = run(type, REQUIRED[type], TYPED[type])
    assert result.exit_code == 0, result.output
    (row,) = mailboxes.search(account_id)
    config = access.config_of(row)
    expected = MAILBOX_TYPES[type].parsed({**REQUIRED[type], **TYPED[type]}).checked()
    assert config == expected
    assert not any(secret in result.output for secret in TYPED[type].values() if secret)
    assert not any(secret in str(row.options) for secret in TYPED[type].values() if secret)


@pytest.mark.parametrize("type", MAILBOX_TYPES)
def test_missing_option_is_named(account_id: UUID, run: Run, type: str) -> None:
    for name in REQUIRED[type]:
        given = {other: text for other, text in REQUIRED[type].items() if other != name}
        result = run(type, given, {})
        assert result.exit_code == 2
        assert f"Missing option '--{name.replace('_', '-')}'." in result.output
    assert mailboxes.search(account_id) == []


@pytest.mark.parametrize("type", MAILBOX_TYPES)
def test_option_of_another_type_is_refused(account_id: UUID, run: Run, type: str) -> None:
    other = {"bucket": "acme"} if type != "s3" else {"path": "x"}
    result = run(type, {**REQUIRED[type], **other}, TYPED[type])
    assert result.exit_code == 2
    assert "is not an option of this type" in result.output
    assert mailboxes.search(account_id) == []


@pytest.mark.parametrize(
    ("type", "changed", "words"),
    [
        ("imap", {"host": "not a host"}, "host: "),
        ("imap", {"port": "70000"}, "port: Enter a number from 1 to 65535"),
        ("imap", {"port": "x"}, "port: Enter a number from 1 to 65535"),
        ("imap", {"messages": "all"}, "done_folder: Enter a folder for imported emails"),
        ("imap", {"done_folder": "INBOX"}, "done_folder: Enter a different folder"),
        ("graph", {"tenant": "a/b"}, "tenant: Enter the ID of the tenant"),
        ("graph", {"done_folder": "inbox"}, "done_folder: Enter a different folder"),
        ("graph", {"messages": "all"}, "done_folder: Enter a folder for imported emails"),
        ("gmail", {"done_label": "inbox"}, "done_label: Enter a different label"),
        ("gmail", {"messages": "all"}, "done_label: Enter a label for imported emails"),
        ("imap_microsoft", {"tenant": "a/b"}, "tenant: Enter the ID of the tenant"),
        ("imap_microsoft", {"messages": "all"}, "done_folder: Enter a folder"),
        ("imap_gmail", {"folder": ""}, "folder: Enter 1 to 200 printable characters"),
        ("imap_gmail", {"messages": "all"}, "done_folder: Enter a folder"),
        ("pop3", {"host": "-"}, "host: "),
        ("s3", {"after_import": "move"}, "done_prefix: This is required if “Imported objects”"),
        ("s3", {"bucket": "a.b.c"}, "addressing: A bucket whose name has a dot"),
        ("s3", {"region": "eu central"}, "region: Enter the name of a region"),
        ("folder", {"path": "../x"}, "path: Enter a path relative to MAILBOX_FOLDER_ROOT"),
        ("folder", {"path": "/x"}, "path: Enter a path relative to MAILBOX_FOLDER_ROOT"),
    ],
)
def test_invalid_combination_says_what_to_enter_before_a_secret_is_prompted_for(
    account_id: UUID, run: Run, type: str, changed: Mapping[str, str], words: str
) -> None:
    result = run(type, {**REQUIRED[type], **changed}, {})
    assert result.exit_code == 1
    assert words in result.output
    assert mailboxes.search(account_id) == []


@pytest.mark.parametrize("type", [name for name, typed in TYPED.items() if typed])
def test_missing_secret_is_prompted_for_and_not_stored_empty(
    account_id: UUID, run: Run, type: str
) -> None:
    result = run(type, REQUIRED[type], {})
    assert result.exit_code == 1
    assert mailboxes.search(account_id) == []


def test_person_signs_in_with_a_refresh_token_and_optionally_a_client_secret(
    account_id: UUID, run: Run
) -> None:
    options = {**REQUIRED["imap_microsoft"], "sign_in": "person"}
    result = run("imap_microsoft", options, {"client_secret": "", "refresh_token": "refresh-1"})
    assert result.exit_code == 0, result.output
    (row,) = mailboxes.search(account_id)
    assert access.config_of(row).secrets() == {"client_secret": "", "refresh_token": "refresh-1"}


def test_certificates_are_read_from_a_file_of_text(
    account_id: UUID, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    for content, words in ((b"x", "Enter certificates in PEM format"), (b"\xff", "cannot be read")):
        file.write_bytes(content)
        result = run("imap", {**REQUIRED["imap"], "ca_certificates_file": str(file)}, {})
        assert result.exit_code == 1
        assert words in result.output
    assert mailboxes.search(account_id) == []
