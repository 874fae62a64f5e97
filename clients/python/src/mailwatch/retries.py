"""When a request is sent again, and after how long.

1. A response of 429 or 503 was not executed: it is repeated after the time in ``Retry-After``.
2. After 502, 504, a lost connection or a timeout, only a request that may be sent twice is
   repeated: GET, DELETE, and POST with an idempotency key.
3. A request that could not connect was not sent, so it is repeated as well.
4. The waits of a request are bounded together. If the next one would be too long, the error is
   raised at once.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from mailwatch import errors
from mailwatch.calls import Call

NOT_EXECUTED = (429, 503)
UNKNOWN = (502, 504)  # a proxy does not know whether the service executed the request
IN_PROGRESS = "idempotency_in_progress"
FIRST_WAIT_SECONDS, MAX_BACKOFF_SECONDS = 0.5, 8.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request is sent, and how long it waits altogether between attempts."""

    max_attempts: int = 5
    max_wait_seconds: float = 120.0


class Attempts:
    """The attempts of one request."""

    def __init__(self, policy: RetryPolicy, call: Call) -> None:
        self._policy, self._call = policy, call
        self._count, self._waited = 0, 0.0

    def wait_after_response(self, response: httpx.Response) -> float:
        """Return the seconds until the next attempt.

        response  of an error, with its body
        raises    ApiError if the request is not repeated
        """
        requested = retry_after(response.headers)
        is_transient = response.status_code in NOT_EXECUTED or (
            self._call.is_repeatable
            and (response.status_code in UNKNOWN or _is_in_progress(response))
        )
        wait = self._next(requested) if is_transient else None
        if wait is None:
            raise errors.from_response(response, requested)
        return wait

    def wait_after_failure(self, failure: httpx.TransportError) -> float:
        """Return the seconds until the next attempt.

        raises  ConnectionFailed if the request is not repeated
        """
        is_unsent = isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout)
        wait = self._next(None) if is_unsent or self._call.is_repeatable else None
        if wait is None:
            raise errors.connection_failed(failure) from failure
        return wait

    def _next(self, requested: float | None) -> float | None:
        self._count += 1
        backoff = min(MAX_BACKOFF_SECONDS, FIRST_WAIT_SECONDS * 2 ** (self._count - 1))
        # Clients that were refused together do not come back together.
        wait = backoff * random.uniform(0.5, 1) if requested is None else requested
        is_over = self._count >= self._policy.max_attempts
        if is_over or self._waited + wait > self._policy.max_wait_seconds:
            return None
        self._waited += wait
        return wait


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in ``Retry-After``; None if it is missing or malformed."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def _is_in_progress(response: httpx.Response) -> bool:
    """Whether the first attempt, whose response was lost, is still running."""
    return response.status_code == 409 and IN_PROGRESS in response.text
