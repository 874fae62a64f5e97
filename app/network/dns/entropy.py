"""Unpredictable random bytes, read from the system in large blocks."""

import os

_AT_ONCE = 4096


class EntropyBuffer:
    """The random bytes of one event loop; forked processes must not share them."""

    def __init__(self) -> None:
        self._octets, self._at = b"", 0

    def take(self, count: int) -> bytes:
        """The next ``count`` random bytes, each of which is returned only once."""
        at, end = self._at, self._at + count
        if end > len(self._octets):
            self._octets, at, end = os.urandom(_AT_ONCE), 0, count
        self._at = end
        return self._octets[at:end]
