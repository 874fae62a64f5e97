"""The number of leaked keys that a network may report, counted in Redis or in this process."""

import logging
import math
import time

from limits.storage import MemoryStorage
from redis.exceptions import RedisError

from app.errors import QuotaExceeded
from app.jobs import redis

logger = logging.getLogger(__name__)

MAX_REPORTS, WINDOW_SECONDS = 10, 3600
_MESSAGE = f"A network may report {MAX_REPORTS} keys an hour."


class ReportLimit:
    """Counts the reports of each network in windows that begin with the first one."""

    def __init__(self, redis_url: str) -> None:
        self._redis = redis.connect(redis_url)
        self._local = MemoryStorage()

    def count(self, network: str) -> None:
        """Count one report.

        raises  QuotaExceeded
        """
        number, seconds = self._count(f"key-report:{network}")
        if number > MAX_REPORTS:
            raise QuotaExceeded(_MESSAGE, max(1, seconds))

    def _count(self, key: str) -> tuple[int, int]:
        """The number of reports in this window, and the seconds until it ends."""
        try:
            with self._redis.pipeline() as pipe:
                pipe.set(key, 0, ex=WINDOW_SECONDS, nx=True)
                pipe.incr(key)
                pipe.ttl(key)
                _, number, seconds = pipe.execute()
                return int(number), int(seconds)
        except (RedisError, OSError) as error:
            logger.warning(
                "reports of leaked keys are counted in this process", extra={"reason": str(error)}
            )
            number = self._local.incr(key, WINDOW_SECONDS)
            return number, math.ceil(self._local.get_expiry(key) - time.time())
