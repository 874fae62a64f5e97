"""Redis clients with short timeouts, so that no request waits for a slow Redis."""

from typing import Any

from redis import Redis

TIMEOUT_SECONDS = 0.3  # to connect, and for a response


def connect(url: str) -> Redis:
    """Return a client that connects on first use and never retries.

    raises  in its methods: RedisError or OSError while Redis is unavailable
    """
    return Redis.from_url(
        url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, retry=None
    )


class Script:
    """A Lua script that Redis caches after its first run."""

    def __init__(self, url: str, source: str) -> None:
        self._script = connect(url).register_script(source)

    def run(self, keys: str | tuple[str, ...], *arguments: str | int) -> Any:
        """Return the result of the script for one or several keys.

        raises  RedisError or OSError while Redis is unavailable
        """
        names = (keys,) if isinstance(keys, str) else keys
        return self._script(keys=names, args=arguments)
