"""The timer queue, and more concurrent queries than the buffer of a server holds."""

import asyncio
import socket

import pytest

from app.network.dns import wire
from app.network.dns.timers import TimerQueue
from app.network.dns.transport import BURST, MAX_OUTSTANDING, ServerReply, Transport


async def _query_all(server: tuple[str, int], count: int, seconds: float) -> list[ServerReply]:
    """The outcomes of this number of concurrent queries."""
    transport = Transport([server], seconds)
    outcomes: list[ServerReply] = []
    over = asyncio.Event()

    def done(outcome: ServerReply) -> None:
        outcomes.append(outcome)
        if len(outcomes) == count:
            over.set()

    for number in range(count):
        transport.send(wire.query_for(f"n{number}.test", 1), done)
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


async def test_queries_after_the_burst_are_sent_although_server_is_silent() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        assert await _query_all(server.getsockname(), BURST + 60, 0.4) == ["timeout"] * (BURST + 60)
        questions = {server.recv(512)[12:] for _ in range(BURST + 60)}
    assert len(questions) > BURST


class _Late(asyncio.DatagramProtocol):
    """Answers NXDOMAIN after a short delay, and some queries only after a retry."""

    def __init__(self, ignore_every: int) -> None:
        self._ignore_every = ignore_every  # ignore every n-th query; 0: none
        self._seen: set[bytes] = set()
        self._outstanding = self.max_outstanding = 0

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        is_new = data[12:] not in self._seen
        self._seen.add(data[12:])
        if is_new and self._ignore_every and len(self._seen) % self._ignore_every == 0:
            return
        self._outstanding += 1
        self.max_outstanding = max(self.max_outstanding, self._outstanding)
        asyncio.get_running_loop().call_later(0.02, self._answer, data, address)

    def _answer(self, data: bytes, address: tuple[str, int]) -> None:
        self._outstanding -= 1
        self._transport.sendto(data[:2] + b"\x81\x83\0\1" + bytes(6) + data[12:-11], address)


@pytest.mark.parametrize("ignore_every", [0, 7])
async def test_burst_widens_while_server_answers_and_no_query_is_lost(
    ignore_every: int,
) -> None:
    loop, late = asyncio.get_running_loop(), _Late(ignore_every)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        listening, _ = await loop.create_datagram_endpoint(lambda: late, sock=server)
        outcomes = await _query_all(server.getsockname(), 5 * MAX_OUTSTANDING, 12)
        listening.close()
    assert not [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert late.max_outstanding > BURST


async def test_thousands_of_unsendable_queries_fail_without_recursion() -> None:
    server = ("127.255.255.255", 53)  # a broadcast address, which the kernel refuses
    assert await _query_all(server, 3000, 5) == ["network"] * 3000


async def test_waiting_queries_fail_when_transport_is_closed() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        transport, outcomes = Transport([server.getsockname()], 5), list[ServerReply]()
        for number in range(BURST + 5):
            transport.send(wire.query_for(f"n{number}.test", 1), outcomes.append)
        await asyncio.sleep(0)
        transport.close()
        await asyncio.sleep(0.01)
        assert outcomes == ["network"] * (BURST + 5)


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
