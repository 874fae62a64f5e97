"""A client's connection and its state."""

import enum
import socket
import time
from collections.abc import Callable
from typing import Any

from app.web_server.incoming import Incoming
from app.web_server.limits import WorkerContext
from app.web_server.outgoing import Outgoing


class State(enum.Enum):
    """The event that a connection waits for."""

    IDLE = "the first byte of a request"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    BUSY = "a thread"
    WRITING = "the client to read"
    LINGERING = "the client to close"
    CLOSED = "nothing"


READING = (State.IDLE, State.HEAD, State.BODY)


class Connection:
    """A client's socket with its incoming request and its outgoing response.

    The event loop alone changes the state; a thread has the connection while it is BUSY.
    """

    def __init__(
        self,
        client: socket.socket,
        address: Any,
        server: Any,
        context: WorkerContext,
        on_buffered: Callable[["Connection"], None],
    ) -> None:
        self.client, self.address, self.server = client, address, server
        self.state, self.since = State.IDLE, time.monotonic()
        self.is_closing = False  # after the current response
        self._lingers_until = 0.0
        self.response_count = 0
        self._context = context
        self.incoming = Incoming(context, address)
        self.outgoing = Outgoing(client, context, lambda: on_buffered(self))

    @property
    def is_between_requests(self) -> bool:
        """Whether the connection is idle after a response."""
        return self.state is State.IDLE and self.response_count > 0

    def enter(self, state: State) -> None:
        """Change the state and restart its timer."""
        self.state, self.since = state, time.monotonic()

    def discard(self) -> None:
        """Wait longer for a client that still sends a body that is not read, within its time."""
        self._lingers_until = self._lingers_until or self.since + self._context.limits.body_seconds
        self.since = min(time.monotonic(), self._lingers_until)

    def next_request(self) -> bytes | None:
        """Discard the answered request; returns the bytes that follow it, None if unknown."""
        surplus = self.incoming.rest()
        self.incoming.close()
        self.incoming = Incoming(self._context, self.address)
        self.response_count += 1
        return surplus

    def is_late(self, now: float, keepalive_seconds: float) -> bool:
        """Whether the client has exceeded its time in the current state."""
        seconds, limits = now - self.since, self._context.limits
        match self.state:
            case State.IDLE:
                first = min(limits.head_seconds, keepalive_seconds)
                return seconds > (keepalive_seconds if self.response_count else first)
            case State.HEAD:
                return seconds > limits.head_seconds
            case State.BODY:
                minimum = limits.body_rate * (seconds - limits.grace_seconds)
                return seconds > limits.body_seconds or self.incoming.body_bytes < minimum
            case State.LINGERING:
                return seconds > limits.linger_seconds
        return self.outgoing.is_too_slow(now)

    def close(self) -> None:
        """Close the socket and release the buffers."""
        self.state = State.CLOSED
        self.incoming.close()
        self.outgoing.abort()
        self.client.close()
