"""A new channel type needs one class and one entry in the registry."""

import json
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from app.channels import post, registry
from app.channels.types import (
    BadTarget,
    ChannelConfig,
    ChannelType,
    Message,
    Outcome,
    ParsedTarget,
    Secrets,
    Transport,
)
from app.errors import InvalidRequest
from app.ports.http import Request
from app.services.notifications import channels, dispatcher
from app.services.notifications.channels import NewChannel
from tests.support.factories import ACTOR
from tests.support.open_alert import OpenAlert
from tests.support.receivers import LoopbackNetwork, Receiver


class Ticket(ChannelType):
    """Posts the titles of alerts to a ticket system, whose URL is a secret."""

    name = "ticket"
    label = "Ticket system"
    description = "Create tickets."
    target_hint = "the URL of the queue"
    target_field = "url"
    is_target_secret = True

    def parse(self, target: str, config: ChannelConfig) -> ParsedTarget:
        host = urlsplit(target).hostname
        if host is None:
            raise BadTarget("it is not a URL")
        return ParsedTarget("Ticket system", Secrets(url=target), host)

    async def send(self, message: Message, transport: Transport, config: ChannelConfig) -> Outcome:
        url = urlsplit(message.secrets.url or "")
        titles = [event["data"]["alert"]["title"] for event in message.events]
        request = Request(
            method="POST", headers={}, body=json.dumps(titles).encode(), port=url.port
        )
        return await post.send(
            transport.http, url.hostname or "", url.path, request, seconds=config.timeout_seconds
        )


@pytest.fixture(autouse=True)
def ticket_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.CHANNEL_TYPES, "ticket", Ticket())


def test_a_registered_type_delivers_alerts(
    account_id: UUID, open_alert: OpenAlert, receiver: Receiver, network: LoopbackNetwork
) -> None:
    channel, secret = channels.add(
        account_id, NewChannel("tickets", "ticket", receiver.url), network, actor=ACTOR
    )
    assert (channel.target, secret) == ("Ticket system", None)
    open_alert()
    dispatcher.run(network)
    assert [json.loads(call.body) for call in receiver.calls] == [["No SPF record"]]
    assert dispatcher.log(account_id, "tickets")[0].delivery.status == "delivered"


def test_errors_of_a_registered_type_name_its_field(
    account_id: UUID, network: LoopbackNetwork
) -> None:
    with pytest.raises(InvalidRequest, match="url: it is not a URL"):
        channels.add(account_id, NewChannel("tickets", "ticket", "queue"), network, actor=ACTOR)


def test_a_type_without_digests_rejects_another_cadence(
    account_id: UUID, receiver: Receiver, network: LoopbackNetwork
) -> None:
    new = NewChannel(name="tickets", type="ticket", target=receiver.url, cadence="daily")
    with pytest.raises(InvalidRequest, match="cadence"):
        channels.add(account_id, new, network, actor=ACTOR)
