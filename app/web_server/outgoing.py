"""An outgoing response: a thread writes without waiting, and the event loop sends the rest."""

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

from app.web_server.limits import MEMORY_BYTES, READ_BYTES, WorkerContext


class Outgoing:
    """The object that gunicorn writes a response to, in place of the socket.

    ``sendall`` never waits for the client: bytes that the kernel does not accept are buffered, and
    ``on_buffered`` has the event loop send them.
    """

    def __init__(
        self, client: socket.socket, context: WorkerContext, on_buffered: Callable[[], None]
    ) -> None:
        self.is_broken = False
        self._client = client
        self._context = context
        self._on_buffered = on_buffered
        self._lock = threading.Lock()
        self._head = b""  # sent together with the first block of the body
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
        """Send these bytes, or buffer them.

        raises  OSError if the client has disconnected or is too slow
        """
        if not self._is_started:
            self._head, self._is_started = bytes(data), True
            return
        if self._head:
            data, self._head = self._head + data, b""
        with self._lock:
            created_buffer = self._write(data)
        if created_buffer:
            self._on_buffered()

    def send(self, data: bytes) -> int:
        """Drop gunicorn's "100 Continue": the event loop has sent it already."""
        return len(data)

    def finish(self) -> None:
        """Send a head without a body, and prepare for the next response."""
        if self._head:
            self.sendall(b"")
        self._is_started = False

    def flush(self) -> None:
        """Send as much of the buffer as the kernel accepts.

        raises  OSError if the client has disconnected
        """
        with self._lock:
            if self._buffer is None or self.is_broken:
                return
            self._buffer.seek(self._sent)
            block = self._buffer.read(READ_BYTES)
            self._sent += self._send(block)
            if self._sent == self._written:
                self._release()

    def is_too_slow(self, now: float) -> bool:
        """Whether the client reads the buffered response below the minimum rate."""
        with self._lock:
            seconds = now - self._since
            if self._buffer is None or seconds <= self._context.limits.grace_seconds:
                return False
            minimum = self._context.limits.response_rate * (
                seconds - self._context.limits.grace_seconds
            )
            acknowledged = self._queued_at_first - _queued_bytes(self._client)
            return self._sent + acknowledged < minimum

    def abort(self) -> None:
        """Drop the buffer; a thread that is still writing gets an error."""
        with self._lock:
            self.is_broken = True
            self._release()

    def _write(self, data: bytes) -> bool:
        """Send or buffer the bytes; returns whether this call created the buffer."""
        if self.is_broken:
            raise BrokenPipeError("the client has disconnected or is too slow")
        creates_buffer = self._buffer is None
        if creates_buffer:
            data = data[self._send(data) :]
            if not data:
                return False
            self._buffer = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115
            self._since = time.monotonic()
            self._queued_at_first = _queued_bytes(self._client)
        if not self._context.budget.reserve(len(data)):
            self.is_broken = True
            raise BrokenPipeError("the buffer of the worker is full")
        self._buffer.seek(self._written)
        self._buffer.write(data)
        self._written += len(data)
        return creates_buffer

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
            self._context.budget.release(self._written)
            self._buffer, self._written, self._sent = None, 0, 0


def _queued_bytes(client: socket.socket) -> int:
    """Return how many bytes of the kernel's send buffer the client has not acknowledged."""
    with suppress(OSError, ValueError):  # the socket is closed
        answer = fcntl.ioctl(client, termios.TIOCOUTQ, struct.pack("i", 0))
        return int(struct.unpack("i", answer)[0])
    return 0
