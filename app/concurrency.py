"""How many expensive requests of an account run at the same time: counted in Redis, or here.

A slot is a member of a sorted set with the time at which it expires, so that a killed process
keeps none for longer than that.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from redis.exceptions import RedisError

from app.errors import ApplicationError
from app.jobs import redis

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


class ConcurrencyLimitExceeded(ApplicationError):
    """As many requests of this kind are running as the account may have."""

    code, status = "concurrency_limit_exceeded", 429

    def __init__(self, kind: str, limit: int) -> None:
        noun = kind if limit == 1 else f"{kind}s"
        message = f"Your account may run {limit} {noun} at the same time. Retry when one is done."
        super().__init__(message, retryAfter=RETRY_SECONDS)


class Slot:
    """The right to run; ``release`` may be called more than once."""

    def __init__(self, slots: "Slots", key: str) -> None:
        self._slots, self._key = slots, key
        self.id = secrets.token_hex(8)

    def release(self) -> None:
        """Let another request run."""
        self._slots.release(self._key, self.id)

    def __enter__(self) -> "Slot":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.release()


class _Released:
    """A stream that frees its slot when it ends, fails or is closed."""

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
        self._redis = redis.connect(redis_url)
        self._script = redis.Script(redis_url, _ACQUIRE)
        self._lock = threading.Lock()
        self._local: dict[str, dict[str, float]] = {}  # by key: id → expiry

    def acquire(self, kind: str, account: str, limit: int, seconds: int) -> Slot:
        """A slot for one request.

        seconds  after which the slot expires if it is not released
        raises   ConcurrencyLimitExceeded
        """
        key = f"slots:{kind}:{account}"
        slot = Slot(self, key)
        try:
            is_acquired = bool(self._script.run(key, slot.id, limit, seconds))
        except (RedisError, OSError) as error:
            logger.warning(
                "concurrency limits fall back to per-process counters",
                extra={"reason": str(error)},
            )
            is_acquired = self._acquire_locally(key, slot.id, limit, seconds)
        if not is_acquired:
            raise ConcurrencyLimitExceeded(kind, limit)
        return slot

    def stream(self, slot: Slot, start: Callable[[], Iterator[Any]]) -> Iterator[Any]:
        """What ``start`` yields; the slot is released when the stream ends or is closed."""
        try:
            return _Released(slot, start())
        except BaseException:
            slot.release()
            raise

    def release(self, key: str, slot_id: str) -> None:
        """Free the slot wherever it is counted."""
        with self._lock:
            slots = self._local.get(key, {})
            is_local = slots.pop(slot_id, None) is not None
            if not slots:
                self._local.pop(key, None)
        if not is_local:
            try:
                self._redis.zrem(key, slot_id)
            except (RedisError, OSError):
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
