"""Slow clients occupy no thread: the server has two, and each test has more clients than that."""

import json
import select
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from app.web_server.limits import Budget, Limits, WorkerContext
from app.web_server.outgoing import Outgoing
from tests.support.gunicorn import Gunicorn, start, stop

CLIENTS = 40
REQUEST = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_partial_heads_use_no_thread_and_time_out(server: Gunicorn) -> None:
    wires = [server.connect() for _ in range(CLIENTS)]
    for wire in wires:
        wire.send(b"GET / HTTP/1.1\r\nHost: ")
    assert server.get().status == 200
    for wire in wires:
        response = wire.response()
        assert (response.status, json.loads(response.body)["error"]["code"]) == (
            408,
            "request_timeout",
        )
        assert wire.is_closed()


def test_silent_connections_time_out(server: Gunicorn) -> None:
    wires = [server.connect() for _ in range(CLIENTS)]
    assert server.get().status == 200
    assert all(wire.is_closed() for wire in wires)


def test_slow_bodies_use_no_thread_and_time_out(server: Gunicorn) -> None:
    wires = [server.connect() for _ in range(CLIENTS)]
    for wire in wires:
        wire.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
    assert server.get().status == 200
    assert {wire.response().status for wire in wires} == {408}


def test_slow_readers_use_no_thread_and_get_everything(server: Gunicorn) -> None:
    wires = [server.connect() for _ in range(8)]
    for wire in wires:
        wire.send(REQUEST % b"large?blocks=200")
    assert server.get().status == 200
    assert {len(wire.response().body) for wire in wires} == {200 * 65536}
    wires[0].send(REQUEST % b"next")
    assert wires[0].response().status == 200


def test_disconnecting_clients_do_not_affect_others(server: Gunicorn) -> None:
    for _ in range(8):
        wire = server.connect()
        wire.send(REQUEST % b"large?blocks=200")
        wire.client.recv(1000)
        wire.client.close()
    for _ in range(8):
        wire = server.connect()
        wire.send(REQUEST % b"sleep?seconds=0.1")
        wire.client.close()
    assert server.get().status == 200


def context(buffer_bytes: int = 2**30) -> WorkerContext:
    """A context with the default limits; its settings are not used by responses."""
    return WorkerContext(cfg=None, limits=Limits(), budget=Budget(buffer_bytes))


@pytest.mark.parametrize("read_bytes", [0, 1000])
def test_a_client_that_stops_reading_is_too_slow(read_bytes: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        outgoing = Outgoing(ours, context(), lambda: None)
        outgoing.sendall(b"head")
        outgoing.sendall(b"x" * 4_000_000)
        theirs.recv(read_bytes) if read_bytes else None
        assert outgoing.is_buffered
        assert not outgoing.is_too_slow(time.monotonic() + 4)
        assert outgoing.is_too_slow(time.monotonic() + 10)
        outgoing.abort()


def test_a_client_that_reads_is_not_too_slow() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        outgoing = Outgoing(ours, context(), lambda: None)
        outgoing.sendall(b"head")
        outgoing.sendall(b"x" * 4_000_000)
        received = 0
        while received < 1_000_000:
            received += len(theirs.recv(65536))
            outgoing.flush()
        assert not outgoing.is_too_slow(time.monotonic() + 60)
        while received < 4_000_004:
            outgoing.flush()
            received += len(theirs.recv(65536))
        assert not outgoing.is_buffered


def test_a_full_buffer_ends_the_response_and_not_the_worker() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        shared = context(1_000_000)
        outgoing = Outgoing(ours, shared, lambda: None)
        outgoing.sendall(b"head")
        with pytest.raises(BrokenPipeError):
            outgoing.sendall(b"x" * 4_000_000)
        outgoing.abort()
        assert shared.budget.reserve(1_000_000)


def test_a_full_worker_closes_the_connection_that_waits_longest(tmp_path: Path) -> None:
    server = start(tmp_path, "--worker-connections", "10")
    try:
        wires = [server.connect() for _ in range(30)]
        for wire in wires:
            wire.send(b"GET / HTTP/1.1\r\nHost: ")
        assert server.get().status == 200
        assert wires[0].is_closed()
    finally:
        stop(server)


def test_sigterm_lets_a_running_request_finish(tmp_path: Path) -> None:
    server = start(tmp_path)
    try:
        busy, idle, half = server.connect(), server.connect(), server.connect()
        idle.send(REQUEST % b"first")
        assert idle.response().status == 200
        half.send(b"GET /half HTTP/1.1\r\n")
        busy.send(REQUEST % b"sleep?seconds=2")
        time.sleep(1)
        server.process.send_signal(signal.SIGTERM)
        half.send(b"Host: localhost\r\n\r\n")
        assert busy.response().status == 200
        assert half.response().status == 200
        assert all(wire.is_closed() for wire in (busy, idle, half))
        assert server.process.wait(40) == 0
    finally:
        stop(server)


def test_sigterm_refuses_new_connections_while_a_request_runs(tmp_path: Path) -> None:
    server = start(tmp_path)
    try:
        busy = server.connect()
        busy.send(REQUEST % b"sleep?seconds=6")
        opened = server.connect()  # by the kernel, before the signal
        opened.send(REQUEST % b"opened")
        server.process.send_signal(signal.SIGTERM)
        while True:
            try:
                server.connect()
            except ConnectionRefusedError:
                break
            time.sleep(0.05)
        assert select.select([busy.client], [], [], 0)[0] == []  # it still runs
        assert opened.response().status == 200
        assert busy.response().status == 200
    finally:
        stop(server)


def test_sigterm_tells_a_waiting_request_that_the_process_stops(tmp_path: Path) -> None:
    server = start(tmp_path)
    try:
        wire = server.connect()
        wire.send(b"GET /until-stopping HTTP/1.1\r\nHost: a\r\n\r\n")
        while b"until-stopping" not in server.log.read_bytes():
            time.sleep(0.05)
        server.process.send_signal(signal.SIGTERM)
        answer = json.loads(wire.response().body)
        assert (answer["path"], answer["threads"]) == ("/until-stopping", 2)
    finally:
        stop(server)


def test_worker_is_replaced_after_its_maximum_of_requests(tmp_path: Path) -> None:
    server = start(tmp_path, "--max-requests", "20", "--max-requests-jitter", "0")
    try:
        statuses = []
        lock = threading.Lock()

        def request() -> None:
            for _ in range(15):
                status = server.get().status
                with lock:
                    statuses.append(status)

        threads = [threading.Thread(target=request) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 60
        assert "Autorestarting" in server.log.read_text()
    finally:
        stop(server)
