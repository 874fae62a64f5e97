"""Webhooks as their receivers see them."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from standardwebhooks import Webhook

from app import ids
from app.checks.engine.types import Severity
from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound, ServiceUnavailable
from app.models import Channel, Delivery, Domain
from app.services.alerts import alerts
from app.services.alerts.alerts import AlertChange
from app.services.notifications import channel_pages, channel_secrets, channels, dispatcher, feed
from app.services.notifications.channels import NewChannel
from tests.support import txt_edit
from tests.support.factories import ACTOR, make_account
from tests.support.open_alert import OpenAlert
from tests.support.receivers import HOST, LoopbackNetwork, Receiver
from tests.support.zones import SERVFAIL, Zone

Hook = tuple[Channel, str]


def log(account_id: UUID) -> list[Delivery]:
    with transaction(readonly=True) as session:
        return list(
            session.scalars(
                select(Delivery)
                .where(Delivery.account_id == account_id)
                .order_by(Delivery.event_number)
            )
        )


def test_standard_webhooks_library_verifies_deliveries(
    webhook: Hook, open_alert: OpenAlert, receiver: Receiver, network: LoopbackNetwork
) -> None:
    alert_id = open_alert()
    dispatcher.run(network)
    (call,) = receiver.calls
    event: Any = Webhook(webhook[1]).verify(call.body, call.headers)
    assert (event["type"], event["sequence"]) == ("alert.opened", 1)
    assert event["data"]["alert"]["id"] == ids.public("alert", alert_id)
    assert event["id"] == call.id
    assert call.id.startswith("evt_")


def test_webhook_gets_one_event_for_each_alert_of_one_cause(
    account_id: UUID, webhook: Hook, domain: Domain, receiver: Receiver, network: LoopbackNetwork
) -> None:
    txt_edit.scan(account_id, txt_edit.REJECT)
    dispatcher.run(network)
    before = len(receiver.calls)
    txt_edit.scan(account_id, txt_edit.NONE)
    dispatcher.run(network)
    opened = [json.loads(call.body)["data"]["alert"] for call in receiver.calls[before:]]
    assert {"dmarc.policy_weakened", "dns.record_changed.dmarc"} <= {a["type"] for a in opened}
    assert len({alert["causeId"] for alert in opened}) == 1


def test_event_feed_equals_webhook_deliveries(
    account_id: UUID,
    webhook: Hook,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
) -> None:
    open_alert()
    dispatcher.run(network)
    (row,), _ = feed.listing(account_id, 0).page(None, 50)
    assert {"id": ids.public("evt", row.id), "sequence": row.sequence, **row.body} == json.loads(
        receiver.calls[0].body
    )


def test_both_secrets_verify_during_rotation(
    account_id: UUID,
    webhook: Hook,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
) -> None:
    _, second = channels.rotate_secret(account_id, "hook", timedelta(hours=1), actor=ACTOR)
    open_alert()
    dispatcher.run(network)
    for secret in (webhook[1], second):
        Webhook(secret).verify(receiver.calls[-1].body, receiver.calls[-1].headers)
    _, third = channels.rotate_secret(account_id, "hook", timedelta(0), actor=ACTOR)
    open_alert("dmarc.missing")
    dispatcher.run(network)
    last = receiver.calls[-1]
    Webhook(third).verify(last.body, last.headers)
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(second).verify(last.body, last.headers)


def test_retries_have_the_same_id_and_body_and_a_new_timestamp(
    account_id: UUID,
    webhook: Hook,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
) -> None:
    receiver.answer = lambda _: (500 if len(receiver.calls) < 3 else 204, {})
    open_alert()
    dispatcher.run(network)
    assert len(receiver.calls) == 3
    assert len({(call.id, call.body) for call in receiver.calls}) == 1
    for call in receiver.calls:
        Webhook(webhook[1]).verify(call.body, call.headers)
    (entry,) = log(account_id)
    assert (entry.status, entry.attempts, entry.response_status) == ("delivered", 3, 204)


def test_delivery_fails_permanently_after_the_last_attempt(
    account_id: UUID,
    webhook: Hook,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
) -> None:
    receiver.answer = lambda _: (500, {})
    open_alert()
    dispatcher.run(network)
    (entry,) = log(account_id)
    assert (entry.status, entry.attempts, entry.response_status) == ("dead", 10, 500)
    assert entry.error == "the endpoint returned 500"


def test_events_of_one_alert_are_ordered_and_others_do_not_wait(
    account_id: UUID,
    webhook: Hook,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
) -> None:
    first = open_alert()
    alerts.change(account_id, first, AlertChange("acknowledged"), actor=ACTOR)
    open_alert("dmarc.missing")

    def answer(call: Any) -> tuple[int, dict[str, str]]:
        event = json.loads(call.body)
        is_stuck = (
            event["type"] == "alert.opened" and event["data"]["alert"]["type"] == "spf.missing"
        )
        return (500 if is_stuck and len(receiver.calls) < 4 else 200), {}

    receiver.answer = answer
    dispatcher.run(network)
    done = [entry for entry in log(account_id) if entry.status == "delivered"]
    assert len(done) == 3
    sequences = [json.loads(call.body)["sequence"] for call in receiver.calls]
    assert sequences.index(2) > len(sequences) - 1 - sequences[::-1].index(1)


def test_410_gone_disables_the_channel(
    account_id: UUID,
    webhook: Hook,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
) -> None:
    receiver.answer = lambda _: (410, {})
    open_alert()
    open_alert("dmarc.missing")
    dispatcher.run(network)
    assert len(receiver.calls) == 1
    assert channels.find(account_id, "hook").disabled_reason == "the endpoint returned 410 Gone"
    assert {entry.status for entry in log(account_id)} == {"dead"}


def test_retry_after_is_respected(
    account_id: UUID,
    webhook: Hook,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
) -> None:
    receiver.answer = lambda _: (429, {"Retry-After": "3600"})
    open_alert()
    dispatcher.run(network)
    (entry,) = log(account_id)
    waited = entry.next_at - entry.created_at
    assert timedelta(minutes=59) < waited < timedelta(minutes=62)
    assert len(receiver.calls) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_a_failure_and_not_followed(
    account_id: UUID,
    webhook: Hook,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
    status: int,
) -> None:
    receiver.answer = lambda _: (status, {"Location": receiver.url})
    open_alert()
    dispatcher.run(network)
    (entry,) = log(account_id)
    assert (entry.status, entry.response_status) == ("dead", status)
    assert "redirects" in (entry.error or "")


def test_host_whose_address_became_private_is_refused(
    account_id: UUID, webhook: Hook, open_alert: OpenAlert, receiver: Receiver
) -> None:
    open_alert()
    dispatcher.run(LoopbackNetwork(Zone({(HOST, "A"): ["127.0.0.1"], (HOST, "AAAA"): ["fd00::1"]})))
    (entry,) = log(account_id)
    assert entry.error == "the address of the endpoint is not public"
    assert receiver.calls == []


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.receiver.test/",
        "ftp://hooks.receiver.test/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://localhost/",
        "https://user:secret@hooks.receiver.test/",
        "https://hooks.receiver.test/#x",
        "https://hooks.receiver.test:22/",
        "https://hooks.receiver.test:99999/",
        "https://hooks.receiver.test\\@evil.test/",
        "https://hooks.receiver.test/a b",
        "https://hooks.receiver.test/\r\nX: y",
        "https://höoks.receiver.test/",
        "https://loopback.test/",
        "https://metadata.test/",
        "https://private.test/",
        "https://mapped.test/",
        "https://mixed.test/",
        "https://nothing.test/",
        "https:///path",
        "not a url",
        "https://" + "a" * 2000,
    ],
)
def test_forbidden_url_is_refused_immediately(account_id: UUID, url: str) -> None:
    zone = Zone(
        {
            ("loopback.test", "A"): ["127.0.0.1"],
            ("metadata.test", "A"): ["169.254.169.254"],
            ("private.test", "A"): ["10.1.2.3"],
            ("mapped.test", "AAAA"): ["::ffff:10.0.0.1"],
            ("mixed.test", "A"): ["9.9.9.9", "192.168.0.1"],
        }
    )
    refused: Any = None
    try:
        new = NewChannel("bad", "webhook", url)
        channels.add(account_id, new, LoopbackNetwork(zone), actor=ACTOR)
    except InvalidRequest as error:
        refused = error.extra["details"][0]["field"]
    # Loopback is what the settings of these tests let pass; nothing else is.
    assert refused == (None if "loopback.test" in url else "url")


def test_url_with_a_failed_lookup_is_refused(account_id: UUID) -> None:
    broken = LoopbackNetwork(Zone({HOST: SERVFAIL}))
    with pytest.raises(ServiceUnavailable):
        channels.add(
            account_id, NewChannel("hook", "webhook", f"https://{HOST}/"), broken, actor=ACTOR
        )


def test_secret_is_stored_encrypted(webhook: Hook) -> None:
    channel, secret = webhook
    assert secret.startswith("whsec_")
    assert secret not in str(vars(channel))
    assert channel_secrets.decrypt(channel).keys == (secret,)


def test_channel_name_is_unique(account_id: UUID, webhook: Hook, network: LoopbackNetwork) -> None:
    new = NewChannel("hook", "webhook", webhook[0].target)
    with pytest.raises(Conflict):
        channels.add(account_id, new, network, actor=ACTOR)


def test_channel_of_another_account_is_not_found(webhook: Hook) -> None:
    other = make_account().id
    for act in (channels.find, channels.remove, channels.test, channels.enable, channels.disable):
        options = {} if act is channels.find else {"actor": ACTOR}
        for ref in ("hook", ids.public("chan", webhook[0].id)):
            with pytest.raises(NotFound):
                act(other, ref, **options)
    assert channel_pages.listing(other) == []


def test_test_event_is_delivered_to_one_channel_only(
    account_id: UUID, webhook: Hook, receiver: Receiver, network: LoopbackNetwork
) -> None:
    other = NewChannel("other", "webhook", receiver.url + "/other")
    channels.add(account_id, other, network, actor=ACTOR)
    channels.test(account_id, "hook", actor=ACTOR)
    dispatcher.run(network)
    (call,) = receiver.calls
    event: Any = Webhook(webhook[1]).verify(call.body, call.headers)
    assert (call.path, event["type"]) == ("/hook", "test")


@pytest.mark.parametrize(
    ("filters", "is_delivered"),
    [
        ({}, True),
        ({"min_severity": Severity.HIGH}, True),
        ({"min_severity": Severity.CRITICAL}, False),
        ({"types": ["spf.*"]}, True),
        ({"types": ["dmarc.missing", "spf.missing"]}, True),
        ({"types": ["dmarc.*"]}, False),
        ({"tags": ["shop", "other"]}, True),
        ({"tags": ["other"]}, False),
        ({"domains": ["acme.test"]}, True),
        ({"domains": ["other.test"]}, False),
    ],
)
def test_channel_gets_only_matching_alerts(
    account_id: UUID,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
    filters: dict[str, Any],
    is_delivered: bool,
) -> None:
    new = NewChannel("x", "webhook", receiver.url, **filters)
    channels.add(account_id, new, network, actor=ACTOR)
    open_alert()
    dispatcher.run(network)
    assert bool(receiver.calls) is is_delivered


def test_disabled_channel_sends_pending_deliveries_after_it_is_enabled(
    account_id: UUID,
    webhook: Hook,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
) -> None:
    open_alert()
    feed.distribute_all()
    channels.disable(account_id, "hook", actor=ACTOR)
    dispatcher.run(network)
    assert receiver.calls == []
    channels.enable(account_id, "hook", actor=ACTOR)
    dispatcher.run(network)
    assert len(receiver.calls) == 1


def test_hanging_receiver_does_not_delay_others(
    account_id: UUID, webhook: Hook, open_alert: OpenAlert, receiver: Receiver
) -> None:
    """A delivery to another channel does not wait for the channel that hangs."""
    network = LoopbackNetwork(seconds=3)
    other = NewChannel("other", "webhook", receiver.url + "/other", types=["dmarc.*"])
    channels.add(account_id, other, network, actor=ACTOR)
    order: list[str] = []

    def answer(call: Any) -> tuple[int, dict[str, str]]:
        if call.path == "/hook" and not order:
            order.append("hanging")
            open_alert("dmarc.missing")
            while "other" not in order:
                pass
            order.append("hung")
        elif call.path == "/hook/other":
            order.append("other")
        return 200, {}

    receiver.answer = answer
    open_alert()
    dispatcher.run(network)
    assert order[:3] == ["hanging", "other", "hung"]
