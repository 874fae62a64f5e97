"""Unpredictable random bytes, read from the system in large blocks."""

import os

_BLOCK_BYTES = 4096


class EntropyBuffer:
    """The random bytes of one event loop; forked processes must not share them."""

    def __init__(self) -> None:
        self._block, self._position = b"", 0

    def take(self, count: int) -> bytes:
        """Return the next ``count`` random bytes, each of which is returned only once."""
        start, end = self._position, self._position + count
        if end > len(self._block):
            self._block, start, end = os.urandom(_BLOCK_BYTES), 0, count
        self._position = end
        return self._block[start:end]
