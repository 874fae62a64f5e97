"""Times in the zone of a reader: all zones, daylight saving time and half hours."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocols import timestamps
from app.web.base import dates, filters
from tests.support.moments import moments

ZONES = st.sampled_from(timestamps.zone_names()).map(ZoneInfo)
YEARS_1971_TO_2199 = st.integers(365 * 86_400, 229 * 365 * 86_400)
ANY_TIMES = YEARS_1971_TO_2199.map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
TIMES = ANY_TIMES | moments()


@given(at=TIMES, zone=ZONES)
def test_a_local_time_is_the_time_in_the_zone(at: datetime, zone: ZoneInfo) -> None:
    day, time, name = timestamps.local_text(at, zone).split(" ")
    local = datetime.fromisoformat(f"{day}T{time}")
    both = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    assert at.replace(second=0, microsecond=0) in {item.replace(second=0) for item in both}
    assert name.isalpha() or name.startswith("UTC")


@given(at=TIMES, zone=ZONES)
def test_a_day_contains_its_times(at: datetime, zone: ZoneInfo) -> None:
    day = at.astimezone(zone).date()
    start, end = dates.parse_day(str(day), zone), dates.parse_end_of_day(str(day), zone)
    assert start is not None
    assert end is not None
    assert start <= at < end
    assert end == dates.parse_day(str(day + timedelta(days=1)), zone)
    assert timedelta(hours=22) <= end - start <= timedelta(hours=50)


@given(at=TIMES, zone=ZONES, days=st.integers(1, 90))
def test_the_last_days_end_today(at: datetime, zone: ZoneInfo, days: int) -> None:
    first = dates.first_of_last(days, zone, at)
    assert at.astimezone(zone).date() - first == timedelta(days=days - 1)


@given(at=TIMES, zone=ZONES, weekday=st.integers(0, 6), hour=st.integers(0, 23))
def test_every_week_has_one_time_for_the_weekly_summary(
    at: datetime, zone: ZoneInfo, weekday: int, hour: int
) -> None:
    due = timestamps.next_weekly(weekday, hour, zone, at)
    assert timedelta(0) < due - at <= timedelta(days=8, hours=2)
    following = timestamps.next_weekly(weekday, hour, zone, due)
    assert timedelta(days=6) <= following - due <= timedelta(days=8)
    assert timestamps.next_weekly(weekday, hour, zone, due - timedelta(seconds=1)) == due
    local = due.astimezone(zone)
    skipped = local.replace(hour=hour, minute=0, tzinfo=None)
    is_regular = skipped.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).hour == hour
    assert (local.weekday(), local.hour) == (weekday, hour) or not is_regular


@pytest.mark.parametrize(
    ("zone", "hour", "now", "due"),
    [
        ("Europe/Berlin", 2, "2026-03-28T12:00Z", "2026-03-29T01:00Z"),  # 02:00 is skipped
        ("Europe/Berlin", 8, "2026-03-28T12:00Z", "2026-03-29T06:00Z"),
        ("Europe/Berlin", 2, "2026-10-24T12:00Z", "2026-10-25T00:00Z"),  # 02:00 is repeated
        ("Europe/Berlin", 2, "2026-10-25T00:00Z", "2026-11-01T01:00Z"),
        ("Europe/Berlin", 2, "2026-10-25T01:30Z", "2026-11-01T01:00Z"),
        ("Asia/Kathmandu", 8, "2026-10-25T02:14Z", "2026-10-25T02:15Z"),
        ("Asia/Kathmandu", 8, "2026-10-25T02:15Z", "2026-11-01T02:15Z"),
    ],
)
def test_the_weekly_summary_follows_the_clock_of_its_zone(
    zone: str, hour: int, now: str, due: str
) -> None:
    at = timestamps.next_weekly(6, hour, ZoneInfo(zone), datetime.fromisoformat(now))
    assert at == datetime.fromisoformat(due)


@pytest.mark.parametrize(
    ("at", "zone", "text"),
    [
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), "Europe/Berlin", "2026-03-29 01:59 CET"),
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "Europe/Berlin", "2026-03-29 03:00 CEST"),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "Europe/Berlin", "2026-10-25 02:30 CEST"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "Europe/Berlin", "2026-10-25 02:30 CET"),
        (datetime(2026, 1, 1, tzinfo=UTC), "Asia/Kolkata", "2026-01-01 05:30 IST"),
        (datetime(2026, 1, 1, tzinfo=UTC), "Asia/Kathmandu", "2026-01-01 05:45 UTC+05:45"),
        (datetime(2026, 1, 1, tzinfo=UTC), "Pacific/Marquesas", "2025-12-31 14:30 UTC-09:30"),
        (datetime(2026, 1, 1, tzinfo=UTC), "Australia/Lord_Howe", "2026-01-01 11:00 UTC+11:00"),
        (datetime(2026, 1, 1, tzinfo=UTC), "UTC", "2026-01-01 00:00 UTC"),
    ],
)
def test_a_local_time_has_its_abbreviation_or_offset(at: datetime, zone: str, text: str) -> None:
    assert timestamps.local_text(at, ZoneInfo(zone)) == text


@pytest.mark.parametrize(
    "text", ["2026-02-30", "1969-12-31", "2200-01-01", "9999-12-31", "0001-01-01", "20260101", ""]
)
def test_a_text_that_is_no_date_of_the_range_is_no_day(text: str) -> None:
    for zone in ("UTC", "Pacific/Kiritimati", "Etc/GMT+12"):
        assert dates.parse_day(text, ZoneInfo(zone)) is None
        assert dates.parse_end_of_day(text, ZoneInfo(zone)) is None


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "europe/berlin", "x" * 4000])
def test_a_name_of_no_zone_finds_none(name: str) -> None:
    assert timestamps.find_zone(name) is None


def test_times_from_now_are_counted_from_the_given_time() -> None:
    now = datetime(2026, 3, 29, 12, tzinfo=UTC)
    assert filters.ago(now - timedelta(days=1), now) == "1 day ago"
    assert filters.local_day(datetime(2026, 1, 2, tzinfo=UTC), now) == "2 Jan"
    assert filters.local_day(datetime(2025, 1, 2, tzinfo=UTC), now) == "2 Jan 2025"


def test_without_a_request_times_are_in_utc() -> None:
    assert filters.local_time("2026-01-31T12:00:00+00:00") == "2026-01-31 12:00 UTC"
    assert filters.tooltip("2026-01-31T12:00:00+00:00") == "2026-01-31 12:00 UTC"
    assert filters.words("2026-01-31T12:00:00.000Z") == "2026-01-31 12:00 UTC"
    assert str(dates.first_of_last(7, ZoneInfo("UTC"), datetime(2026, 1, 7, tzinfo=UTC))) == str(
        date(2026, 1, 1)
    )
