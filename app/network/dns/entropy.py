"""Random octets that nobody can foresee, asked of the system for many at a time."""

import os

_AT_ONCE = 4096


class EntropyBuffer:
    """The octets of one event loop: a process that forks must not share them."""

    def __init__(self) -> None:
        self._octets, self._at = b"", 0

    def take(self, count: int) -> bytes:
        """So many; none is drawn twice."""
        at, end = self._at, self._at + count
        if end > len(self._octets):
            self._octets, at, end = os.urandom(_AT_ONCE), 0, count
        self._at = end
        return self._octets[at:end]
