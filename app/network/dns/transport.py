"""Queries to name servers: over UDP, or TCP if the answer does not fit, with one retry.

An answer is accepted if it comes from the address of the server (the kernel ensures this, because
the sockets are connected), to the port and with the id of the query, and repeats the question (RFC
5452 §9.1) in our random upper and lower case. If the case differs, the query is repeated over TCP.
A server that has never preserved the case is not expected to, nor is a server on this machine,
where an attacker cannot answer.

A query needs no task, no timer and one system call in each direction: its outcome is passed to a
callback, and all deadlines share one timer (docs/decisions/0008-dns-codec.md).
"""

import asyncio
import ipaddress
import secrets
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from app.network.dns import wire
from app.network.dns.entropy import EntropyBuffer
from app.network.dns.timers import TimerQueue

BURST = 240  # queries that fit the socket buffer of a server that does not read yet (208 KiB)
BURST_SECONDS = 0.05  # after which the server has read them
MAX_OUTSTANDING = (
    480  # queries while the server answers: it has read those before the answered ones
)
STARVATION_LIMIT = 4  # answers for each query above BURST
SOCKETS = 8  # for each server, used in rotation
USES = 32  # queries from one port before it is replaced
_BURST = 16  # datagrams read before other callbacks run
_MAX_DATAGRAM = 4096

_LOST_IN_TRANSIT = suppress(BlockingIOError)  # the buffer is full, which is like a lost packet
_REASONS = {wire.SERVFAIL: "servfail", wire.REFUSED: "refused"}

ServerReply = tuple[wire.Message, bool] | str
"""A message with NOERROR or NXDOMAIN and whether its AD bit can be trusted, or the reason for a
failure (as in ``LookupFailed``)."""


class NoAnswer(Exception):
    """No server gave a definite answer; ``reason`` as in ``LookupFailed``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Transport:
    """Sends queries to the configured name servers in one event loop.

    seconds          timeout of one query including its retry
    trusts_loopback  servers on this machine need not preserve the case of the question
    """

    def __init__(
        self,
        servers: Sequence[tuple[str, int]],
        seconds: float,
        *,
        trusts_loopback: bool = True,
    ) -> None:
        self.servers = [_Server(*server, trusts_loopback=trusts_loopback) for server in servers]
        self.seconds = seconds
        self.preferred = 0
        self._loop = asyncio.get_running_loop()
        self.timers = TimerQueue(self._loop)
        self.random_bytes = EntropyBuffer()
        self.is_closed = False
        self._free_slots = self._limit = BURST
        self._answers = 0
        self._waiting: deque[_Exchange] = deque()
        self._tcp_tasks: set[asyncio.Task[None]] = set()

    def send(self, query: wire.Query, done: Callable[[ServerReply], None]) -> None:
        """Send the query and call ``done`` once, but never before this method returns.

        query  its message is sent with a new id
        """
        exchange = _Exchange(self, query, done)
        if self._free_slots > 0:
            self._free_slots -= 1
            exchange.start()
        else:
            self._waiting.append(exchange)

    def free_slot(self) -> None:
        """Free one slot of the burst and send the next query."""
        if self._waiting and self._free_slots >= 0:
            self._waiting.popleft().start()
        else:
            self._free_slots += 1

    def widen(self) -> None:
        """Widen the burst after an answer, because the server reads (as in RFC 5681 §3.1)."""
        self._answers += 1
        if self._limit < MAX_OUTSTANDING and self._answers % STARVATION_LIMIT == 0:
            self._limit += 1
            self.free_slot()

    def narrow(self) -> None:
        """Reset the burst to its initial size after a timeout, which may be a full buffer."""
        self._free_slots -= self._limit - BURST
        self._limit = BURST

    def spawn(self, task: "asyncio.Task[None]") -> None:
        """Keep a reference to a task until it ends."""
        self._tcp_tasks.add(task)
        task.add_done_callback(self._tcp_tasks.discard)

    def close(self) -> None:
        """Close all sockets; waiting queries fail with ``network``."""
        self.is_closed = True
        self.timers.close()
        for task in self._tcp_tasks:
            task.cancel()
        for server in self.servers:
            server.close()
        while self._waiting:
            self._waiting.popleft().fail("network")


class _Exchange:
    """One query, until it has a definite answer or was tried twice."""

    __slots__ = (
        *("_deadline", "_done", "_has_slot", "_id", "_is_second", "_server", "_socket"),
        *("_transport", "_rotation", "_until", "garbled", "query", "sent"),
    )

    def __init__(
        self, transport: Transport, query: wire.Query, done: Callable[[ServerReply], None]
    ) -> None:
        self.query, self.sent, self.garbled = query, query, False
        self._transport, self._done = transport, done
        self._has_slot = self._is_second = False
        self._socket: _Socket | None = None

    def start(self) -> None:
        """Send the query in a slot of the burst."""
        transport = self._transport
        now = transport.timers.loop.time()
        self._has_slot, self._rotation = True, transport.preferred
        if transport.is_closed:
            transport.timers.loop.call_soon(self.fail, "network")
            return
        self._deadline = now + transport.seconds
        transport.timers.at(now + BURST_SECONDS, self._free_slot)
        self._try(self._deadline - transport.seconds / 2)

    def handle_response(self, message: wire.Message, data: bytes) -> None:
        """Handle a response to this query, decoded and raw."""
        self._detach()
        self._transport.widen()
        if message.truncated or not self._server.is_accepted(data, self.sent, self.query):
            loop = self._transport.timers.loop
            self._transport.spawn(loop.create_task(self._query_by_tcp()))
        else:
            self._complete(message)

    def fail(self, reason: str) -> None:
        """Handle the failure of this attempt; retry if it was the first."""
        self._detach()
        transport = self._transport
        if self._is_second or transport.is_closed:
            self._end(reason)
            return
        if reason in ("timeout", "network"):
            transport.preferred = (self._rotation + 1) % len(transport.servers)
        elif len(transport.servers) == 1 and reason != "garbage":
            self._end(reason)  # a retry would get the same answer
            return
        self._is_second, self.garbled = True, False
        self._rotation += 1
        self._try(self._deadline)

    def _try(self, until: float) -> None:
        self._until = until
        self._server = self._transport.servers[self._rotation % len(self._transport.servers)]
        self._transport.timers.at(until, self._expire)
        try:
            udp_socket = self._server.next_socket()
            random_bytes = self._transport.random_bytes
            self.sent = (
                wire.mixed(self.query, random_bytes) if self._server.is_mixed else self.query
            )
            self._id = udp_socket.send(self, random_bytes)
        except OSError:  # fail later: callers do not expect an immediate result
            self._transport.timers.loop.call_soon(self.fail, "network")
        else:
            self._socket = udp_socket

    def _expire(self) -> None:
        if self._socket and self._transport.timers.loop.time() >= self._until:
            self._transport.narrow()
            self.fail("garbage" if self.garbled else "timeout")

    def _detach(self) -> None:
        if self._socket:
            self._socket.forget(self._id)
            self._socket = None

    def _complete(self, message: wire.Message) -> None:
        if message.rcode in (wire.NOERROR, wire.NXDOMAIN):
            self._end((message, message.authenticated and self._server.is_loopback))
        else:
            self.fail(_REASONS.get(message.rcode, "garbage"))

    def _end(self, outcome: ServerReply) -> None:
        self._free_slot()
        self._done(outcome)

    def _free_slot(self) -> None:
        if self._has_slot:
            self._has_slot = False
            self._transport.free_slot()

    async def _query_by_tcp(self) -> None:
        try:
            message = await self._server.query_by_tcp(self.query, self._deadline)
        except NoAnswer as failure:
            self.fail(failure.reason)
        except asyncio.CancelledError:
            self._end("network")
            raise
        else:
            self._complete(message)


class _Server:
    """One name server and its open sockets."""

    def __init__(self, host: str, port: int, *, trusts_loopback: bool) -> None:
        address = ipaddress.ip_address(host)
        self.is_loopback = address.is_loopback
        self._address = (str(address), port)
        self._family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        # None: unknown yet; False: not expected, so queries are sent in lower case
        self._preserves_case = False if self.is_loopback and trusts_loopback else None
        self._sockets: list[_Socket] = []
        self._retired: set[_Socket] = set()
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

    def next_socket(self) -> "_Socket":
        """The next socket in rotation.

        raises  OSError
        """
        if len(self._sockets) < SOCKETS:
            self._sockets.append(_Socket(self._family, self._address))
            return self._sockets[-1]
        self._rotation = (self._rotation + 1) % SOCKETS
        udp_socket = self._sockets[self._rotation]
        if udp_socket.uses >= USES:
            self._retired.add(udp_socket)
            udp_socket.retire(self._retired.discard)
            udp_socket = self._sockets[self._rotation] = _Socket(self._family, self._address)
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


class _Socket:
    """A UDP socket on a port that the kernel chose at random, connected to one server."""

    __slots__ = ("_loop", "_on_closed", "_pending", "_socket", "uses")

    def __init__(self, family: int, address: tuple[str, int]) -> None:
        self.uses = 0
        self._on_closed: Callable[[_Socket], None] | None = None
        self._pending: dict[bytes, _Exchange] = {}
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket.fileno(), self._read)

    def send(self, exchange: _Exchange, random_bytes: EntropyBuffer) -> bytes:
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

    def retire(self, on_closed: "Callable[[_Socket], None]") -> None:
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
