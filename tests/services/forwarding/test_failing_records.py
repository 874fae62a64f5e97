"""Records that a receiver refuses, or over which it fails, and receivers that fail altogether."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import orjson
import pytest
from sqlalchemy import update

from app.db.transactions import transaction
from app.models import RecordSink
from app.services.forwarding import forwarding, sinks
from tests.support.forwarding_sinks import add_sink, is_due_now
from tests.support.receivers import LoopbackNetwork, Received, Receiver
from tests.support.stored_records import numbered_report, store_reports


class Accepting:
    """Answers of a receiver that fails over some of the records.

    accepted  the ids of the records that were accepted, in order
    """

    def __init__(self, receiver: Receiver, fails: Callable[[bytes], bool], status: int) -> None:
        self.accepted: list[str] = []
        self._fails, self._status = fails, status
        receiver.answer = self._answer

    def _answer(self, call: Received) -> tuple[int, dict[str, str]]:
        if self._fails(call.body):
            return self._status, {}
        self.accepted += ids_in(call)
        return 200, {}


def has_counts(counts: range) -> Callable[[bytes], bool]:
    """Whether a request has a record with one of these counts."""
    return lambda body: any(f'"count":{count},'.encode() in body for count in counts)


def ids_in(call: Received) -> list[str]:
    return [item["mailwatchId"] for item in orjson.loads(call.body)["data"]["records"]]


def run_until_done() -> None:
    while forwarding.run(LoopbackNetwork()):  # a run ends after some seconds
        pass


def fails_since(sink_id: UUID, age: timedelta) -> None:
    """Make the sink due, as if it failed for this long."""
    with transaction() as session:
        since = RecordSink.failing_since
        row = session.get_one(RecordSink, sink_id)
        assert row.failing_since is not None
        statement = update(RecordSink).where(RecordSink.id == sink_id)
        session.execute(statement.values({since: row.failing_since - age}))
    is_due_now(sink_id)


def test_refused_record_is_skipped_and_the_others_are_forwarded(
    account_id: UUID, receiver: Receiver, options: dict[str, str]
) -> None:
    store_reports(account_id, numbered_report(12))
    sink_id = add_sink(account_id, "webhook", options)
    accepted: list[str] = []

    def answer(call: Received) -> tuple[int, dict[str, str]]:
        if b'"count":7,' in call.body:
            return 422, {}
        accepted.extend(ids_in(call))
        return 200, {}

    receiver.answer = answer
    forwarding.run(LoopbackNetwork())
    row = sinks.find(account_id, sink_id)
    assert (row.skipped_count, row.forwarded_count, row.failure) == (1, 11, None)
    ((id, reason),) = (row.skipped or {}).items()
    assert id.endswith("-6")
    assert "422" in reason
    assert len(accepted) == 11


def test_many_refused_records_in_a_row_do_not_stop_the_others(
    account_id: UUID, receiver: Receiver, options: dict[str, str]
) -> None:
    store_reports(account_id, numbered_report(90))
    sink_id = add_sink(account_id, "webhook", options)
    accepted: list[str] = []

    def answer(call: Received) -> tuple[int, dict[str, str]]:
        if any(f'"count":{number},'.encode() in call.body for number in range(2, 71)):
            return 422, {}
        accepted.extend(ids_in(call))
        return 200, {}

    receiver.answer = answer
    while forwarding.run(LoopbackNetwork()):  # a run ends after some seconds
        pass
    row = sinks.find(account_id, sink_id)
    assert (row.skipped_count, row.forwarded_count, row.failure) == (69, 21, None)
    assert len(set(accepted)) == 21


def test_nothing_is_skipped_if_the_receiver_refuses_everything(
    account_id: UUID, stored_ids: list[str], receiver: Receiver, options: dict[str, str]
) -> None:
    sink_id = add_sink(account_id, "webhook", options)
    receiver.answer = lambda _: (400, {}, b"wrong \x00 path")
    forwarding.run(LoopbackNetwork())
    row = sinks.find(account_id, sink_id)
    assert (row.sequence, row.offset, row.skipped_count) == (0, 0, 0)
    assert str(row.failure).startswith("every record was refused")
    receiver.answer = lambda _: (200, {})
    receiver.calls.clear()
    is_due_now(sink_id)
    forwarding.run(LoopbackNetwork())
    assert [id for call in receiver.calls for id in ids_in(call)] == stored_ids


def test_more_refused_records_than_one_batch_do_not_stop_the_others(
    account_id: UUID, stored_ids: list[str], receiver: Receiver, options: dict[str, str]
) -> None:
    sink_id = add_sink(account_id, "webhook", options)
    run_until_done()
    store_reports(account_id, numbered_report(130))
    answers = Accepting(receiver, has_counts(range(1, 121)), 422)
    run_until_done()
    row = sinks.find(account_id, sink_id)
    assert (row.skipped_count, row.failure) == (120, None)
    assert row.forwarded_count == len(stored_ids) + 10
    assert len(set(answers.accepted) - set(stored_ids)) == 10


def test_only_record_that_waits_is_skipped_if_it_is_refused(
    account_id: UUID, stored_ids: list[str], receiver: Receiver, options: dict[str, str]
) -> None:
    sink_id = add_sink(account_id, "webhook", options)
    run_until_done()
    store_reports(account_id, numbered_report(1))
    Accepting(receiver, lambda body: body.count(b"numbered") > 0, 400)
    run_until_done()
    row = sinks.find(account_id, sink_id)
    assert (row.skipped_count, row.forwarded_count) == (1, len(stored_ids))
    assert row.failure is None
    assert "400" in str(row.skipped)


def test_record_over_which_the_receiver_fails_is_skipped_after_an_hour(
    account_id: UUID, receiver: Receiver, options: dict[str, str]
) -> None:
    store_reports(account_id, numbered_report(12))
    sink_id = add_sink(account_id, "webhook", options)
    answers = Accepting(receiver, has_counts(range(7, 8)), 500)
    for _ in range(8):
        run_until_done()
        is_due_now(sink_id)
    row = sinks.find(account_id, sink_id)
    assert (row.skipped_count, row.forwarded_count) == (0, 6)
    assert "500" in str(row.failure)
    fails_since(sink_id, timedelta(hours=1))
    run_until_done()
    row = sinks.find(account_id, sink_id)
    assert (row.skipped_count, row.forwarded_count, row.failure) == (1, 11, None)
    assert "500" in str(row.skipped)
    assert len(set(answers.accepted)) == 11


@pytest.mark.parametrize("status", [400, 500, 503])
def test_receiver_that_fails_for_hours_gets_every_record_later(
    account_id: UUID,
    stored_ids: list[str],
    receiver: Receiver,
    options: dict[str, str],
    status: int,
) -> None:
    sink_id = add_sink(account_id, "webhook", options)
    receiver.answer = lambda _: (status, {})
    for _ in range(6):
        forwarding.run(LoopbackNetwork())
        fails_since(sink_id, timedelta(hours=1))
    row = sinks.find(account_id, sink_id)
    assert (row.sequence, row.offset, row.skipped_count) == (0, 0, 0)
    answers = Accepting(receiver, lambda _: False, status)
    run_until_done()
    assert answers.accepted == stored_ids
