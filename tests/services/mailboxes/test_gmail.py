"""Mailboxes of Gmail through the Gmail API."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.errors import InvalidRequest
from app.mailboxes.types import MailboxError
from app.mailboxes.web_api import gmail
from app.services.mailboxes import access
from app.services.mailboxes.fetch import PollResult
from app.settings import Settings
from tests.support import gmail_server, web_mailboxes
from tests.support.factories import make_account, make_domain
from tests.support.report_mailboxes import counts, mail, stored_mails
from tests.support.web_api import Reply
from tests.support.web_mailboxes import Client, Gmail

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gmail]:
    provider = Gmail([mail(1), mail(2), mail(3)])
    with web_mailboxes.serving(provider, tmp_path, monkeypatch):
        yield provider


@pytest.fixture
def client(provider: Gmail, settings: Settings) -> Client:
    account_id = make_account().id
    make_domain(account_id, "acme.test")
    return Client(web_mailboxes.settings_for(settings, provider.server), account_id)


def test_oldest_of_the_listed_messages_come_first(
    provider: Gmail, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gmail, "PAGE_SIZE", 1)
    monkeypatch.setattr(gmail, "MAX_PAGES", 2)
    row = client.add(provider.config())
    assert counts(client.poll(row)) == PollResult(imported_count=2)
    reads = [call.path for call in provider.server.calls if call.query.get("format") == "raw"]
    assert [path.rpartition("/")[2] for path in reads] == provider.ids[1:]
    assert counts(client.poll(row)) == PollResult(imported_count=1)
    assert len(stored_mails(client.account_id)) == 3


def test_label_for_imported_messages_replaces_the_other_one(
    provider: Gmail, client: Client
) -> None:
    source, done = provider.server.add_label("DMARC"), provider.server.add_label("DMARC/Done")
    message = provider.server.messages[provider.ids[0]]
    message.labels.add(source)
    row = client.add(provider.config("dmarc/done", label_name="dmarc", messages="all"))
    assert counts(client.poll(row)) == PollResult(imported_count=1)
    assert message.labels == {"INBOX", "UNREAD", done}


def test_missing_label_is_a_failure(provider: Gmail, client: Client) -> None:
    row = client.add(provider.config(label_name="Reports"))
    assert client.poll(row).failure == "label Reports does not exist in the mailbox"


@pytest.mark.parametrize("status", [403, 429])
def test_rate_limit_without_a_time_waits_a_minute(
    provider: Gmail, client: Client, status: int
) -> None:
    provider.server.faults.append((provider.lists, gmail_server.throttled(status)))
    row = client.add(provider.config())
    result = client.poll(row)
    assert result.retry_after_seconds == 60
    assert "Too many concurrent requests for user" in (result.failure or "")


def test_missing_scope_is_a_failure_that_says_what_to_allow(
    provider: Gmail, client: Client
) -> None:
    provider.server.grant.scopes = {"https://www.googleapis.com/auth/gmail.metadata"}
    row = client.add(provider.config())
    failure = client.poll(row).failure or ""
    assert "insufficient authentication scopes (insufficientPermissions)" in failure
    assert "https://www.googleapis.com/auth/gmail.modify" in failure


def test_revoked_refresh_token_is_shown_in_the_words_of_the_service(
    provider: Gmail, client: Client
) -> None:
    row = client.add(provider.config(refresh_token="1//revoked"))
    result = client.poll(row)
    assert "Token has been expired or revoked." in (result.failure or "")
    assert result.needs_sign_in


def test_test_finds_the_mailbox_of_another_person(provider: Gmail, client: Client) -> None:
    config = provider.config(address="someone@acme.test")
    connection = access.Connection(config=config, is_private=False, network=client.network)
    with pytest.raises(MailboxError, match="the refresh token is for the mailbox of reports@"):
        access.test(connection)


@pytest.mark.parametrize("raw", ["A", "A*A=", "näh", 7, ""])
def test_malformed_message_does_not_hold_the_others(
    provider: Gmail, client: Client, raw: Any
) -> None:
    pattern = f"GET .*{provider.ids[0]}"
    provider.server.faults += [
        (pattern, Reply(200, {"sizeEstimate": 100})),
        (pattern, Reply(200, {"raw": raw})),
    ]
    row = client.add(provider.config())
    result = client.poll(row)
    assert (result.imported_count, len(result.skipped)) == (2, 1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"done_label": "inbox"}, "done_label"),
        ({"messages": "all"}, "done_label"),
        ({"refresh_token": ""}, "refresh_token"),
        ({"messages": "some"}, "messages"),
    ],
)
def test_invalid_options_are_refused(provider: Gmail, change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        provider.config(**change).checked()
    assert {error["field"] for error in caught.value.extra["details"]} == {field}
