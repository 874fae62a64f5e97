"""A response as it leaves: a thread writes without waiting, the event loop sends the rest."""

import fcntl
import socket
import struct
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from app.web_server.limits import MEMORY_BYTES, READ_BYTES, Budget, Limits


class Outgoing:
    """What gunicorn writes a response to, in place of the socket.

    ``sendall`` never waits for the client: what the kernel does not take is buffered, and the
    event loop is asked to send it.
    """

    def __init__(
        self, client: socket.socket, limits: Limits, budget: Budget, on_buffered: Callable[[], None]
    ) -> None:
        self.is_broken = False
        self._client = client
        self._limits, self._budget = limits, budget
        self._on_buffered = on_buffered
        self._lock = threading.Lock()
        self._first = b""  # the head, sent together with the first block
        self._is_started = False
        self._buffer: Any = None
        self._written = self._sent = 0  # bytes of the buffer
        self._since = 0.0
        self._queued_at_first = 0

    @property
    def is_buffered(self) -> bool:
        """Whether the event loop has something to send."""
        return self._buffer is not None

    def sendall(self, data: bytes) -> None:
        """Send these bytes, or buffer them; raises OSError if the client is gone or too slow."""
        if not self._is_started:
            self._first, self._is_started = bytes(data), True
            return
        if self._first:
            data, self._first = self._first + data, b""
        with self._lock:
            is_new = self._write(data)
        if is_new:
            self._on_buffered()

    def send(self, data: bytes) -> int:
        """Accept gunicorn's "100 Continue" and drop it: the event loop has sent it in time."""
        return len(data)

    def finish(self) -> None:
        """Send a head that has no body, and be ready for the next response."""
        if self._first:
            self.sendall(b"")
        self._is_started = False

    def gettimeout(self) -> float:
        """Zero: no call waits, which gunicorn asks before it writes an error."""
        return 0.0

    def flush(self) -> None:
        """Send what the kernel takes of the buffer; raises OSError if the client is gone."""
        with self._lock:
            if self._buffer is None or self.is_broken:
                return
            self._buffer.seek(self._sent)
            block = self._buffer.read(READ_BYTES)
            self._sent += self._send(block)
            if self._sent == self._written:
                self._release()

    def is_too_slow(self, now: float) -> bool:
        """Whether the client reads the buffered response below the least rate."""
        with self._lock:
            seconds = now - self._since
            if self._buffer is None or seconds <= self._limits.grace_seconds:
                return False
            wanted = self._limits.response_rate * (seconds - self._limits.grace_seconds)
            left_kernel = self._queued_at_first - _queued_bytes(self._client)
            return self._sent + left_kernel < wanted

    def break_off(self) -> None:
        """Drop the buffer; the thread that still writes gets an error."""
        with self._lock:
            self.is_broken = True
            self._release()

    def _write(self, data: bytes) -> bool:
        """Whether a buffer has been started for what the kernel did not take."""
        if self.is_broken:
            raise BrokenPipeError("the client is gone, or too slow")
        is_new = self._buffer is None
        if is_new:
            data = data[self._send(data) :]
            if not data:
                return False
            self._buffer = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115
            self._since = time.monotonic()
            self._queued_at_first = _queued_bytes(self._client)
        if not self._budget.take(len(data)):
            self.is_broken = True
            raise BrokenPipeError("the buffer of the worker is full")
        self._buffer.seek(self._written)
        self._buffer.write(data)
        self._written += len(data)
        return is_new

    def _send(self, data: bytes) -> int:
        try:
            return self._client.send(data) if data else 0
        except BlockingIOError:
            return 0
        except OSError:
            self.is_broken = True
            raise

    def _release(self) -> None:
        if self._buffer is not None:
            self._buffer.close()
            self._budget.give_back(self._written)
            self._buffer, self._written, self._sent = None, 0, 0


def _queued_bytes(client: socket.socket) -> int:
    """Bytes in the kernel's send buffer that the client has not acknowledged."""
    with suppress(OSError, ValueError):  # the socket is closed
        answer = fcntl.ioctl(client, termios.TIOCOUTQ, struct.pack("i", 0))
        return int(struct.unpack("i", answer)[0])
    return 0
