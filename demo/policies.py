"""``PolicyServer``: serves MTA-STS policies over HTTPS, reached through a CONNECT proxy.

The addresses in the sample zones are documentation addresses (RFC 5737), and no client may connect
to them. The scanner uses the proxy (``EGRESS_PROXY``), and the proxy connects to this server
instead. The certificate is selected by SNI and the file by ``Host``.
"""

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Mapping
from enum import Enum
from pathlib import Path

from demo.authority import Authority
from demo.background import Background, cancel_all, current_task

PATH = "/.well-known/mta-sts.txt"
PREFIX = "mta-sts."
NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)
HUGE = 1 << 20
MAX_HEAD = 16384
SECONDS = 30.0


class Failure(Enum):
    """The fault of the policy of a domain."""

    EXPIRED = "expired certificate"
    WRONG_NAME = "certificate of another name"
    REDIRECT = "redirect to another host"
    MISSING = "404"
    HUGE = "a body of a mebibyte"


class PolicyServer(Background):
    """Serves ``<domain>.txt`` of a directory as the policies of the domains.

    faults  by domain
    port    of the proxy, known after the server is open
    """

    def __init__(
        self,
        policies: Path,
        faults: Mapping[str, Failure] | None = None,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.address, self.port, self.authority = address, port, Authority()
        self._policies = {path.stem: path.read_bytes() for path in policies.glob("*.txt")}
        self._faults = faults or {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._servers: list[asyncio.Server] = []
        self._tls_port = 0

    async def open(self) -> None:
        front = self._context("")
        front.sni_callback = self._choose
        tls = await asyncio.start_server(self._serve_policy, self.address, 0, ssl=front)
        self._servers.append(tls)
        self._tls_port = tls.sockets[0].getsockname()[1]
        try:
            proxy = await asyncio.start_server(self._serve_proxy, self.address, self.port)
        except OSError:
            await self.close()
            raise
        self._servers.append(proxy)
        self.port = proxy.sockets[0].getsockname()[1]

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        await cancel_all(self._tasks)
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        await asyncio.sleep(0)  # transports close their sockets in the next iteration of the loop

    def _choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, host: str | None, _: ssl.SSLContext
    ) -> None:
        connection.context = self._context((host or "").lower())

    def _context(self, host: str) -> ssl.SSLContext:
        """Return the context with the certificate for a host, created on first use."""
        if host not in self._contexts:
            fault = self._faults.get(host.removeprefix(PREFIX))
            name = "elsewhere.invalid" if fault is Failure.WRONG_NAME or not host else host
            is_expired = fault is Failure.EXPIRED
            self._contexts[host] = self.authority.context(name, is_expired=is_expired)
        return self._contexts[host]

    async def _serve_policy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async with self._attended(writer):
            start, headers = await _head(reader)
            host = headers.get("host", "").partition(":")[0].lower()
            writer.write(self._response(start, host.removeprefix(PREFIX)))
            await writer.drain()

    def _response(self, start: list[str], domain: str) -> bytes:
        method, path = start[0], start[1]
        fault, body = self._faults.get(domain), self._policies.get(domain)
        if method not in ("GET", "HEAD"):
            return _message("405 Method Not Allowed", b"")
        if fault is Failure.REDIRECT:
            return _message(f"301 Moved Permanently\r\nLocation: https://www.{domain}{path}", b"")
        if fault is Failure.HUGE:
            body = (body or b"") + b"#" * HUGE
        if path != PATH or body is None or fault is Failure.MISSING:
            return _message("404 Not Found", b"not found\n")
        return _message("200 OK", body, is_head=method == "HEAD")

    async def _serve_proxy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async with self._attended(writer):
            start, _ = await _head(reader)
            if start[0] != "CONNECT" or not self._allows(start[1]):
                writer.write(_message("403 Forbidden", b"documentation addresses only\n"))
                await writer.drain()
                return
            inner_reader, inner = await asyncio.open_connection(self.address, self._tls_port)
            try:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await asyncio.gather(_pump(reader, inner), _pump(inner_reader, writer))
            finally:
                inner.close()
                with contextlib.suppress(OSError):
                    await inner.wait_closed()

    def _allows(self, target: str) -> bool:
        """Whether it is port 443 of a documentation address, or of a host that is served here."""
        host, _, port = target.rpartition(":")
        try:
            address = ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            domain = host.lower().removeprefix(PREFIX)
            return port == "443" and (domain in self._policies or domain in self._faults)
        return port == "443" and any(address in network for network in NETWORKS)

    @contextlib.asynccontextmanager
    async def _attended(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        """Close the connection with the server or after a timeout; ignore a closed peer."""
        task = current_task()
        self._tasks.add(task)
        try:
            async with asyncio.timeout(SECONDS):
                yield
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # a bad request, or the server closes
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _head(reader: asyncio.StreamReader) -> tuple[list[str], dict[str, str]]:
    """Return the three words of the request line, and the headers with lower-case names."""
    text = (await reader.readuntil(b"\r\n\r\n"))[:MAX_HEAD].decode("latin-1")
    first, *lines = text.strip().split("\r\n")
    words = first.split(" ")
    if len(words) != 3:
        raise ValueError("not an HTTP request")
    pairs = (line.partition(":") for line in lines)
    return words, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward data until the end of the stream, and close the writer."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


def _message(status: str, body: bytes, *, is_head: bool = False) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if is_head else body)
