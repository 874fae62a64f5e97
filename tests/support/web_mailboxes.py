"""Mailboxes of Microsoft Graph and Gmail at servers on loopback, with a common interface."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from app.mailboxes.config import MailboxConfig
from app.mailboxes.web_api.gmail import GmailConfig
from app.mailboxes.web_api.graph import GraphConfig
from app.models import ReportMailbox
from app.network.session import LiveNetwork
from app.services.mailboxes import mailboxes, polling
from app.services.mailboxes.fetch import PollResult
from app.settings import Settings
from tests.support import gmail_server, graph_server, https_server, web_api
from tests.support.factories import ACTOR
from tests.support.gmail_server import GmailServer
from tests.support.graph_server import GraphServer
from tests.support.web_api import Reply, WebApi


class Provider(ABC):
    """A server with messages, and the options of a mailbox there.

    lists, reads, acknowledges  patterns of the requests that do so
    """

    lists: ClassVar[str]
    reads: ClassVar[str]
    acknowledges: ClassVar[str]
    server: WebApi

    @abstractmethod
    def config(self, done: str = "", **changes: Any) -> MailboxConfig:
        """The options of the mailbox; ``done`` is where imported messages go."""

    @property
    @abstractmethod
    def ids(self) -> list[str]:
        """The ids of the messages, oldest first."""

    @abstractmethod
    def deliver(self, content: bytes) -> None:
        """Deliver a message."""

    @abstractmethod
    def add_place(self, name: str) -> None:
        """Create a folder or label."""

    @abstractmethod
    def waiting(self) -> list[bytes]:
        """The unread messages that are not in another place."""

    @abstractmethod
    def announce(self, message_id: str, size_bytes: int) -> None:
        """Report another size of a message than the real one."""

    @abstractmethod
    def throttled(self) -> Reply:
        """A response that asks to wait 120 seconds."""

    @abstractmethod
    def failure(self, status: int) -> Reply:
        """An error of the API."""

    @abstractmethod
    def revoke(self) -> None:
        """Accept neither the credentials nor the tokens that were issued for them."""


class Graph(Provider):
    lists, reads = "GET .*/inbox/messages$", r"GET .*/messages/[^/]+/\$value"
    acknowledges = "PATCH|move"

    def __init__(self, contents: Sequence[bytes]) -> None:
        self.server: GraphServer = GraphServer(contents)

    def config(self, done: str = "", **changes: Any) -> GraphConfig:
        return GraphConfig(
            **{
                "address": graph_server.ADDRESS,
                "tenant": graph_server.TENANT,
                "client_id": graph_server.CLIENT_ID,
                "client_secret": self.server.directory.secret,
                "done_folder": done,
                **changes,
            }
        )

    @property
    def ids(self) -> list[str]:
        return list(self.server.messages)

    def deliver(self, content: bytes) -> None:
        self.server.deliver(content)

    def add_place(self, name: str) -> None:
        self.server.add_folder(name)

    def waiting(self) -> list[bytes]:
        messages = self.server.messages.values()
        return [item.content for item in messages if item.folder == "inbox" and not item.is_read]

    def announce(self, message_id: str, size_bytes: int) -> None:
        self.server.messages[message_id].size = size_bytes

    def throttled(self) -> Reply:
        return graph_server.throttled("120")

    def failure(self, status: int) -> Reply:
        return graph_server.error(status, "ErrorMimeContentConversionFailed", "Cannot convert.")

    def revoke(self) -> None:
        self.server.directory.secret = "another secret"
        self.server.expire_tokens()


class Gmail(Provider):
    lists, reads = "GET .*/me/messages$", "GET .*/me/messages/[^/]+$"
    acknowledges = "modify"

    def __init__(self, contents: Sequence[bytes]) -> None:
        self.server: GmailServer = GmailServer(contents)

    def config(self, done: str = "", **changes: Any) -> GmailConfig:
        return GmailConfig(
            **{
                "address": gmail_server.ADDRESS,
                "client_id": gmail_server.CLIENT_ID,
                "client_secret": self.server.grant.client_secret,
                "refresh_token": self.server.grant.refresh_token,
                "done_label": done,
                **changes,
            }
        )

    @property
    def ids(self) -> list[str]:
        return list(self.server.messages)

    def deliver(self, content: bytes) -> None:
        self.server.deliver(content)

    def add_place(self, name: str) -> None:
        self.server.add_label(name)

    def waiting(self) -> list[bytes]:
        messages = self.server.messages.values()
        return [item.content for item in messages if {"INBOX", "UNREAD"} <= item.labels]

    def announce(self, message_id: str, size_bytes: int) -> None:
        self.server.messages[message_id].size = size_bytes

    def throttled(self) -> Reply:
        return gmail_server.throttled(Retry_After="120")

    def failure(self, status: int) -> Reply:
        return gmail_server.error(status, "Backend error", "internalError", "INTERNAL")

    def revoke(self) -> None:
        self.server.grant.refresh_token = "1//another-token"
        self.server.expire_tokens()


PROVIDERS: dict[str, type[Graph] | type[Gmail]] = {"graph": Graph, "gmail": Gmail}


class Client:
    """Polls mailboxes at a server on loopback, as the worker does."""

    def __init__(self, settings: Settings, account_id: Any) -> None:
        self.network, self.account_id = LiveNetwork(settings), account_id

    def add(self, config: MailboxConfig) -> ReportMailbox:
        """Add a mailbox as an administrator does, without the test."""
        return mailboxes.add(self.account_id, config, actor=ACTOR)

    def poll(self, row: ReportMailbox) -> PollResult:
        """Poll the mailbox now."""
        result = polling.poll(row.id, self.network, is_forced=True)
        assert result is not None
        return result


def settings_for(settings: Settings, server: WebApi) -> Settings:
    """Settings with which requests to the hosts of the server go to its port."""
    connect_to = tuple((host, "127.0.0.1", server.port) for host in server.hosts)
    return settings.replace(egress_connect_to=connect_to, dns_nameservers=(("127.0.0.1", 1),))


@contextmanager
def serving(provider: Provider, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run the server of the provider, whose certificate is trusted, until the block ends."""
    monkeypatch.setenv("SSL_CERT_FILE", str(https_server.write_authority(directory)))
    with web_api.serving(provider.server):
        yield
