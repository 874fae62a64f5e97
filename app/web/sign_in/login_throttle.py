"""Limits on guesses of passwords and codes, counted in Redis or, without it, in this process.

1. A browser that has signed in before has a device cookie and its own count: the failures of
   others never delay it.
2. Every other attempt is counted by network, then by network and email, then by email. The first
   two block one attacker without blocking the user. The last one slows down attackers on many
   networks, and applies only after 100 failures.
3. In a session, guesses of the current password are counted by session.
4. Requests for a new password are counted by network and by email, whether or not the email has a
   user.

An attempt is counted before the password is checked, so that parallel attempts count too, and the
count is withdrawn when the attempt succeeds.
"""

import hashlib
import math
import threading
import time
from dataclasses import dataclass

from app.limits.shared_counters import SharedCounters
from app.protocols.client_networks import client_network

REMEMBERED_SECONDS = 24 * 3600  # after the last failure
_MAX_LOCAL_COUNTS = 10_000

# Returns the seconds to wait, or 0 if the attempt is counted and allowed.
_TAKE = """
local now = redis.call('TIME')
now = tonumber(now[1]) + tonumber(now[2]) / 1000000
local state = redis.call('HMGET', KEYS[1], 'count', 'open_at')
local open_at = tonumber(state[2] or '0')
if open_at > now then return math.ceil(open_at - now) end
local free, first, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local count, wait = tonumber(state[1] or '0') + 1, 0
redis.call('HSET', KEYS[1], 'count', count)
if first > 0 or count == 1 then redis.call('EXPIRE', KEYS[1], ARGV[4]) end
if count >= free then
  if first > 0 then wait = math.min(first * 2 ^ math.min(count - free, 30), longest)
  else wait = redis.call('PTTL', KEYS[1]) / 1000 end
end
redis.call('HSET', KEYS[1], 'open_at', now + wait)
return 0
"""
_WITHDRAW = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HINCRBY', KEYS[1], 'count', -1)
  redis.call('HSET', KEYS[1], 'open_at', 0)
end
return 0
"""
_RESET = "return redis.call('DEL', KEYS[1])"


@dataclass(frozen=True, slots=True)
class Backoff:
    """How failures delay the next attempt.

    free     failures without a delay
    first    seconds to wait after them; each further failure doubles it. 0: wait for the end of
             the window, which then starts with the first failure
    longest  seconds to wait, at most
    window   seconds after the last failure until all of them are forgotten
    """

    free: int
    first: int
    longest: int = 0
    window: int = REMEMBERED_SECONDS


BY_NETWORK = Backoff(free=30, first=0, window=60)  # many users may share a network
BY_NETWORK_AND_EMAIL = Backoff(free=5, first=60, longest=3600)
BY_DEVICE = Backoff(free=5, first=60, longest=900)
BY_EMAIL = Backoff(free=100, first=1, longest=900)  # 100 failures: NIST SP 800-63B-4 §3.2.2
CODES_BY_EMAIL = Backoff(free=20, first=60, longest=3600)  # each guess is one of a million
RESETS_BY_NETWORK = Backoff(free=10, first=0, window=3600)
RESETS_BY_EMAIL = Backoff(free=3, first=0, window=3600)
BY_SESSION = Backoff(free=5, first=60, longest=3600)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to sign in.

    device     the id of a browser that has signed in as this user before; else None
    is_code    whether the second factor is checked, not the password
    """

    email: str
    address: str
    device: str | None = None
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class _Counter:
    """One count of failures; ``is_own``: only the user's own attempts count here."""

    key: str
    backoff: Backoff
    is_own: bool = True


class LoginThrottle:
    """The counts of failed attempts."""

    def __init__(self, redis_url: str) -> None:
        self._shared = SharedCounters(redis_url, "login throttling")
        self._take_script = self._shared.script(_TAKE)
        self._withdraw_script = self._shared.script(_WITHDRAW)
        self._reset_script = self._shared.script(_RESET)
        self._local = _LocalCounts()

    def start(self, attempt: Attempt) -> int:
        """Count an attempt as failed until ``succeed``; returns the seconds to wait, or 0."""
        return self._start(_counters(attempt))

    def succeed(self, attempt: Attempt) -> None:
        """Reset the counts; the password or the code was correct."""
        for counter in _counters(attempt):
            if counter.is_own:
                self._reset(counter.key)
            else:
                self._withdraw(counter.key)

    def start_reset(self, email: str, address: str) -> int:
        """Count a request for a new password; returns the seconds to wait, or 0."""
        network, email = client_network(address), email.strip().lower()
        return self._start(
            [
                _Counter(_key("reset:network", network), RESETS_BY_NETWORK),
                _Counter(_key("reset:email", email), RESETS_BY_EMAIL),
            ]
        )

    def start_guess(self, session_token: str) -> int:
        """Count a guess of the current password or a code in a session, as ``start`` does."""
        return self._start([_session(session_token)])

    def succeed_guess(self, session_token: str) -> None:
        """Reset the count; the guess was correct."""
        self._reset(_session(session_token).key)

    def withdraw_guess(self, session_token: str) -> None:
        """Withdraw the guess; the form was rejected for another reason."""
        self._withdraw(_session(session_token).key)

    def _start(self, counters: list[_Counter]) -> int:
        for index, counter in enumerate(counters):
            if wait := self._take(counter):
                for counted in counters[:index]:
                    self._withdraw(counted.key)
                return wait
        return 0

    def _take(self, counter: _Counter) -> int:
        backoff = counter.backoff
        limits = (backoff.free, backoff.first, backoff.longest, backoff.window)
        wait: int | None = self._shared.run(self._take_script, counter.key, *limits)
        return self._local.take(counter.key, backoff) if wait is None else wait

    def _withdraw(self, key: str) -> None:
        if self._shared.run(self._withdraw_script, key) is None:
            self._local.withdraw(key)

    def _reset(self, key: str) -> None:
        if self._shared.run(self._reset_script, key) is None:
            self._local.reset(key)


class _LocalCounts:
    """The same counts in this process, for when Redis is unavailable."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[float, int, float]] = {}  # expiry, count, open at

    def take(self, key: str, backoff: Backoff) -> int:
        now = time.monotonic()
        with self._lock:
            expires_at, count, open_at = self._counts.get(key, (0.0, 0, 0.0))
            if expires_at <= now:
                count, open_at = 0, 0.0
            if open_at > now:
                return math.ceil(open_at - now)
            count += 1
            if backoff.first or count == 1:
                expires_at = now + backoff.window
            if count >= backoff.free:
                doublings = min(count - backoff.free, 30)
                wait = min(backoff.first * 2**doublings, backoff.longest)
                open_at = now + wait if backoff.first else expires_at
            if len(self._counts) >= _MAX_LOCAL_COUNTS:
                self._counts = {k: v for k, v in self._counts.items() if v[0] > now}
            self._counts[key] = (expires_at, count, open_at)
            return 0

    def withdraw(self, key: str) -> None:
        with self._lock:
            if key in self._counts:
                expires_at, count, _ = self._counts[key]
                self._counts[key] = (expires_at, count - 1, 0.0)

    def reset(self, key: str) -> None:
        with self._lock:
            self._counts.pop(key, None)


def _counters(attempt: Attempt) -> list[_Counter]:
    kind, email = "code" if attempt.is_code else "password", attempt.email.strip().lower()
    if attempt.device is not None:
        return [_Counter(_key(f"{kind}:device", f"{attempt.device} {email}"), BY_DEVICE)]
    network = client_network(attempt.address)
    by_email = CODES_BY_EMAIL if attempt.is_code else BY_EMAIL
    return [
        _Counter(_key(f"{kind}:network", network), BY_NETWORK, is_own=False),
        _Counter(_key(f"{kind}:network_email", f"{network} {email}"), BY_NETWORK_AND_EMAIL),
        _Counter(_key(f"{kind}:email", email), by_email, is_own=False),
    ]


def _session(token: str) -> _Counter:
    return _Counter(_key("session", token), BY_SESSION)


def _key(kind: str, value: str) -> str:
    return f"login:{kind}:{hashlib.sha256(value.encode()).hexdigest()[:32]}"
