"""Timestamps as text."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.protocols import timestamps

EAST = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00.000Z"),
        (datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC), "2026-01-31T23:59:59.999Z"),
        (datetime(2026, 2, 1, 1, 2, 3, 4_005, tzinfo=EAST), "2026-01-31T19:32:03.004Z"),
        (datetime(987, 6, 5, tzinfo=UTC), "0987-06-05T00:00:00.000Z"),
    ],
)
def test_timestamp_is_utc_to_the_millisecond(at: datetime, text: str) -> None:
    assert timestamps.text(at) == text
