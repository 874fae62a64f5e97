"""What DNS costs a scan: our answers against dnspython's, in one run, on this machine.

    python -m bench.scan [--domains 300] [--delay 0.02]

Each domain asks what a scan asks: 18 names at once, then 3 that depend on them. A name server in a
process of its own answers on loopback, ``--delay`` seconds late.
"""

import argparse
import asyncio
import multiprocessing
import socket
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import cast

import dns.asyncresolver
import dns.message
import dns.rdata
import uvloop

from app.checks.answers import OpenAnswers
from app.network.resolver import Network
from app.settings import Settings

AT_ONCE = 64  # domains
RDATAS = {
    "A": ["192.0.2.1"],
    "AAAA": ["2001:db8::1"],
    "MX": ["10 mx1.example.net.", "20 mx2.example.net."],
    "NS": ["ns1.example.net.", "ns2.example.net."],
    "TXT": ['"v=spf1 include:_spf.example.net ip4:192.0.2.0/24 -all"', '"other=1"'],
}
FIRST = (
    *(("", rdtype) for rdtype in ("A", "AAAA", "MX", "NS", "TXT")),
    *((f"{label}.", "TXT") for label in ("_dmarc", "_mta-sts", "_smtp._tls", "default._bimi")),
    *((f"s{number}._domainkey.", "TXT") for number in range(7)),
    *(("mta-sts.", rdtype) for rdtype in ("A", "AAAA")),
)
THEN = (("mx1.", "A"), ("mx2.", "A"), ("_spf.", "TXT"))
QUESTIONS = len(FIRST) + len(THEN)

Ask = Callable[[str, str], Awaitable[object]]


class _Late(asyncio.DatagramProtocol):
    """Answers every question of a type with the same records; it is made once, then patched."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._sections: dict[bytes, bytes] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # uvloop's is no subclass
        own = transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)  # loses nothing

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        behind = data.index(b"\0", 12) + 5
        kind = data[behind - 4 : behind - 2]
        if kind not in self._sections:
            self._sections[kind] = _answers(data)
        section = self._sections[kind]
        counts = b"\0\1" + section[:2] + b"\0\0\0\0"
        response = data[:2] + b"\x81\x80" + counts + data[12:behind] + section[2:]
        asyncio.get_running_loop().call_later(
            self._delay, self._transport.sendto, response, address
        )


def _answers(query: bytes) -> bytes:
    """The number of records in two octets, and the records, each of the name in question."""
    number = dns.message.from_wire(query).question[0].rdtype
    texts = RDATAS[number.name]
    records = [dns.rdata.from_text("IN", number, text).to_wire() or b"" for text in texts]
    head = b"\xc0\x0c" + number.to_bytes(2) + b"\0\1\0\0\1\x2c"
    return b"".join(
        (len(texts).to_bytes(2), *(head + len(data).to_bytes(2) + data for data in records))
    )


def _serve(delay: float, pipe: Connection) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Late(delay), local_addr=("127.0.0.1", 0)
        )
        pipe.send(transport.get_extra_info("sockname")[1])
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def _scan(domain: str, ask: Ask) -> None:
    await asyncio.gather(*(ask(f"{prefix}{domain}", rdtype) for prefix, rdtype in FIRST))
    await asyncio.gather(*(ask(f"{prefix}{domain}", rdtype) for prefix, rdtype in THEN))


async def _scan_all(domains: int, open_ask: Callable[[], Ask]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with gate:
            await _scan(f"d{number}.example", open_ask())

    await asyncio.gather(*(one(number) for number in range(domains)))


def _with_ours(domains: int, port: int) -> None:
    async def main(open_answers: OpenAnswers) -> None:
        await _scan_all(domains, lambda: open_answers().ask)

    settings = Settings(
        secret_key="",
        database_url="",
        redis_url="",
        dns_nameservers=(("127.0.0.1", port),),
        dns_query_seconds=30,
    )
    Network(settings).run(main)


def _with_dnspython(domains: int, port: int) -> None:
    async def main() -> None:
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], port
        resolver.timeout = resolver.lifetime = 30
        resolver.use_edns(0, 0, 1232)
        await _scan_all(domains, lambda: resolver.resolve)

    asyncio.run(main())


def _measured(name: str, scan: Callable[[int, int], None], domains: int, port: int) -> float:
    wall, cpu = time.perf_counter(), time.process_time()
    scan(domains, port)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rate = domains / wall
    print(f"{name:12} {rate:9.1f} domains/s {cpu / domains / QUESTIONS * 1e6:8.1f} µs CPU a query")
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domains", type=int, default=300)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve, args=(options.delay, theirs), daemon=True)
    server.start()
    port = ours.recv()
    slow = _measured("dnspython", _with_dnspython, max(options.domains // 10, 1), port)
    fast = _measured("ours", _with_ours, options.domains, port)
    print(f"ours scans {fast / slow:.1f} × as many domains a second")
    server.terminate()


if __name__ == "__main__":
    main()
