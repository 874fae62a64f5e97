"""A channel is leased by one process until the process releases it or ends."""

import json
import subprocess
import sys
from datetime import datetime
from uuid import UUID

from sqlalchemy import update

from app import processes
from app.channels.types import Outcome
from app.db.transactions import transaction
from app.models import Channel
from app.services.alerts.alerts import AlertChange, change
from app.services.notifications import channels, delivery_queue, dispatcher, feed
from app.services.notifications.channels import NewChannel
from app.services.notifications.delivery_queue import Claim
from tests.support.factories import ACTOR, add_email_channel, confirm_recipients
from tests.support.open_alert import OpenAlert
from tests.support.receivers import LoopbackNetwork, Received, Receiver

Hook = tuple[Channel, str]


def ended_process() -> str:
    """The name of a process that has ended."""
    code = "from app import processes; print(processes.own_name())"
    return subprocess.check_output([sys.executable, "-c", code], text=True).strip()


def claim() -> Claim:
    feed.distribute_all()
    (found,) = delivery_queue.claim_due(10, failing=10)
    return found


def held_until(account_id: UUID) -> datetime | None:
    return channels.find(account_id, "hook").lease_until


def test_running_process_is_distinguished_from_an_ended_one() -> None:
    own = processes.own_name()
    assert own is not None
    assert not processes.has_ended(own)
    assert processes.has_ended(ended_process())


def test_process_on_another_host_is_unknown() -> None:
    assert not processes.has_ended("another-boot/4026531836:1:1")
    assert not processes.has_ended("")


def test_claimed_deliveries_are_not_claimed_again(webhook: Hook, open_alert: OpenAlert) -> None:
    open_alert()
    claim()
    assert not delivery_queue.is_due()
    assert delivery_queue.claim_due(10, failing=10) == []


def test_deliveries_of_a_killed_process_are_claimed_immediately(
    webhook: Hook, open_alert: OpenAlert, receiver: Receiver, network: LoopbackNetwork
) -> None:
    open_alert()
    lost = claim()
    with transaction() as session:
        session.execute(update(Channel).values(lease_holder=ended_process()))
    assert delivery_queue.is_due()
    assert dispatcher.run(network) == 1
    assert len(receiver.calls) == 1
    assert delivery_queue.advance(lost, (), take=True) == []


def test_late_renewal_does_not_extend_a_released_lease(
    account_id: UUID, webhook: Hook, open_alert: OpenAlert
) -> None:
    open_alert()
    mine = claim()
    delivery_queue.advance(mine, (), take=False)
    delivery_queue.LEASES.renew([mine.lease])
    assert held_until(account_id) is None
    assert delivery_queue.is_due()


def test_renewal_extends_the_lease_of_running_deliveries(
    account_id: UUID, webhook: Hook, open_alert: OpenAlert
) -> None:
    open_alert()
    mine = claim()
    before = held_until(account_id)
    delivery_queue.LEASES.renew([mine.lease])
    after = held_until(account_id)
    assert before is not None
    assert after is not None
    assert after > before


def test_events_are_claimed_together_and_in_order(webhook: Hook, open_alert: OpenAlert) -> None:
    for number in range(3):
        open_alert(f"spf.{number}")
    batches = delivery_queue.advance(claim(), (), take=True)
    assert [batch.events[0]["sequence"] for batch in batches] == [1, 2, 3]


def test_emails_are_claimed_one_by_one(account_id: UUID, open_alert: OpenAlert) -> None:
    add_email_channel(account_id, "hook", "a@acme.test")
    confirm_recipients(account_id)
    for number in range(3):
        open_alert(f"spf.{number}")
    assert len(delivery_queue.advance(claim(), (), take=True)) == 1


def test_deliveries_sent_before_a_failure_are_not_repeated(
    account_id: UUID,
    webhook: Hook,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
) -> None:
    alert_ids = [open_alert(f"spf.{number}") for number in range(3)]
    change(account_id, alert_ids[1], AlertChange("acknowledged"), actor=ACTOR)

    def answer(call: Received) -> tuple[int, dict[str, str]]:
        is_second = json.loads(call.body)["sequence"] == 2
        return (500 if is_second and len(receiver.calls) == 2 else 200), {}

    receiver.answer = answer
    dispatcher.run(network)
    assert [json.loads(call.body)["sequence"] for call in receiver.calls] == [1, 2, 2, 3, 4]


def test_healthy_channels_come_first_and_failing_channels_leave_room(
    account_id: UUID,
    webhook: Hook,
    open_alert: OpenAlert,
    receiver: Receiver,
    network: LoopbackNetwork,
) -> None:
    for number in range(4):
        new = NewChannel(f"failing {number}", "webhook", receiver.url)
        channels.add(account_id, new, network, actor=ACTOR)
    with transaction() as session:
        session.execute(update(Channel).where(Channel.name != "hook").values(failures=1))
    open_alert()
    feed.distribute_all()
    claims = delivery_queue.claim_due(10, failing=2)
    assert [claim.is_failing for claim in claims] == [False, True, True]
    assert claims[0].channel_id == webhook[0].id


def test_success_after_the_lease_expired_is_ignored(
    account_id: UUID, webhook: Hook, open_alert: OpenAlert
) -> None:
    open_alert()
    former = claim()
    (batch,) = delivery_queue.advance(former, (), take=True)
    with transaction() as session:
        session.execute(update(Channel).values(lease_holder=ended_process()))
    later = claim()
    assert delivery_queue.advance(former, [(batch, Outcome(200))], take=True) == []
    (again,) = delivery_queue.advance(later, (), take=True)
    assert again.events == batch.events
