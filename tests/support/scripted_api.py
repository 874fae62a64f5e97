"""An HTTP server that gives the responses of a list, one after the other."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple

DROPPED = 0  # in place of a status: the connection is closed without a response


class Response(NamedTuple):
    """A response; the body is sent as JSON."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Request:
    """A received request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class ScriptedApi:
    """The server: its address, and the requests that it received."""

    url: str
    responses: list[Response]
    requests: list[Request] = field(default_factory=list)


@contextmanager
def answering(responses: Sequence[Response]) -> Iterator[ScriptedApi]:
    """Run the server until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    api = ScriptedApi(f"http://127.0.0.1:{server.server_port}", list(responses))
    server.api = api  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def _answer(self) -> None:
        api: ScriptedApi = self.server.api  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        api.requests.append(Request(self.command, self.path, headers=headers, body=body))
        response = api.responses.pop(0)
        self.close_connection = True
        if response.status == DROPPED:
            return
        self.send_response(response.status)
        content = b"" if response.body is None else json.dumps(response.body).encode()
        for name, value in {**response.headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""
