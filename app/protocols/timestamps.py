"""Timestamps as text (RFC 3339)."""

from datetime import UTC, datetime
from functools import lru_cache

FIRST, LAST = (
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2200, 1, 1, tzinfo=UTC),
)  # the accepted range


def text(at: datetime) -> str:
    """The timestamp as ``2026-01-31T12:00:00.000Z``: UTC, to the millisecond."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    minute = _minute(at.year, at.month, at.day, at.hour, at.minute)
    return f"{minute}{at.second:02}.{at.microsecond // 1000:03}Z"


@lru_cache(maxsize=4096)  # ``isoformat`` takes three times as long
def _minute(year: int, month: int, day: int, hour: int, minute: int) -> str:
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:"
