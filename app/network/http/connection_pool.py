"""A pool of persistent HTTP connections between requests (RFC 9112 §9.3)."""

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from app.network.http import http1
from app.network.http.http1 import HttpStream
from app.network.http.special_addresses import Address

IDLE_SECONDS = 4.0  # less than the usual timeout of servers
DRAIN_SECONDS = 0.2  # to read the rest of the previous response
MAX_DRAINED = 16 * 1024
MAX_IDLE_CONNECTIONS = 200


class Endpoint(NamedTuple):
    """A server, and the authorities that its certificate was checked with."""

    host: str
    port: int
    ca_certificates: str | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection to one address."""

    address: Address
    stream: HttpStream

    def abort(self) -> None:
        """Abort the connection without waiting for the peer."""
        self.stream.abort()


@dataclass(frozen=True, slots=True)
class _Idle:
    connection: Connection
    since: float


class ConnectionPool:
    """Idle connections by endpoint; the rest of a response is read before the next request."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._idle: dict[Endpoint, _Idle] = {}

    def put(self, endpoint: Endpoint, connection: Connection) -> None:
        """Store the connection if it can be reused; at most one for each endpoint."""
        self._drop_old()
        is_full = endpoint in self._idle or len(self._idle) >= MAX_IDLE_CONNECTIONS
        if is_full or not connection.stream.is_reusable:
            connection.abort()
        else:
            self._idle[endpoint] = _Idle(connection, self._clock())

    async def take(self, endpoint: Endpoint, addresses: Collection[Address]) -> Connection | None:
        """Return an idle connection to one of these addresses that is ready, or None."""
        self._drop_old()
        idle = self._idle.pop(endpoint, None)
        if idle is None:
            return None
        connection = idle.connection
        if connection.address in addresses and await _is_ready(connection.stream):
            return connection
        connection.abort()
        return None

    def close(self) -> None:
        """Abort all idle connections."""
        while self._idle:
            self._idle.popitem()[1].connection.abort()

    def _drop_old(self) -> None:
        now = self._clock()
        for key in [key for key, idle in self._idle.items() if now - idle.since > IDLE_SECONDS]:
            self._idle.pop(key).connection.abort()


async def _is_ready(stream: HttpStream) -> bool:
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            return await stream.prepare_next(MAX_DRAINED)
    except (http1.NotHttp, http1.TooLarge, EOFError, OSError):  # TimeoutError is an OSError
        return False
