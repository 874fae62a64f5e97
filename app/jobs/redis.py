"""Redis clients with short timeouts, so that no request waits for a slow Redis."""

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

TIMEOUT_SECONDS = 0.3  # to connect, and for an answer


def connect(url: str) -> Redis:
    """A client that connects on first use and never retries.

    raises  in its methods: RedisError or OSError while Redis is unavailable
    """
    return Redis.from_url(
        url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, retry=None
    )


class Script:
    """A Lua script, run over one connection for each thread: half the cost of the client."""

    def __init__(self, url: str, source: str) -> None:
        self._pool = connect(url).connection_pool
        self._source = source
        self._sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        self._own = threading.local()

    def run(self, keys: str | tuple[str, ...], *arguments: str | int) -> Any:
        """The result of the script for one or several keys.

        raises  RedisError or OSError while Redis is unavailable
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
                raise  # the answer timed out
            return _ask(connection, command)  # the idle connection was lost, so connect again

    def _leave_time_to_the_kernel(self, connection: Connection) -> None:
        """Use timeouts of the kernel: those of Python poll the socket before each call, and each
        poll may switch to another thread.
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
