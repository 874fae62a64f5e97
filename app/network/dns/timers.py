"""Deadlines of thousands of queries on one timer of the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

_GRAIN = 0.005  # seconds that a deadline may be late, so that one timer serves many deadlines

_Call = tuple[float, int, Callable[[], None]]
"""The deadline, a unique number, and the callback."""


class TimerQueue:
    """Many deadlines on one timer of the loop; each may be a little late."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._order = count()
        self._line: deque[_Call] = deque()  # in ascending order: most deadlines
        self._others: list[_Call] = []  # a heap of the other deadlines
        self._timer: asyncio.TimerHandle | None = None
        self._rings = 0.0

    def at(self, when: float, call: Callable[[], None]) -> None:
        entry = (when, next(self._order), call)
        if not self._line or self._line[-1] < entry:
            self._line.append(entry)
        else:
            heappush(self._others, entry)
        self._ring_by(when)

    def close(self) -> None:
        self._line.clear()
        self._others.clear()
        if self._timer:
            self._timer.cancel()

    def _ring_by(self, when: float) -> None:
        """Start the timer early enough for this deadline."""
        rings = when + _GRAIN
        if self._timer is None or rings < self._rings:
            if self._timer:
                self._timer.cancel()
            self._timer, self._rings = self.loop.call_at(rings, self._ring), rings

    def _ring(self) -> None:
        self._timer = None
        now = self.loop.time()
        while (first := self._first()) and first[0] <= now:
            if self._others and first is self._others[0]:
                heappop(self._others)
            else:
                self._line.popleft()
            first[2]()
        if first:
            self._ring_by(first[0])

    def _first(self) -> _Call | None:
        if self._line and self._others:
            return min(self._line[0], self._others[0])
        return self._line[0] if self._line else self._others[0] if self._others else None
