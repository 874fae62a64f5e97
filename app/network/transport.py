"""Questions to name servers: over UDP, over TCP where the answer does not fit, twice at most.

An answer is believed if it comes from the server's address (the sockets are connected, so that the
kernel sees to it), to the port and with the id of the question, and repeats it (RFC 5452 §9.1).
"""

import asyncio
import ipaddress
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from app.network import wire

BURST = 240  # questions that fit the buffer of a server that has not come to read them (208 KiB)
BURST_SECONDS = 0.05  # after which it has
SOCKETS = 8  # in turn, for each server
USES = 32  # questions from one port, before it is given up for another
_BURST = 16  # datagrams read before others have their turn
_MAX_DATAGRAM = 4096

_REASONS = {wire.SERVFAIL: "servfail", wire.REFUSED: "refused"}

Question = tuple[str, int]


class Unanswered(Exception):
    """No server gave a definite answer; ``reason`` as in ``Undetermined``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class _Pending:
    """A question that is out; ``heard`` becomes the response, or the reason why there is none."""

    question: Question
    heard: "asyncio.Future[wire.Message | str]"
    garbled: bool = False

    def settle(self, outcome: wire.Message | str) -> None:
        if not self.heard.done():
            self.heard.set_result(outcome)

    def expire(self) -> None:
        self.settle("garbage" if self.garbled else "timeout")


class _Place:
    """One of the burst, until it is left for the first time."""

    def __init__(self, gate: asyncio.Semaphore) -> None:
        self._gate: asyncio.Semaphore | None = gate

    def leave(self) -> None:
        if self._gate:
            self._gate.release()
            self._gate = None


class Transport:
    """The name servers of one event loop.

    seconds  for one question from when it goes out, a second try included
    """

    def __init__(self, servers: Sequence[tuple[str, int]], seconds: float) -> None:
        self._servers = [_Server(host, port) for host, port in servers]
        self._seconds = seconds
        self._preferred = 0
        self._gate = asyncio.Semaphore(BURST)

    async def exchange(self, query: bytes, question: Question) -> tuple[wire.Message, bool]:
        """The response (NOERROR or NXDOMAIN), and whether its AD bit can be trusted.

        query     its first two octets will be replaced with a fresh id
        question  what the query asks, as it will be read from the response
        raises  Unanswered
        """
        place = _Place(self._gate)
        await self._gate.acquire()
        timer = asyncio.get_running_loop().call_later(BURST_SECONDS, place.leave)
        try:
            return await self._exchange(query, question)
        finally:
            timer.cancel()
            place.leave()

    async def _exchange(self, query: bytes, question: Question) -> tuple[wire.Message, bool]:
        deadline = asyncio.get_running_loop().time() + self._seconds
        first = self._preferred
        try:
            return await self._try(first, query, question, (deadline - self._seconds / 2, deadline))
        except Unanswered as failure:
            if failure.reason in ("timeout", "network"):
                self._preferred = (first + 1) % len(self._servers)
            elif len(self._servers) == 1 and failure.reason != "garbage":
                raise  # it would say the same again
        return await self._try(first + 1, query, question, (deadline, deadline))

    async def _try(
        self, turn: int, query: bytes, question: Question, until: tuple[float, float]
    ) -> tuple[wire.Message, bool]:
        server = self._servers[turn % len(self._servers)]
        message = await server.ask(query, question, until[0])
        if message.truncated:
            message = await server.ask_by_tcp(query, question, until[1])
        if message.rcode not in (wire.NOERROR, wire.NXDOMAIN):
            raise Unanswered(_REASONS.get(message.rcode, "garbage"))
        return message, message.authenticated and server.is_loopback

    def close(self) -> None:
        """Give up every socket; what is still waiting hears ``network``."""
        for server in self._servers:
            server.close()


class _Server:
    """One name server and the sockets that are open to it."""

    def __init__(self, host: str, port: int) -> None:
        address = ipaddress.ip_address(host)
        self.is_loopback = address.is_loopback
        self._address = (str(address), port)
        self._family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        self._sockets: list[_Socket] = []
        self._turn = 0

    async def ask(self, query: bytes, question: Question, until: float) -> wire.Message:
        loop = asyncio.get_running_loop()
        pending = _Pending(question, loop.create_future())
        timer = loop.call_at(until, pending.expire)
        try:
            outcome = await self._next_socket().ask(query, pending)
        except OSError:
            raise Unanswered("network") from None
        finally:
            timer.cancel()
        if isinstance(outcome, str):
            raise Unanswered(outcome)
        return outcome

    async def ask_by_tcp(self, query: bytes, question: Question, until: float) -> wire.Message:
        """RFC 7766: the message behind its length in two octets."""
        try:
            async with asyncio.timeout_at(until):
                query = secrets.token_bytes(2) + query[2:]
                message = wire.parse_response(await self._exchange_by_tcp(query))
        except TimeoutError:
            raise Unanswered("timeout") from None
        except (OSError, EOFError):
            raise Unanswered("network") from None
        except wire.Malformed:
            raise Unanswered("garbage") from None
        if message.id != int.from_bytes(query[:2]) or message.question != question:
            raise Unanswered("garbage")
        return message

    async def _exchange_by_tcp(self, query: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            writer.write(len(query).to_bytes(2) + query)
            size = int.from_bytes(await reader.readexactly(2))
            return await reader.readexactly(size)
        finally:
            writer.close()

    def _next_socket(self) -> "_Socket":
        if len(self._sockets) < SOCKETS:
            self._sockets.append(_Socket(self._family, self._address))
            return self._sockets[-1]
        self._turn = (self._turn + 1) % SOCKETS
        chosen = self._sockets[self._turn]
        if chosen.uses >= USES:
            chosen.retire()
            chosen = self._sockets[self._turn] = _Socket(self._family, self._address)
        return chosen

    def close(self) -> None:
        for each in self._sockets:
            each.fail("network")
            each.close()
        self._sockets = []


class _Socket:
    """A UDP socket on a port that the kernel chose at random, connected to one server."""

    def __init__(self, family: int, address: tuple[str, int]) -> None:
        self.uses = 0
        self._retired = False
        self._pending: dict[int, _Pending] = {}
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket.fileno(), self._read)

    async def ask(self, query: bytes, pending: _Pending) -> wire.Message | str:
        """The response, or the reason why there is none; an id is found for the question.

        raises  OSError if it cannot be sent
        """
        id = secrets.randbits(16)
        while id in self._pending:
            id = secrets.randbits(16)
        self._pending[id] = pending
        self.uses += 1
        try:
            with suppress(BlockingIOError):  # as good as lost on the way
                self._socket.send(id.to_bytes(2) + query[2:])
            return await pending.heard
        finally:
            del self._pending[id]
            if self._retired and not self._pending:
                self.close()

    def retire(self) -> None:
        """Close as soon as nobody waits any more."""
        self._retired = True
        if not self._pending:
            self.close()

    def fail(self, reason: str) -> None:
        for pending in self._pending.values():
            pending.settle(reason)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _read(self) -> None:
        for _ in range(_BURST):
            try:
                data = self._socket.recv(_MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:  # the server's machine says that nobody listens there
                self.fail("network")
                return
            self._hear(data)

    def _hear(self, data: bytes) -> None:
        """Settle the question that this answers; whatever else it is, keep listening."""
        pending = self._pending.get(int.from_bytes(data[:2]))
        if pending is None:
            return
        try:
            message = wire.parse_response(data)
        except wire.Malformed:
            pending.garbled = True
            return
        if message.question == pending.question:
            pending.settle(message)
        else:
            pending.garbled = True
