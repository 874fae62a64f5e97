"""Rate limits of the API and the dashboard, counted with one round trip to Redis.

Flask-Limiter supplies the storage and the strategy, through its documented ``limiter`` property.
``app.api.http.rate_limit`` and ``app.web.base.dashboard_limits`` decide which limit applies.
Limit, remaining requests and reset of one response come from one count, so that they never
contradict each other.
"""

import math
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flask import Flask, Response, current_app, g
from flask_limiter import Limiter
from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage, Storage

from app import wall_clock
from app.errors import ApplicationError
from app.limits.shared_counters import SharedCounters
from app.protocols.quantities import quantity

# Count one request; the first one of a window fixes its end, by the clock of Redis. A second key
# is counted only if the first one is within its limit.
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
    """A second count in the same round trip, if the first one is within ``limit``."""

    limit: int
    key: str
    window: int


class _Counts(threading.local):
    """The counts of this thread, which serves one request at a time.

    counted    the last count, and the end of its window
    following  what ``count_next`` asks for
    further    the key and the result of a count in the same round trip that was not read yet
    """

    counted: tuple[int, float] | None = None
    following: _Next | None = None
    further: tuple[str, tuple[int, float]] | None = None


_counts = _Counts()


class CountingStorage(Storage):
    """A storage of ``limits`` that keeps the last count, for the headers of the response."""

    STORAGE_SCHEME = ["counting+redis", "counting+rediss", "counting+unix"]  # noqa: RUF012

    def __init__(self, uri: str, wrap_exceptions: bool = False, **_: Any) -> None:
        super().__init__(uri, wrap_exceptions)
        self._shared = SharedCounters(uri.removeprefix("counting+"), "rate limiting")
        self._script = self._shared.script(_COUNT)
        self._local = MemoryStorage()

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return ()  # Redis is the only source of errors, and they are handled here

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        further, _counts.further = _counts.further, None
        is_counted = further is not None and further[0] == key
        counted = further[1] if further and is_counted else self._count(key, expiry, amount)
        _counts.counted = counted
        return counted[0]

    def _count(self, key: str, expiry: int, amount: int) -> tuple[int, float]:
        following, _counts.following = _counts.following, None
        if following is None:
            result = self._shared.run(self._script, key, expiry, amount)
        else:
            keys, limit = (key, following.key), following.limit
            result = self._shared.run(self._script, keys, expiry, amount, limit, following.window)
        if result is None:
            return self._local.incr(key, expiry, amount), self._local.get_expiry(key)
        count, reset, *more = map(int, result)
        if following and more:
            _counts.further = following.key, (more[0], float(more[1]))
        return count, float(reset)

    def get(self, key: str) -> int:
        return _counts.counted[0] if _counts.counted else 0

    def get_expiry(self, key: str) -> float:
        return _counts.counted[1] if _counts.counted else wall_clock.seconds()

    def check(self) -> bool:
        return True  # without Redis it counts in this process

    def reset(self) -> int | None:
        return None  # windows expire by themselves

    def clear(self, key: str) -> None:
        """Do nothing: windows expire by themselves."""


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """The remaining requests after one count; ``window`` in seconds, ``reset`` in Unix seconds."""

    policy: str
    limit: int
    window: int
    remaining: int
    reset: int


class RateLimitExceeded(ApplicationError):
    """A limit is exhausted; ``retry_after`` is the number of seconds until its window ends."""

    code, status = "rate_limit_exceeded", 429

    def __init__(self, limit: RateLimitStatus) -> None:
        self.limit = limit
        self.retry_after = max(1, math.ceil(limit.reset - wall_clock.seconds()))
        message = f"Rate limit exceeded. Please retry after {quantity(self.retry_after, 'second')}."
        super().__init__(message, retryAfter=self.retry_after)


def init_app(app: Flask, redis_url: str) -> None:
    """Connect the counters. Requests are counted only where ``count`` is called."""
    # No limit belongs to a route. Hooks of Flask-Limiter on ``app`` would search every request for
    # such limits, so the limiter belongs to an application without routes.
    limiter = Limiter(_no_key, app=Flask(__name__), storage_uri=f"counting+{redis_url}")
    app.extensions["rate_limiter"] = limiter
    app.after_request(_add_retry_after)


def count(identifier: str, limits: str, policy: str = "default") -> RateLimitStatus:
    """Count one request and return the status of the shortest window.

    limits  like ``100 per minute``, several separated by ``;``
    raises  RateLimitExceeded
    """
    limiter: Limiter = current_app.extensions["rate_limiter"]
    shortest: RateLimitStatus | None = None
    for item in _items(limits):
        is_within = limiter.limiter.hit(item, identifier)
        counted, reset = _counts.counted or (0, 0.0)
        remaining = max(0, item.amount - counted)
        status = RateLimitStatus(
            policy=policy,
            limit=item.amount,
            window=item.get_expiry(),
            remaining=remaining,
            reset=int(reset),
        )
        if not is_within:
            raise RateLimitExceeded(status)
        shortest = shortest or status
    if shortest is None:
        raise ValueError("no limit")
    return shortest


def count_and_show(identifier: str, limits: str, *, is_refused: bool = True) -> None:
    """Count one request, and have ``add_headers`` show this count.

    is_refused  whether a request above the limit is refused
    raises      RateLimitExceeded
    """
    try:
        g.rate_limit_status = count(identifier, limits)
    except RateLimitExceeded as error:
        g.rate_limit_status = error.limit
        if is_refused:
            raise


def count_next(limits: str, following: str, following_limits: str) -> None:
    """Have the next ``count``, for ``limits``, count ``following`` in the same round trip.

    This changes no result: ``count`` must be called for both, in this order.
    """
    _counts.further = None
    first, second = _items(limits), _items(following_limits)
    if len(first) == len(second) == 1:
        key = second[0].key_for(following)
        _counts.following = _Next(first[0].amount, key, second[0].get_expiry())


def add_headers(response: Response, status: RateLimitStatus) -> None:
    """Add the status to the response, also in the form of the IETF draft."""
    headers = response.headers
    headers.add("X-RateLimit-Limit", str(status.limit))
    headers.add("X-RateLimit-Remaining", str(status.remaining))
    headers.add("X-RateLimit-Reset", str(status.reset))
    headers.add("RateLimit-Policy", f'"{status.policy}";q={status.limit};w={status.window}')
    seconds = max(0, status.reset - int(wall_clock.seconds()))
    headers.add("RateLimit", f'"{status.policy}";r={status.remaining};t={seconds}')


def rate_of(limits: str) -> float:
    """Return the number of requests a second that the limits allow in the long run.

    raises  ValueError for text that is not a limit
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
