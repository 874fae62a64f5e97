"""The order in which the deliveries of a channel are sent, and how they are read."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import insert, select
from sqlalchemy.engine import Engine

from app import ids
from app.db import query_plans, transactions
from app.db.transactions import transaction
from app.models import Channel, Delivery, Event
from app.services.notifications import delivery_queue, outbox
from app.services.notifications.delivery_queue import Claim
from tests.support import claim_plans
from tests.support.open_alert import OpenAlert

PENDING = 2_000


@pytest.fixture
def claim(account_id: UUID, webhook: tuple[Channel, str | None]) -> Claim:
    """A channel with many due deliveries, the last of which is a test."""
    channel, _ = webhook
    alerts = {number: ids.new() for number in range(1, PENDING)}
    owner = {"account_id": account_id}
    with transaction() as session:
        at = transactions.now(session) - timedelta(seconds=1)
        events, deliveries = [], []
        for number in range(1, PENDING + 1):
            alert_id = alerts.get(number)
            type = "alert.opened" if alert_id else outbox.TEST
            body = {"type": type, "timestamp": "", "data": {}}
            new = {**owner, "number": number, "type": type, "alert_id": alert_id}
            events.append({**new, "body": body, "at": at})
            one = {"channel_id": channel.id, "event_number": number, "alert_id": alert_id}
            deliveries.append({**owner, **one, "next_at": at})
        session.execute(insert(Event), events)
        session.execute(insert(Delivery), deliveries)
    (claimed,) = delivery_queue.claim_due(1, failing=1)
    return claimed


def next_numbers(claim: Claim, *, is_delivered: bool) -> list[int]:
    """The numbers of the events that are sent next, which are then delivered or stay due."""
    batches = delivery_queue.advance(claim, [], take=True)
    with transaction() as session:
        found = [id for batch in batches for id in batch.delivery_ids]
        deliveries = [session.get_one(Delivery, id) for id in found]
        if is_delivered:
            for delivery in deliveries:
                delivery.status = "delivered"
        return [delivery.event_number for delivery in deliveries]


def test_test_events_are_sent_first_and_others_in_their_order(claim: Claim) -> None:
    sent = [*next_numbers(claim, is_delivered=True), *next_numbers(claim, is_delivered=True)]
    assert sent == [PENDING, *range(1, len(sent))]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_next_delivery_is_read_by_an_index_without_sorting_the_others(
    database: Engine, claim: Claim
) -> None:
    statement, parameters = claim_plans.statement_of(
        database,
        lambda: next_numbers(claim, is_delivered=False),
        order="deliveries.alert_id IS NOT NULL",
    )
    with transaction() as session, query_plans.index_order(session):
        rows = session.connection().exec_driver_sql("EXPLAIN ANALYZE " + statement, parameters)
        plan = "\n".join(row[-1] for row in rows)
    assert "ix_deliveries_in_order" in plan
    assert "Sort" not in plan
    assert f"rows={PENDING}" not in plan


def test_only_test_events_have_no_alert(
    account_id: UUID, webhook: tuple[Channel, str | None], open_alert: OpenAlert
) -> None:
    """The index of pending deliveries identifies test events by it."""
    channel, _ = webhook
    open_alert()
    with transaction() as session:
        outbox.record_test(session, account_id, channel.id, transactions.now(session))
        alerts = {row.type: row.alert_id for row in session.scalars(select(Event))}
    assert alerts.pop(outbox.TEST) is None
    assert alerts
    assert all(alerts.values())
