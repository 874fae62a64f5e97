"""One name server: its UDP sockets, and queries over TCP.

An answer is accepted if it comes from the address of the server (the kernel ensures this, because
the sockets are connected), to the port and with the id of the query, and repeats the question (RFC
5452 §9.1) in our random upper and lower case.
"""

import asyncio
import ipaddress
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from app.network.dns import wire
from app.network.dns.entropy import EntropyBuffer
from app.network.dns.outstanding import OutstandingLimit

SOCKETS = 8  # for each server, used in rotation
USES = 32  # queries from one port before it is replaced
_BURST = 16  # datagrams read before other callbacks run
_MAX_DATAGRAM = 4096

_LOST_IN_TRANSIT = suppress(BlockingIOError)  # the buffer is full, which is like a lost packet


class NoAnswer(Exception):
    """No server gave a definite answer; ``reason`` as in ``LookupFailed``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PendingQuery(Protocol):
    """A query that waits for its answer.

    query    in lower case
    sent     with random case
    garbled  whether a response could not be read
    """

    query: wire.Query
    sent: wire.Query
    garbled: bool

    def handle_response(self, message: wire.Message, data: bytes) -> None:
        """Handle a response to this query, decoded and raw."""

    def fail(self, reason: str) -> None:
        """Handle the failure of this attempt."""


class Server:
    """One name server and its open sockets.

    limit  the limit of its outstanding queries
    """

    def __init__(
        self, host: str, port: int, *, trusts_loopback: bool, max_outstanding: int
    ) -> None:
        self.limit = OutstandingLimit(max_outstanding)
        address = ipaddress.ip_address(host)
        self.is_loopback = address.is_loopback
        self._address = (str(address), port)
        self._family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        # None: unknown yet; False: not expected, so queries are sent in lower case
        self._preserves_case = False if self.is_loopback and trusts_loopback else None
        self._sockets: list[UdpSocket] = []
        self._retired: set[UdpSocket] = set()
        self._rotation = 0

    @property
    def is_mixed(self) -> bool:
        """Whether queries to this server have random case."""
        return self._preserves_case is not False

    def is_accepted(self, data: bytes, sent: wire.Query, query: wire.Query) -> bool:
        """Whether a response over UDP is accepted; if not, the query is repeated over TCP.

        sent   the query with random case
        query  the query in lower case
        """
        if wire.is_repeated(data, sent):
            if sent.section != query.section:
                self._preserves_case = True
            return True
        is_trusted, self._preserves_case = (
            self._preserves_case is False,
            self._preserves_case or False,
        )
        return is_trusted

    def next_socket(self) -> "UdpSocket":
        """The next socket in rotation.

        raises  OSError
        """
        if len(self._sockets) < SOCKETS:
            self._sockets.append(UdpSocket(self._family, self._address))
            return self._sockets[-1]
        self._rotation = (self._rotation + 1) % SOCKETS
        udp_socket = self._sockets[self._rotation]
        if udp_socket.uses >= USES:
            self._retired.add(udp_socket)
            udp_socket.retire(self._retired.discard)
            udp_socket = self._sockets[self._rotation] = UdpSocket(self._family, self._address)
        return udp_socket

    async def query_by_tcp(self, query: wire.Query, until: float) -> wire.Message:
        """The response over TCP, where two bytes with the length precede a message (RFC 7766)."""
        try:
            async with asyncio.timeout_at(until):
                sent = secrets.token_bytes(2) + query.message[2:]
                message = wire.parse_response(await self._exchange_by_tcp(sent))
        except TimeoutError:
            raise NoAnswer("timeout") from None
        except (OSError, EOFError):
            raise NoAnswer("network") from None
        except wire.Malformed:
            raise NoAnswer("garbage") from None
        if message.id != int.from_bytes(sent[:2]) or message.question != query.question:
            raise NoAnswer("garbage")
        return message

    async def _exchange_by_tcp(self, query: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            writer.write(len(query).to_bytes(2) + query)
            size = int.from_bytes(await reader.readexactly(2))
            return await reader.readexactly(size)
        finally:
            writer.close()

    def close(self) -> None:
        for open_socket in (*self._sockets, *self._retired):
            open_socket.fail("network")
            open_socket.close()
        self._sockets = []


class UdpSocket:
    """A UDP socket on a port that the kernel chose at random, connected to one server."""

    __slots__ = ("_loop", "_on_closed", "_pending", "_socket", "uses")

    def __init__(self, family: int, address: tuple[str, int]) -> None:
        self.uses = 0
        self._on_closed: Callable[[UdpSocket], None] | None = None
        self._pending: dict[bytes, PendingQuery] = {}
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket.fileno(), self._read)

    def send(self, exchange: PendingQuery, random_bytes: EntropyBuffer) -> bytes:
        """Send the query and return its id.

        raises  OSError if it cannot be sent
        """
        id = random_bytes.take(2)
        while id in self._pending:
            id = random_bytes.take(2)
        self.uses += 1
        with _LOST_IN_TRANSIT:
            self._socket.send(id + exchange.sent.message[2:])
        self._pending[id] = exchange
        return id

    def forget(self, id: bytes) -> None:
        """Remove a pending query that has ended."""
        del self._pending[id]
        if self._on_closed and not self._pending:
            self.close()

    def retire(self, on_closed: Callable[["UdpSocket"], None]) -> None:
        """Close the socket as soon as no query is pending, and call ``on_closed``."""
        self._on_closed = on_closed
        if not self._pending:
            self.close()

    def fail(self, reason: str) -> None:
        for exchange in list(self._pending.values()):
            exchange.fail(reason)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
        if self._on_closed:
            self._on_closed(self)

    def _read(self) -> None:
        for _ in range(_BURST):
            try:
                data = self._socket.recv(_MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:  # connection refused: the port is closed
                self.fail("network")
                return
            self._handle(data)
            if not self._pending:
                return  # unexpected datagrams can wait

    def _handle(self, data: bytes) -> None:
        """Complete the query that this datagram answers; ignore any other datagram."""
        exchange = self._pending.get(data[:2])
        if exchange is None:
            return
        try:
            message = wire.parse_response(data, exchange.sent)
        except wire.Malformed:
            exchange.garbled = True
            return
        if message.question == exchange.query.question:
            exchange.handle_response(message, data)
        else:
            exchange.garbled = True
