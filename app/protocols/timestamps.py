"""Times as text (RFC 3339)."""

from datetime import UTC, datetime
from functools import lru_cache

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)  # that we take


def text(moment: datetime) -> str:
    """``2026-01-31T12:00:00.000Z``: UTC, to the millisecond."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    minute = _minute(moment.year, moment.month, moment.day, moment.hour, moment.minute)
    return f"{minute}{moment.second:02}.{moment.microsecond // 1000:03}Z"


@lru_cache(maxsize=4096)  # ``isoformat`` takes three times as long
def _minute(year: int, month: int, day: int, hour: int, minute: int) -> str:
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:"
