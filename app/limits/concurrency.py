"""Limits on the number of expensive requests of an account that run at the same time.

A slot is a member of a sorted set in Redis with the time at which it expires, so that the slots of
a killed process become free.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from app.errors import ApplicationError
from app.limits.shared_counters import SharedCounters

logger = logging.getLogger(__name__)

RETRY_SECONDS = 2  # in Retry-After

_ACQUIRE = """
local now = redis.call('TIME')[1]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
_RELEASE = "return redis.call('ZREM', KEYS[1], ARGV[1])"


class ConcurrencyLimitExceeded(ApplicationError):
    """The account runs the maximum number of requests of this kind."""

    code, status = "concurrency_limit_exceeded", 429

    def __init__(self, kind: str, limit: int) -> None:
        noun = kind if limit == 1 else f"{kind}s"
        message = f"Your account may run {limit} {noun} at the same time. Retry when one is done."
        super().__init__(message, retryAfter=RETRY_SECONDS)


class Slot:
    """The permission to run one request; ``release`` may be called more than once."""

    def __init__(self, slots: "Slots", key: str) -> None:
        self._slots, self.key = slots, key
        self.id = secrets.token_hex(8)

    def release(self) -> None:
        """Let another request run."""
        self._slots.release(self.key, self.id)

    def __enter__(self) -> "Slot":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.release()


class _SlotStream:
    """A stream that releases its slot when it ends, fails or is closed."""

    def __init__(self, slot: Slot, chunks: Iterator[Any]) -> None:
        self._slot, self._chunks = slot, chunks

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._chunks)
        except BaseException:
            self._slot.release()
            raise

    def close(self) -> None:
        self._slot.release()


class Slots:
    """The slots of all accounts."""

    def __init__(self, redis_url: str) -> None:
        self._shared = SharedCounters(redis_url, "the limit on concurrent requests")
        self._acquire = self._shared.script(_ACQUIRE)
        self._release = self._shared.script(_RELEASE)
        self._lock = threading.Lock()
        self._local: dict[str, dict[str, float]] = {}  # by key: id → expiry

    def acquire(self, kind: str, account: str, limit: int, seconds: int) -> Slot:
        """Return a slot for one request.

        seconds  after which the slot expires if it is not released
        raises   ConcurrencyLimitExceeded
        """
        key = f"slots:{kind}:{account}"
        slot = Slot(self, key)
        is_acquired = self._shared.run(self._acquire, key, slot.id, limit, seconds)
        if is_acquired is None:
            is_acquired = self._acquire_locally(key, slot.id, limit, seconds)
        if not is_acquired:
            raise ConcurrencyLimitExceeded(kind, limit)
        return slot

    def acquire_in_process(self, kind: str, limit: int, seconds: int) -> Slot:
        """Return one of the slots of this process, which all accounts share.

        raises  ConcurrencyLimitExceeded
        """
        slot = Slot(self, f"process:{kind}")
        if not self._acquire_locally(slot.key, slot.id, limit, seconds):
            raise ConcurrencyLimitExceeded(kind, limit)
        return slot

    def stream(self, slot: Slot, start: Callable[[], Iterator[Any]]) -> Iterator[Any]:
        """Return the items of ``start()``; the slot is released when they end or are closed."""
        try:
            return _SlotStream(slot, start())
        except BaseException:
            slot.release()
            raise

    def release(self, key: str, slot_id: str) -> None:
        """Release the slot, which is counted in this process or in Redis."""
        with self._lock:
            slots = self._local.get(key, {})
            is_local = slots.pop(slot_id, None) is not None
            if not slots:
                self._local.pop(key, None)
        if not is_local and self._shared.run(self._release, key, slot_id) is None:
            logger.warning("a concurrency slot was not released; it expires by itself")

    def _acquire_locally(self, key: str, slot_id: str, limit: int, seconds: int) -> bool:
        now = time.monotonic()
        with self._lock:
            slots = self._local.setdefault(key, {})
            for expired in [id for id, expires_at in slots.items() if expires_at <= now]:
                del slots[expired]
            if len(slots) >= limit:
                return False
            slots[slot_id] = now + seconds
            return True
