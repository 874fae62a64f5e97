"""Counters that all processes share in Redis, and the fallback while Redis is unavailable.

Rate limits, concurrency limits and login throttling count through this module. While Redis is
unavailable, each process counts by itself: requests are never refused for that, and never
unlimited.
"""

import logging
import time
from typing import Any

from redis.exceptions import RedisError

from app.jobs.redis import Script, failure_reason

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0  # until Redis is tried again after a failure


class SharedCounters:
    """The connection of one kind of counters to Redis."""

    def __init__(self, redis_url: str, kind: str) -> None:
        self._redis_url, self._kind = redis_url, kind
        self._failed_at = -RETRY_SECONDS

    def script(self, source: str) -> Script:
        """Return a Lua script for ``run``."""
        return Script(self._redis_url, source)

    def run(self, script: Script, keys: str | tuple[str, ...], *arguments: str | int) -> Any:
        """Return the result of the script, or None if the caller must count in this process.

        effects  logs a warning when Redis cannot be reached
        """
        if time.monotonic() - self._failed_at < RETRY_SECONDS:
            return None
        try:
            return script.run(keys, *arguments)
        except (RedisError, OSError) as error:
            self._failed_at = time.monotonic()
            message = f"{self._kind} falls back to counters of each process"
            logger.warning(message, extra={"reason": failure_reason(error)})
            return None
