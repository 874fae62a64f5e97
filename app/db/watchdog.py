"""A watchdog for PostgreSQL that hangs: it ends the calls that wait, and refuses further ones.

Timeouts of the server do not apply while it is stopped or unreachable, and the driver waits for an
answer without a limit (docs/decisions/0075-database-watchdog.md). A connection that is in use for
longer than ``STALL_SECONDS`` is no proof, as a statement can take longer. Therefore the watchdog
opens a connection of its own. If the server does not answer that one either, the sockets of all
connections in use are shut down, and no connection is used until the server answers.
"""

import logging
import os
import select
import socket
import threading
import time
from contextlib import closing, suppress
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from sqlalchemy import event
from sqlalchemy.engine import Engine

STALL_SECONDS = 1.0
PROBE_SECONDS = 3  # the smallest values are rounded up by the driver
PROBE_INTERVAL_SECONDS = 1.0
_TICK_SECONDS = 0.25

logger = logging.getLogger(__name__)


_watchdogs: "WeakKeyDictionary[Engine, Watchdog]" = WeakKeyDictionary()


def of(engine: Engine) -> "Watchdog | None":
    """Return the watchdog of the engine, always the same one; None for SQLite."""
    if engine.dialect.name != "postgresql":
        return None
    if engine not in _watchdogs:
        _watchdogs[engine] = Watchdog(engine)
    return _watchdogs[engine]


class Watchdog:
    """Watches the connections of one engine, with one thread in each process that uses it.

    is_hanging  whether the server did not answer the last probe
    """

    def __init__(self, engine: Engine) -> None:
        self._arguments = engine.dialect.create_connect_args(engine.url)
        self.is_hanging = False
        self._in_use: dict[int, tuple[Any, float]] = {}
        self._process = 0
        event.listen(engine, "checkout", self._note_use)
        event.listen(engine, "checkin", self._note_return)

    def _note_use(self, connection: Any, record: Any, _proxy: Any) -> None:
        if self._process != os.getpid():
            self._start()
        self._in_use[id(record)] = connection, time.monotonic()

    def _note_return(self, _connection: Any, record: Any) -> None:
        self._in_use.pop(id(record), None)

    def _start(self) -> None:
        """Start the thread of this process; a forked process has none of its parent's."""
        self._process, self._in_use, self.is_hanging = os.getpid(), {}, False
        threading.Thread(target=self._run, name="database watchdog", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(PROBE_INTERVAL_SECONDS if self.is_hanging else _TICK_SECONDS)
            if self.is_hanging or self._is_stalled():
                self._apply(is_answering=self._is_answering())

    def _is_stalled(self) -> bool:
        latest = time.monotonic() - STALL_SECONDS
        return any(since < latest for _, since in list(self._in_use.values()))

    def _is_answering(self) -> bool:
        """Whether the server answers a query on a new connection; a refusal is an answer.

        A pooler accepts connections itself, even if the server behind it hangs.
        """
        positional, named = self._arguments
        try:
            connection = psycopg.connect(*positional, **{**named, "connect_timeout": PROBE_SECONDS})
            with closing(connection):
                return _answers(connection)
        except psycopg.errors.ConnectionTimeout:
            return False
        except psycopg.Error:
            return True  # the calls that wait fail by themselves

    def _apply(self, *, is_answering: bool) -> None:
        if is_answering:
            if self.is_hanging:
                logger.warning("the database answers again")
                self.is_hanging = False
            else:
                time.sleep(PROBE_INTERVAL_SECONDS)  # a statement that takes long
            return
        if not self.is_hanging:
            logger.error("the database does not answer: its connections are shut down")
        self.is_hanging = True
        for connection, _ in list(self._in_use.values()):
            _shut_down(connection)


def _answers(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server answers a query within PROBE_SECONDS."""
    connection.pgconn.send_query(b"SELECT 1")
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(PROBE_SECONDS * 1000))


def _shut_down(connection: Any) -> None:
    """End the call that waits for an answer on this connection, which closes it."""
    with (
        suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as duplicate,
    ):
        duplicate.shutdown(socket.SHUT_RDWR)
