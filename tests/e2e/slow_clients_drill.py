"""The drill of slow clients: many idle connections do not delay other clients."""

import socket
import time
from contextlib import suppress

from tests.e2e.service import Service

_HEAD = b"%s HTTP/1.1\r\nHost: localhost\r\n"
KINDS = {
    "silent": b"",
    "half-sent head": _HEAD % b"GET /v1/me",
    "slow body": _HEAD % b"POST /v1/domains" + b"Content-Length: 100000\r\n\r\n{",
    "slow reader": (_HEAD % b"GET /openapi.json" + b"\r\n") * 50,
}


def hold_connections(
    service: Service, token: str, *, clients: int, seconds: float, limit_seconds: float
) -> str:
    """While slow clients hold connections, ``/healthz`` and an API call stay quick.

    Every second each client of a half-sent head or body sends one more byte; a client that the
    service has closed connects again.
    """
    for _ in range(10):  # each process writes this document at its first call
        assert service.call("GET", "/openapi.json").status == 200
    slowest = {"/healthz": 0.0, "/v1/me": 0.0}
    kinds = list(KINDS.values())
    calls = 0
    sockets: list[tuple[socket.socket, bytes]] = []
    try:
        for number in range(clients):
            kind = kinds[number % len(kinds)]
            sockets.append((_connect(service, kind), kind))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for path in slowest:
                started = time.monotonic()
                answer = service.call("GET", path, token)
                took = time.monotonic() - started
                assert answer.status == 200, (path, answer)
                slowest[path] = max(slowest[path], took)
                calls += 1
            for number, (client, kind) in enumerate(sockets):
                if not _drip(client, kind):
                    client.close()
                    sockets[number] = (_connect(service, kind), kind)
            time.sleep(1)
    finally:
        for client, _ in sockets:
            client.close()
    assert max(slowest.values()) < limit_seconds, slowest
    figures = ", ".join(f"{path} {took:.2f} s" for path, took in slowest.items())
    return f"{clients} slow clients for {seconds:g} s: {calls} calls answered, slowest {figures}"


def _connect(service: Service, data: bytes) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(10)
    client.connect(("127.0.0.1", service.port))
    if data:
        client.sendall(data)
    return client


def _drip(client: socket.socket, kind: bytes) -> bool:
    """Send one byte of an incomplete request; False once the service has closed the connection."""
    client.setblocking(False)
    if kind == KINDS["slow reader"]:
        return True  # reads nothing at all
    with suppress(BlockingIOError):
        try:
            if kind:
                client.send(b"x")
            return client.recv(1024) != b""
        except (ConnectionError, BrokenPipeError):
            return False
    return True
