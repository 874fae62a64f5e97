"""The HTTPS client for hosts from untrusted input, which connects to public addresses only.

The addresses are resolved once, all must be public, and the connection goes to one of them, so that
a second lookup cannot return another address (DNS rebinding). Redirects are not followed.
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
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from app.network.http import http1, special_addresses
from app.network.http.connection_pool import Connection, ConnectionPool, Endpoint
from app.network.http.http1 import HttpStream
from app.network.http.special_addresses import Address
from app.ports.dns import LookupFailed, Resolver
from app.ports.http import Page, Request
from app.protocols import names

MAX_CONCURRENT = 16
TOTAL_SECONDS = 10.0
CONNECT_SECONDS = 4.0
MAX_ADDRESSES = 3  # tried one after another
MAX_BODY = 64 * 1024
USER_AGENT = "mailwatch/1"

_PATH = "/?&=%:@!$'()*+,;~-._[]"


class Refusal(Exception):
    """The request was refused before anything was sent: a failure of Page, and its detail."""

    def __init__(self, failure: str, detail: str = "") -> None:
        super().__init__(failure)
        self.failure, self.detail = failure, detail


class _Server(NamedTuple):
    """A server, and where it is reached."""

    endpoint: Endpoint
    addresses: Sequence[Address]


class Egress:
    """An HTTPS client for one event loop; at most ``MAX_CONCURRENT`` pages are fetched at a time.

    Callers limit all other requests and their time themselves, so that a slow receiver does not
    delay others. Such requests to one host reuse a connection for a few seconds, as long as the
    name still resolves to its address.

    allowed     networks that are allowed although they are not public
    proxy       ``http://host:port``; connections use CONNECT to the resolved address
    connect_to  (host, address, port) of hosts with another address than the resolved ones
    """

    def __init__(
        self,
        allowed: Sequence[special_addresses.Network] = (),
        proxy: str | None = None,
        *,
        port: int = 443,
        seconds: float = TOTAL_SECONDS,
        connect_to: Sequence[tuple[str, str, int]] = (),
    ) -> None:
        self.allowed, self._proxy, self._port = allowed, proxy, port
        self._seconds = seconds
        self._connect_to = {
            host: (ipaddress.ip_address(address), port) for host, address, port in connect_to
        }
        self._gate = asyncio.Semaphore(MAX_CONCURRENT)
        self._pool = ConnectionPool()

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    async def fetch(
        self, resolver: Resolver, host: str, path: str, request: Request | None = None
    ) -> Page:
        """Return the response of ``https://host/path``, with a body as the request has it.

        host    a DNS name; an IP address in any spelling is refused
        path    with its query; characters that are invalid in a URL are percent-encoded
        raises  LookupFailed with ``timeout``, ``network``, ``garbage`` (not HTTP), or that of DNS
        """
        host = host.lower().removesuffix(".")
        target = quote(path if path.startswith("/") else f"/{path}", safe=_PATH)
        url = f"https://{host}{target}"
        try:
            request = request or Request()
            server = await self._server(resolver, host, request)
            if not request.is_page:
                return await self._reusing(server, target, request)
            async with self._gate, asyncio.timeout(self._seconds):
                connection = await self._connected(server)
                try:
                    return await _exchange(connection.stream, host, target, request)
                finally:
                    connection.abort()
        except Refusal as refusal:
            return Page(url, failure=refusal.failure, detail=refusal.detail)
        except ssl.SSLCertVerificationError as error:
            return Page(url, failure="tls", detail=_reason(error))
        except TimeoutError:
            raise LookupFailed(host, "HTTPS", "timeout") from None
        except (OSError, EOFError):
            raise LookupFailed(host, "HTTPS", "network") from None
        except http1.NotHttp:
            raise LookupFailed(host, "HTTPS", "garbage") from None

    async def refusal(self, resolver: Resolver, host: str) -> str | None:
        """Return the failure with which ``fetch`` would refuse the host, or None.

        raises  LookupFailed
        """
        try:
            await public_addresses(resolver, host, self.allowed)
        except Refusal as refusal:
            return refusal.failure
        return None

    async def public_addresses(self, resolver: Resolver, host: str) -> list[str]:
        """Return the addresses of the host; none if ``fetch`` would refuse it.

        raises  LookupFailed
        """
        if host in self._connect_to:
            return [str(self._connect_to[host][0])]
        try:
            addresses = await public_addresses(resolver, host, self.allowed)
        except Refusal:
            return []
        return [str(address) for address in addresses]

    @cached_property
    def _contexts(self) -> dict[str | None, ssl.SSLContext]:
        """The TLS contexts by certificate authorities, which are read once in an event loop."""
        return {}

    def _context(self, ca_certificates: str | None) -> ssl.SSLContext:
        context = self._contexts.get(ca_certificates)
        if context is None:
            context = self._contexts[ca_certificates] = tls_context(ca_certificates)
        return context

    async def _server(self, resolver: Resolver, host: str, request: Request) -> _Server:
        """Return where the request goes; raises Refusal or LookupFailed."""
        if host in self._connect_to:
            address, port = self._connect_to[host]
            return _Server(Endpoint(host, port, request.ca_certificates), [address])
        addresses = await public_addresses(resolver, host, self.allowed)
        endpoint = Endpoint(host, request.port or self._port, request.ca_certificates)
        return _Server(endpoint, addresses)

    async def _reusing(self, server: _Server, target: str, request: Request) -> Page:
        connection = await self._pool.take(*server)
        if connection is not None:
            try:
                return await self._finish(connection, server, target, request)
            except (EOFError, ConnectionError, http1.NotHttp) as error:
                if getattr(error, "partial", b""):
                    raise  # otherwise the idle connection was closed
        connection = await self._connected(server)
        return await self._finish(connection, server, target, request)

    async def _finish(
        self, connection: Connection, server: _Server, target: str, request: Request
    ) -> Page:
        try:
            page = await _exchange(connection.stream, server.endpoint.host, target, request)
        except BaseException:
            connection.abort()
            raise
        self._pool.put(server.endpoint, connection)
        return page

    async def _connected(self, server: _Server) -> Connection:
        """Connect to the first address that accepts; a bad certificate ends the search."""
        endpoint = server.endpoint
        last: OSError = ConnectionError()
        for address in server.addresses[:MAX_ADDRESSES]:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    if self._proxy:
                        streams = await self._by_proxy(self._proxy, address, endpoint)
                    else:
                        streams = await self._directly(address, endpoint)
                    return Connection(address, HttpStream(*streams))
            except ssl.SSLCertVerificationError:
                raise
            except OSError as error:
                last = error
        raise last

    async def _directly(
        self, address: Address, endpoint: Endpoint
    ) -> tuple[StreamReader, StreamWriter]:
        return await asyncio.open_connection(
            str(address),
            endpoint.port,
            ssl=self._context(endpoint.ca_certificates),
            server_hostname=endpoint.host,
            limit=http1.MAX_HEAD,
        )

    async def _by_proxy(
        self, proxy: str, address: Address, endpoint: Endpoint
    ) -> tuple[StreamReader, StreamWriter]:
        """Connect by CONNECT through the proxy, with TLS to the host (RFC 9110 §9.3.6)."""
        parts = urlsplit(proxy)
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port or 80, limit=http1.MAX_HEAD
        )
        try:
            await http1.open_tunnel(reader, writer, address, endpoint.port)
            context = self._context(endpoint.ca_certificates)
            await writer.start_tls(context, server_hostname=endpoint.host)
        except BaseException:
            writer.transport.abort()
            raise
        return reader, writer


def tls_context(ca_certificates: str | None) -> ssl.SSLContext:
    """Return the context of a client that trusts these authorities (PEM); None: the system's."""
    context = ssl.create_default_context(cadata=ca_certificates)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def public_addresses(
    resolver: Resolver, host: str, allowed: Sequence[special_addresses.Network]
) -> list[Address]:
    """Return the addresses of the host, IPv4 first.

    raises  Refusal if there are none or any is not public; LookupFailed
    """
    try:
        if host != names.parse_host(host) or "." not in host:
            raise Refusal(
                "refused_address", "The host is not a fully qualified domain name in A-labels"
            )
    except names.NotADomain as error:
        raise Refusal("refused_address", error.reason) from None
    resolver.prefetch((host, "A"), (host, "AAAA"))
    responses = [await resolver.resolve(host, "A"), await resolver.resolve(host, "AAAA")]
    rdatas = [rdata for response in responses for rdata in response.rdatas]
    addresses = [ipaddress.ip_address(str(rdata)) for rdata in rdatas]
    if not addresses:
        raise Refusal("no_address")
    for address in addresses:
        if not special_addresses.is_public(address, allowed):
            raise Refusal("refused_address", f"{address} is not a public address")
    return addresses


async def _exchange(stream: HttpStream, host: str, target: str, request: Request) -> Page:
    """Send the request and return the page."""
    page = Page(f"https://{host}{target}", not_after=_not_after(stream.writer))
    await stream.send(request.method, target, _headers(request, host), request.body)
    try:
        head = await stream.read_head()
        page = replace(
            page,
            status=head.status,
            content_type=head.headers.get("content-type", ""),
            retry_after=head.headers.get("retry-after", ""),
        )
        if 300 <= head.status < 400:
            page = replace(page, failure="redirect")
        elif request.max_response_bytes is not None:
            page = replace(page, body=await stream.read_body(request.max_response_bytes))
        elif head.status == 200 and request.is_page:
            page = replace(page, body=await stream.read_body(MAX_BODY))
    except http1.TooLarge as error:
        page = replace(page, failure="too_large", detail=str(error))
    return page


def _headers(request: Request, host: str) -> list[tuple[str, str]]:
    """Return the headers of the request.

    raises  ValueError if a header contains a control character
    """
    port = f":{request.port}" if request.port not in (None, 443) else ""
    headers = {
        "Host": f"{host}{port}",
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
        **request.headers,
    }
    if request.method != "GET":
        headers["Content-Length"] = str(len(request.body))
    if request.is_page:
        headers["Connection"] = "close"
    if not all(name.isprintable() and value.isprintable() for name, value in headers.items()):
        raise ValueError("a header has a control character")
    return list(headers.items())


def _not_after(writer: StreamWriter) -> str | None:
    """Return the expiry of the server's certificate as an RFC 3339 timestamp."""
    with suppress(KeyError, TypeError, ValueError):
        text = writer.get_extra_info("peercert")["notAfter"]
        at = datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return None


def _reason(error: ssl.SSLCertVerificationError) -> str:
    """Return the reason why OpenSSL rejected the certificate, without its code position."""
    reason = (error.verify_message or "the certificate cannot be verified").strip(".")
    return reason[:1].upper() + reason[1:]
