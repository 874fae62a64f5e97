"""Mailboxes of Microsoft 365 through Microsoft Graph."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.errors import InvalidRequest
from app.mailboxes.web_api import graph
from app.mailboxes.web_api.graph import GraphConfig
from app.services.mailboxes.fetch import PollResult
from app.settings import Settings
from tests.support import graph_server, web_mailboxes
from tests.support.factories import make_account, make_domain
from tests.support.report_mailboxes import counts, mail, stored_mails
from tests.support.web_api import Reply
from tests.support.web_mailboxes import Client, Graph

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    provider = Graph([mail(1), mail(2), mail(3)])
    with web_mailboxes.serving(provider, tmp_path, monkeypatch):
        yield provider


@pytest.fixture
def client(provider: Graph, settings: Settings) -> Client:
    account_id = make_account().id
    make_domain(account_id, "acme.test")
    return Client(web_mailboxes.settings_for(settings, provider.server), account_id)


def test_pages_continue_when_all_messages_have_the_same_time(
    provider: Graph, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "PAGE_SIZE", 2)
    for message in provider.server.messages.values():
        message.received = graph_server.START
    for message_id in provider.ids:
        provider.server.faults.append((f"GET .*{message_id}", provider.failure(500)))
    row = client.add(provider.config())
    assert len(client.poll(row).skipped) == 3
    assert counts(client.poll(row)) == PollResult(imported_count=3)


def test_moved_messages_do_not_hide_others_on_later_pages(
    provider: Graph, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "PAGE_SIZE", 2)
    for number in range(4, 8):
        provider.deliver(mail(number))
    provider.server.add_folder("Done")
    row = client.add(provider.config("Done", messages="all"))
    assert counts(client.poll(row)) == PollResult(imported_count=7)
    assert len(stored_mails(client.account_id)) == 7


def test_next_page_at_another_host_is_refused_and_gets_no_token(
    provider: Graph, client: Client
) -> None:
    page = {"value": [], "@odata.nextLink": "https://login.microsoftonline.com/v1.0/users/x"}
    provider.server.faults.append((provider.lists, Reply(200, page)))
    row = client.add(provider.config())
    assert client.poll(row).failure == "the service sent a malformed response"
    assert [call.path for call in provider.server.calls if "/users/x" in call.path] == []


@pytest.mark.parametrize(
    "change", [{"id": "\ud800"}, {"id": "a\r\nb"}, {"id": 7}, {"receivedDateTime": None}]
)
def test_listed_message_that_cannot_be_identified_is_a_failure(
    provider: Graph, client: Client, change: dict[str, Any]
) -> None:
    message = {"id": "AAkALg=", "receivedDateTime": "2026-11-01T08:00:00Z", **change}
    provider.server.faults.append((provider.lists, Reply(200, {"value": [message]})))
    row = client.add(provider.config())
    assert client.poll(row).failure == "the service sent a malformed response"


def test_endless_pages_are_a_failure(
    provider: Graph, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "MAX_PAGES", 5)
    path = "/v1.0/users/reports@acme.test/mailFolders/inbox/messages?$skip=1"
    page = {"value": [], "@odata.nextLink": f"https://graph.microsoft.com{path}"}
    provider.server.faults += [(provider.lists, Reply(200, page))] * 9
    row = client.add(provider.config())
    assert "more than 5 pages" in (client.poll(row).failure or "")
    assert len(provider.server.faults) == 4


def test_folders_are_found_by_path_and_by_their_english_names(
    provider: Graph, client: Client
) -> None:
    parent = provider.server.add_folder("O'Reilly & Söhne", "inbox")
    folder = provider.server.add_folder("DMARC", parent.id)
    provider.server.deliver(mail(4), folder.id)
    row = client.add(
        provider.config("deleted items", folder="Inbox/O'Reilly & Söhne/dmarc", messages="all")
    )
    assert counts(client.poll(row)) == PollResult(imported_count=1)
    assert provider.server.contents_of("deleteditems") == [mail(4)]


def test_shared_mailbox_is_named_by_its_address(provider: Graph, client: Client) -> None:
    row = client.add(provider.config(address="unknown@acme.test"))
    failure = client.poll(row).failure or ""
    assert failure.startswith(
        "The requested user 'unknown@acme.test' is invalid (ErrorInvalidUser)"
    )
    assert "Enter the address of a mailbox in this tenant" in failure


@pytest.mark.parametrize("permissions", [{"User.Read"}, {"Mail.Read"}])
def test_missing_permission_is_a_failure_that_says_what_to_grant(
    provider: Graph, client: Client, permissions: set[str]
) -> None:
    provider.server.directory.permissions = permissions
    row = client.add(provider.config())
    failure = client.poll(row).failure or ""
    assert "Access is denied" in failure
    assert "Mail.ReadWrite (type Application) with admin consent" in failure


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"client_secret": "wrong"}, "AADSTS7000215: Invalid client secret provided."),
        ({"client_id": "another"}, "AADSTS700016: Application not found."),
    ],
)
def test_wrong_credentials_are_refused_in_the_words_of_the_service(
    provider: Graph, client: Client, change: dict[str, Any], words: str
) -> None:
    row = client.add(provider.config(**change))
    result = client.poll(row)
    assert words in (result.failure or "")
    assert "Trace ID" not in (result.failure or "")
    assert result.needs_sign_in


def test_unknown_tenant_is_a_failure(provider: Graph, client: Client) -> None:
    row = client.add(provider.config(tenant="other.example"))
    assert "AADSTS90002" in (client.poll(row).failure or "")


def test_clouds_have_their_own_hosts(provider: Graph, client: Client) -> None:
    row = client.add(provider.config(cloud="us_government"))
    assert "login.microsoftonline.us" in (client.poll(row).failure or "")
    assert provider.server.calls == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tenant": "a/../b"}, "tenant"),
        ({"tenant": "a?b"}, "tenant"),
        ({"cloud": "https://evil.example"}, "cloud"),
        ({"done_folder": "inbox"}, "done_folder"),
        ({"messages": "all"}, "done_folder"),
        ({"address": ""}, "address"),
    ],
)
def test_invalid_options_are_refused(provider: Graph, change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        provider.config(**change).checked()
    assert {error["field"] for error in caught.value.extra["details"]} == {field}


def test_only_hosts_of_microsoft_get_the_secret() -> None:
    hosts = {host for cloud in graph.CLOUDS.values() for host in (cloud.api_host, cloud.token_host)}
    suffixes = ("microsoft.com", "microsoft.us", "chinacloudapi.cn", "microsoftonline.com")
    assert all(host.endswith((*suffixes, "microsoftonline.us", "online.cn")) for host in hosts)
    kinds = {option.kind for option in GraphConfig.options().values()}
    assert "host" not in kinds
