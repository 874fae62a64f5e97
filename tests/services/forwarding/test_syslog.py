"""Syslog sinks: octet-counted messages over TCP and TLS, with proof of receipt."""

import ssl
from dataclasses import replace
from uuid import UUID

import pytest
import trustme

from app.services.forwarding import forwarding, sinks
from app.settings import Settings
from tests.support.forwarding_sinks import add_sink, is_due_now
from tests.support.receivers import HOST, LoopbackNetwork
from tests.support.stored_records import read_all
from tests.support.syslog_receiver import SyslogReceiver, receiving_syslog

AUTHORITY = trustme.CA()
CERTIFICATES = AUTHORITY.cert_pem.bytes().decode()


def context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(HOST).configure_cert(made)
    return made


def add(account_id: UUID, receiver: SyslogReceiver, **options: str) -> UUID:
    defaults = {"host": HOST, "port": str(receiver.port), "ca_certificates": CERTIFICATES}
    return add_sink(account_id, "syslog", {**defaults, **options})


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_every_record_is_a_complete_message(
    account_id: UUID, stored_ids: list[str], transport: str
) -> None:
    with receiving_syslog(context() if transport == "tls" else None) as receiver:
        sink_id = add(account_id, receiver, transport=transport, facility="18")
        forwarding.run(LoopbackNetwork())
    assert receiver.ids == stored_ids
    assert receiver.broken == []
    assert sinks.find(account_id, sink_id).failure is None
    records = {record["id"]: record for record in read_all(account_id)}
    for message in receiver.messages:
        record = records[message.record["mailwatchId"]]
        assert (message.application, message.message_id) == ("mailwatch", record["kind"])
        assert message.priority // 8 == 18
        assert message.record["at"] == record["at"]
    severities = {m.message_id: m.priority % 8 for m in receiver.messages}
    assert severities["dmarc_record"] == 6
    assert severities["alert"] < 6


def test_reset_connection_is_no_delivery(account_id: UUID, stored_ids: list[str]) -> None:
    with receiving_syslog() as receiver:
        receiver.resets_after = 1000
        sink_id = add(account_id, receiver, transport="tcp")
        forwarding.run(LoopbackNetwork())
        row = sinks.find(account_id, sink_id)
        assert (row.sequence, row.forwarded_count) == (0, 0)
        assert row.failure is not None
        receiver.resets_after = None
        is_due_now(sink_id)
        forwarding.run(LoopbackNetwork())
        assert receiver.ids == stored_ids


@pytest.mark.usefixtures("stored_ids")
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_receiver_that_does_not_read_to_the_end_has_failed(
    account_id: UUID, settings: Settings, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = replace(sinks.deployment(), timeout_seconds=0.5)
    monkeypatch.setattr(sinks, "deployment", lambda: quick)
    with receiving_syslog(context() if transport == "tls" else None) as receiver:
        receiver.closes = False
        sink_id = add(account_id, receiver, transport=transport)
        forwarding.run(LoopbackNetwork())
    row = sinks.find(account_id, sink_id)
    assert "in time" in str(row.failure)
    assert row.forwarded_count == 0


@pytest.mark.usefixtures("stored_ids")
def test_untrusted_certificate_is_refused(account_id: UUID) -> None:
    with receiving_syslog(context()) as receiver:
        sink_id = add(account_id, receiver, ca_certificates="")
        forwarding.run(LoopbackNetwork())
    assert "certificate" in str(sinks.find(account_id, sink_id).failure)
    assert receiver.messages == []


@pytest.mark.usefixtures("stored_ids")
def test_receiver_that_requires_a_client_certificate_has_not_received_anything(
    account_id: UUID,
) -> None:
    strict = context()
    strict.load_verify_locations(cadata=CERTIFICATES)
    strict.verify_mode = ssl.CERT_REQUIRED
    with receiving_syslog(strict) as receiver:
        sink_id = add(account_id, receiver)
        forwarding.run(LoopbackNetwork())
    row = sinks.find(account_id, sink_id)
    assert (row.forwarded_count, receiver.messages) == (0, [])
    assert row.failure is not None


@pytest.mark.usefixtures("stored_ids")
@pytest.mark.parametrize(
    ("host", "failure"),
    [
        ("internal.receiver.test", "the address of the receiver is not public"),
        ("missing.receiver.test", "the host of the receiver has no address"),
    ],
)
def test_private_and_missing_addresses_are_refused(
    account_id: UUID, host: str, failure: str
) -> None:
    network = LoopbackNetwork()
    network.zone = type(network.zone)({("internal.receiver.test", "A"): ["10.0.0.1"]})
    sink_id = add_sink(account_id, "syslog", {"host": host})
    forwarding.run(network)
    assert sinks.find(account_id, sink_id).failure == failure
