"""Deadlines that share a timer, and more questions at once than a server's buffer holds."""

import asyncio
import socket

import pytest

from app.network import wire
from app.network.alarm import Alarm
from app.network.transport import BURST, Said, Transport


async def _said(server: tuple[str, int], count: int, seconds: float) -> list[Said]:
    """What is said to so many questions at once."""
    transport = Transport([server], seconds)
    said: list[Said] = []
    over = asyncio.Event()

    def done(outcome: Said) -> None:
        said.append(outcome)
        if len(said) == count:
            over.set()

    for number in range(count):
        transport.ask(wire.query_for(f"n{number}.test", 1), done)
        assert not said
    try:
        await asyncio.wait_for(over.wait(), 20)
    finally:
        transport.close()
    return said


async def test_deadlines_come_in_their_order_and_never_early() -> None:
    loop = asyncio.get_running_loop()
    alarm, rung, over = Alarm(loop), list[tuple[float, float]](), asyncio.Event()
    started = loop.time()
    for delay in (0.09, 0.03, 0.06, 0.0):
        alarm.at(started + delay, lambda delay=delay: rung.append((delay, loop.time())))  # type: ignore[misc]
    alarm.at(started + 0.1, over.set)
    await asyncio.wait_for(over.wait(), 10)
    assert [delay for delay, _ in rung] == [0.0, 0.03, 0.06, 0.09]
    assert all(at >= started + delay for delay, at in rung)


async def test_a_deadline_set_at_another_does_not_put_off_those_before_it() -> None:
    loop = asyncio.get_running_loop()
    alarm, rung, over = Alarm(loop), list[str](), asyncio.Event()
    alarm.at(loop.time(), lambda: alarm.at(loop.time() + 60, over.set))

    def ring() -> None:
        rung.append("in time")
        over.set()

    alarm.at(loop.time() + 0.05, ring)
    await asyncio.wait_for(over.wait(), 10)
    alarm.close()
    assert rung == ["in time"]


async def test_those_behind_the_burst_go_out_though_the_server_is_silent() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        assert await _said(server.getsockname(), BURST + 60, 0.4) == ["timeout"] * (BURST + 60)
        asked = {server.recv(512)[12:] for _ in range(BURST + 60)}
    assert len(asked) > BURST


async def test_thousands_that_cannot_be_sent_fail_one_after_the_other() -> None:
    server = ("127.255.255.255", 53)  # a broadcast, which the kernel refuses
    assert await _said(server, 3000, 5) == ["network"] * 3000


async def test_what_waits_when_the_transport_is_closed_hears_of_it() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        transport, said = Transport([server.getsockname()], 5), list[Said]()
        for number in range(BURST + 5):
            transport.ask(wire.query_for(f"n{number}.test", 1), said.append)
        await asyncio.sleep(0)
        transport.close()
        await asyncio.sleep(0.01)
        assert said == ["network"] * (BURST + 5)


@pytest.mark.parametrize("forged", ["id", "question", "class"])
async def test_a_forged_answer_is_passed_over(forged: str) -> None:
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
        (said,) = await _said(server.getsockname(), 1, 5)
        await answering
    assert not isinstance(said, str)
    assert said[0].rcode == wire.NXDOMAIN
