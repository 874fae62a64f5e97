"""The HTTPS client: allowed addresses, and its results with servers on loopback."""

import asyncio
import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Literal

import pytest
import trustme
import uvloop

from app.network.http import egress, http1, special_addresses
from app.network.http.egress import Egress
from app.ports.dns import LookupFailed
from app.ports.http import Page, Request
from tests.support.zones import SERVFAIL, Zone

HOST = "mta-sts.acme.test"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
OK = b"HTTP/1.1 200 OK\r\n"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def _trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    return _server_context(authority, HOST)


def _server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def _responding_with(response: bytes, received: list[bytes] | None = None) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if received is not None:
            received.append(head)
        writer.write(response)
        writer.close()

    return handle


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


def _fetch(
    handler: Handler,
    context: ssl.SSLContext | None,
    *,
    seconds: float = 10,
    request: Request | None = None,
    addresses: Sequence[str] = ("127.0.0.1",),
) -> Page:
    """The page that the client fetches from a server with this handler."""

    async def main() -> Page:
        server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            client = Egress(LOOPBACK, port=port, seconds=seconds)
            zone = Zone({(HOST, "A"): list(addresses)})
            return await client.fetch(zone, HOST, "/policy.txt", request)

    return _run(main)


def _run(main: Callable[[], Awaitable[Page]]) -> Page:
    async def whole() -> Page:
        return await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(whole())


def _refused(
    zone: Zone, host: str = HOST, allowed: Sequence[special_addresses.Network] = ()
) -> Page:
    async def main() -> Page:
        return await Egress(allowed, port=1).fetch(zone, host, "/")

    return _run(main)


def test_page_has_response_of_server(tls: ssl.SSLContext) -> None:
    received: list[bytes] = []
    response = OK + b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\nhello"
    page = _fetch(_responding_with(response, received), tls)
    assert (page.url, page.status) == (f"https://{HOST}/policy.txt", 200)
    assert (page.body, page.content_type) == (b"hello", "text/plain; charset=utf-8")
    assert page.failure is None
    assert page.not_after is not None
    assert page.not_after.endswith("Z")
    assert received[0].split(b"\r\n")[:2] == [
        b"GET /policy.txt HTTP/1.1",
        b"Host: " + HOST.encode(),
    ]
    assert b"\r\nConnection: close\r\n" in received[0]
    assert b"\r\nAccept-Encoding: identity\r\n" in received[0]


def test_body_is_sent_with_headers(tls: ssl.SSLContext) -> None:
    received: list[bytes] = []
    request = Request("POST", {"Webhook-Id": "msg_1"}, b"{}")
    assert _fetch(
        _responding_with(OK + b"Content-Length: 0\r\n\r\n", received), tls, request=request
    ).status
    assert b"\r\nWebhook-Id: msg_1\r\nContent-Length: 2\r\n" in received[0]


@pytest.mark.parametrize("method", ["GET", "PATCH", "POST"])
def test_body_of_an_error_is_read_up_to_the_requested_size(
    method: Literal["GET", "PATCH", "POST"], tls: ssl.SSLContext
) -> None:
    received: list[bytes] = []
    response = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nerror"
    request = Request(method, max_response_bytes=5)
    page = _fetch(_responding_with(response, received), tls, request=request)
    assert (page.status, page.body, page.failure) == (403, b"error", None)
    assert received[0].startswith(method.encode() + b" /policy.txt HTTP/1.1\r\n")
    assert b"\r\nConnection: close\r\n" not in received[0]


def test_header_injection_is_rejected(tls: ssl.SSLContext) -> None:
    with pytest.raises(ValueError, match="control character"):
        _fetch(_responding_with(OK), tls, request=Request(headers={"A": "b\r\nC: d"}))


@pytest.mark.parametrize(
    "response",
    [
        OK + b"\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" + OK + b"content-length:5\r\n\r\nhello",
        b"HTTP/1.0 200\r\nContent-Length: 5\r\n\r\nhello and more",
    ],
    ids=["to the end", "in chunks", "after a hint", "of a length"],
)
def test_body_has_declared_length(response: bytes, tls: ssl.SSLContext) -> None:
    assert _fetch(_responding_with(response), tls).body == b"hello"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_not_followed(status: int, tls: ssl.SSLContext) -> None:
    head = f"HTTP/1.1 {status} Moved\r\nLocation: https://acme.test/\r\n\r\n"
    page = _fetch(_responding_with(head.encode()), tls)
    assert (page.failure, page.status, page.body) == ("redirect", status, b"")


def test_body_of_error_status_is_not_read(tls: ssl.SSLContext) -> None:
    page = _fetch(_responding_with(b"HTTP/1.1 404 Not Found\r\n\r\nsorry"), tls)
    assert (page.failure, page.status, page.body) == (None, 404, b"")


@pytest.mark.parametrize(
    "response",
    [
        OK + b"Content-Length: 65537\r\n\r\n",
        OK + b"\r\n" + b"x" * 65537,
        OK
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"10001\r\n"
        + b"x" * 0x10001
        + b"\r\n0\r\n\r\n",
        OK + b"X: " + b"x" * http1.MAX_HEAD,
    ],
    ids=["length", "to the end", "chunks", "head"],
)
def test_response_over_size_limit_is_not_read(response: bytes, tls: ssl.SSLContext) -> None:
    page = _fetch(_responding_with(response), tls)
    assert (page.failure, page.body) == ("too_large", b"")


def test_response_at_size_limit_is_read(tls: ssl.SSLContext) -> None:
    assert len(_fetch(_responding_with(OK + b"\r\n" + b"x" * egress.MAX_BODY), tls).body) == 65536


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"", "network"),
        (OK + b"Content-Length: 5\r\n\r\nhell", "network"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhell", "network"),
        (b"220 mx.acme.test ESMTP\r\n\r\n", "garbage"),
        (OK + b"no header\r\n\r\n", "garbage"),
        (OK + b"Content-Length: -1\r\n\r\n", "garbage"),
        (OK + b"Transfer-Encoding: gzip\r\n\r\n", "garbage"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nfive\r\n", "garbage"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nhello\r\n", "garbage"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 40_000, "garbage"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 9, "garbage"),
    ],
)
def test_incomplete_response_is_undetermined(
    response: bytes, reason: str, tls: ssl.SSLContext
) -> None:
    with pytest.raises(LookupFailed) as caught:
        _fetch(_responding_with(response), tls)
    assert (caught.value.name, caught.value.rdtype) == (HOST, "HTTPS")
    assert caught.value.reason == reason


def test_silent_server_is_undetermined(tls: ssl.SSLContext) -> None:
    with pytest.raises(LookupFailed, match="timeout"):
        _fetch(_silent, tls, seconds=0.3)


def test_server_without_tls_is_undetermined() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx.acme.test ESMTP\r\n")
        await reader.read()
        writer.close()

    with pytest.raises(LookupFailed, match="network"):
        _fetch(greet, None)


def test_tls_before_1_2_is_undetermined(tls: ssl.SSLContext) -> None:
    tls.set_ciphers("ALL:@SECLEVEL=0")
    tls.options &= ~ssl.OP_NO_TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(LookupFailed, match="network"):
        _fetch(_responding_with(OK), tls)


def test_closed_port_is_undetermined() -> None:
    async def main() -> Page:
        async with await asyncio.start_server(_silent, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
        return await Egress(LOOPBACK, port=port).fetch(
            Zone({(HOST, "A"): ["127.0.0.1"]}), HOST, "/"
        )

    with pytest.raises(LookupFailed, match="network"):
        _run(main)


def test_next_address_is_tried_if_first_refuses_connection(tls: ssl.SSLContext) -> None:
    page = _fetch(_responding_with(OK + b"\r\n"), tls, addresses=("127.0.0.2", "127.0.0.1"))
    assert page.status == 200


def test_certificate_for_another_name_is_a_definite_failure(authority: trustme.CA) -> None:
    page = _fetch(_responding_with(OK), _server_context(authority, "www.acme.test"))
    assert (page.failure, page.status) == ("tls", 0)
    assert page.detail.startswith("Hostname mismatch")


def test_certificate_of_unknown_authority_is_a_definite_failure() -> None:
    page = _fetch(_responding_with(OK), _server_context(trustme.CA(), HOST))
    assert page.failure == "tls"
    assert page.detail


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254"])
def test_one_non_public_address_refuses_the_host(address: str) -> None:
    page = _refused(Zone({(HOST, "A"): ["9.9.9.9", address]}))
    assert (page.failure, page.detail) == (
        "refused_address",
        f"{address} is not a public address",
    )


@pytest.mark.parametrize("address", ["::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fd00::1"])
def test_non_public_ipv6_address_refuses_the_host(address: str) -> None:
    zone = Zone({(HOST, "A"): ["9.9.9.9"], (HOST, "AAAA"): [address]})
    assert _refused(zone).failure == "refused_address"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433.", "0x7f.1", "[::1]", "localhost", "a b.test"]
)
def test_host_that_is_not_fully_qualified_is_refused(host: str) -> None:
    assert _refused(Zone({}), host).failure == "refused_address"


def test_host_without_address_is_a_definite_failure() -> None:
    assert _refused(Zone({(HOST, "TXT"): ["nothing"]})).failure == "no_address"


def test_failed_address_lookup_is_undetermined() -> None:
    with pytest.raises(LookupFailed, match="servfail"):
        _refused(Zone({(HOST, "A"): ["9.9.9.9"], (HOST, "AAAA"): SERVFAIL}))


def test_invalid_url_characters_are_encoded(tls: ssl.SSLContext) -> None:
    received: list[bytes] = []

    async def main() -> Page:
        handler = _responding_with(OK + b"\r\n", received)
        async with await asyncio.start_server(handler, "127.0.0.1", 0, ssl=tls) as server:
            client = Egress(LOOPBACK, port=server.sockets[0].getsockname()[1])
            zone = Zone({(HOST, "A"): ["127.0.0.1"]})
            return await client.fetch(zone, HOST, "/a b\r\nX: é?q=%20#x")

    _run(main)
    assert received[0].startswith(b"GET /a%20b%0D%0AX:%20%C3%A9?q=%20%23x HTTP/1.1\r\n")


@pytest.mark.parametrize("status", [200, 407])
def test_proxy_connection_uses_resolved_address(status: int, tls: ssl.SSLContext) -> None:
    connects: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        connects.append(head.split(b"\r\n")[0])
        writer.write(f"HTTP/1.1 {status} Said\r\n\r\n".encode())
        if status != 200:
            writer.close()
            return
        port = int(connects[0].split()[1].rpartition(b":")[2])
        await _joined(reader, writer, await asyncio.open_connection("127.0.0.1", port))

    async def main() -> Page:
        body = b"x" * egress.MAX_BODY
        inner = await asyncio.start_server(
            _responding_with(OK + b"\r\n" + body), "127.0.0.1", 0, ssl=tls
        )
        outer = await asyncio.start_server(proxy, "127.0.0.1", 0)
        async with inner, outer:
            port, proxy_port = (s.sockets[0].getsockname()[1] for s in (inner, outer))
            client = Egress(LOOPBACK, f"http://127.0.0.1:{proxy_port}", port=port)
            try:
                return await client.fetch(Zone({(HOST, "A"): ["127.0.0.1"]}), HOST, "/")
            finally:
                assert connects == [f"CONNECT 127.0.0.1:{port} HTTP/1.1".encode()]

    if status == 200:
        assert len(_run(main).body) == egress.MAX_BODY
    else:
        with pytest.raises(LookupFailed, match="network"):
            _run(main)


async def _joined(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    other: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(4096):
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass  # the client closes the connection early
        finally:
            sink.close()

    await asyncio.gather(pump(reader, other[1]), pump(other[0], writer))


def test_at_most_sixteen_requests_run_concurrently(tls: ssl.SSLContext) -> None:
    under_way: list[int] = [0, 0]  # current, maximum

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        under_way[0] += 1
        under_way[1] = max(under_way)
        await asyncio.sleep(0.01)
        under_way[0] -= 1
        writer.write(OK + b"\r\n")
        writer.close()

    async def main() -> Page:
        async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls) as server:
            client = Egress(LOOPBACK, port=server.sockets[0].getsockname()[1])
            zone = Zone({(HOST, "A"): ["127.0.0.1"]})
            pages = await asyncio.gather(*(client.fetch(zone, HOST, "/") for _ in range(40)))
            assert [page.status for page in pages] == [200] * 40
            return pages[0]

    _run(main)
    assert under_way[1] <= egress.MAX_CONCURRENT
