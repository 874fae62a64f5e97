"""How long a client may take, and how much the process buffers for it."""

import threading
from dataclasses import dataclass
from typing import Any

MEMORY_BYTES = 64 * 1024  # of a body or response in memory; the rest goes to a temporary file
READ_BYTES = 64 * 1024
MAX_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of every connection of a worker.

    head_seconds        until the head of a request is complete
    body_seconds        until its body is complete
    body_rate           bytes per second that a body must bring on average, after ``grace_seconds``
    response_rate       bytes per second that a client must read, after ``grace_seconds``
    max_body_bytes      a longer body is not read; the application answers without it
    buffer_bytes        of all bodies and responses of one worker process together
    """

    head_seconds: float = 10.0
    body_seconds: float = 30.0
    body_rate: int = 1024
    response_rate: int = 4096
    grace_seconds: float = 5.0
    linger_seconds: float = 2.0
    max_body_bytes: int = 80 * 1024**2
    buffer_bytes: int = 512 * 1024**2


class Budget:
    """The bytes that a worker may still buffer; threads and the event loop share it."""

    def __init__(self, size_bytes: int) -> None:
        self._remaining = size_bytes
        self._lock = threading.Lock()

    def reserve(self, size_bytes: int) -> bool:
        """Reserve this many bytes; False, and nothing is reserved, if fewer remain."""
        with self._lock:
            if size_bytes > self._remaining:
                return False
            self._remaining -= size_bytes
            return True

    def release(self, size_bytes: int) -> None:
        """Release bytes that were reserved."""
        with self._lock:
            self._remaining += size_bytes


class BufferFull(Exception):
    """The worker cannot buffer more now; the client can try again later."""


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What all connections of a worker share: gunicorn's settings, the limits and the budget."""

    cfg: Any
    limits: Limits
    budget: Budget
