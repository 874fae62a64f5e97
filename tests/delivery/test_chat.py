"""Chat and paging services: which are taken, and what they are told.

Their hosts are on the internet; here a proxy on loopback stands in for all of them.
"""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import trustme

from app.channels import chat
from app.channels.contract import BadTarget
from app.db import now, transaction
from app.errors import InvalidRequest
from app.models import Alert
from app.services import channels, deliveries, transitions
from app.services.channels import NewChannel
from tests.delivery.conftest import OpenAlert
from tests.factories import ACTOR
from tests.receivers import ReachingDoor

PAGERDUTY = "pagerduty://key@apikey"
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops"
HOSTS = ("events.pagerduty.com", "hooks.slack.com")


@dataclass
class Outside:
    """A proxy that answers for every host; what it was told, by host."""

    directory: Path
    told: list[tuple[str, Any]] = field(default_factory=list)
    status: int = 202

    def __post_init__(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.directory / "outside.pem"))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*HOSTS).configure_cert(self._context)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        host = connection.recv(4096).split()[1].split(b":")[0].decode()
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with self._context.wrap_socket(connection, server_side=True) as tls:
            raw = tls.recv(65536)
            head, _, body = raw.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            while len(body) < length:
                body += tls.recv(65536)
            self.told.append((host, json.loads(body)))
            answer = (
                f"HTTP/1.1 {self.status} OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
            )
            tls.sendall(answer.encode())


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    proxy = Outside(tmp_path)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "outside.pem"))
    yield proxy
    proxy.close()


def resolve(alert_id: UUID) -> None:
    with transaction() as session:
        alert = session.get_one(Alert, alert_id)
        transitions.move(session, alert, transitions.Step("resolved"), now(session))


def test_a_page_is_opened_and_its_resolution_ends_the_same_one(
    account_id: UUID, open_alert: OpenAlert, outside: Outside, door: ReachingDoor
) -> None:
    channels.add_apprise(account_id, PAGERDUTY, NewChannel("pager"), actor=ACTOR)
    resolve(open_alert())
    deliveries.run(door)
    (first_host, opened), (_, resolved) = outside.told
    assert first_host == "events.pagerduty.com"
    assert (opened["event_action"], resolved["event_action"]) == ("trigger", "resolve")
    assert opened["dedup_key"] == resolved["dedup_key"]
    assert "No SPF record" in opened["payload"]["summary"]


def test_a_chat_is_told(
    account_id: UUID, open_alert: OpenAlert, outside: Outside, door: ReachingDoor
) -> None:
    outside.status = 200
    channels.add_apprise(account_id, SLACK, NewChannel("chat"), actor=ACTOR)
    open_alert()
    deliveries.run(door)
    ((host, said),) = outside.told
    assert host == "hooks.slack.com"
    assert "acme.test: no SPF record" in json.dumps(said)


def test_a_service_that_does_not_take_it_is_tried_again(
    account_id: UUID, open_alert: OpenAlert, outside: Outside, door: ReachingDoor
) -> None:
    outside.status = 500
    channels.add_apprise(account_id, PAGERDUTY, NewChannel("pager"), actor=ACTOR)
    open_alert()
    deliveries.run(door)
    assert len(outside.told) == 10


def test_of_its_address_only_the_service_is_shown(account_id: UUID) -> None:
    channel = channels.add_apprise(account_id, SLACK, NewChannel("chat"), actor=ACTOR)
    assert channel.target == "Slack"
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in str(vars(channel))


@pytest.mark.parametrize(
    "url",
    [
        "json://localhost/x",
        "jsons://hooks.acme.test/x",
        "xml://127.0.0.1",
        "form://127.0.0.1",
        "mailto://user:pass@mail.test",
        "mmost://chat.acme.test/token",
        "rocket://user:pass@chat.acme.test/#x",
        "syslog://",
        "dbus://",
        "file:///etc/passwd",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?verify=no",
        "slack://nonsense",
        "workflows://127.0.0.1/workflow/signature",
        "workflows://evil.test/workflow/signature",
        "workflows://logic.azure.com.evil.test/workflow/signature",
        "workflows://a.logic.azure.com:8080/workflow/signature",
        "slack://T1JJ3T3L2 /x",
        "",
    ],
)
def test_only_services_at_a_fixed_address_are_taken(account_id: UUID, url: str) -> None:
    with pytest.raises(InvalidRequest):
        channels.add_apprise(account_id, url, NewChannel("chat"), actor=ACTOR)


def test_a_workflow_of_microsoft_is_taken() -> None:
    url = "workflows://prod-1.westeurope.logic.azure.com:443/643e69f83c8944/4f-signature_x"
    assert chat.service(url) == "Microsoft Teams"


def test_why_an_address_is_refused_does_not_repeat_it() -> None:
    with pytest.raises(BadTarget) as caught:
        chat.service("slack://secret-token")
    assert "secret-token" not in str(caught.value)
