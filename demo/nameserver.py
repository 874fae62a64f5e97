"""``NameServer``: serves a directory of zone files like a validating recursive resolver.

Aliases are followed, names of signed zones are answered with AD, and bogus ones with SERVFAIL.
Nothing is validated: ``Behavior`` defines which zones are signed or bogus, and which faults occur.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.flags import Flag
from dns.message import Message
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from demo.background import Background, cancel_all, current_task
from demo.fault_injection import Behavior, Failure, Fault, Slow
from demo.zonefiles import Zones

UDP_WITHOUT_EDNS = 512
UDP_WITH_EDNS = 1232  # what resolvers agreed on for 2020's DNS flag day
HEADER = 12
DEFAULT_BEHAVIOR = Behavior()


class NameServer(Background):
    """Serves the ``*.zone`` files of a directory over UDP and TCP, on one port.

    port     0 for any free port; ``.port`` has the number after the server is open
    behavior  signed and bogus zones, and faults
    """

    def __init__(
        self,
        zones: Path,
        behavior: Behavior = DEFAULT_BEHAVIOR,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.address, self.port = address, port
        self._zones, self._behavior = Zones(zones), behavior
        self._tasks: set[asyncio.Task[None]] = set()
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._connection, self.address, self.port)
        port = self._tcp.sockets[0].getsockname()[1]
        try:
            self._udp, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), (self.address, port)
            )
        except OSError:
            await self.close()
            raise
        self.port = port

    async def close(self) -> None:
        if self._udp:
            self._udp.close()
        if self._tcp:
            self._tcp.close()
        await cancel_all(self._tasks)
        if self._tcp:
            await self._tcp.wait_closed()
        await asyncio.sleep(0)  # transports close their sockets in the next iteration of the loop

    def spawn(self, wire: bytes, udp: asyncio.DatagramTransport, peer: tuple[str, int]) -> None:
        """Answer one datagram in a separate task."""
        task = asyncio.get_running_loop().create_task(self._datagram(wire, udp, peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _datagram(
        self, wire: bytes, udp: asyncio.DatagramTransport, peer: tuple[str, int]
    ) -> None:
        for reply in await self._replies(wire, is_udp=True):
            udp.sendto(reply, peer)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = current_task()
        self._tasks.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    for reply in await self._replies(await reader.readexactly(size), is_udp=False):
                        writer.write(len(reply).to_bytes(2, "big") + reply)
                    await writer.drain()
        except asyncio.CancelledError:
            pass  # the server closes; a cancelled connection is not an error
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _replies(self, wire: bytes, *, is_udp: bool) -> list[bytes]:
        """Return the replies, usually one; none if the message is not a query."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return [_form_error(wire)] if len(wire) >= HEADER and not wire[2] & 0x80 else []
        if query.flags & Flag.QR:
            return []
        if refusal := _refusal(query):
            return [_reply(query, refusal).to_wire()]
        question = query.question[0]
        fault = self._behavior.fault(question.name, question.rdtype)
        if isinstance(fault, Slow):
            await asyncio.sleep(fault.seconds)
        elif fault in _FAILURE_REPLIES:
            return _FAILURE_REPLIES[fault](query)
        right = _fitting(query, self._answer(query), fault, is_udp=is_udp)
        return [*(_spoofed(query) if fault is Failure.SPOOFED else ()), right]

    def _answer(self, query: Message) -> Message:
        question, behavior = query.question[0], self._behavior
        result = self._zones.find(
            question.name, question.rdtype, signatures=bool(query.ednsflags & dns.flags.DO)
        )
        zones = {zone.to_text(omit_final_dot=zone != dns.name.root) for zone in result.zones}
        if zones & behavior.bogus and not query.flags & Flag.CD:
            return _reply(query, Rcode.SERVFAIL)
        reply = _reply(query, result.rcode)
        reply.answer, reply.authority = result.answer, result.authority
        # AD is only set for clients that understand it (RFC 6840 §5.7).
        wants_ad = query.flags & Flag.AD or query.ednsflags & dns.flags.DO
        if wants_ad and zones <= behavior.signed and result.rcode != Rcode.SERVFAIL:
            reply.flags |= Flag.AD
        return reply


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not every loop's transport for datagrams is an instance of that class, before Python 3.12.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.spawn(data, self._transport, addr)


def _refusal(query: Message) -> Rcode | None:
    """Return the error code if this is not a query for a resolver, else None."""
    if query.opcode() != dns.opcode.QUERY:
        return Rcode.NOTIMP
    if len(query.question) != 1:
        return Rcode.FORMERR
    question = query.question[0]
    if question.rdclass != dns.rdataclass.IN:
        return Rcode.REFUSED
    if question.rdtype in (RdataType.AXFR, RdataType.IXFR):
        return Rcode.REFUSED
    return Rcode.BADVERS if query.edns > 0 else None


def _reply(query: Message, rcode: Rcode) -> Message:
    reply = dns.message.make_response(query, recursion_available=True, our_payload=UDP_WITH_EDNS)
    reply.flags |= query.flags & Flag.CD
    reply.set_rcode(rcode)
    return reply


def _fitting(query: Message, reply: Message, fault: Fault | None, *, is_udp: bool) -> bytes:
    """Return the reply as bytes; over UDP, an oversized reply is empty and has TC."""
    size = max(UDP_WITHOUT_EDNS, min(query.payload, UDP_WITH_EDNS))
    wire = reply.to_wire(max_size=65535)
    if not is_udp or (fault is not Failure.TRUNCATED and len(wire) <= size):
        return wire
    reply.answer, reply.authority = [], []
    reply.flags |= Flag.TC
    return reply.to_wire()


def _form_error(wire: bytes) -> bytes:
    reply = Message(id=int.from_bytes(wire[:2], "big"))
    reply.flags |= Flag.QR
    reply.set_rcode(Rcode.FORMERR)
    return reply.to_wire()


def _spoofed(query: Message) -> list[bytes]:
    """Return an answer as an off-path attacker would spoof it: only the id is wrong."""
    lie = _reply(query, Rcode.NXDOMAIN)
    lie.id = query.id ^ 0xFFFF
    return [lie.to_wire()]


def _wrong_question(query: Message) -> list[bytes]:
    other = dns.message.make_query("wrong.invalid.", query.question[0].rdtype, id=query.id)
    reply = _reply(other, Rcode.NOERROR)
    reply.answer = [dns.rrset.from_text("wrong.invalid.", 300, "IN", "TXT", '"not yours"')]
    return [reply.to_wire()]


def _loop(query: Message) -> list[bytes]:
    name = query.question[0].name
    other = dns.name.from_text("loop.invalid.")
    reply = _reply(query, Rcode.NOERROR)
    reply.answer = [
        dns.rrset.from_text(name, 300, "IN", "CNAME", other.to_text()),
        dns.rrset.from_text(other, 300, "IN", "CNAME", name.to_text()),
    ]
    return [reply.to_wire()]


_FAILURE_REPLIES = {
    Failure.SERVFAIL: lambda query: [_reply(query, Rcode.SERVFAIL).to_wire()],
    Failure.REFUSED: lambda query: [_reply(query, Rcode.REFUSED).to_wire()],
    Failure.TIMEOUT: lambda query: [],
    Failure.WRONG_QUESTION: _wrong_question,
    Failure.GARBAGE: lambda query: [query.id.to_bytes(2, "big") + b"\xff" * 40],
    Failure.LOOP: _loop,
}
