"""The lifecycle of deliveries in the log."""

import logging

import pytest

from app import settings as app_settings
from app.models import Channel
from app.services.notifications import dispatcher
from tests.support.lifecycle_lines import lines
from tests.support.open_alert import OpenAlert
from tests.support.receivers import LoopbackNetwork, Receiver


def test_a_delivery_fails_is_sent_and_is_abandoned(
    webhook: tuple[Channel, str],
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app_settings.use(app_settings.current().replace(delivery_schedule=(0.0, 0.0)))
    caplog.set_level(logging.INFO)
    receiver.answer = lambda _: (500 if len(receiver.calls) == 1 else 200, {})
    alert_id = open_alert()
    while dispatcher.run(network):
        pass
    receiver.answer = lambda _: (500, {})
    open_alert("spf.other")
    while dispatcher.run(network):
        pass
    deliveries = [line for line in lines(caplog) if line["event"].startswith("delivery.")]
    assert [line["event"] for line in deliveries] == [
        "delivery.failed",
        "delivery.sent",
        "delivery.failed",
        "delivery.abandoned",
    ]
    assert [line["attempt"] for line in deliveries] == [1, 2, 1, 2]
    assert deliveries[0]["alert_id"] == str(alert_id)
    assert deliveries[0]["delivery_id"] == deliveries[1]["delivery_id"]
    assert {line["channel_id"] for line in deliveries} == {str(webhook[0].id)}
