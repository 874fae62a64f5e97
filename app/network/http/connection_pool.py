"""A pool of persistent HTTP connections between requests (RFC 9112 §9.3)."""

import asyncio
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Collection
from dataclasses import dataclass

from app.network.http import http1
from app.network.http.special_addresses import Address

IDLE_SECONDS = 4.0  # less than the usual timeout of servers
DRAIN_SECONDS = 0.2  # to read the rest of the previous response
MAX_DRAINED = 16 * 1024
MAX_IDLE_CONNECTIONS = 200


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection to one address."""

    address: Address
    reader: StreamReader
    writer: StreamWriter

    def abort(self) -> None:
        """Abort the connection without waiting for the peer."""
        self.writer.transport.abort()


@dataclass(frozen=True, slots=True)
class _Idle:
    line: Connection
    head: http1.Head
    since: float


class ConnectionPool:
    """Idle connections by (host, port), each with the response whose body is unread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._idle: dict[tuple[str, int], _Idle] = {}

    def put(self, host: str, port: int, line: Connection, head: http1.Head) -> None:
        """Store the connection if it can be reused; at most one for each host and port."""
        self._drop_old()
        if head.is_last or (host, port) in self._idle or len(self._idle) >= MAX_IDLE_CONNECTIONS:
            line.abort()
        else:
            self._idle[(host, port)] = _Idle(line, head, self._clock())

    async def take(self, host: str, port: int, addresses: Collection[Address]) -> Connection | None:
        """An idle connection to one of these addresses without unread data, or None."""
        self._drop_old()
        idle = self._idle.pop((host, port), None)
        if idle is None:
            return None
        if idle.line.address in addresses and await _is_drained(idle):
            return idle.line
        idle.line.abort()
        return None

    def close(self) -> None:
        """Abort all idle connections."""
        while self._idle:
            self._idle.popitem()[1].line.abort()

    def _drop_old(self) -> None:
        now = self._clock()
        for key in [key for key, idle in self._idle.items() if now - idle.since > IDLE_SECONDS]:
            self._idle.pop(key).line.abort()


async def _is_drained(idle: _Idle) -> bool:
    reader = idle.line.reader
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            await http1.read_body(reader, idle.head, MAX_DRAINED)
            if "transfer-encoding" in idle.head.headers:
                await http1.skip_trailer(reader)
    except (http1.NotHttp, http1.TooLarge, EOFError, OSError):  # TimeoutError is an OSError
        return False
    return not reader.at_eof() and not idle.line.writer.is_closing()
