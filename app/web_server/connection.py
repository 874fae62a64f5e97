"""One connection of a client, and how far it is."""

import enum
import socket
import time
from collections.abc import Callable
from typing import Any

from app.web_server.incoming import Incoming
from app.web_server.limits import Budget, Limits
from app.web_server.outgoing import Outgoing


class State(enum.Enum):
    """What a connection waits for."""

    IDLE = "the first byte of a request"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    BUSY = "a thread"
    WRITING = "the client to read"
    LINGERING = "the client to close"
    CLOSED = "nothing"


READING = (State.IDLE, State.HEAD, State.BODY)


class Connection:
    """A client's socket with the request that arrives and the response that leaves.

    The event loop alone changes the state; a thread has the connection while it is BUSY.
    """

    def __init__(
        self,
        client: socket.socket,
        address: Any,
        server: Any,
        *,
        new_incoming: Callable[[Any], Incoming],
        limits: Limits,
        budget: Budget,
        on_buffered: Callable[["Connection"], None],
    ) -> None:
        self.client, self.address, self.server = client, address, server
        self.state, self.since = State.IDLE, time.monotonic()
        self.is_closing = False  # after the present response
        self.answered = 0
        self._new_incoming, self._limits = new_incoming, limits
        self.incoming = new_incoming(address)
        self.outgoing = Outgoing(client, limits, budget, lambda: on_buffered(self))

    @property
    def is_between_requests(self) -> bool:
        """Whether it is kept open for a next request, of which nothing has come."""
        return self.state is State.IDLE and self.answered > 0

    def enter(self, state: State) -> None:
        """Change the state, and measure its time from now on."""
        self.state, self.since = state, time.monotonic()

    def next_request(self) -> bytes | None:
        """Forget the answered request: what the client has sent behind it, None if unknown."""
        rest = self.incoming.rest()
        self.incoming.close()
        self.incoming = self._new_incoming(self.address)
        self.answered += 1
        return rest

    def is_late(self, now: float, keepalive_seconds: float) -> bool:
        """Whether the client has used up its time in the present state."""
        seconds, limits = now - self.since, self._limits
        match self.state:
            case State.IDLE:
                first = min(limits.head_seconds, keepalive_seconds)
                return seconds > (keepalive_seconds if self.answered else first)
            case State.HEAD:
                return seconds > limits.head_seconds
            case State.BODY:
                wanted = limits.body_rate * (seconds - limits.grace_seconds)
                return seconds > limits.body_seconds or self.incoming.body_bytes < wanted
            case State.LINGERING:
                return seconds > limits.linger_seconds
        return self.outgoing.is_too_slow(now)

    def close(self) -> None:
        """Release everything."""
        self.state = State.CLOSED
        self.incoming.close()
        self.outgoing.break_off()
        self.client.close()
