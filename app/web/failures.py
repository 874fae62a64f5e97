"""How often signing in has failed: counted in Redis, or in this process while that is away."""

import hashlib
import ipaddress
import logging
import threading
import time

from redis.exceptions import RedisError

from app import redis_client

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60
PER_EMAIL, PER_ADDRESS = 5, 30
CODE_WINDOW_SECONDS, CODES_PER_WINDOW = 3600, 20  # one guess in a million each: an hour's share
_MOST_KEPT = 10_000


class Failures:
    """Attempts of the last minute that have not succeeded, by e-mail and by address."""

    def __init__(self, redis_url: str) -> None:
        self._redis = redis_client.connect(redis_url)
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[float, int]] = {}  # by key: when it ends, how many

    def may_try(self, email: str, address: str) -> bool:
        """Count one attempt as failed until ``forgive``; False if there were too many.

        It is counted before the password is looked at, so that attempts at one moment count too.
        """
        by_address = self._count(_key("address", _network(address)), 1)
        by_email = self._count(_key("email", email.strip().lower()), 1)
        return by_address <= PER_ADDRESS and by_email <= PER_EMAIL

    def forgive(self, email: str, address: str) -> None:
        """The attempt succeeded."""
        self._count(_key("address", _network(address)), -1)
        self._count(_key("email", email.strip().lower()), -1)

    def may_try_code(self, email: str, address: str) -> bool:
        """As ``may_try``, for the code after the password: fewer, and over a longer time."""
        of_late = self._count(_key("code", email), 1, CODE_WINDOW_SECONDS)
        return self.may_try(email, address) and of_late <= CODES_PER_WINDOW

    def forgive_code(self, email: str, address: str) -> None:
        """The code was right."""
        self.forgive(email, address)
        self._count(_key("code", email), -1, CODE_WINDOW_SECONDS)

    def _count(self, key: str, by: int, seconds: int = WINDOW_SECONDS) -> int:
        """The one place that counts: the number of this window, which its first call begins."""
        try:
            with self._redis.pipeline() as pipe:
                pipe.set(key, 0, ex=seconds, nx=True)
                pipe.incrby(key, by)
                return int(pipe.execute()[1])
        except (RedisError, OSError) as error:
            logger.warning(
                "failed logins are counted in this process", extra={"reason": str(error)}
            )
            return self._count_here(key, by, seconds)

    def _count_here(self, key: str, by: int, seconds: int) -> int:
        moment = time.monotonic()
        with self._lock:
            ends, count = self._counts.get(key, (0.0, 0))
            if ends <= moment:
                ends, count = moment + seconds, 0
            if len(self._counts) >= _MOST_KEPT:
                self._counts = {k: v for k, v in self._counts.items() if v[0] > moment}
            self._counts[key] = (ends, count + by)
            return count + by


def _key(kind: str, value: str) -> str:
    return f"login:{kind}:{hashlib.sha256(value.encode()).hexdigest()[:32]}"


def _network(address: str) -> str:
    """The address; of IPv6 the /64, which is what one customer has."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))
