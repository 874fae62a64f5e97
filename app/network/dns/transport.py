"""Queries to name servers: over UDP, or TCP if the answer does not fit, with one retry.

If the case of the question differs in the answer, the query is repeated over TCP. A server that has
never preserved the case is not expected to, nor is a server on this machine, where an attacker
cannot answer.

A query needs no task, no timer and one system call in each direction: its outcome is passed to a
callback, and all deadlines share one timer (docs/decisions/0008-dns-codec.md). The number of
queries at one server is limited, and a failure in a burst is not believed before the query was
repeated (docs/decisions/0070-outstanding-queries.md).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from app.network.dns import wire
from app.network.dns.entropy import EntropyBuffer
from app.network.dns.server import NoAnswer, Server, UdpSocket
from app.network.dns.timers import TimerQueue
from app.protocols.public_suffix import registrable

MAX_OUTSTANDING = 480  # queries that nearly always fit the socket buffer of a busy server
PAUSE_SECONDS = 1.2  # before a query is repeated; BIND caches its own SERVFAIL for one second
FAILING_SECONDS = 30.0  # for which the failures of a domain are believed after a repetition
MAX_FAILING = 10_000  # domains
_REASONS = {wire.SERVFAIL: "servfail", wire.REFUSED: "refused"}
_SIGNS_OF_OVERLOAD = frozenset({"servfail", "refused", "timeout"})

ServerReply = tuple[wire.Message, bool] | str
"""A message with NOERROR or NXDOMAIN and whether its AD bit can be trusted, or the reason for a
failure (as in ``LookupFailed``)."""


class Transport:
    """Sends queries to the configured name servers in one event loop.

    seconds          timeout of one query including its retry
    trusts_loopback  servers on this machine need not preserve the case of the question
    max_outstanding  the maximum number of unanswered queries at one server
    """

    def __init__(
        self,
        servers: Sequence[tuple[str, int]],
        seconds: float,
        *,
        trusts_loopback: bool = True,
        max_outstanding: int = MAX_OUTSTANDING,
    ) -> None:
        self.servers = [
            Server(*server, trusts_loopback=trusts_loopback, max_outstanding=max_outstanding)
            for server in servers
        ]
        self.seconds = seconds
        self.preferred = 0
        self._loop = asyncio.get_running_loop()
        self.timers = TimerQueue(self._loop)
        self.random_bytes = EntropyBuffer()
        self.is_closed = False
        self._waiting: deque[_Exchange] = deque()
        self._paused: set[_Exchange] = set()
        self._failing: dict[str, float] = {}
        self._tcp_tasks: set[asyncio.Task[None]] = set()

    def send(self, query: wire.Query, done: Callable[[ServerReply], None]) -> None:
        """Send the query and call ``done`` once, but never before this method returns.

        query  its message is sent with a new id
        """
        self._enqueue(_Exchange(self, query, done))

    def release(self, server: Server) -> None:
        """Free the place of a query at the server, and send waiting queries."""
        server.limit.outstanding -= 1
        while self._waiting and self._preferred_server.limit.has_room:
            self._waiting.popleft().start()

    def pause(self, exchange: "_Exchange") -> None:
        """Repeat a query later, when the burst is over."""
        self._paused.add(exchange)
        self.timers.at(self._loop.time() + PAUSE_SECONDS, lambda: self._resume(exchange))

    def is_failing(self, domain: str) -> bool:
        """Whether a query for this domain has recently failed twice."""
        return self._failing.get(domain, 0.0) > self._loop.time()

    def mark_failing(self, domain: str) -> None:
        """Believe further failures of this domain, and do not attribute them to a burst."""
        if len(self._failing) >= MAX_FAILING:
            self._failing.clear()
        self._failing[domain] = self._loop.time() + FAILING_SECONDS

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
        for exchange in (*self._waiting, *self._paused):
            exchange.fail("network")
        self._waiting.clear()
        self._paused.clear()

    @property
    def _preferred_server(self) -> Server:
        return self.servers[self.preferred]

    def _resume(self, exchange: "_Exchange") -> None:
        self._paused.discard(exchange)
        self._enqueue(exchange)

    def _enqueue(self, exchange: "_Exchange") -> None:
        if self._preferred_server.limit.has_room:
            exchange.start()
        else:
            self._waiting.append(exchange)


class _Exchange:
    """One query, until it has a definite answer or was tried twice, and repeated after a burst.

    query, sent, garbled  see ``PendingQuery``
    """

    __slots__ = (
        *("_answers_before", "_deadline", "_done", "_id", "_is_repeated", "_is_second", "_round"),
        *("_rotation", "_server", "_socket", "_transport", "_until", "_was_busy"),
        *("garbled", "query", "sent"),
    )

    def __init__(
        self, transport: Transport, query: wire.Query, done: Callable[[ServerReply], None]
    ) -> None:
        self.query, self.sent, self.garbled = query, query, False
        self._transport, self._done = transport, done
        self._is_second = self._is_repeated = False
        self._server: Server | None = None  # where this query has a place
        self._socket: UdpSocket | None = None

    def start(self) -> None:
        """Send the query."""
        transport = self._transport
        now = transport.timers.loop.time()
        self._rotation, self._is_second = transport.preferred, False
        self._deadline = now + transport.seconds
        server = self._move_to(self._rotation)
        self._was_busy, self._answers_before = server.limit.is_busy, server.limit.answers
        self._round = server.limit.round
        if transport.is_closed:
            transport.timers.loop.call_soon(self.fail, "network")
            return
        self._try(server, self._deadline - transport.seconds / 2)

    def handle_response(self, message: wire.Message, data: bytes) -> None:
        """Handle a response to this query, decoded and raw."""
        self._detach()
        server = self._server
        if server is None:
            return
        if message.rcode in (wire.NOERROR, wire.NXDOMAIN):
            server.limit.note_answer()
        if message.truncated or not server.is_accepted(data, self.sent, self.query):
            loop = self._transport.timers.loop
            self._transport.spawn(loop.create_task(self._query_by_tcp(server)))
        else:
            self._complete(message, is_trusted=server.is_loopback)

    def fail(self, reason: str) -> None:
        """Handle the failure of this attempt; retry if it was the first."""
        self._detach()
        transport = self._transport
        if transport.is_closed:
            self._end(reason)
            return
        self._note_failure(reason)
        if self._is_second:
            self._give_up(reason)
            return
        if reason in ("timeout", "network"):
            transport.preferred = (self._rotation + 1) % len(transport.servers)
        elif len(transport.servers) == 1 and reason != "garbage":
            self._give_up(reason)  # a retry at once would get the same answer
            return
        self._is_second, self.garbled = True, False
        self._rotation += 1
        self._try(self._move_to(self._rotation), self._deadline)

    def _note_failure(self, reason: str) -> None:
        """Count the failure, unless the domain is known to fail at any time."""
        if reason in _SIGNS_OF_OVERLOAD and self._server and not self._is_repeated:
            domain = self._domain
            if not self._transport.is_failing(domain):
                self._server.limit.note_failure(domain, self._round)

    def _give_up(self, reason: str) -> None:
        """End with this reason, or repeat the query once if it failed in a burst."""
        server = self._server
        if server is None or reason not in _SIGNS_OF_OVERLOAD:
            self._end(reason)
        elif self._is_repeated:
            server.limit.note_repetition(is_answered=False)
            self._transport.mark_failing(self._domain)
            self._end(reason)
        elif self._is_in_burst(server, reason) and not self._transport.is_failing(self._domain):
            self._is_repeated, self.garbled = True, False
            self._transport.pause(self)
            self._leave()
        else:
            self._end(reason)

    def _is_in_burst(self, server: Server, reason: str) -> bool:
        """Whether the server may have failed because of the number of queries.

        If it has answered nothing since then, it does not work at all.
        """
        limit = server.limit
        if reason == "timeout" and limit.answers == self._answers_before:
            return False
        return self._was_busy or limit.is_busy or limit.round > self._round

    @property
    def _domain(self) -> str:
        name = self.query.question[0]
        return registrable(name) or name

    def _move_to(self, rotation: int) -> Server:
        """Take a place at this server instead of the previous one."""
        server = self._transport.servers[rotation % len(self._transport.servers)]
        if server is not self._server:
            server.limit.outstanding += 1
            self._leave()
            self._server = server
        return server

    def _leave(self) -> None:
        if (server := self._server) is not None:
            self._server = None
            self._transport.release(server)

    def _try(self, server: Server, until: float) -> None:
        self._until = until
        self._transport.timers.at(until, self._expire)
        try:
            udp_socket = server.next_socket()
            random_bytes = self._transport.random_bytes
            self.sent = wire.mixed(self.query, random_bytes) if server.is_mixed else self.query
            self._id = udp_socket.send(self, random_bytes)
        except OSError:  # fail later: callers do not expect an immediate result
            self._transport.timers.loop.call_soon(self.fail, "network")
        else:
            self._socket = udp_socket

    def _expire(self) -> None:
        if self._socket and self._transport.timers.loop.time() >= self._until:
            self.fail("garbage" if self.garbled else "timeout")

    def _detach(self) -> None:
        if self._socket:
            self._socket.forget(self._id)
            self._socket = None

    def _complete(self, message: wire.Message, *, is_trusted: bool) -> None:
        if message.rcode not in (wire.NOERROR, wire.NXDOMAIN):
            self.fail(_REASONS.get(message.rcode, "garbage"))
            return
        if self._is_repeated and self._server:
            self._server.limit.note_repetition(is_answered=True)
        self._end((message, message.authenticated and is_trusted))

    def _end(self, outcome: ServerReply) -> None:
        self._leave()
        self._done(outcome)

    async def _query_by_tcp(self, server: Server) -> None:
        try:
            message = await server.query_by_tcp(self.query, self._deadline)
        except NoAnswer as failure:
            self.fail(failure.reason)
        except asyncio.CancelledError:
            self._end("network")
            raise
        else:
            self._complete(message, is_trusted=server.is_loopback)
