"""Questions to zones' name servers themselves, which strangers choose: by UDP, twice at most.

Only public addresses are asked, or those of this machine where the operator allows them. A response
is believed as one of a resolver is: from the address and port that were asked, to our port, with
the id and the question in our spelling (RFC 5452 §9.1). One server hears a question once in the
life of a loop.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from functools import partial

from app.network.dns import wire
from app.network.dns.entropy import EntropyBuffer
from app.network.dns.timers import TimerQueue
from app.network.http import special_addresses
from app.network.http.egress import Refusal, public_addresses
from app.ports.dns import LookupFailed, Resolver, ServerAnswer

SECONDS = 1.0  # for both tries: nobody waits for an answer that only compares
USES = 32  # questions from one port, before it is given up for another
UNRESPONSIVE_SECONDS = 8  # servers without a single answer, after which nothing seems to get out
MAX_CACHED = 20_000
_BURST = 16
_MAX_DATAGRAM = 4096

_RCODES = {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED", 9: "NOTAUTH"}

Address = tuple[str, int]
ServerOutcome = asyncio.Future[wire.Message | str]  # a text is the reason why there is none


class NameServers:
    """The name servers of zones, as one event loop asks them.

    allowed  networks of operators; of those only what is loopback counts
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
        self._loop = asyncio.get_running_loop()
        self._alarm = TimerQueue(self._loop)
        self._kept: dict[tuple[str, wire.Query], ServerOutcome] = {}
        self._sockets: dict[int, _Socket] = {}
        self.lots = EntropyBuffer()
        self._silent = 0
        self._is_heard = False

    async def address(self, answers: Resolver, server: str) -> str:
        """The address to ask.

        raises  Undetermined if there is none that may be asked
        """
        try:
            addresses = await public_addresses(answers, server, self._allowed)
        except Refusal as refusal:
            raise LookupFailed(server, "A", refusal.failure) from None
        return str(addresses[0])

    def is_known(self, address: str, query: wire.Query) -> bool:
        """It was asked, or would not be: nothing goes out for it."""
        return (address, query) in self._kept or self.is_deaf

    @property
    def is_deaf(self) -> bool:
        """Nobody has answered yet, of those that had the time to."""
        return not self._is_heard and self._silent >= UNRESPONSIVE_SECONDS

    async def ask(self, server: str, address: str, query: wire.Query, rdtype: str) -> ServerAnswer:
        """What the server at that address says.

        raises  Undetermined if it says nothing in time, or nothing that can be read
        """
        name = query.question[0]
        heard = self._kept.get((address, query))
        if heard is None:
            if self.is_deaf:
                raise LookupFailed(f"{name}@{server}", rdtype, "network")
            heard = self._launch(address, query)
        said = await asyncio.shield(heard)
        if isinstance(said, str):
            raise LookupFailed(f"{name}@{server}", rdtype, said)
        rdatas = tuple([r.rdata for r in said.answers if r.owner == name])
        rcode = _RCODES.get(said.rcode, str(said.rcode))
        return ServerAnswer(server, rcode, said.authoritative, rdatas)

    def close(self) -> None:
        """Stop listening; who still waits hears ``network``."""
        self._alarm.close()
        for each in self._sockets.values():
            each.retire()
        for heard in self._kept.values():
            if not heard.done():
                heard.set_result("network")

    def _launch(self, address: str, query: wire.Query) -> ServerOutcome:
        if len(self._kept) >= MAX_CACHED:
            self._kept = {key: each for key, each in self._kept.items() if not each.done()}
        heard = self._kept[address, query] = self._loop.create_future()
        now = self._loop.time()
        if not self._send(address, query, heard):
            heard.set_result("network")
            return heard
        self._alarm.at(now + self._seconds / 2, partial(self._again, address, query, heard))
        self._alarm.at(now + self._seconds, partial(self._give_up, heard))
        return heard

    def _again(self, address: str, query: wire.Query, heard: ServerOutcome) -> None:
        if not heard.done():
            self._send(address, query, heard)

    def _give_up(self, heard: ServerOutcome) -> None:
        if not heard.done():
            self._silent += 1
            heard.set_result("timeout")

    def _send(self, address: str, query: wire.Query, heard: ServerOutcome) -> bool:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        chosen = self._sockets.get(family)
        try:
            if chosen is None or chosen.uses >= USES:
                if chosen:
                    chosen.retire()
                chosen = self._sockets[family] = _Socket(family, self)
            chosen.send((str(ipaddress.ip_address(address)), self._port), query, heard)
        except OSError:  # no way to it from here
            return False
        return True

    def note_heard(self) -> None:
        """Somebody has answered."""
        self._is_heard = True


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

    def send(self, to: Address, query: wire.Query, heard: ServerOutcome) -> None:
        """raises  OSError"""
        self.uses += 1
        id, sent = self._owner.lots.take(2), wire.mixed(query, self._owner.lots)
        self._socket.sendto(id + sent.message[2:], to)
        self._pending[id, to] = sent, heard
        heard.add_done_callback(lambda _: self._forget((id, to)))

    def retire(self) -> None:
        """Close as soon as nobody waits any more."""
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
            self._hear(data, (sender[0], sender[1]))

    def _hear(self, data: bytes, sender: Address) -> None:
        """Settle the question that this answers; whatever else it is, keep listening."""
        sent, heard = self._pending.get((data[:2], sender), (None, None))
        if sent is None or heard is None or heard.done() or not wire.is_repeated(data, sent):
            return
        try:
            message = wire.parse_response(data, sent)
        except wire.Malformed:
            return
        self._owner.note_heard()
        heard.set_result("truncated" if message.truncated else message)
