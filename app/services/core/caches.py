"""Caches of one process: bounded, with a lifetime, and with an optional version of the entries.

Values must be immutable, because all callers get the same object. docs/architecture.md lists the
caches. Pure functions use ``functools.lru_cache`` instead.
"""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from cachetools import TLRUCache

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """A cache that evicts the least recently used entry, and expired ones."""

    def __init__(self, max_entries: int, lifetime: Callable[[], float]) -> None:
        """Create an empty cache.

        lifetime  returns the seconds that a new entry is valid
        """
        self._lock = threading.Lock()
        self._entries: TLRUCache[Key, tuple[Any, Value]] = TLRUCache(
            max_entries, ttu=lambda _key, _entry, now: now + lifetime(), timer=time.monotonic
        )

    def get(self, key: Key, version: Any = None) -> Value | None:
        """Return the value, or None if there is none, or one of another version."""
        with self._lock:
            entry = self._entries.get(key)
        if entry is None or entry[0] != version:
            return None
        return entry[1]

    def put(self, key: Key, value: Value, version: Any = None) -> None:
        """Store the value, which must not change afterwards."""
        with self._lock:
            self._entries[key] = (version, value)

    def clear(self) -> None:
        """Remove all entries."""
        with self._lock:
            self._entries.clear()

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)
