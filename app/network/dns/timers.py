"""Deadlines of thousands of queries on one timer of the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

_GRANULARITY = 0.005  # seconds that a deadline may be late, so that one timer serves many deadlines

_Call = tuple[float, int, Callable[[], None]]
"""The deadline, a unique number, and the callback."""


class TimerQueue:
    """Many deadlines on one timer of the loop; each may be a little late."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._numbers = count()
        self._ascending: deque[_Call] = deque()  # in ascending order: most deadlines
        self._heap: list[_Call] = []  # a heap of the other deadlines
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0

    def at(self, when: float, callback: Callable[[], None]) -> None:
        entry = (when, next(self._numbers), callback)
        if not self._ascending or self._ascending[-1] < entry:
            self._ascending.append(entry)
        else:
            heappush(self._heap, entry)
        self._schedule(when)

    def close(self) -> None:
        self._ascending.clear()
        self._heap.clear()
        if self._timer:
            self._timer.cancel()

    def _schedule(self, when: float) -> None:
        """Start the timer early enough for this deadline."""
        due_at = when + _GRANULARITY
        if self._timer is None or due_at < self._due_at:
            if self._timer:
                self._timer.cancel()
            self._timer, self._due_at = self.loop.call_at(due_at, self._run_due), due_at

    def _run_due(self) -> None:
        self._timer = None
        now = self.loop.time()
        while (first := self._first()) and first[0] <= now:
            if self._heap and first is self._heap[0]:
                heappop(self._heap)
            else:
                self._ascending.popleft()
            first[2]()
        if first:
            self._schedule(first[0])

    def _first(self) -> _Call | None:
        if self._ascending and self._heap:
            return min(self._ascending[0], self._heap[0])
        return self._ascending[0] if self._ascending else self._heap[0] if self._heap else None
