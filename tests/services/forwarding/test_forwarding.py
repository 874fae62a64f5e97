"""Forwarding of records: every record at least once, in order, with back-off and leases."""

import base64
import hashlib
import hmac
import os
import subprocess
import sys
import threading
from datetime import timedelta
from uuid import UUID

import orjson
import pytest
from sqlalchemy import update

from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.models import RecordSink
from app.services.forwarding import forwarding, sinks
from app.settings import Settings
from tests.support.factories import ACTOR, make_account
from tests.support.forwarding_sinks import add_sink, is_due_now, new_sink
from tests.support.paths import ROOT
from tests.support.receivers import HOST, LoopbackNetwork, Received, Receiver
from tests.support.report_documents import dmarc_xml
from tests.support.stored_records import numbered_report, store_reports


def ids_in(call: Received) -> list[str]:
    return [item["mailwatchId"] for item in orjson.loads(call.body)["data"]["records"]]


def received(receiver: Receiver) -> list[str]:
    return [id for call in receiver.calls for id in ids_in(call)]


def find(account_id: UUID, sink_id: UUID) -> RecordSink:
    return sinks.find(account_id, sink_id)


def test_webhook_gets_every_record_once_in_order_and_signed(
    account_id: UUID, stored_ids: list[str], receiver: Receiver, options: dict[str, str]
) -> None:
    new = new_sink("webhook", options)
    row, secret = sinks.add(account_id, new, actor=ACTOR)
    assert secret is not None
    assert secret not in str(row.secret_encrypted)
    forwarding.run(LoopbackNetwork())
    assert received(receiver) == stored_ids
    for call in receiver.calls:
        signed = f"{call.id}.{call.headers['webhook-timestamp']}.".encode() + call.body
        key = base64.b64decode(secret.removeprefix("whsec_"))
        digest = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        assert call.headers["webhook-signature"] == f"v1,{digest}"
    assert find(account_id, row.id).forwarded_count == len(stored_ids)
    assert forwarding.run(LoopbackNetwork()) == 0


def test_new_sink_gets_only_what_is_stored_later_and_of_its_kinds(
    account_id: UUID, stored_ids: list[str], receiver: Receiver, options: dict[str, str]
) -> None:
    add_sink(account_id, "webhook", options, is_complete=False, record_kinds=["dmarc_record"])
    add_sink(
        account_id, "webhook", options, is_complete=False, record_kinds=["alert"], name="alerts"
    )
    store_reports(account_id, dmarc_xml(report_id="later"))
    forwarding.run(LoopbackNetwork())
    (id,) = received(receiver)
    assert id.startswith("dmr_")
    assert id not in stored_ids
    assert not forwarding.enqueue_if_due()


def test_failed_batch_is_sent_again_with_the_same_id_after_the_back_off(
    account_id: UUID, stored_ids: list[str], receiver: Receiver, options: dict[str, str]
) -> None:
    sink_id = add_sink(account_id, "webhook", options)
    receiver.answer = lambda _: (503, {"Retry-After": "120"})
    forwarding.run(LoopbackNetwork())
    row = find(account_id, sink_id)
    assert row.failure == "the endpoint returned 503"
    assert row.failing_since is not None
    assert row.next_at - row.failing_since >= timedelta(seconds=119)
    assert forwarding.run(LoopbackNetwork()) == 0
    receiver.answer = lambda _: (200, {})
    is_due_now(sink_id)
    forwarding.run(LoopbackNetwork())
    first, second = receiver.calls
    assert (first.id, first.body) != (second.id, b"")
    assert first.id == second.id
    assert ids_in(second) == stored_ids
    row = find(account_id, sink_id)
    assert (row.failure, row.failing_since, row.failures) == (None, None, 0)


def test_batches_are_bounded_by_number_and_bytes(
    account_id: UUID,
    receiver: Receiver,
    options: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store_reports(account_id, numbered_report(230))
    add_sink(account_id, "webhook", options)
    forwarding.run(LoopbackNetwork())
    assert [len(ids_in(call)) for call in receiver.calls] == [100, 100, 30]
    receiver.calls.clear()
    monkeypatch.setattr(forwarding, "MAX_BATCH_BYTES", 5_000)
    add_sink(account_id, "webhook", options, name="small")
    while forwarding.run(LoopbackNetwork()):  # a run ends after some seconds
        pass
    assert max(len(call.body) for call in receiver.calls) < 6_000
    assert len(set(received(receiver))) == len(received(receiver)) == 230


def test_paused_sink_continues_where_it_was_paused(
    account_id: UUID, stored_ids: list[str], receiver: Receiver, options: dict[str, str]
) -> None:
    sink_id = add_sink(account_id, "webhook", options)
    sinks.pause(account_id, sink_id, actor=ACTOR)
    assert forwarding.run(LoopbackNetwork()) == 0
    sinks.resume(account_id, sink_id, actor=ACTOR)
    forwarding.run(LoopbackNetwork())
    assert received(receiver) == stored_ids


@pytest.mark.usefixtures("stored_ids")
def test_waiting_records_can_be_skipped(
    account_id: UUID, receiver: Receiver, options: dict[str, str]
) -> None:
    sink_id = add_sink(account_id, "webhook", options)
    sinks.skip_waiting(account_id, sink_id, actor=ACTOR)
    store_reports(account_id, dmarc_xml(report_id="later"))
    forwarding.run(LoopbackNetwork())
    assert len(received(receiver)) == 1


@pytest.mark.usefixtures("stored_ids")
def test_receiver_must_have_public_addresses_and_a_trusted_certificate(
    account_id: UUID, receiver: Receiver, options: dict[str, str]
) -> None:
    untrusted = {**options, "ca_certificates": ""}
    private = {**options, "url": options["url"].replace(HOST, "internal.receiver.test")}
    network = LoopbackNetwork()
    network.zone = type(network.zone)(
        {(HOST, "A"): ["127.0.0.1"], ("internal.receiver.test", "A"): ["10.0.0.1"]}
    )
    rows = [
        add_sink(account_id, "webhook", untrusted, name="untrusted"),
        add_sink(account_id, "webhook", private, name="private"),
    ]
    forwarding.run(network)
    failures = [str(find(account_id, id).failure) for id in rows]
    assert "not trusted" in failures[0]
    assert failures[1] == "the address of the endpoint is not public"
    assert receiver.calls == []


FORWARD = """
from app import runtime
from app.services.forwarding import forwarding
from app.settings import Settings
from tests.support.receivers import LoopbackNetwork
runtime.start(Settings())
forwarding.run(LoopbackNetwork())
"""


@pytest.mark.parametrize("killed_at", [1, 2, 3])
def test_killed_worker_loses_no_record(
    account_id: UUID,
    settings: Settings,
    receiver: Receiver,
    options: dict[str, str],
    killed_at: int,
) -> None:
    store_reports(account_id, numbered_report(230))
    add_sink(account_id, "webhook", options)
    reached, is_killed = threading.Event(), threading.Event()

    def answer(_: Received) -> tuple[int, dict[str, str]]:
        if len(receiver.calls) == killed_at:
            reached.set()
            is_killed.wait(60)
        return 200, {}

    receiver.answer = answer
    environment = {
        **os.environ,
        "SECRET_KEY": settings.secret_key,
        "ALLOWED_HOSTS": ",".join(settings.allowed_hosts),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
    }
    command = [sys.executable, "-c", FORWARD]
    with subprocess.Popen(command, env=environment, cwd=ROOT) as process:
        assert reached.wait(60)
        process.kill()
        process.wait(60)
    is_killed.set()
    receiver.answer = lambda _: (200, {})
    forwarding.run(LoopbackNetwork())
    ids = received(receiver)
    assert len(set(ids)) == 230
    repeated = [call.id for call in receiver.calls]
    assert len(set(repeated)) == 3
    assert len(repeated) == 4  # the batch whose outcome was not stored is sent again


@pytest.mark.usefixtures("stored_ids")
def test_outcome_is_not_stored_after_the_lease_was_taken_over(
    account_id: UUID, receiver: Receiver, options: dict[str, str]
) -> None:
    sink_id = add_sink(account_id, "webhook", options)

    def answer(_: Received) -> tuple[int, dict[str, str]]:
        with transaction() as session:
            taken = RecordSink.lease_token + 1
            session.execute(update(RecordSink).values(lease_token=taken))
        return 200, {}

    receiver.answer = answer
    forwarding.run(LoopbackNetwork())
    row = find(account_id, sink_id)
    assert (row.sequence, row.forwarded_count) == (0, 0)


def test_sinks_of_other_accounts_are_not_found(account_id: UUID, options: dict[str, str]) -> None:
    sink_id = add_sink(account_id, "webhook", options)
    other = make_account().id
    for act in (sinks.pause, sinks.resume, sinks.remove, sinks.skip_waiting):
        with pytest.raises(NotFound):
            act(other, sink_id, actor=ACTOR)
    with pytest.raises(NotFound):
        sinks.find(other, sink_id)
    assert sinks.search(other) == []


def test_stored_secret_is_never_sent_to_another_destination(account_id: UUID) -> None:
    options = {"url": "https://splunk.acme.test:8088", "token": "t0ken"}
    sink_id = add_sink(account_id, "splunk", options)
    kept = new_sink("splunk", {**options, "token": "", "index": "mail"})
    sinks.change(account_id, sink_id, kept, actor=ACTOR)
    row = sinks.find(account_id, sink_id)
    assert sinks.config_of(row).secrets() == {"token": "t0ken"}
    assert row.options["index"] == "mail"
    for changed in ({"url": "https://evil.test"}, {"ca_certificates": _certificate()}):
        moved = new_sink("splunk", {**options, "token": "", **changed})
        with pytest.raises(InvalidRequest):
            sinks.change(account_id, sink_id, moved, actor=ACTOR)


def _certificate() -> str:
    import trustme

    return trustme.CA().cert_pem.bytes().decode()


@pytest.mark.parametrize(
    ("type", "changed", "field"),
    [
        ("webhook", {"url": "http://hooks.acme.test/"}, "url"),
        ("webhook", {"url": "https://127.0.0.1/"}, "url"),
        ("webhook", {"url": ""}, "url"),
        ("webhook", {"url": "https://hooks.acme.test/", "ca_certificates": "x"}, "ca_certificates"),
        ("syslog", {"host": "10.0.0.1"}, "host"),
        ("syslog", {"host": "logs.acme.test", "port": "70000"}, "port"),
        ("syslog", {"host": "logs.acme.test", "transport": "udp"}, "transport"),
        ("bulk", {"url": "https://es.acme.test:9200", "index": "UPPER", "secret": "a:b"}, "index"),
        ("bulk", {"url": "https://es.acme.test:9200", "secret": "x"}, "secret"),
        ("bulk", {"url": "https://es.acme.test:9200"}, "secret"),
        ("splunk", {"url": "https://hec.acme.test:8088"}, "token"),
        ("splunk", {"url": "https://hec.acme.test/x", "token": "t"}, "url"),
        ("splunk", {"url": "https://hec.acme.test", "token": "t" * 101}, "token"),
    ],
)
def test_invalid_option_is_refused(
    account_id: UUID, type: str, changed: dict[str, str], field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        add_sink(account_id, type, changed)
    assert [error["field"] for error in caught.value.extra["details"]] == [field]


def test_name_is_unique_and_the_number_of_sinks_is_limited(
    account_id: UUID, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_sink(account_id, "webhook", options)
    with pytest.raises(Conflict):
        add_sink(account_id, "webhook", options)
    monkeypatch.setattr(sinks, "MAX_SINKS", 1)
    with pytest.raises(Conflict):
        add_sink(account_id, "webhook", options, name="second")
