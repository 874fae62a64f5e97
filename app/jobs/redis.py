"""A Redis that no request waits for: it answers within a moment, or counts as away."""

import hashlib
import socket
import ssl
import struct
import threading
from collections.abc import Sequence
from typing import Any

from redis import Connection, Redis
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import NoScriptError

TIMEOUT_SECONDS = 0.3  # for a connection, and for an answer


def connect(url: str) -> Redis:
    """The client; nothing is connected before it is used, and nothing is tried twice.

    raises  by its methods: RedisError or OSError, while Redis is away
    """
    return Redis.from_url(
        url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, retry=None
    )


class Script:
    """A Lua script, run over a connection that each thread has: half the cost of the client's."""

    def __init__(self, url: str, source: str) -> None:
        self._pool = connect(url).connection_pool
        self._source = source
        self._sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        self._own = threading.local()

    def run(self, keys: str | tuple[str, ...], *arguments: str | int) -> Any:
        """What the script returns for this key, or these.

        raises  RedisError or OSError, while Redis is away
        """
        names = (keys,) if isinstance(keys, str) else keys
        try:
            return self._ask("EVALSHA", self._sha, len(names), *names, *arguments)
        except NoScriptError:
            return self._ask("EVAL", self._source, len(names), *names, *arguments)

    def _ask(self, *command: str | int) -> Any:
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._pool.connection_class(**self._pool.connection_kwargs)
            connection.register_connect_callback(self._leave_time_to_the_kernel)
            self._own.connection = connection
        try:
            return _ask(connection, command)
        except Disconnected as error:
            if isinstance(error.__context__, BlockingIOError):
                raise  # it did not answer in time
            return _ask(connection, command)  # it was lost while it rested, and is connected again

    def _leave_time_to_the_kernel(self, connection: Connection) -> None:
        """For a time-out of Python's the socket is asked first, before each call, whether it may
        go on; and at each such question another thread may take its turn.
        """
        own: Any = connection._sock
        if not isinstance(own, ssl.SSLSocket):
            limit = struct.pack("@ll", 0, int(TIMEOUT_SECONDS * 1_000_000))
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            own.settimeout(None)


def _ask(connection: Connection, command: Sequence[str | int]) -> Any:
    connection.send_command(*command)  # type: ignore[no-untyped-call]  # as redis has it
    return connection.read_response()
