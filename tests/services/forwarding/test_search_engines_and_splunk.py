"""Sinks to the Bulk API and to the HTTP Event Collector, with partial errors."""

from typing import Any
from uuid import UUID

import pytest

from app.services.forwarding import forwarding, sinks
from tests.support.forwarding_sinks import add_sink, is_due_now
from tests.support.receivers import LoopbackNetwork, Receiver
from tests.support.record_receivers import TOKEN, USER, EventCollector, SearchEngine
from tests.support.stored_records import read_all


def base(receiver: Receiver) -> dict[str, str]:
    return {
        "url": receiver.url.removesuffix("/hook"),
        "ca_certificates": receiver.ca_file.read_text(),
    }


def add_bulk(account_id: UUID, receiver: Receiver, **options: str) -> UUID:
    return add_sink(account_id, "bulk", {**base(receiver), "secret": USER, **options})


def test_every_record_is_a_document_with_its_id(
    account_id: UUID, stored_ids: list[str], receiver: Receiver
) -> None:
    engine = SearchEngine(receiver)
    add_bulk(account_id, receiver, index="mail-records")
    forwarding.run(LoopbackNetwork())
    assert [id for _, id in engine.documents] == stored_ids
    assert {index for index, _ in engine.documents} == {"mail-records"}
    for record in read_all(account_id):
        document = engine.documents["mail-records", record["id"]]
        assert document["@timestamp"] == record["at"]
        assert document["kind"] == record["kind"]


@pytest.mark.parametrize("operation", ["index", "create"])
def test_records_that_are_sent_again_do_not_become_further_documents(
    account_id: UUID, stored_ids: list[str], receiver: Receiver, operation: str
) -> None:
    engine = SearchEngine(receiver)
    sink_id = add_bulk(account_id, receiver, operation=operation)
    busy = stored_ids[-1]
    engine.fault = lambda document: (
        (429, "es_rejected_execution_exception", "queue is full")
        if document["mailwatchId"] == busy
        else None
    )
    forwarding.run(LoopbackNetwork())
    row = sinks.find(account_id, sink_id)
    assert row.forwarded_count == len(stored_ids) - 1
    assert "queue is full" in str(row.failure)
    engine.fault = lambda _: None
    is_due_now(sink_id)
    forwarding.run(LoopbackNetwork())
    row = sinks.find(account_id, sink_id)
    assert (row.forwarded_count, row.failure) == (len(stored_ids), None)
    assert len(engine.documents) == len(stored_ids)


def test_records_after_a_busy_item_are_sent_again_and_overwritten(
    account_id: UUID, stored_ids: list[str], receiver: Receiver
) -> None:
    engine = SearchEngine(receiver)
    sink_id = add_bulk(account_id, receiver)
    engine.fault = lambda document: (
        (503, "unavailable_shards_exception", "primary shard is not active")
        if document["mailwatchId"] == stored_ids[1]
        else None
    )
    forwarding.run(LoopbackNetwork())
    assert sinks.find(account_id, sink_id).forwarded_count == 1
    engine.fault = lambda _: None
    is_due_now(sink_id)
    forwarding.run(LoopbackNetwork())
    assert {id for _, id in engine.documents} == set(stored_ids)
    assert engine.writes > len(stored_ids)


def test_refused_document_is_skipped_with_its_reason(
    account_id: UUID, stored_ids: list[str], receiver: Receiver
) -> None:
    engine = SearchEngine(receiver)
    sink_id = add_bulk(account_id, receiver)
    engine.fault = lambda document: (
        (400, "mapper_parsing_exception", "failed to parse field [evidence]")
        if document["kind"] == "finding"
        else None
    )
    forwarding.run(LoopbackNetwork())
    row = sinks.find(account_id, sink_id)
    findings = [record["id"] for record in read_all(account_id) if record["kind"] == "finding"]
    assert row.skipped_count == len(findings)
    assert row.forwarded_count == len(stored_ids) - len(findings)
    assert "evidence" in str(row.skipped)
    assert row.failure is None


@pytest.mark.usefixtures("stored_ids")
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b'{"error":{"type":"security_exception"},"status":401}'),
        (429, b""),
        (503, b"<html>"),
        (200, b"<html>a proxy</html>"),
        (200, b'{"errors":true,"items":[]}'),
        (200, b'{"errors":true,"items":[{"index":{}}]}'),
        (200, b'{"acknowledged":true}'),
        (400, b'{"error":{"reason":"Malformed action/metadata line [1]"}}'),
        (413, b""),
    ],
)
def test_any_other_answer_leaves_the_records_waiting(
    account_id: UUID, receiver: Receiver, status: int, body: bytes
) -> None:
    receiver.answer = lambda _: (status, {}, body)
    sink_id = add_bulk(account_id, receiver)
    forwarding.run(LoopbackNetwork())
    row = sinks.find(account_id, sink_id)
    assert (row.sequence, row.offset, row.forwarded_count, row.skipped_count) == (0, 0, 0, 0)
    assert row.failure


def test_index_that_refuses_every_document_skips_none(
    account_id: UUID, stored_ids: list[str], receiver: Receiver
) -> None:
    engine = SearchEngine(receiver)
    engine.fault = lambda _: (403, "cluster_block_exception", "index is read-only")
    sink_id = add_bulk(account_id, receiver)
    forwarding.run(LoopbackNetwork())
    row = sinks.find(account_id, sink_id)
    assert (row.forwarded_count, row.skipped_count) == (0, 0)
    assert "read-only" in str(row.failure)
    assert stored_ids


def add_splunk(account_id: UUID, receiver: Receiver, **options: str) -> UUID:
    return add_sink(account_id, "splunk", {**base(receiver), "token": TOKEN, **options})


def test_every_record_is_an_event(
    account_id: UUID, stored_ids: list[str], receiver: Receiver
) -> None:
    collector = EventCollector(receiver)
    add_splunk(account_id, receiver, index="mail")
    forwarding.run(LoopbackNetwork())
    assert collector.ids == stored_ids
    assert {event["index"] for event in collector.events} == {"mail"}
    assert {event["sourcetype"] for event in collector.events} == {"mailwatch"}


@pytest.mark.parametrize(
    "fault", [(503, 9, "Server is busy"), (403, 4, "Invalid token"), (500, 8, "Internal error")]
)
def test_events_wait_while_the_collector_fails(
    account_id: UUID, stored_ids: list[str], receiver: Receiver, fault: tuple[int, int, str]
) -> None:
    collector = EventCollector(receiver)
    collector.fault = lambda _: fault
    sink_id = add_splunk(account_id, receiver)
    forwarding.run(LoopbackNetwork())
    row = sinks.find(account_id, sink_id)
    assert row.forwarded_count == 0
    assert fault[2] in str(row.failure)
    collector.fault = lambda _: None
    is_due_now(sink_id)
    forwarding.run(LoopbackNetwork())
    assert collector.ids == stored_ids


def test_refused_event_is_found_and_skipped(
    account_id: UUID, stored_ids: list[str], receiver: Receiver
) -> None:
    def refuses(events: list[dict[str, Any]]) -> tuple[int, int, str] | None:
        has_scan = any(event["event"]["kind"] == "scan" for event in events)
        return (400, 6, "Invalid data format") if has_scan else None

    collector = EventCollector(receiver)
    collector.fault = refuses
    sink_id = add_splunk(account_id, receiver)
    for _ in range(5):
        forwarding.run(LoopbackNetwork())
    row = sinks.find(account_id, sink_id)
    assert row.skipped_count == 1
    assert set(collector.ids) == {id for id in stored_ids if not id.startswith("scan_")} | {
        id for id in stored_ids if id.startswith("scan_") and "-" in id
    }
