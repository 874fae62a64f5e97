"""The wait of a worker for Redis: it asks ever less often, and logs one line a minute."""

import logging
import time

from redis import Redis
from redis.exceptions import RedisError

from app.jobs.redis import connect, failure_reason

logger = logging.getLogger("worker")

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0  # so that work resumes soon after Redis returns
LOG_SECONDS = 60.0


class RedisWait:
    """Asks Redis whether it is available, with a growing pause after each failure."""

    def __init__(self, redis_url: str) -> None:
        self._redis: Redis = connect(redis_url)
        self._pause = FIRST_PAUSE_SECONDS
        self._next_at = self._logged_at = float("-inf")  # on the monotonic clock

    def is_over(self) -> bool:
        """Return whether Redis is available; it is not asked during a pause.

        effects  logs why it is not, once a minute
        """
        now = time.monotonic()
        if now < self._next_at:
            return False
        try:
            self._redis.ping()
        except (RedisError, OSError) as error:
            self._log(now, error)
            self._next_at = now + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
            return False
        self._pause, self._logged_at = FIRST_PAUSE_SECONDS, float("-inf")
        return True

    def _log(self, now: float, error: Exception) -> None:
        if now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            logger.warning("Redis unavailable", extra={"reason": failure_reason(error)})
