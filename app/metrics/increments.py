"""The increments of this process, which are added to the totals in Redis every few seconds.

So one scrape has the figures of all processes on all machines, also of those without a port
(docs/decisions/0076-shared-metrics.md). Counting never waits: it adds to a number in memory, and a
thread that starts with the first increment stores it. A process that counts nothing has no thread.
"""

import atexit
import logging
import os
import threading
from collections.abc import Mapping, Sequence

from redis import Redis
from redis.exceptions import RedisError

from app.jobs import redis

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
MAX_SERIES = 10_000  # in one process; further ones are not counted
TOTALS_SECONDS = 7 * 24 * 3600  # how long totals are stored that nothing is added to
_TOTALS_KEY = "mailwatch:metrics:"
_SEPARATOR = "\x1f"

Series = tuple[str, ...]
"""The name of a sample and the values of its labels."""
Totals = Mapping[Series, float]


class _Increments:
    """What was counted and is not stored yet."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.amounts: dict[Series, float] = {}
        self.flushing = threading.Lock()
        self.has_thread = False

    def add(self, additions: Sequence[tuple[Series, float]]) -> None:
        with self.lock:
            amounts = self.amounts
            for series, amount in additions:
                if series in amounts:
                    amounts[series] += amount
                elif len(amounts) < MAX_SERIES:
                    amounts[series] = amount
        if not self.has_thread:
            self._start()

    def take(self) -> dict[Series, float]:
        with self.lock:
            taken, self.amounts = self.amounts, {}
        return taken

    def _start(self) -> None:
        with self.lock:
            if self.has_thread:
                return
            self.has_thread = True
        threading.Thread(target=_flush_periodically, name="metrics", daemon=True).start()


_increments = _Increments()
_client: Redis | None = None


def bind(redis_url: str) -> None:
    """Store increments in this Redis from now on; the connection is opened on first use."""
    global _client
    _client = redis.connect(redis_url)


def add(series: Series, amount: float = 1) -> None:
    """Count in memory; this never waits for Redis."""
    _increments.add(((series, amount),))


def add_all(additions: Sequence[tuple[Series, float]]) -> None:
    """Count several series at once, as ``add``."""
    _increments.add(additions)


def flush() -> None:
    """Add the increments of this process to the totals.

    They are kept for the next time if Redis cannot be reached. If it fails while they are sent,
    they are lost, because they must not be counted twice.
    """
    client = _client
    if client is None or not _increments.amounts:
        return
    with _increments.flushing:
        try:
            key = _key(client)
        except (RedisError, OSError):
            return
        amounts = _increments.take()
        pipeline = client.pipeline(transaction=True)
        for series, amount in amounts.items():
            field = _SEPARATOR.join(series)
            if isinstance(amount, int):
                pipeline.hincrby(key, field, amount)
            else:
                pipeline.hincrbyfloat(key, field, amount)
        pipeline.expire(key, TOTALS_SECONDS)
        try:
            pipeline.execute()
        except (RedisError, OSError) as error:
            logger.warning("metrics were not stored", extra={"reason": redis.failure_reason(error)})


def totals() -> Totals | None:
    """Return the totals of all processes; None while Redis is unavailable.

    effects  the increments of this process are added first
    """
    client = _client
    if client is None:
        return None
    flush()
    try:
        stored = client.hgetall(_key(client))
    except (RedisError, OSError):
        return None
    return {
        tuple(field.decode().split(_SEPARATOR)): float(total)
        for field, total in stored.items()
        if isinstance(field, bytes)
    }


def _key(client: Redis) -> str:
    """Return the key of the totals, which a Redis that was restarted does not continue.

    It may have lost the last second. A total that falls a little would count as a reset, and its
    whole value as an increase.

    raises  RedisError or OSError while Redis is unavailable
    """
    return _TOTALS_KEY + str(client.info("server").get("run_id", ""))


def _flush_periodically() -> None:
    pause = threading.Event()
    while True:
        pause.wait(FLUSH_SECONDS)
        flush()


def _forget_in_child() -> None:
    """Start at zero in a forked process: the parent stores what it has counted itself."""
    global _increments
    _increments = _Increments()


os.register_at_fork(after_in_child=_forget_in_child)
atexit.register(flush)
