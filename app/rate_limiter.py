"""Rate limits: one counter for the API and the dashboard, over a storage that needs one round trip.

Flask-Limiter supplies the storage and the strategy, through its documented ``limiter`` property.
``app.api.http.rate_limit`` and ``app.web.base.dashboard_limits`` decide which limit applies.
Limit, remaining calls and reset of one response come from one count, so that they never contradict
each other.
"""

import logging
import math
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flask import Flask, Response, current_app, g
from flask_limiter import Limiter
from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage, Storage
from redis.exceptions import RedisError

from app.errors import ApplicationError
from app.jobs import redis

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0  # after Redis could not be reached
# Count one request; the first of a window fixes its end, by the clock of Redis. A second key is
# counted only if the first is within its limit.
_COUNT = """
local function add(key, window, amount)
  local count = redis.call('HINCRBY', key, 'count', amount)
  if count == tonumber(amount) then
    local now = redis.call('TIME')
    redis.call('HSET', key, 'reset', now[1] + window)
    redis.call('PEXPIRE', key, window * 1000 - math.floor(now[2] / 1000))
  end
  return count, tonumber(redis.call('HGET', key, 'reset'))
end
local count, reset = add(KEYS[1], ARGV[1], ARGV[2])
if not KEYS[2] or count > tonumber(ARGV[3]) then return {count, reset} end
local further, further_reset = add(KEYS[2], ARGV[4], 1)
return {count, reset, further, further_reset}
"""


@dataclass(frozen=True, slots=True)
class _Next:
    """What is to be counted in the same round trip, if the first count is within ``limit``."""

    limit: int
    key: str
    window: int


class CountingStorage(Storage):
    """A storage of ``limits`` that keeps what it counted for the rest of the request.

    While Redis is away each process counts by itself. Flask-Limiter could do that too, but of
    several requests that find Redis gone at the same moment it fails all but one.
    """

    STORAGE_SCHEME = ["counting+redis", "counting+rediss", "counting+unix"]  # noqa: RUF012

    def __init__(self, uri: str, wrap_exceptions: bool = False, **_: Any) -> None:
        super().__init__(uri, wrap_exceptions)
        self._count = redis.Script(uri.removeprefix("counting+"), _COUNT)
        self._own = MemoryStorage()
        self._failed_at = -RETRY_SECONDS

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return (RedisError, OSError)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        counted: tuple[int, float] | None = g.pop("counted_already", {}).get(key)
        g.counted = counted or self._shared(key, expiry, amount) or self._alone(key, expiry, amount)
        count: int = g.counted[0]
        return count

    def _shared(self, key: str, expiry: int, amount: int) -> tuple[int, float] | None:
        if time.monotonic() - self._failed_at < RETRY_SECONDS:
            return None
        following: _Next | None = g.pop("counted_next", None)
        try:
            if following is None:
                count, reset = self._count.run(key, expiry, amount)
            else:
                keys, limit = (key, following.key), following.limit
                count, reset, *more = self._count.run(keys, expiry, amount, limit, following.window)
                if more:
                    g.counted_already = {following.key: (int(more[0]), float(more[1]))}
        except self.base_exceptions as error:
            self._failed_at = time.monotonic()
            logger.warning(
                "rate limiting falls back to per-process counters", extra={"reason": str(error)}
            )
            return None
        return int(count), float(reset)

    def _alone(self, key: str, expiry: int, amount: int) -> tuple[int, float]:
        return self._own.incr(key, expiry, amount), self._own.get_expiry(key)

    def get(self, key: str) -> int:
        counted: tuple[int, float] | None = g.get("counted")
        return counted[0] if counted else 0

    def get_expiry(self, key: str) -> float:
        counted: tuple[int, float] | None = g.get("counted")
        return counted[1] if counted else time.time()

    def check(self) -> bool:
        return True  # or it counts alone

    def reset(self) -> int | None:
        return None  # the limits of callers end by themselves

    def clear(self, key: str) -> None:
        """Nothing: see ``reset``."""


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """What one count leaves; ``window`` in seconds, ``reset`` in Unix seconds."""

    policy: str
    limit: int
    window: int
    remaining: int
    reset: int


class RateLimitExceeded(ApplicationError):
    """A limit is used up; ``status`` is that of the limit that refuses."""

    code, status = "rate_limit_exceeded", 429

    def __init__(self, limit: RateLimitStatus) -> None:
        seconds = max(1, math.ceil(limit.reset - time.time()))
        message = f"Rate limit exceeded. Please retry after {seconds} seconds."
        super().__init__(message, retryAfter=seconds)
        self.limit = limit


def init_app(app: Flask, redis_url: str) -> None:
    """Connect the counter. It counts only when ``count`` is called."""
    limiter = Limiter(_no_key, app=app, storage_uri=f"counting+{redis_url}")
    limiter.request_filter(_is_counted_elsewhere)
    app.extensions["rate_limiter"] = limiter
    app.after_request(_add_retry_after)


def count(identifier: str, limits: str, policy: str = "default") -> RateLimitStatus:
    """Count one request, and return what is left in the shortest window.

    limits  like ``100 per minute``, several separated by ``;``
    raises  RateLimitExceeded
    """
    limiter: Limiter = current_app.extensions["rate_limiter"]
    shortest: RateLimitStatus | None = None
    for item in _items(limits):
        is_within = limiter.limiter.hit(item, identifier)
        counted, reset = g.counted
        remaining = max(0, item.amount - counted)
        status = RateLimitStatus(policy, item.amount, item.get_expiry(), remaining, int(reset))
        if not is_within:
            raise RateLimitExceeded(status)
        shortest = shortest or status
    if shortest is None:
        raise ValueError("no limit")
    return shortest


def count_next(limits: str, following: str, following_limits: str) -> None:
    """Have the next ``count``, for ``limits``, fetch the count of ``following`` as well.

    Both are then counted in one round trip. It changes no result: ``count`` must be called for
    both, in this order.
    """
    first, second = _items(limits), _items(following_limits)
    if len(first) == len(second) == 1:
        key = second[0].key_for(following)
        g.counted_next = _Next(first[0].amount, key, second[0].get_expiry())


def add_headers(response: Response, status: RateLimitStatus) -> None:
    """Tell the client what is left, also in the form of the IETF's draft."""
    headers = response.headers
    headers.add("X-RateLimit-Limit", str(status.limit))
    headers.add("X-RateLimit-Remaining", str(status.remaining))
    headers.add("X-RateLimit-Reset", str(status.reset))
    headers.add("RateLimit-Policy", f'"{status.policy}";q={status.limit};w={status.window}')
    seconds = max(0, status.reset - int(time.time()))
    headers.add("RateLimit", f'"{status.policy}";r={status.remaining};t={seconds}')


def rate_of(limits: str) -> float:
    """Requests a second that these limits allow in the long run.

    raises  ValueError for text that is no limit
    """
    return min(item.amount / item.get_expiry() for item in _items(limits))


def _add_retry_after(response: Response) -> Response:
    if response.status_code == 429:
        response.headers["Retry-After"] = str(g.get("retry_after", 1))
    return response


@lru_cache(maxsize=256)
def _items(limits: str) -> list[RateLimitItem]:
    """The shortest window first."""
    return sorted(parse_many(limits))


def _no_key() -> str:
    return ""


def _is_counted_elsewhere() -> bool:
    """No limits are attached to routes: ``count`` is called where a limit applies."""
    return True
