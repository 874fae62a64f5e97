"""The hours at which messages are counted, and windows of time."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.analysis.mail import periods
from app.analysis.mail.periods import WEEK, Buckets, Window, at, last_days, midnight
from tests.support.moments import ZONES, moments

DAY = datetime(2026, 3, 29, tzinfo=UTC)


@pytest.mark.parametrize("length", [86_400, 86_399])
def test_day_ending_at_midnight_or_one_second_before_has_same_middle(
    length: int,
) -> None:
    assert periods.middle(DAY, DAY + timedelta(seconds=length)) == DAY + timedelta(hours=12)


@pytest.mark.parametrize(
    ("hours", "days"), [(0, 1), (24, 1), (36, 1), (37, 2), (48, 2), (168, 7), (10**5, 366)]
)
def test_period_of_more_than_36_hours_is_spread_over_days(hours: int, days: int) -> None:
    assert periods.days_of(DAY, DAY + timedelta(hours=hours)) == days


@given(st.integers(0, 10**9), st.integers(1, 366))
def test_shares_are_equal_and_add_up(count: int, days: int) -> None:
    shares = periods.shares(count, days)
    assert sum(shares) == count
    assert len(shares) == days
    assert max(shares) - min(shares) <= 1
    assert shares == sorted(shares, reverse=True)


@given(st.integers(0, 86_400 * 2), st.integers(0, 86_400 * 2))
def test_messages_are_counted_in_middle_hour_of_period(offset: int, length: int) -> None:
    begin = DAY + timedelta(seconds=offset)
    end = begin + timedelta(seconds=length)
    assert periods.hours(begin, end, 1) == (periods.hour_of(periods.middle(begin, end)),)


@given(st.integers(0, 2_000), st.integers(0, 2_000), st.sets(st.integers(0, 25)))
def test_blocks_cover_every_hour_of_window_once(start: int, length: int, weeks: set[int]) -> None:
    hours: list[int] = []
    closed = {week * WEEK for week in weeks}
    for span, first, stop in Window(start, start + length).blocks(closed):
        for begin in range(first, stop, span):
            assert span == 1 or begin in closed
            hours.extend(range(begin, begin + span))
    assert hours == list(range(start, start + length))


def test_compacted_weeks_are_used_only_as_a_whole() -> None:
    window = Window(WEEK - 5, 5 * WEEK)
    closed = [0, WEEK, 2 * WEEK, 4 * WEEK, 5 * WEEK]
    assert window.blocks(closed) == (
        (1, WEEK - 5, WEEK),
        (WEEK, WEEK, 3 * WEEK),
        (1, 3 * WEEK, 4 * WEEK),
        (WEEK, 4 * WEEK, 5 * WEEK),
    )


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", datetime(2026, 3, 29, tzinfo=UTC), 23),
        ("Europe/Berlin", datetime(2026, 10, 25, tzinfo=UTC), 25),
        ("Asia/Beirut", datetime(2026, 3, 29, tzinfo=UTC), 23),  # there is no 0:00
        ("Asia/Kolkata", datetime(2026, 3, 29, tzinfo=UTC), 24),
    ],
)
def test_day_length_follows_time_zone(zone: str, day: datetime, hours: int) -> None:
    window = Window.between(day, day + timedelta(days=3))
    starts = Buckets(window, "day", ZoneInfo(zone)).starts
    index = next(i for i, start in enumerate(starts) if start.day == day.day)
    seconds = starts[index + 1].timestamp() - starts[index].timestamp()
    assert seconds == hours * 3600


@given(
    start=st.integers(400_000, 600_000),
    length=st.integers(1, 400),
    interval=st.sampled_from(["hour", "day", "week", "month"]),
    zone=st.sampled_from(["UTC", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe"]),
)
def test_every_hour_is_in_an_interval_and_no_interval_is_empty(
    start: int, length: int, interval: Any, zone: str
) -> None:
    window = Window(start, start + length)
    buckets = Buckets(window, interval, ZoneInfo(zone))
    indexes = [buckets.index(hour) for hour in range(window.start, window.stop)]
    assert indexes == sorted(indexes)
    assert (indexes[0], indexes[-1]) == (0, len(buckets.starts) - 1)


@given(now=moments(), zone=ZONES, days=st.sampled_from([1, 7, 30, 90]))
@example(datetime(2026, 11, 30, 18, 49, tzinfo=UTC), ZoneInfo("Asia/Kolkata"), 30)  # 0:19 there
@example(datetime(2026, 12, 1, tzinfo=UTC), ZoneInfo("UTC"), 30)  # exactly midnight
@example(datetime(2027, 1, 1, tzinfo=UTC), ZoneInfo("UTC"), 7)
def test_last_days_are_as_many_intervals_at_every_moment(
    now: datetime, zone: ZoneInfo, days: int
) -> None:
    first = last_days(now, days, zone)
    window = Window.between(first, now)
    starts = Buckets(window, "day", zone).starts
    assert len(starts) == days
    assert starts[0] == first == midnight(first.astimezone(zone).date(), zone)
    assert now - starts[-1] < timedelta(hours=26)
    assert at(window.stop) - now < timedelta(hours=1)
