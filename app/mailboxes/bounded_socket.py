"""A TLS socket that limits how much a server sends for one command, and the total time."""

import ssl
import time
from typing import Any


class ReceiveLimit:
    """The bytes that a connection may still receive, and until when.

    idle_seconds   the longest time without data
    total_seconds  the longest time from now on
    size_bytes     until the next call of ``allow``
    """

    def __init__(self, idle_seconds: float, total_seconds: float, size_bytes: int) -> None:
        self._idle_seconds, self._total_seconds = idle_seconds, total_seconds
        self._deadline = time.monotonic() + total_seconds
        self._remaining_bytes = size_bytes

    def allow(self, size_bytes: int) -> None:
        """Allow this many bytes from now on, regardless of how many remain."""
        self._remaining_bytes = size_bytes

    def timeout(self) -> float:
        """Return how many seconds the next read may take.

        raises  TimeoutError after the deadline
        """
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            total = f"{self._total_seconds:.0f} seconds"
            raise TimeoutError(f"the server did not finish within {total}")
        return min(self._idle_seconds, remaining)

    def count(self, size_bytes: int) -> None:
        """Count received bytes.

        raises  OSError if the server sent more than allowed
        """
        self._remaining_bytes -= size_bytes
        if self._remaining_bytes < 0:
            raise OSError("the server sent more than the maximum message size")


def limit_sockets(context: ssl.SSLContext, limit: ReceiveLimit) -> None:
    """Apply the limit to every socket that the context wraps from now on."""

    class BoundedSocket(ssl.SSLSocket):
        """A socket that checks the limit at every read."""

        def recv_into(self, *args: Any, **kwargs: Any) -> int:
            self.settimeout(limit.timeout())
            try:
                size = super().recv_into(*args, **kwargs)
            except TimeoutError:
                limit.timeout()  # raises a TimeoutError with a better reason after the deadline
                raise
            limit.count(size)
            return size

    context.sslsocket_class = BoundedSocket
