"""Redis clients with short timeouts, so that no request waits for a slow Redis."""

import threading
from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

TIMEOUT_SECONDS = 0.3  # to connect, and for a response
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
_TRUST = "Set REDIS_CA_FILE to a file with its certificate authority, or REDIS_TLS_VERIFY=off."


def connect(url: str) -> Redis:
    """Return a client that connects on first use and never retries.

    raises  in its methods: RedisError or OSError while Redis is unavailable
    """
    return Redis.from_url(
        url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, retry=None
    )


def failure_reason(error: Exception) -> str:
    """Return why Redis is unavailable, with the settings that help if it is the certificate."""
    reason = str(error)
    return f"{reason} {_TRUST}" if _UNTRUSTED in reason else reason


class Script:
    """A Lua script that Redis caches after its first run.

    Each thread has its own connection; taking one from a pool costs a fourth of a call's CPU time.
    """

    def __init__(self, url: str, source: str) -> None:
        self._url, self._source = url, source
        self._of_thread = threading.local()

    def run(self, keys: str | tuple[str, ...], *arguments: str | int) -> Any:
        """Return the result of the script for one or several keys.

        raises  RedisError or OSError while Redis is unavailable
        """
        script: Callable[..., Any] | None = getattr(self._of_thread, "script", None)
        if script is None:
            script = self._of_thread.script = self._register()
        names = (keys,) if isinstance(keys, str) else keys
        return script(keys=names, args=arguments)

    def _register(self) -> Callable[..., Any]:
        # A connection that Redis closed while it was idle is replaced once. Nothing is sent again
        # after a timeout.
        client = Redis.from_url(
            self._url,
            single_connection_client=True,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),
        )
        script: Callable[..., Any] = client.register_script(self._source)
        return script
