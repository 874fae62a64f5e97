"""Requests to chat and paging services go through the egress client.

Their hosts are on the internet; here a proxy on loopback replaces all of them.
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
from sqlalchemy import select

from app.db.transactions import now, transaction
from app.errors import InvalidRequest
from app.models import Alert, Channel, Domain
from app.services.alerts import transitions
from app.services.core import encryption
from app.services.monitoring import account_monitor
from app.services.notifications import channels, dispatcher
from app.services.notifications.channels import NewChannel
from app.settings import Settings
from tests.support import txt_edit
from tests.support.chat_examples import ADDRESSES, EXAMPLES
from tests.support.factories import ACTOR
from tests.support.open_alert import OpenAlert
from tests.support.receivers import LoopbackNetwork
from tests.support.zones import Zone

PAGERDUTY = EXAMPLES["PagerDuty"][0]
SLACK = EXAMPLES["Slack"][0]
ATTACK = "discord://123456789012345678/t/#?verify=no&template=http://127.0.0.1:8237/x"
HOSTS = (
    *("discord.com", "chat.googleapis.com", "api.line.me", "api.opsgenie.com"),
    *("api.eu.opsgenie.com", "events.pagerduty.com", "events.eu.pagerduty.com"),
    *("api.pagertree.com", "api.pushover.net", "connect.signl4.com", "hooks.slack.com"),
    *("alert.victorops.com", "api.telegram.org", "api.twilio.com", "webexapis.com"),
    *("prod-1.westeurope.logic.azure.com", "default1.4a.environment.api.powerplatform.com"),
)


@dataclass
class Outside:
    """A proxy that answers for every host; the requests that it was sent.

    extra  header lines of the answer
    """

    directory: Path
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    status: int = 202
    extra: str = ""
    is_trusted: bool = True

    def __post_init__(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.directory / "outside.pem"))
        self._contexts = {}
        for is_trusted, issuer in ((True, authority), (False, trustme.CA())):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            issuer.issue_cert(*HOSTS).configure_cert(context)
            self._contexts[is_trusted] = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.requests]

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with suppress(ssl.SSLError, ConnectionError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        assert connection.recv(4096).startswith(b"CONNECT 127.0.0.1:443 ")
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        context = self._contexts[self.is_trusted]
        with context.wrap_socket(connection, server_side=True) as tls:
            head, _, body = tls.recv(65536).partition(b"\r\n\r\n")
            request_line, *lines = head.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            while len(body) < int(headers["content-length"]):
                body += tls.recv(65536)
            self.requests.append((headers["host"], request_line, body))
            answer = f"HTTP/1.1 {self.status} X\r\n{self.extra}Content-Length: 2\r\n"
            tls.sendall(f"{answer}Connection: close\r\n\r\nok".encode())


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    proxy = Outside(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "outside.pem"))
    yield proxy
    proxy.close()


@pytest.fixture
def network(outside: Outside) -> LoopbackNetwork:
    zone = Zone({(host, "A"): ["127.0.0.1"] for host in HOSTS})
    return LoopbackNetwork(zone, proxy=outside.url)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.replace(delivery_schedule=(0.0, 0.0))


def add(account_id: UUID, url: str, name: str = "chat") -> Channel:
    return channels.add(account_id, NewChannel(name, "chat", url), LoopbackNetwork(), actor=ACTOR)[
        0
    ]


def store_address(account_id: UUID, url: str) -> None:
    """Store an address that an earlier version accepted."""
    with transaction() as session:
        channel = channels.owned(session, account_id, "chat")
        text = json.dumps({"keys": [], "until": None, "url": url})
        channel.secret_encrypted = encryption.encrypt(text, f"channel:{channel.id}")


def resolve(alert_id: UUID) -> None:
    with transaction() as session:
        alert = session.get_one(Alert, alert_id)
        transitions.transition(session, alert, transitions.Transition("resolved"), now(session))


def last_error(account_id: UUID) -> str | None:
    return dispatcher.log(account_id, "chat")[0].delivery.error


@pytest.mark.parametrize(("name", "url"), ADDRESSES)
def test_each_service_gets_an_alert_at_its_own_host(
    account_id: UUID,
    open_alert: OpenAlert,
    outside: Outside,
    network: LoopbackNetwork,
    name: str,
    url: str,
) -> None:
    add(account_id, url)
    open_alert()
    dispatcher.run(network)
    ((host, request_line, body),) = outside.requests
    assert host in HOSTS
    assert request_line.startswith("POST /")
    assert b"SPF" in body
    assert last_error(account_id) is None


def test_incident_is_opened_and_resolved_with_its_alert(
    account_id: UUID, open_alert: OpenAlert, outside: Outside, network: LoopbackNetwork
) -> None:
    add(account_id, PAGERDUTY)
    resolve(open_alert())
    dispatcher.run(network)
    opened, resolved = outside.bodies
    assert (opened["event_action"], resolved["event_action"]) == ("trigger", "resolve")
    assert opened["dedup_key"] == resolved["dedup_key"]
    assert "No SPF record" in opened["payload"]["summary"]


def test_one_txt_edit_is_one_chat_message_led_by_the_worst_alert(
    account_id: UUID, domain: Domain, outside: Outside, network: LoopbackNetwork
) -> None:
    txt_edit.scan(account_id, txt_edit.REJECT)
    add(account_id, SLACK)
    txt_edit.scan(account_id, txt_edit.NONE)
    dispatcher.run(network)
    ((_, _, body),) = outside.requests
    message = body.decode()
    assert "[critical] DMARC policy weakened" in message
    assert "related)" in message
    assert "Same cause:" in message
    assert "DMARC record changed in DNS" in message
    assert {entry.delivery.status for entry in dispatcher.log(account_id, "chat")} == {"delivered"}


def test_failed_message_about_one_cause_is_retried_as_one_message(
    account_id: UUID, domain: Domain, outside: Outside, network: LoopbackNetwork
) -> None:
    outside.status = 500
    txt_edit.scan(account_id, txt_edit.REJECT)
    add(account_id, SLACK)
    txt_edit.scan(account_id, txt_edit.NONE)
    dispatcher.run(network)
    assert len(outside.requests) == 2
    assert {entry.delivery.attempts for entry in dispatcher.log(account_id, "chat")} == {2}


def test_each_alert_of_one_cause_has_its_own_incident(
    account_id: UUID, domain: Domain, outside: Outside, network: LoopbackNetwork
) -> None:
    txt_edit.scan(account_id, txt_edit.REJECT)
    add(account_id, PAGERDUTY)
    txt_edit.scan(account_id, txt_edit.NONE)
    dispatcher.run(network)
    keys = [body["dedup_key"] for body in outside.bodies]
    assert len(set(keys)) == len(keys) > 1


def test_failed_delivery_to_a_service_is_retried(
    account_id: UUID, open_alert: OpenAlert, outside: Outside, network: LoopbackNetwork
) -> None:
    outside.status = 500
    add(account_id, PAGERDUTY)
    open_alert()
    dispatcher.run(network)
    assert len(outside.requests) == 2
    assert last_error(account_id) == "the endpoint returned 500"


def test_redirect_is_not_followed(
    account_id: UUID, open_alert: OpenAlert, outside: Outside, network: LoopbackNetwork
) -> None:
    outside.status, outside.extra = 307, f"Location: {outside.url}/internal\r\n"
    add(account_id, SLACK)
    open_alert()
    dispatcher.run(network)
    assert {host for host, _, _ in outside.requests} == {"hooks.slack.com"}
    assert last_error(account_id) == "the endpoint redirects, and redirects are not followed"


def test_untrusted_certificate_fails_the_delivery(
    account_id: UUID, open_alert: OpenAlert, outside: Outside, network: LoopbackNetwork
) -> None:
    outside.is_trusted = False
    add(account_id, SLACK)
    open_alert()
    dispatcher.run(network)
    assert outside.requests == []
    assert last_error(account_id) == "the certificate of the endpoint is not trusted"


def test_service_name_with_a_private_address_is_not_contacted(
    account_id: UUID, open_alert: OpenAlert, outside: Outside, network: LoopbackNetwork
) -> None:
    network.zone = Zone({("hooks.slack.com", "A"): ["10.0.0.1"]})
    add(account_id, SLACK)
    open_alert()
    dispatcher.run(network)
    assert outside.requests == []
    assert last_error(account_id) == "the address of the endpoint is not public"


def test_only_the_service_of_an_address_is_shown(account_id: UUID) -> None:
    channel = add(account_id, SLACK)
    assert channel.target == "Slack"
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in str(vars(channel))


@pytest.mark.parametrize("url", [ATTACK, "json://localhost/x", "file:///etc/passwd", ""])
def test_unknown_addresses_are_refused(account_id: UUID, url: str) -> None:
    with pytest.raises(InvalidRequest):
        add(account_id, url)


def test_stored_address_that_is_no_longer_accepted_disables_the_channel(
    account_id: UUID, open_alert: OpenAlert, outside: Outside, network: LoopbackNetwork
) -> None:
    add(account_id, SLACK)
    store_address(account_id, ATTACK)
    open_alert()
    dispatcher.run(network)
    assert outside.requests == []
    channel = channels.find(account_id, "chat")
    assert channel.disabled_at is not None
    assert "Remove the channel and add it again" in str(channel.disabled_reason)


def test_channels_with_unaccepted_addresses_are_disabled_with_an_alert(
    account_id: UUID, outside: Outside
) -> None:
    add(account_id, SLACK)
    add(account_id, PAGERDUTY, "pager")
    store_address(account_id, ATTACK)
    assert channels.disable_unaccepted() == 1
    assert channels.disable_unaccepted() == 0
    assert channels.find(account_id, "pager").disabled_at is None
    account_monitor.check_accounts()
    with transaction(readonly=True) as session:
        (alert,) = session.scalars(select(Alert).where(Alert.type == "webhook.disabled"))
    assert "Remove the channel" in alert.message
    with pytest.raises(InvalidRequest):
        channels.enable(account_id, "chat", actor=ACTOR)
