"""The HTTP connection pool, tested from the side of the server."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from app.network.http.egress import Egress
from app.ports.dns import LookupFailed
from app.ports.http import Page, Request
from tests.support.zones import Zone

HOST = "hooks.acme.test"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Server:
    """Answers the requests of each connection in order, then closes it."""

    def __init__(self, answers: Sequence[bytes], connections: int = 0) -> None:
        self._answers, self.connections = answers, connections
        self.requests: list[bytes] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            for answer in self._answers:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head + await reader.readexactly(2))
                writer.write(answer)
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    return context


Post = Callable[..., Awaitable[Page]]


@asynccontextmanager
async def reaching(server: Server, tls: ssl.SSLContext) -> AsyncIterator[Post]:
    """A function that sends a request to the server, whose name resolves to this address."""
    started = await asyncio.start_server(server.handle, "127.0.0.1", 0, ssl=tls)
    client = Egress(LOOPBACK, port=started.sockets[0].getsockname()[1])

    async def post(address: str = "127.0.0.1") -> Page:
        return await client.fetch(
            Zone({(HOST, "A"): [address]}), HOST, "/", Request("POST", {}, b"{}")
        )

    async with started:
        yield post
        client.close()


def run(server: Server, tls: ssl.SSLContext, times: int, pause: float = 0.0) -> list[int]:
    """The statuses of this number of consecutive requests."""

    async def main() -> list[int]:
        async with reaching(server, tls) as post:
            statuses = []
            for _ in range(times):
                statuses.append((await post()).status)
                await asyncio.sleep(pause)
            return statuses

    return asyncio.run(main())


@pytest.mark.parametrize(
    "answer",
    [
        EMPTY,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
def test_requests_reuse_a_connection(tls: ssl.SSLContext, answer: bytes) -> None:
    server = Server([answer] * 3)
    assert len(run(server, tls, 3)) == 3
    assert (server.connections, len(server.requests)) == (1, 3)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",  # the body ends with the connection
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nnot all of it",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b"x" * 99_999,
    ],
)
def test_connection_that_cannot_be_reused_is_closed(tls: ssl.SSLContext, answer: bytes) -> None:
    server = Server([answer] * 3)
    assert run(server, tls, 3) == [200, 200, 200]
    assert server.connections == 3


def test_closed_idle_connection_is_replaced(tls: ssl.SSLContext) -> None:
    for pause in (0.0, 0.05):  # before and after the client has seen the close
        server = Server([EMPTY])
        assert run(server, tls, 3, pause) == [200, 200, 200]
        assert server.connections == 3


def test_new_connection_without_response_is_a_failure(tls: ssl.SSLContext) -> None:
    server = Server([b""])
    with pytest.raises(LookupFailed, match="network"):
        run(server, tls, 1)
    assert server.connections == 1


def test_connection_is_not_reused_after_address_change(tls: ssl.SSLContext) -> None:
    server = Server([EMPTY] * 3)

    async def main() -> None:
        async with reaching(server, tls) as post:
            assert (await post()).status == 200
            with pytest.raises(LookupFailed, match="network"):
                await post("127.0.0.2")  # a closed port
            assert (await post("10.0.0.1")).failure == "refused_address"

    asyncio.run(main())
    assert (server.connections, len(server.requests)) == (1, 1)
