"""Queries to the authoritative name servers of zones, over UDP with at most one retry.

Only public addresses are queried, or loopback addresses if the operator allows them. A response is
accepted under the same conditions as one of a resolver: from the queried address and port, to our
port, with the id and the exact spelling of the question (RFC 5452 §9.1). Each server gets a
question only once per event loop.
"""

import asyncio
import ipaddress
import socket
from collections import Counter
from collections.abc import Sequence
from functools import partial

from app.network.dns import wire
from app.network.dns.entropy import EntropyBuffer
from app.network.dns.timers import TimerQueue
from app.network.http import special_addresses
from app.network.http.egress import Refusal, public_addresses
from app.ports.dns import LookupFailed, Resolver, ServerAnswer

SECONDS = 1.0  # for both attempts: these answers are only compared
USES = 32  # queries from one port before it is replaced
MAX_TIMEOUTS = 8  # without any answer, after which outgoing queries seem to be blocked
MAX_CACHED = 20_000
_BURST = 16
_MAX_DATAGRAM = 4096

_RCODES = {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED", 9: "NOTAUTH"}

Address = tuple[str, int]
ServerOutcome = asyncio.Future[wire.Message | str]  # a text is the reason for a failure


class NameServers:
    """Queries authoritative name servers in one event loop.

    allowed         networks that the operator allows; only loopback networks are used
    outcome_counts  how many queries had each outcome: an RCODE or a failure
    """

    def __init__(
        self,
        allowed: Sequence[special_addresses.Network] = (),
        *,
        port: int = 53,
        seconds: float = SECONDS,
    ) -> None:
        self._allowed = [network for network in allowed if network.is_loopback]
        self._port, self._seconds = port, seconds
        self.outcome_counts: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._timers = TimerQueue(self._loop)
        self._outcomes: dict[tuple[str, wire.Query], ServerOutcome] = {}
        self._sockets: dict[int, _Socket] = {}
        self.random_bytes = EntropyBuffer()
        self._timeouts = 0
        self._has_answered = False

    async def address(self, answers: Resolver, server: str) -> str:
        """The address of the server to query.

        raises  LookupFailed if it has no allowed address
        """
        try:
            addresses = await public_addresses(answers, server, self._allowed)
        except Refusal as refusal:
            raise LookupFailed(server, "A", refusal.failure) from None
        return str(addresses[0])

    def is_known(self, address: str, query: wire.Query) -> bool:
        """Whether the query is not sent: it was sent before, or queries are blocked."""
        return (address, query) in self._outcomes or self.is_blocked

    @property
    def is_blocked(self) -> bool:
        """Whether no server has answered and ``MAX_TIMEOUTS`` queries timed out."""
        return not self._has_answered and self._timeouts >= MAX_TIMEOUTS

    async def query(
        self, server: str, address: str, query: wire.Query, rdtype: str
    ) -> ServerAnswer:
        """The answer of the server at that address.

        raises  LookupFailed if there is no readable answer in time
        """
        name = query.question[0]
        future = self._outcomes.get((address, query))
        if future is None:
            if self.is_blocked:
                raise LookupFailed(f"{name}@{server}", rdtype, "network")
            future = self._start(address, query)
        outcome = await asyncio.shield(future)
        if isinstance(outcome, str):
            raise LookupFailed(f"{name}@{server}", rdtype, outcome)
        rdatas = tuple([r.rdata for r in outcome.answers if r.owner == name])
        rcode = _RCODES.get(outcome.rcode, str(outcome.rcode))
        return ServerAnswer(
            server=server, rcode=rcode, authoritative=outcome.authoritative, rdatas=rdatas
        )

    def close(self) -> None:
        """Close all sockets; pending queries fail with ``network``."""
        self._timers.close()
        for open_socket in self._sockets.values():
            open_socket.retire()
        for future in self._outcomes.values():
            if not future.done():
                future.set_result("network")

    def _start(self, address: str, query: wire.Query) -> ServerOutcome:
        if len(self._outcomes) >= MAX_CACHED:
            self._outcomes = {
                key: pending for key, pending in self._outcomes.items() if not pending.done()
            }
        future = self._outcomes[address, query] = self._loop.create_future()
        future.add_done_callback(self._count)
        now = self._loop.time()
        if not self._send(address, query, future):
            future.set_result("network")
            return future
        self._timers.at(now + self._seconds / 2, partial(self._retry, address, query, future))
        self._timers.at(now + self._seconds, partial(self._expire, future))
        return future

    def _retry(self, address: str, query: wire.Query, future: ServerOutcome) -> None:
        if not future.done():
            self._send(address, query, future)

    def _expire(self, future: ServerOutcome) -> None:
        if not future.done():
            self._timeouts += 1
            future.set_result("timeout")

    def _send(self, address: str, query: wire.Query, future: ServerOutcome) -> bool:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        udp_socket = self._sockets.get(family)
        try:
            if udp_socket is None or udp_socket.uses >= USES:
                if udp_socket:
                    udp_socket.retire()
                udp_socket = self._sockets[family] = _Socket(family, self)
            udp_socket.send((str(ipaddress.ip_address(address)), self._port), query, future)
        except OSError:  # no route to the address
            return False
        return True

    def note_answer(self) -> None:
        """Record that a server has answered."""
        self._has_answered = True

    def _count(self, future: ServerOutcome) -> None:
        outcome = future.result()
        if not isinstance(outcome, str):
            outcome = _RCODES.get(outcome.rcode, "other")
        self.outcome_counts[outcome] += 1


class _Socket:
    """A UDP socket on a port that the kernel chose at random, for any server of its family."""

    def __init__(self, family: int, owner: NameServers) -> None:
        self.uses = 0
        self._owner = owner
        self._is_retired = False
        self._pending: dict[tuple[bytes, Address], tuple[wire.Query, ServerOutcome]] = {}  # as sent
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", 0))
        self._loop.add_reader(self._socket.fileno(), self._read)

    def send(self, to: Address, query: wire.Query, future: ServerOutcome) -> None:
        """Send the query.

        raises  OSError
        """
        self.uses += 1
        id, sent = self._owner.random_bytes.take(2), wire.mixed(query, self._owner.random_bytes)
        self._socket.sendto(id + sent.message[2:], to)
        self._pending[id, to] = sent, future
        future.add_done_callback(lambda _: self._forget((id, to)))

    def retire(self) -> None:
        """Close the socket as soon as no query is pending."""
        self._is_retired = True
        self._close_if_idle()

    def _forget(self, key: tuple[bytes, Address]) -> None:
        self._pending.pop(key, None)
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._is_retired and not self._pending and self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _read(self) -> None:
        for _ in range(_BURST):
            if self._socket.fileno() < 0:
                return
            try:
                data, sender = self._socket.recvfrom(_MAX_DATAGRAM)
            except OSError:
                return
            self._handle(data, (sender[0], sender[1]))

    def _handle(self, data: bytes, sender: Address) -> None:
        """Complete the query that this datagram answers; ignore any other datagram."""
        sent, future = self._pending.get((data[:2], sender), (None, None))
        if sent is None or future is None or future.done() or not wire.is_repeated(data, sent):
            return
        try:
            message = wire.parse_response(data, sent)
        except wire.Malformed:
            return
        self._owner.note_answer()
        future.set_result("truncated" if message.truncated else message)
