"""Channels are disabled after failures, and failed deliveries can be replayed."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.db.transactions import now, transaction
from app.errors import InvalidRequest
from app.models import Alert, Channel, Delivery
from app.services.monitoring import account_monitor
from app.services.notifications import channels, dispatcher
from tests.support.factories import ACTOR
from tests.support.open_alert import OpenAlert
from tests.support.receivers import LoopbackNetwork, Receiver

Hook = tuple[Channel, str]


def failing_for(days: float) -> None:
    with transaction() as session:
        since = now(session) - timedelta(days=days)
        session.execute(update(Channel).values(failing_since=since, failures=3))


def statuses(account_id: UUID) -> list[str]:
    with transaction(readonly=True) as session:
        return list(
            session.scalars(select(Delivery.status).where(Delivery.account_id == account_id))
        )


@pytest.mark.parametrize(("days", "is_disabled"), [(4.9, False), (5.1, True)])
def test_five_days_without_success_disable_the_channel(
    account_id: UUID,
    webhook: Hook,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
    days: float,
    is_disabled: bool,
) -> None:
    receiver.answer = lambda _: (500, {})
    open_alert()
    failing_for(days)
    dispatcher.run(network)
    channel = channels.find(account_id, "hook")
    assert channel.disabled_reason == ("no successful delivery for 5 days" if is_disabled else None)
    assert statuses(account_id) == ["dead"]


def test_success_restarts_the_five_days(
    account_id: UUID,
    webhook: Hook,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
) -> None:
    open_alert()
    failing_for(9)
    dispatcher.run(network)
    channel = channels.find(account_id, "hook")
    assert (channel.failing_since, channel.failures, channel.disabled_at) == (None, 0, None)


def test_disabled_channel_has_an_alert_until_it_is_enabled(
    account_id: UUID,
    webhook: Hook,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
) -> None:
    receiver.answer = lambda _: (410, {})
    open_alert()
    dispatcher.run(network)
    assert disabled_alerts() == ["open"]
    channels.enable(account_id, "hook", actor=ACTOR)
    assert disabled_alerts() == ["resolved"]


def disabled_alerts() -> list[str]:
    account_monitor.check_accounts()
    with transaction(readonly=True) as session:
        return list(session.scalars(select(Alert.status).where(Alert.type == "webhook.disabled")))


def test_failed_deliveries_are_replayed_in_order_with_the_same_ids_and_bodies(
    account_id: UUID,
    webhook: Hook,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
) -> None:
    receiver.answer = lambda _: (500, {})
    for number in range(3):
        open_alert(f"spf.{number}")
    dispatcher.run(network)
    assert statuses(account_id) == ["dead"] * 3
    missed = {call.id: call.body for call in receiver.calls}
    receiver.calls.clear()
    receiver.answer = lambda _: (200, {})
    assert dispatcher.replay(account_id, "hook", actor=ACTOR) == 3
    dispatcher.run(network)
    assert [(call.id, call.body) for call in receiver.calls] == list(missed.items())
    assert statuses(account_id) == ["delivered"] * 3
    assert dispatcher.replay(account_id, "hook", actor=ACTOR) == 0


def test_nothing_is_replayed_to_a_disabled_channel(account_id: UUID, webhook: Hook) -> None:
    channels.disable(account_id, "hook", actor=ACTOR)
    with pytest.raises(InvalidRequest):
        dispatcher.replay(account_id, "hook", actor=ACTOR)
