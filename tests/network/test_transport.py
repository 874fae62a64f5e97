"""The timer queue, and more concurrent queries than a server can work on."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.network.dns import wire
from app.network.dns.outstanding import CALM, START
from app.network.dns.timers import TimerQueue
from app.network.dns.transport import MAX_OUTSTANDING, ServerReply, Transport


async def _query_all(
    server: tuple[str, int],
    count: int,
    seconds: float,
    *,
    max_outstanding: int = MAX_OUTSTANDING,
    parent: str = "test",
) -> list[ServerReply]:
    """The outcomes of this number of concurrent queries."""
    transport = Transport([server], seconds, max_outstanding=max_outstanding)
    outcomes: list[ServerReply] = []
    over = asyncio.Event()

    def done(outcome: ServerReply) -> None:
        outcomes.append(outcome)
        if len(outcomes) == count:
            over.set()

    for number in range(count):
        transport.send(wire.query_for(f"n{number}.{parent}", 1), done)
        assert not outcomes
    try:
        await asyncio.wait_for(over.wait(), 60)
    finally:
        transport.close()
    return outcomes


async def test_deadlines_fire_in_order_and_never_early() -> None:
    loop = asyncio.get_running_loop()
    alarm, fired, over = TimerQueue(loop), list[tuple[float, float]](), asyncio.Event()
    started = loop.time()
    for delay in (0.09, 0.03, 0.06, 0.0):
        alarm.at(started + delay, lambda delay=delay: fired.append((delay, loop.time())))  # type: ignore[misc]
    alarm.at(started + 0.1, over.set)
    await asyncio.wait_for(over.wait(), 10)
    assert [delay for delay, _ in fired] == [0.0, 0.03, 0.06, 0.09]
    assert all(at >= started + delay for delay, at in fired)


async def test_deadline_set_in_callback_does_not_delay_earlier_ones() -> None:
    loop = asyncio.get_running_loop()
    alarm, fired, over = TimerQueue(loop), list[str](), asyncio.Event()
    alarm.at(loop.time(), lambda: alarm.at(loop.time() + 60, over.set))

    def enqueue() -> None:
        fired.append("in time")
        over.set()

    alarm.at(loop.time() + 0.05, enqueue)
    await asyncio.wait_for(over.wait(), 10)
    alarm.close()
    assert fired == ["in time"]


async def test_waiting_queries_are_sent_although_server_is_silent() -> None:
    count = START + 60
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        assert await _query_all(server.getsockname(), count, 0.4) == ["timeout"] * count
        questions = {server.recv(512)[12:] for _ in range(2 * count)}
    assert len(questions) == count


class _Late(asyncio.DatagramProtocol):
    """Answers NXDOMAIN after a short delay.

    capacity  above this number of outstanding queries, the answer to a new one is ``overloaded``
    broken    domains with this answer at any time
    """

    def __init__(
        self, capacity: int, overloaded: int | None = wire.SERVFAIL, broken: str = ""
    ) -> None:
        self._capacity, self._overloaded = capacity, overloaded
        self._broken = broken.encode()
        self._outstanding = self.most_outstanding = self.refused = 0
        self.asked: Counter[bytes] = Counter()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.asked[data[12:-11]] += 1
        if self._broken and self._broken in data:
            self._answer(data, address, wire.SERVFAIL)
        elif self._outstanding < self._capacity:
            self._outstanding += 1
            self.most_outstanding = max(self.most_outstanding, self._outstanding)
            asyncio.get_running_loop().call_later(0.02, self._finish, data, address)
        else:
            self.refused += 1
            if self._overloaded is not None:
                self._answer(data, address, self._overloaded)

    def _finish(self, data: bytes, address: tuple[str, int]) -> None:
        self._outstanding -= 1
        self._answer(data, address, wire.NXDOMAIN)

    def _answer(self, data: bytes, address: tuple[str, int], rcode: int) -> None:
        header = data[:2] + bytes((0x81, 0x80 | rcode)) + b"\0\1" + bytes(6)
        self._transport.sendto(header + data[12:-11], address)


@asynccontextmanager
async def _serving(protocol: _Late) -> AsyncIterator[tuple[str, int]]:
    """The address of a server whose socket buffer holds every query."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        loop = asyncio.get_running_loop()
        listening, _ = await loop.create_datagram_endpoint(lambda: protocol, sock=server)
        yield server.getsockname()
        listening.close()


@pytest.mark.parametrize("maximum", [CALM, MAX_OUTSTANDING])
async def test_number_of_queries_rises_to_the_maximum(maximum: int) -> None:
    late = _Late(capacity=10_000)
    async with _serving(late) as address:
        outcomes = await _query_all(address, 6 * MAX_OUTSTANDING, 30, max_outstanding=maximum)
    assert not [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert late.most_outstanding == maximum


@pytest.mark.parametrize("capacity", [START // 2, 200])
@pytest.mark.parametrize("overloaded", [wire.SERVFAIL, wire.REFUSED, None])
async def test_overloaded_server_has_answered_every_query_in_the_end(
    capacity: int, overloaded: int | None
) -> None:
    late = _Late(capacity, overloaded)
    async with _serving(late) as address:
        outcomes = await _query_all(address, 4 * START, 2)
    assert not [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert late.refused


async def test_broken_domain_is_asked_twice_in_a_burst_and_the_others_are_not_delayed() -> None:
    late = _Late(capacity=10_000, broken="\4n120")  # n120.test and the names below
    async with _serving(late) as address:
        outcomes = await _query_all(address, START, 30)
    assert [outcome for outcome in outcomes if isinstance(outcome, str)] == ["servfail"]
    assert isinstance(outcomes[-1], str)
    assert {name for name, count in late.asked.items() if count > 1} == {
        name for name in late.asked if b"n120" in name
    }


async def test_failures_of_one_domain_are_believed_at_once() -> None:
    late = _Late(capacity=10_000, broken="test")
    async with _serving(late) as address:
        outcomes = await _query_all(address, CALM // 2, 30, parent="one.test")
    assert outcomes == ["servfail"] * (CALM // 2)
    assert set(late.asked.values()) == {1}


async def test_thousands_of_unsendable_queries_fail_without_recursion() -> None:
    server = ("127.255.255.255", 53)  # a broadcast address, which the kernel refuses
    assert await _query_all(server, 3000, 5) == ["network"] * 3000


async def test_waiting_queries_fail_when_transport_is_closed() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        transport, outcomes = Transport([server.getsockname()], 5), list[ServerReply]()
        for number in range(START + 5):
            transport.send(wire.query_for(f"n{number}.test", 1), outcomes.append)
        await asyncio.sleep(0)
        transport.close()
        await asyncio.sleep(0.01)
        assert outcomes == ["network"] * (START + 5)


@pytest.mark.parametrize("forged", ["id", "question", "class"])
async def test_forged_answer_is_ignored(forged: str) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)

        async def answer() -> None:
            query, address = await loop.sock_recvfrom(server, 512)
            right = query[:2] + b"\x81\x83\0\1" + bytes(6) + query[12:-11]
            wrong = bytearray(right[:3] + b"\x80" + right[4:])  # NOERROR
            wrong[{"id": 1, "question": 13, "class": -1}[forged]] ^= 1
            await loop.sock_sendto(server, bytes(wrong), address)
            await loop.sock_sendto(server, right, address)

        answering = asyncio.create_task(answer())
        (outcome,) = await _query_all(server.getsockname(), 1, 5)
        await answering
    assert not isinstance(outcome, str)
    assert outcome[0].rcode == wire.NXDOMAIN
