"""Mailboxes of Microsoft Graph and Gmail: what both have in common."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.errors import InvalidRequest
from app.mailboxes.types import MailboxError
from app.mailboxes.web_api import gmail, graph
from app.models import ReportMailbox
from app.protocols.report_formats.limits import LIMITS
from app.services.mailboxes import access, mailboxes
from app.services.mailboxes.fetch import PollResult
from app.settings import Settings
from tests.support import web_mailboxes
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.report_mailboxes import counts, mail, reload, stored_mails
from tests.support.web_api import Reply
from tests.support.web_mailboxes import PROVIDERS, Client, Provider

pytestmark = pytest.mark.usefixtures("database")

Start = Callable[[Provider], Client]


@pytest.fixture(params=list(PROVIDERS))
def provider(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Provider]:
    provider = PROVIDERS[request.param]([mail(1), mail(2), mail(3)])
    with web_mailboxes.serving(provider, tmp_path, monkeypatch):
        yield provider


@pytest.fixture
def client(provider: Provider, settings: Settings) -> Client:
    account_id = make_account().id
    make_domain(account_id, "acme.test")
    return Client(web_mailboxes.settings_for(settings, provider.server), account_id)


def test_unread_messages_are_imported_once_and_marked_as_read(
    provider: Provider, client: Client
) -> None:
    row = client.add(provider.config())
    assert counts(client.poll(row)) == PollResult(imported_count=3)
    assert provider.waiting() == []
    provider.deliver(mail(4))
    assert client.poll(row) == PollResult(imported_count=1, read_count=3)
    assert len(stored_mails(client.account_id)) == 4
    assert (reload(row).imported_count, reload(row).failure) == (4, None)


def test_messages_are_listed_over_many_pages(
    provider: Provider, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "PAGE_SIZE", 2)
    monkeypatch.setattr(gmail, "PAGE_SIZE", 2)
    for number in range(4, 10):
        provider.deliver(mail(number))
    row = client.add(provider.config("Done", **_creating(provider)))
    assert counts(client.poll(row)) == PollResult(imported_count=9)
    assert provider.waiting() == []
    lists = [call for call in provider.server.calls if call.query.get("labelIds")]
    assert len(lists) in (0, 5)
    assert len(set(stored_mails(client.account_id))) == 9


def test_imported_messages_are_moved_to_the_configured_place(
    provider: Provider, client: Client
) -> None:
    row = client.add(provider.config("DMARC/Done", **_creating(provider)))
    assert counts(client.poll(row)) == PollResult(imported_count=3)
    assert counts(client.poll(row)) == PollResult()
    assert provider.waiting() == []


def test_missing_place_for_imported_messages_is_a_failure_before_any_import(
    provider: Provider, client: Client
) -> None:
    row = client.add(provider.config("Done"))
    assert "Done does not exist" in (client.poll(row).failure or "")
    assert len(provider.waiting()) == 3
    assert not stored_mails(client.account_id)


def test_service_that_asks_to_wait_is_not_asked_again_before_that_time(
    provider: Provider, client: Client
) -> None:
    row = client.add(provider.config())
    provider.server.faults.append((provider.lists, provider.throttled()))
    result = client.poll(row)
    assert (result.imported_count, result.retry_after_seconds) == (0, 120)
    assert "asks to wait 120 seconds" in (result.failure or "")
    assert len(provider.server.paths("GET")) <= 3
    _expect_next_poll(row, timedelta(seconds=300))
    provider.server.faults.append((provider.reads, _patient(provider.throttled())))
    assert client.poll(row).retry_after_seconds == 900
    _expect_next_poll(row, timedelta(seconds=900))
    assert counts(client.poll(row)) == PollResult(imported_count=3)


def test_messages_before_the_throttled_one_are_imported_and_it_is_not_skipped(
    provider: Provider, client: Client
) -> None:
    row = client.add(provider.config())
    second = provider.ids[1]
    provider.server.faults.append((f"GET .*{second}", provider.throttled()))
    result = client.poll(row)
    assert (result.imported_count, result.skipped) == (1, {})
    assert counts(client.poll(row)) == PollResult(imported_count=2)


def test_throttled_mailbox_that_makes_progress_is_healthy_and_continues_when_it_may(
    provider: Provider, client: Client
) -> None:
    row = client.add(provider.config())
    for message_id in provider.ids[1:]:
        provider.server.faults.append((f"GET .*{message_id}", provider.throttled()))
    for number in (1, 2):
        result = client.poll(row)
        assert (result.imported_count, result.failure) == (1, None), number
        stored = reload(row)
        assert (stored.failure, stored.failing_since) == (None, None)
        _expect_next_poll(row, timedelta(seconds=120))
    provider.server.faults.append((provider.lists, provider.throttled()))
    assert client.poll(row).failure
    assert reload(row).failing_since is not None
    assert counts(client.poll(row)) == PollResult(imported_count=1)
    assert reload(row).failing_since is None


def test_expired_token_is_renewed_once(provider: Provider, client: Client) -> None:
    row = client.add(provider.config())
    assert counts(client.poll(row)) == PollResult(imported_count=3)
    provider.deliver(mail(4))
    assert counts(client.poll(row)) == PollResult(imported_count=1)
    assert provider.server.issued == 1
    provider.deliver(mail(5))
    provider.server.expire_tokens()
    assert counts(client.poll(row)) == PollResult(imported_count=1)
    assert provider.server.issued == 2


def test_token_that_is_always_refused_is_a_failure_after_one_renewal(
    provider: Provider, client: Client
) -> None:
    row = client.add(provider.config())
    refusals = [(".*/(mailFolders|labels)", provider.server.unauthorized()) for _ in range(9)]
    provider.server.faults += refusals
    assert client.poll(row).failure
    assert (len(provider.server.faults), provider.server.issued) == (7, 2)
    assert reload(row).paused_at is None


def test_revoked_access_pauses_the_mailbox_with_a_clear_failure(
    provider: Provider, client: Client
) -> None:
    row = client.add(provider.config())
    client.poll(row)
    provider.revoke()
    result = client.poll(row)
    assert result.needs_sign_in
    assert "Check the credentials" in (result.failure or "")
    assert reload(row).paused_at is not None


def test_message_that_fails_does_not_hold_the_others(provider: Provider, client: Client) -> None:
    row = client.add(provider.config())
    first = provider.ids[0]
    provider.server.faults += [(f"GET .*{first}", provider.failure(500)) for _ in range(2)]
    result = client.poll(row)
    assert (result.imported_count, result.failure, len(result.skipped)) == (2, None, 1)
    [(name, reason)] = result.skipped.items()
    assert first in name
    assert provider.failure(500).body["error"]["message"].rstrip(".") in reason
    client.poll(row)
    assert counts(client.poll(row)) == PollResult(imported_count=1)


def test_message_without_an_answer_does_not_hold_the_others(
    provider: Provider, client: Client
) -> None:
    row = client.add(provider.config())
    first = f"GET .*{provider.ids[0]}"
    # The client sends a request again if the connection was used before.
    provider.server.faults += [(first, Reply(0))] * 2
    result = client.poll(row)
    assert (result.imported_count, result.failure) == (2, None)
    assert [reason.split(":")[1] for reason in result.skipped.values()] == [" network"]
    provider.server.faults.append((first, Reply(502, b"<html>gateway</html>")))
    assert list(client.poll(row).skipped.values()) == ["the service answered 502"]
    assert counts(client.poll(row)) == PollResult(imported_count=1)


def test_too_large_message_is_left_in_the_mailbox_with_the_reason(
    provider: Provider, client: Client
) -> None:
    provider.announce(provider.ids[0], LIMITS.message + 1)
    row = client.add(provider.config())
    result = client.poll(row)
    assert counts(result) == PollResult(imported_count=2, too_large=1)
    assert list(result.skipped.values()) == ["larger than 25 MiB"]
    assert len(provider.waiting()) == 1


def test_message_that_is_larger_than_announced_is_not_read_to_its_end(
    provider: Provider, client: Client
) -> None:
    provider.deliver(b"x" * (LIMITS.message + 200_000))
    provider.announce(provider.ids[3], 1000)
    row = client.add(provider.config())
    result = client.poll(row)
    assert (result.imported_count, list(result.skipped.values())) == (3, ["larger than 25 MiB"])


def test_largest_message_is_imported(provider: Provider, client: Client) -> None:
    content = mail(4) + b"\r\n" * 8
    provider.deliver(content + b" " * (LIMITS.message - len(content)))
    row = client.add(provider.config())
    assert counts(client.poll(row)) == PollResult(imported_count=4)


@pytest.mark.parametrize("status", [403, 404])
def test_refusal_to_mark_messages_is_a_failure(
    provider: Provider, client: Client, status: int
) -> None:
    row = client.add(provider.config())
    fault = (provider.acknowledges, provider.failure(status))
    provider.server.faults += [fault] * 20
    assert client.poll(row).failure
    assert len(stored_mails(client.account_id)) == 3
    provider.server.faults.clear()
    assert counts(client.poll(row)) == PollResult(duplicate_count=3)
    assert len(stored_mails(client.account_id)) == 3


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"value": 1, "labels": 1}', b"[" * 5000, b'{"labels": [{}]}']
)
def test_malformed_response_is_a_failure(provider: Provider, client: Client, body: bytes) -> None:
    row = client.add(provider.config())
    provider.server.faults.append((".*/(mailFolders|labels)", Reply(200, body)))
    assert client.poll(row).failure == "the service sent a malformed response"


def test_test_and_preview_change_nothing(provider: Provider, client: Client) -> None:
    row = client.add(provider.config())
    connection = access.connection_of(row, client.network)
    assert access.test(connection) == 3
    preview = access.preview(row, client.network)
    assert [message.reason for message in preview.messages] == [None] * 3
    assert preview.read_count == 0
    assert len(provider.waiting()) == 3
    assert provider.server.paths("PATCH") == []


def test_test_creates_the_place_for_imported_messages(provider: Provider, client: Client) -> None:
    missing = access.Connection(
        config=provider.config("A's/B & C"), is_private=False, network=client.network
    )
    with pytest.raises(MailboxError, match="does not exist"):
        access.test(missing)
    created = access.Connection(
        config=provider.config("A's/B & C", **_creating(provider)),
        is_private=False,
        network=client.network,
    )
    access.test(created)
    access.test(missing)


def test_secrets_are_needed_again_for_another_application(
    provider: Provider, client: Client
) -> None:
    row = client.add(provider.config())
    without = dict.fromkeys(provider.config().secrets(), "")
    assert mailboxes.change(
        client.account_id, row.id, provider.config(**without, messages="unread"), actor=ACTOR
    )
    other = provider.config(**without, client_id="another-application")
    with pytest.raises(InvalidRequest):
        mailboxes.change(client.account_id, row.id, other, actor=ACTOR)


def _creating(provider: Provider) -> dict[str, str]:
    names = provider.config().options()
    return {name: "create" for name in ("missing_folder", "missing_label") if name in names}


def _patient(reply: Reply) -> Reply:
    return Reply(reply.status, reply.body, {"Retry-After": "900"})


def _expect_next_poll(row: ReportMailbox, wait: timedelta) -> None:
    stored = reload(row)
    assert stored.polled_at is not None
    assert stored.next_at - stored.polled_at == wait
