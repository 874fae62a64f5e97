"""The rate limit headers of requests that the web server rejects before the application sees them.

They are counted by address in each process, because the event loop of the web server must not wait
for Redis. They are never refused: such a request has an error as its response already.
"""

from collections.abc import Sequence
from typing import Any

from limits import parse_many
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from app import wall_clock
from app.protocols.client_networks import client_network


class RejectedRequests:
    """Counts rejected requests.

    limit  the limit of requests without a key, like ``30 per minute``
    """

    def __init__(self, limit: str) -> None:
        self._item = parse_many(limit)[0]
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def headers(self, address: Any) -> Sequence[tuple[str, str]]:
        """Count a request from the address of a socket, and return the headers of its response."""
        host = str(address[0]) if isinstance(address, tuple) and address else "unknown"
        network = client_network(host)
        self._limiter.hit(self._item, network)
        status = self._limiter.get_window_stats(self._item, network)
        limit, remaining, reset = self._item.amount, status.remaining, int(status.reset_time)
        seconds = max(0, reset - int(wall_clock.seconds()))
        return (
            ("X-RateLimit-Limit", str(limit)),
            ("X-RateLimit-Remaining", str(remaining)),
            ("X-RateLimit-Reset", str(reset)),
            ("RateLimit-Policy", f'"default";q={limit};w={self._item.get_expiry()}'),
            ("RateLimit", f'"default";r={remaining};t={seconds}'),
        )
