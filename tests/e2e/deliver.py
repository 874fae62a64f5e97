"""Deliveries with failing receivers and killed workers."""

import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import func, select

from app.checks.engine.types import Severity
from app.db.transactions import transaction
from app.models import Delivery, Domain, Event
from app.rules.engine.types import AlertDraft
from app.services.alerts import alerts, transitions
from app.services.alerts.alerts import AlertChange
from app.services.alerts.transitions import Sighting
from app.services.notifications import channels
from app.services.notifications.channels import NewChannel
from tests.e2e.service import Service, wait_for
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.receivers import LoopbackNetwork, Received, Receiver

PAUSE_SECONDS = 0.05  # between two transitions
CHANGES = ("acknowledged", "open", "dismissed", "open")  # of an alert that was opened


@dataclass
class Scenario:
    """Alerts that are opened and changed, and the receivers of their events."""

    service: Service
    domain: Domain
    flaky: Receiver
    healthy: Receiver

    def run(self, transitions_wanted: int, kills: int) -> None:
        """Make this number of transitions, and kill the workers this number of times."""
        killing = {transitions_wanted * (n + 1) // (kills + 1) for n in range(kills)}
        alert_id = self._open(0)
        for number in range(1, transitions_wanted):
            time.sleep(PAUSE_SECONDS)
            if number % 5:
                change = AlertChange(CHANGES[number % 5 - 1])
                alerts.change(self.domain.account_id, alert_id, change, actor=ACTOR)
            else:
                alert_id = self._open(number)
            if number in killing:
                self.service.kill_below("worker")

    def _open(self, number: int) -> UUID:
        at = datetime.now(UTC)
        draft = AlertDraft(
            type="spf.missing",
            subject=f"{at.timestamp()}.{number}",
            severity=Severity.HIGH,
            title="t",
            message="m",
        )
        with transaction() as session:
            (opened,) = transitions.open_alert(session, self.domain, [draft], Sighting(at))
        return opened


def flaky_response(call: Received) -> tuple[int, dict[str, str]] | None:
    """A random response of a receiver, in most cases a success."""
    received_via = random.random()
    if received_via < 0.8:
        return 200, {}
    if received_via < 0.87:
        return 500, {}
    if received_via < 0.9:
        return 429, {"Retry-After": "1"}
    if received_via < 0.97:
        return None
    if received_via < 0.985:
        time.sleep(3)  # longer than it has
        return 200, {}
    return 200, {"drip": "0.3"}


def deliver(
    service: Service, flaky: Receiver, healthy: Receiver, *, transitions: int, kills: int
) -> str:
    """Deliver every event to both receivers, once and in order, while workers are killed."""
    account_id = make_account().id
    scenario = Scenario(
        service=service,
        domain=make_domain(account_id, schedule="off"),
        flaky=flaky,
        healthy=healthy,
    )
    flaky.answer = flaky_response
    for name, receiver in (("flaky", flaky), ("healthy", healthy)):
        new = NewChannel(name, "webhook", receiver.url)
        channels.add(account_id, new, LoopbackNetwork(), actor=ACTOR)
    quiet = transitions // 2
    scenario.run(quiet, 0)
    wait_for(lambda: len(_first(healthy.calls)) >= quiet, "the healthy receiver")
    in_quiet = len(healthy.calls)
    scenario.run(transitions - quiet, kills)
    wait_for(lambda: _pending(account_id) == 0, "deliveries", 600)
    for receiver in (flaky, healthy):
        _assert_whole(receiver, transitions)
    late = [_delays(healthy.calls[:in_quiet]), _delays(healthy.calls[in_quiet:])]
    return (
        f"{transitions} events to a flaky receiver in {len(flaky.calls)} tries, none lost; to a "
        f"healthy one after {late[0]}; with {kills} kill -9 after {late[1]}"
    )


def _first(calls: Sequence[Received]) -> dict[str, Received]:
    """The first call of each event."""
    first: dict[str, Received] = {}
    for call in calls:
        first.setdefault(call.id, call)
    return first


def _pending(account_id: UUID) -> int:
    """The number of pending deliveries and of events without deliveries yet."""
    unnumbered = select(func.count()).where(
        Event.account_id == account_id, Event.sequence.is_(None)
    )
    with transaction(readonly=True, snapshot=True) as session:
        new = session.scalar(unnumbered) or 0
        rows = session.execute(
            select(Delivery.status, func.count())
            .where(Delivery.account_id == account_id)
            .group_by(Delivery.status)
        )
        counts = {row[0]: int(row[1]) for row in rows}
    assert counts.get("dead", 0) == 0, counts
    return counts.get("pending", 0) + new


def _assert_whole(receiver: Receiver, events: int) -> None:
    first = _first(receiver.calls)
    assert len(first) == events, f"{len(first)} of {events} events came"
    assert len({call.body for call in receiver.calls}) == events, "a body changed between tries"
    last_order: dict[str, int] = {}
    for call in first.values():  # in the order in which they came
        event = json.loads(call.body)
        alert = event["data"]["alert"]["id"]
        assert last_order.get(alert, 0) < event["sequence"], "an alert was told out of order"
        last_order[alert] = event["sequence"]


def _delays(calls: Sequence[Received]) -> str:
    """The time between a transition and the first call about it."""
    late = [
        call.at - datetime.fromisoformat(json.loads(call.body)["timestamp"]).timestamp()
        for call in _first(calls).values()
    ]
    return f"p50 {statistics.median(late):.2f} s, p95 {statistics.quantiles(late, n=20)[-1]:.2f} s"
