"""The rate limit: 100 a minute for each key over all routes, and its headers on every answer.

Flask-Limiter decides and supplies the headers, as a class of ours. Its storage here counts in one
round trip to Redis, and limit, rest and reset of one answer come from that one count, so that they
never contradict.
"""

import logging
import math
import time
from functools import lru_cache
from typing import Any, NamedTuple

from flask import Flask, Response, g, request
from flask_limiter import Limiter, RateLimitExceeded
from flask_limiter._extension import LimiterContext
from flask_limiter._limits import RuntimeLimit
from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage, Storage
from redis.exceptions import RedisError

from app import redis_client, settings
from app.api import auth, ingest
from app.protocols.client_networks import client_network
from app.settings import Settings

logger = logging.getLogger(__name__)

REST_SECONDS = 1.0  # after a failure
_EXEMPT = ("health", "docs", "static", "web")

# Count one call; the first of a window says when it ends, by the clock of Redis.
_COUNT = """
local count = redis.call('HINCRBY', KEYS[1], 'count', ARGV[2])
if count == tonumber(ARGV[2]) then
  local now = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'reset', now[1] + ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[1] * 1000 - math.floor(now[2] / 1000))
end
return {count, tonumber(redis.call('HGET', KEYS[1], 'reset'))}
"""


class CountingStorage(Storage):
    """A storage of ``limits`` that keeps what it counted for the rest of the request.

    While Redis is away each process counts by itself. Flask-Limiter could do that too, but of
    several requests that find Redis gone at the same moment it fails all but one.
    """

    STORAGE_SCHEME = ["counting+redis", "counting+rediss", "counting+unix"]  # noqa: RUF012

    def __init__(self, uri: str, wrap_exceptions: bool = False, **_: Any) -> None:
        super().__init__(uri, wrap_exceptions)
        self._count = redis_client.Script(uri.removeprefix("counting+"), _COUNT)
        self._own = MemoryStorage()
        self._failed_at = -REST_SECONDS

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return (RedisError, OSError)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        count, reset = self._shared(key, expiry, amount) or self._alone(key, expiry, amount)
        g.counted = (count, reset)
        return count

    def _shared(self, key: str, expiry: int, amount: int) -> tuple[int, float] | None:
        if time.monotonic() - self._failed_at < REST_SECONDS:
            return None
        try:
            count, reset = self._count.run(key, expiry, amount)
        except self.base_exceptions as error:
            self._failed_at = time.monotonic()
            logger.warning("the rate limit is counted alone", extra={"reason": str(error)})
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


class Standing(NamedTuple):
    """Where a caller stands after this call; ``window`` in seconds, ``reset`` in Unix seconds."""

    limit: int
    window: int
    remaining: int
    reset: int


_NOTHING = LimiterContext()


class CallersLimiter(Limiter):
    """Flask-Limiter where only callers have limits: none of routes or blueprints is looked for.

    That search, at every request, would cost more than all else that is done for the limit.
    """

    @property
    def context(self) -> LimiterContext:
        """Nothing, and for all requests: where a caller stands is in ``g``."""
        return _NOTHING

    def _check_request_limit(
        self, callable_name: str | None = None, in_middleware: bool = True
    ) -> None:
        if _is_exempt():
            return
        caller, limits = _counted_as()
        for item in _items(limits):
            is_within = self.limiter.hit(item, caller, "api")
            count, reset = g.counted
            rest = max(0, item.amount - count)
            standing = Standing(item.amount, item.get_expiry(), rest, int(reset))
            if not is_within:
                g.standing = standing
                raise RateLimitExceeded(RuntimeLimit(item, self._key_func, "api"))
            g.setdefault("standing", standing)

    def init_app(self, app: Flask) -> None:
        """Count before each request, and supply the headers after it."""
        super().init_app(app)
        app.after_request(self._supply_headers)

    @staticmethod
    def _supply_headers(response: Response) -> Response:
        """Where the caller stands, and the same in the words of the IETF's draft."""
        headers = response.headers
        if response.status_code == 429:
            headers["Retry-After"] = str(g.get("retry_after", 1))
        standing: Standing | None = g.get("standing")
        if standing is not None:
            limit, window, remaining, reset = standing
            headers.add("X-RateLimit-Limit", str(limit))
            headers.add("X-RateLimit-Remaining", str(remaining))
            headers.add("X-RateLimit-Reset", str(reset))
            headers.add("RateLimit-Policy", f'"default";q={limit};w={window}')
            left = max(0, reset - int(time.time()))
            headers.add("RateLimit", f'"default";r={remaining};t={left}')
        return response


def init_app(app: Flask, chosen: Settings) -> None:
    """Count and answer; must come behind ``auth.init_app``."""
    CallersLimiter(lambda: _counted_as()[0], app=app, storage_uri=f"counting+{chosen.redis_url}")


def retry_after() -> int:
    """Seconds until the caller may try again, 1 at least."""
    standing: Standing | None = g.get("standing")
    return max(1, math.ceil(standing.reset - time.time())) if standing else 1


@lru_cache(maxsize=256)
def _items(limits: str) -> list[RateLimitItem]:
    """The shortest window first."""
    return sorted(parse_many(limits))


def _counted_as() -> tuple[str, str]:
    """As whom a call is counted, and what the limits are."""
    if (uploader := ingest.uploader_or_none()) is not None:
        return f"upload:{uploader.token_id}", settings.current().ingest_rate_limit
    if (sender := ingest.sender_or_none()) is not None and not ingest.has_bad_token():
        return f"ingest:{sender.token_id}", settings.current().ingest_rate_limit
    if (caller := auth.caller_or_none()) is not None:
        return f"key:{caller.key_id}", caller.rate_limit or settings.current().rate_limit
    network = client_network(request.remote_addr or "unknown")
    return f"address:{network}", settings.current().failed_auth_limit


def _is_exempt() -> bool:
    return (request.blueprint or request.endpoint or "").partition(".")[0] in _EXEMPT
