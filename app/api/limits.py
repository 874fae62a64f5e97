"""The rate limit: 100 a minute for each key over all routes, and its headers on every answer.

Flask-Limiter decides and writes the headers. Its storage here counts in one round trip to Redis,
and gives limit, rest and reset of one answer from that one count, so that they never contradict.
"""

import logging
import math
import time
from typing import Any

from flask import Flask, Response, g, request
from flask_limiter import ApplicationLimit, Limiter
from limits.storage import MemoryStorage, Storage
from redis.exceptions import RedisError

from app import redis_client, settings
from app.api import auth, ingest
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
        self._redis = redis_client.connect(uri.removeprefix("counting+"))
        self._count = self._redis.register_script(_COUNT)
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
            count, reset = self._count(keys=[key], args=[expiry, amount])
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
        # Flask-Limiter adds a second to what it takes for a fraction of one.
        return (counted[1] if counted else time.time()) - 1

    def check(self) -> bool:
        return True  # or it counts alone

    def reset(self) -> int | None:
        return None  # the limits of callers end by themselves

    def clear(self, key: str) -> None:
        self._redis.delete(key)


def init_app(app: Flask, chosen: Settings) -> None:
    """Count and answer; must come behind ``auth.init_app``."""
    app.after_request(_finish_headers)  # registered first, so it runs after the limiter's own
    Limiter(
        key_func=_counted_as,
        app=app,
        application_limits=[ApplicationLimit(_limit, scope="api", exempt_when=_is_exempt)],
        headers_enabled=True,
        storage_uri=f"counting+{chosen.redis_url}",
        request_identifier=lambda: request.endpoint or "unmatched",
    )


def retry_after(limiter: Limiter) -> int:
    """Seconds until the caller may try again, 1 at least."""
    current = limiter.current_limit
    return max(1, math.ceil(current.reset_at - time.time())) if current else 1


def _counted_as() -> str:
    if (sender := ingest.sender_or_none()) is not None:
        return f"ingest:{sender.token_id}"
    caller = auth.caller_or_none()
    return f"key:{caller.key_id}" if caller else f"address:{request.remote_addr or 'unknown'}"


def _limit() -> str:
    if ingest.sender_or_none() is not None:
        return settings.current().ingest_rate_limit
    caller = auth.caller_or_none()
    if caller is None:
        return settings.current().failed_auth_limit
    return caller.rate_limit or settings.current().rate_limit


def _is_exempt() -> bool:
    return (request.blueprint or request.endpoint or "").partition(".")[0] in _EXEMPT


def _finish_headers(response: Response) -> Response:
    """Keep Retry-After to 429 and 503, and say the same in the words of the IETF's draft."""
    headers = response.headers
    if response.status_code == 429:
        headers["Retry-After"] = str(g.get("retry_after", 1))
    elif response.status_code != 503:
        headers.pop("Retry-After", None)
    limit, remaining = headers.get("X-RateLimit-Limit"), headers.get("X-RateLimit-Remaining")
    if limit is not None and remaining is not None:
        left = max(0, int(headers["X-RateLimit-Reset"]) - int(time.time()))
        headers["RateLimit-Policy"] = f'"default";q={limit};w=60'
        headers["RateLimit"] = f'"default";r={remaining};t={left}'
    return response
