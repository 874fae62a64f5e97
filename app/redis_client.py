"""A Redis that no request waits for: it answers within a moment, or counts as away."""

from redis import Redis

TIMEOUT_SECONDS = 0.3  # for a connection, and for an answer


def connect(url: str) -> Redis:
    """The client; nothing is connected before it is used, and nothing is tried twice.

    raises  by its methods: RedisError or OSError, while Redis is away
    """
    return Redis.from_url(
        url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, retry=None
    )
