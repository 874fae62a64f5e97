"""The name server of the benchmarks reports a failed start."""

import multiprocessing
import socket
from typing import Any

import pytest

from bench import answerer

create_server = socket.create_server


class Taken:
    """Take the TCP port just before the answerer does, this number of times."""

    def __init__(self, times: int) -> None:
        self.left, self.held = times, list[socket.socket]()

    def __call__(self, address: Any, **options: Any) -> socket.socket:
        if self.left:
            self.left -= 1
            self.held.append(create_server(address))
        return create_server(address, **options)


def test_port_that_is_in_use_over_tcp_is_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "create_server", Taken(3))
    with answerer.answering(1, 0.0) as server:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()


def test_server_without_a_port_fails_immediately(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "create_server", Taken(1_000))
    with pytest.raises(RuntimeError, match="before it had a port"), answerer.answering(1, 0.0):
        pass
    assert not multiprocessing.active_children()
