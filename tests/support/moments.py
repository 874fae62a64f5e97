"""Moments at which code that depends on the time fails first, for Hypothesis.

They are at the edges of hours, days, months and years, on leap days and at changes of daylight
saving time, in zones with full, half and quarter hours.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

ZONE_NAMES = (
    *("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu"),
    *("America/St_Johns", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Kiritimati"),
    *("Asia/Beirut", "America/Sao_Paulo", "Etc/GMT+12"),
)
ZONES = st.sampled_from([ZoneInfo(name) for name in ZONE_NAMES])
DAYS = (
    *(date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)),  # a leap day
    *(date(2028, 2, 29), date(2100, 2, 28), date(2100, 3, 1)),  # 2100 has none
    *(date(2026, 12, 31), date(2027, 1, 1), date(2026, 11, 30), date(2026, 12, 1)),
    *(date(2026, 3, 8), date(2026, 11, 1)),  # the clocks change in America
    *(date(2026, 3, 29), date(2026, 10, 25)),  # in Europe, Beirut, and near midnight
    *(date(2026, 4, 5), date(2026, 10, 4)),  # in Australia, by half an hour on Lord Howe
    *(date(2026, 9, 27), date(2018, 11, 4)),  # in Chatham; in Sao Paulo, where 0:00 was skipped
)
OFFSETS = (
    timedelta(0),
    *(timedelta(microseconds=count) for count in (-1, 1)),
    *(timedelta(seconds=count) for count in (-30, -1, 1, 10)),
    *(timedelta(minutes=count) for count in (-45, -31, -30, -29, -15, 15, 19, 29, 30, 31, 45)),
)
ANY_DAY = st.dates(date(2000, 1, 3), date(2199, 12, 29))


@st.composite
def moments(draw: st.DrawFn, zones: st.SearchStrategy[ZoneInfo] = ZONES) -> datetime:
    """Return a time in UTC at or near the start of an hour of a day in one of the zones."""
    day = draw(st.one_of(st.sampled_from(DAYS), ANY_DAY))
    hour = draw(st.one_of(st.just(0), st.integers(0, 23)))
    start = datetime(day.year, day.month, day.day, hour, tzinfo=draw(zones))
    return start.astimezone(UTC) + draw(st.sampled_from(OFFSETS))
