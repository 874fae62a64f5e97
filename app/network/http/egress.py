"""The one door for HTTPS to hosts that strangers choose: it leads to public addresses only.

The addresses are looked up once, all must be public, and the connection goes to one of them, so
that no second look-up can give another (DNS rebinding). Redirects are not followed.
"""

import asyncio
import ipaddress
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from urllib.parse import quote, urlsplit

from app.network.http import http1, special_addresses
from app.network.http.connection_pool import Connection, ConnectionPool
from app.network.http.special_addresses import Address
from app.ports.dns import LookupFailed, Page, Request, Resolver
from app.protocols import names

MAX_CONCURRENT = 16
TOTAL_SECONDS = 10.0
CONNECT_SECONDS = 4.0
MAX_ADDRESSES = 3  # tried one after the other
MAX_BODY = 64 * 1024
USER_AGENT = "mailwatch/1"

_PATH = "/?&=%:@!$'()*+,;~-._[]"


class Refusal(Exception):
    """A definite end of a request before anything was sent: a failure of Page, and its detail."""

    def __init__(self, failure: str, detail: str = "") -> None:
        super().__init__(failure)
        self.failure, self.detail = failure, detail


class Egress:
    """HTTPS requests of one event loop; of those that only read ``AT_ONCE`` at a time.

    Who sends bodies bounds them itself, their time too: receivers that hang must not keep others
    waiting. Bodies to one host may follow each other on one connection, for a few seconds, while
    its name leads to the address at the other end.

    allowed  networks that are fine though they are not public
    proxy    ``http://host:port``; connections go through it by CONNECT, to the address looked up
    """

    def __init__(
        self,
        allowed: Sequence[special_addresses.Network] = (),
        proxy: str | None = None,
        *,
        port: int = 443,
        seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._allowed, self._proxy, self._port = allowed, proxy, port
        self._seconds = seconds
        self._gate = asyncio.Semaphore(MAX_CONCURRENT)
        self._kept = ConnectionPool()

    def close(self) -> None:
        """End the connections that wait for another request."""
        self._kept.close()

    async def fetch(
        self, answers: Resolver, host: str, path: str, request: Request | None = None
    ) -> Page:
        """What ``https://host/path`` answers; the body is read for a GET and a status 200 only.

        host    a DNS name; an IP address in any spelling is refused
        path    with its query; what may not stand in a URL is percent-encoded
        raises  Undetermined with ``timeout``, ``network``, ``garbage`` (no HTTP), or as DNS was
        """
        host = host.lower().removesuffix(".")
        target = quote(path if path.startswith("/") else f"/{path}", safe=_PATH)
        url = f"https://{host}{target}"
        try:
            addresses = await public_addresses(answers, host, self._allowed)
            request = request or Request()
            if request.method == "POST":
                return await self._post(addresses, host, target, request)
            async with self._gate, asyncio.timeout(self._seconds):
                line = await self._connected(addresses, host, request.port or self._port)
                try:
                    return (await _exchange(line, host, target, request))[0]
                finally:
                    line.abort()
        except Refusal as refusal:
            return Page(url, failure=refusal.failure, detail=refusal.detail)
        except ssl.SSLCertVerificationError as error:
            return Page(url, failure="tls", detail=_sentence(error))
        except TimeoutError:
            raise LookupFailed(host, "HTTPS", "timeout") from None
        except (OSError, EOFError):
            raise LookupFailed(host, "HTTPS", "network") from None
        except http1.NotHttp:
            raise LookupFailed(host, "HTTPS", "garbage") from None

    @cached_property
    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    async def _post(
        self, addresses: Sequence[Address], host: str, target: str, request: Request
    ) -> Page:
        port = request.port or self._port
        line = await self._kept.take(host, port, addresses)
        if line is not None:
            try:
                return await self._finish(line, host, target, request)
            except (EOFError, ConnectionError, http1.NotHttp) as error:  # no longer good
                if getattr(error, "partial", b""):
                    raise
        line = await self._connected(addresses, host, port)
        return await self._finish(line, host, target, request)

    async def _finish(self, line: Connection, host: str, target: str, request: Request) -> Page:
        try:
            page, head = await _exchange(line, host, target, request)
        except BaseException:
            line.abort()
            raise
        self._kept.put(host, request.port or self._port, line, head)
        return page

    async def _connected(self, addresses: Sequence[Address], host: str, port: int) -> Connection:
        """A connection to the first address that takes one; a bad certificate ends the search."""
        last: OSError = ConnectionError()
        for address in addresses[:MAX_ADDRESSES]:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    if self._proxy:
                        streams = await self._by_proxy(self._proxy, address, host, port)
                    else:
                        streams = await self._directly(address, host, port)
                    return Connection(address, *streams)
            except ssl.SSLCertVerificationError:
                raise
            except OSError as error:
                last = error
        raise last

    async def _directly(
        self, address: Address, host: str, port: int
    ) -> tuple[StreamReader, StreamWriter]:
        return await asyncio.open_connection(
            str(address),
            port,
            ssl=self._context,
            server_hostname=host,
            limit=http1.MAX_HEAD,
        )

    async def _by_proxy(
        self, proxy: str, address: Address, host: str, port: int
    ) -> tuple[StreamReader, StreamWriter]:
        """RFC 9110 §9.3.6; the proxy sees the address, and TLS is between the host and us."""
        parts = urlsplit(proxy)
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port or 80, limit=http1.MAX_HEAD
        )
        try:
            shown = f"[{address}]" if address.version == 6 else str(address)
            authority = f"{shown}:{port}"
            writer.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
            head = await http1.read_head(reader)
            if head.status != 200:
                raise ConnectionError(f"the proxy answers {head.status}")
            await writer.start_tls(self._context, server_hostname=host)
        except BaseException:
            writer.transport.abort()
            raise
        return reader, writer


async def public_addresses(
    answers: Resolver, host: str, allowed: Sequence[special_addresses.Network]
) -> list[Address]:
    """The addresses of the host, those of IPv4 first.

    raises  Refusal if there is none, or any that is not public; Undetermined
    """
    try:
        if host != names.parse_host(host) or "." not in host:
            raise Refusal("refused_address", "The host is not a full name in A-labels")
    except names.NotADomain as error:
        raise Refusal("refused_address", error.reason) from None
    answers.prefetch((host, "A"), (host, "AAAA"))
    found = [await answers.resolve(host, "A"), await answers.resolve(host, "AAAA")]
    addresses = [ipaddress.ip_address(str(a)) for answer in found for a in answer.rdatas]
    if not addresses:
        raise Refusal("no_address")
    for address in addresses:
        if not special_addresses.is_public(address, allowed):
            raise Refusal("refused_address", f"{address} is not a public address")
    return addresses


async def _exchange(
    line: Connection, host: str, target: str, request: Request
) -> tuple[Page, http1.Head]:
    """What is answered, and the head of that; the body is read for a GET and a status 200 only."""
    page = Page(f"https://{host}{target}", not_after=_not_after(line.writer))
    line.writer.write(_encoded(request, host, target))
    await line.writer.drain()
    head = http1.Head(0, {})
    try:
        head = await http1.read_head(line.reader)
        page = replace(
            page,
            status=head.status,
            content_type=head.headers.get("content-type", ""),
            retry_after=head.headers.get("retry-after", ""),
        )
        if 300 <= head.status < 400:
            page = replace(page, failure="redirect")
        elif head.status == 200 and request.method == "GET":
            page = replace(page, body=await http1.read_body(line.reader, head, MAX_BODY))
    except http1.TooLarge as error:
        page = replace(page, failure="too_large", detail=str(error))
    return page, head


def _encoded(request: Request, host: str, target: str) -> bytes:
    """raises ValueError if a header would not stay in its line."""
    port = f":{request.port}" if request.port not in (None, 443) else ""
    headers = {
        "Host": f"{host}{port}",
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
        **request.headers,
    }
    if request.method == "POST":
        headers["Content-Length"] = str(len(request.body))
    else:
        headers["Connection"] = "close"
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if any(not line.isprintable() for line in lines):
        raise ValueError("a header has a control character")
    head = "\r\n".join([f"{request.method} {target} HTTP/1.1", *lines, "", ""])
    return head.encode("ascii") + request.body


def _not_after(writer: StreamWriter) -> str | None:
    """The end of the server's certificate, as RFC 3339 writes it."""
    with suppress(KeyError, TypeError, ValueError):
        ends = writer.get_extra_info("peercert")["notAfter"]
        at = datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC)
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return None


def _sentence(error: ssl.SSLCertVerificationError) -> str:
    """Why the certificate was refused, in OpenSSL's words, without where in its code."""
    words = (error.verify_message or "the certificate cannot be verified").strip(".")
    return words[:1].upper() + words[1:]
