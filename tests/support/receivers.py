"""A webhook receiver on loopback with TLS and configurable responses, and a network to it."""

import asyncio
import functools
import ipaddress
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import trustme

from app.network import streams
from app.network.http.egress import Egress
from app.network.session import blocking_client
from app.ports.dns import Answer, Resolver
from app.ports.http import Page, Request
from app.ports.network import Fetch, Network, NetworkSession, SessionFactory, T
from app.ports.streams import StreamRequest
from tests.support.zones import Zone

HOST = "hooks.receiver.test"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@dataclass(frozen=True)
class Received:
    """One request and the time of its arrival."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Answered = tuple[int, dict[str, str]] | tuple[int, dict[str, str], bytes] | None


class Receiver:
    """Responds to each request as ``answer`` decides; with 200 by default.

    answer  (status, headers) or (status, headers, body), or None to close the connection without
            a response; with a header ``drip`` the status line is sent byte by byte, with so many
            seconds in between
    pages   the response bodies for GET by path; 404 for any other path

    ``connections`` is the number of connections so far.
    """

    def __init__(self, directory: Path) -> None:
        self.calls: list[Received] = []
        self.pages: dict[str, bytes] = {}
        self.connections = 0
        self.answer: Callable[[Received], Answered] = lambda _: (200, {})
        authority, certificate = _certificates()
        self.ca_file = directory / "receiver-ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        handler = type("Handler", (_Handler,), {"receiver": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.context = context
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}/hook"

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def by_id(self) -> dict[str, list[Received]]:
        calls: dict[str, list[Received]] = defaultdict(list)
        for call in self.calls:
            calls[call.id].append(call)
        return calls

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@functools.cache
def _certificates() -> tuple[trustme.CA, trustme.LeafCert]:
    authority = trustme.CA()
    return authority, authority.issue_cert(HOST)


class _Server(ThreadingHTTPServer):
    context: ssl.SSLContext
    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def finish_request(self, request: Any, client_address: Any) -> None:
        try:
            wrapped = self.context.wrap_socket(request, server_side=True)
        except OSError:
            return  # the client has disconnected
        with wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect, as some tests do."""


class _Handler(BaseHTTPRequestHandler):
    receiver: ClassVar[Receiver]
    protocol_version = "HTTP/1.1"  # with persistent connections

    def setup(self) -> None:
        super().setup()
        self.receiver.connections += 1

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.receiver.calls.append(
            Received(path=self.path, headers=headers, body=b"", at=time.time())
        )
        page = self.receiver.pages.get(self.path)
        self.send_response(404 if page is None else 200)
        self.send_header("Content-Length", str(len(page or b"")))
        self.end_headers()
        self.wfile.write(page or b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Received(path=self.path, headers=headers, body=body, at=time.time())
        self.receiver.calls.append(call)
        answer = self.receiver.answer(call)
        if answer is None:
            self.close_connection = True
            return
        status, extra, *rest = answer
        if "drip" in extra:
            self._drip(float(extra["drip"]))
            return
        self.send_response(status)
        body = rest[0] if rest else b""
        for name, value in {"Content-Length": str(len(body)), **extra}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _drip(self, seconds: float) -> None:
        """Send the status line one byte at a time."""
        self.close_connection = True
        for byte in b"HTTP/1.1 200 OK":
            self.wfile.write(bytes([byte]))
            time.sleep(seconds)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing; the requests are in ``calls``."""


class _LoopbackSession(NetworkSession):
    """DNS from a dictionary, and real connections."""

    def __init__(self, zone: Resolver, egress: Egress) -> None:
        self._zone, self._egress = zone, egress

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        return await self._zone.resolve(name, rdtype, checking_disabled=checking_disabled)

    async def fetch(self, host: str, path: str, request: Request | None = None) -> Page:
        return await self._egress.fetch(self, host, path, request)

    async def refusal(self, host: str) -> str | None:
        return await self._egress.refusal(self, host)

    async def public_addresses(self, host: str) -> list[str]:
        return await self._egress.public_addresses(self, host)

    async def send_stream(self, host: str, request: StreamRequest) -> str | None:
        return await streams.send(self, self._egress.allowed, host, request)


class LoopbackNetwork(Network):
    """A network that reaches servers on loopback by the names of a zone.

    seconds  the timeout of one request
    proxy    the proxy for all connections
    """

    def __init__(
        self, zone: Zone | None = None, *, seconds: float = 10, proxy: str | None = None
    ) -> None:
        self.zone = zone or Zone({(HOST, "A"): ["127.0.0.1"]})
        self._seconds, self._proxy = seconds, proxy

    def run(self, main: Callable[[SessionFactory], Coroutine[Any, Any, T]]) -> T:
        async def opened() -> T:
            async with self._sessions() as new_session:
                return await main(new_session)

        return asyncio.run(opened())

    @contextmanager
    def fetching(self) -> Iterator[Fetch]:
        with asyncio.Runner() as runner, blocking_client(runner, self._sessions()) as fetch:
            yield fetch

    @asynccontextmanager
    async def _sessions(self) -> AsyncIterator[SessionFactory]:
        egress = Egress(LOOPBACK, self._proxy, seconds=self._seconds)
        try:
            yield lambda: _LoopbackSession(self.zone, egress)
        finally:
            egress.close()


@contextmanager
def receiving(directory: Path) -> Iterator[Receiver]:
    """Run a receiver until the context ends."""
    with Receiver(directory) as receiver:
        yield receiver
