"""gunicorn with the configuration of the service and short limits, and raw connections to it."""

import os
import socket
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from devtools.processes import end_with_parent, free_port
from tests.support.paths import ROOT


@dataclass(slots=True)
class Response:
    """A response as received."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Wire:
    """A raw connection for arbitrary requests."""

    client: socket.socket
    received: bytes = b""

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.client.sendall(data)

    def response(self, *, has_body: bool = True) -> Response:
        """The next response, with its length in Content-Length or in chunks."""
        self._fill(b"\r\n\r\n")
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (it.partition(": ") for it in lines)}
        body = b""
        status = int(first.split()[1])
        if has_body and status >= 200:
            body = self._chunks() if "chunked" in headers.values() else self._take(headers)
        return Response(status, headers, body)

    def is_closed(self) -> bool:
        """Wait until the server closes the connection; False if it has sent more."""
        try:
            return self.client.recv(1) == b""
        except ConnectionResetError:
            return True

    def _take(self, headers: dict[str, str]) -> bytes:
        size = int(headers["content-length"])
        while len(self.received) < size:
            self._receive()
        body, self.received = self.received[:size], self.received[size:]
        return body

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            self._fill(b"\r\n")
            line, _, self.received = self.received.partition(b"\r\n")
            size = int(line, 16)
            while len(self.received) < size + 2:
                self._receive()
            body += self.received[:size]
            self.received = self.received[size + 2 :]
            if not size:
                return bytes(body)

    def _fill(self, end: bytes) -> None:
        while end not in self.received:
            self._receive()

    def _receive(self) -> None:
        data = self.client.recv(65536)
        if not data:
            raise ConnectionError(f"closed after {self.received[:200]!r}")
        self.received += data


@dataclass(slots=True)
class Gunicorn:
    """A running gunicorn."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path
    wires: list[Wire] = field(default_factory=list)

    def connect(self) -> Wire:
        """A new connection."""
        wire = Wire(socket.create_connection(("127.0.0.1", self.port), timeout=30))
        self.wires.append(wire)
        return wire

    def get(self, path: str = "/") -> Response:
        """Send one request on a separate connection."""
        wire = self.connect()
        wire.send(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        response = wire.response()
        wire.client.close()
        return response


def start(
    directory: Path,
    *options: str,
    application: str = "tests.web_server.application:app",
    **variables: str,
) -> Gunicorn:
    """Start a gunicorn with one process, and wait until it answers."""
    port = free_port(0)
    settings = {
        "SECRET_KEY": "e" * 40,
        "DATABASE_URL": f"sqlite:///{directory}/unused.db",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "PORT": str(port),
        "BIND": "127.0.0.1",
        "WEB_CONCURRENCY": "1",
        "WEB_THREADS": "2",
        **variables,
    }
    log = directory / "gunicorn.log"
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", *options]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, application],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=output,
            stderr=output,
            preexec_fn=end_with_parent,
        )
    gunicorn = Gunicorn(port, process, log)
    deadline = time.monotonic() + 60
    while True:
        try:
            gunicorn.get()
            return gunicorn
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text()) from None
            time.sleep(0.1)


def stop(gunicorn: Gunicorn) -> None:
    """Stop the server and close the connections of tests."""
    for wire in gunicorn.wires:
        with closing(wire.client):
            pass
    gunicorn.process.terminate()
    gunicorn.process.wait(40)
