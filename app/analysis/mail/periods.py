"""The hours at which messages are counted, and the windows and intervals of figures. Pure.

A report has the number of messages of its period, not their times. They are counted in the hour of
the middle of the period; those of a period of several days are spread evenly over the days. Full
hours of UTC add up to the days, weeks and months of every time zone.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from app.analysis.mail import periods

HOUR = 3600
WEEK = 168  # hours; weeks are counted from the epoch, and begin on a Thursday
SPANS = (1, WEEK)  # hours that one row of the rollups covers
LONG_PERIOD = timedelta(hours=36)  # longer periods are spread over days
MAX_DAYS = 366

Block = tuple[int, int, int]  # the span of its rows, its first hour, and the hour of its end
Interval = Literal["hour", "day", "week", "month"]
_UTC_ZONE = ZoneInfo("UTC")
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


def middle(begin: datetime, end: datetime) -> datetime:
    """Return the time at which the messages of a period are counted.

    Some reporters end a day at 23:59:59 and some at 24:00:00; the middle is the same.
    """
    return begin + timedelta(seconds=int((end - begin + _SECOND).total_seconds()) // 2)


def days_of(begin: datetime, end: datetime) -> int:
    """Return the number of days over which messages are spread; 1 unless the period is long."""
    length = end - begin
    if length <= LONG_PERIOD:
        return 1
    return min(max(round(length / _DAY), 2), MAX_DAYS)


def hour_of(time: datetime) -> int:
    """Return the full hour of UTC of this time, counted from the epoch."""
    return int(time.timestamp()) // HOUR


def at(hour: int) -> datetime:
    """Return the time at which the hour begins."""
    return datetime.fromtimestamp(hour * HOUR, UTC)


def hours(begin: datetime, end: datetime, days: int) -> tuple[int, ...]:
    """Return the hours at which a report's messages are counted: one for each of its days."""
    part = (end - begin + _SECOND) / days
    return tuple(hour_of(begin + part * i + part / 2) for i in range(days))


def shares(count: int, days: int) -> list[int]:
    """Return the count in equal parts; the first parts have one more if it does not divide."""
    part, rest = divmod(count, days)
    return [part + (i < rest) for i in range(days)]


@dataclass(frozen=True, slots=True)
class Window:
    """The full hours from ``start`` to before ``stop``."""

    start: int
    stop: int

    @classmethod
    def between(cls, from_at: datetime, to_at: datetime) -> "Window":
        """Return the hours that begin at or after ``from_at`` and before ``to_at``."""
        return cls(_next_hour(from_at), _next_hour(to_at))

    @property
    def before(self) -> "Window":
        """The window of the same length that ends where this one starts."""
        return Window(2 * self.start - self.stop, self.start)

    @property
    def with_before(self) -> "Window":
        """This window and the previous one, as one window."""
        return Window(self.before.start, self.stop)

    @property
    def days(self) -> int:
        """The number of days, rounded up."""
        return -(-(self.stop - self.start) // 24)

    def blocks(self, weeks: Iterable[int]) -> tuple[Block, ...]:
        """Return (span, start, stop) of blocks that cover the window: whole weeks, and hours.

        weeks  the first hours of weeks that have weekly sums
        """
        parts: list[Block] = []
        at = self.start
        for week in sorted(weeks):
            if week < at or week + WEEK > self.stop:
                continue
            if week > at:
                parts.append((1, at, week))
            if parts and parts[-1][0] == WEEK and parts[-1][2] == week:
                parts[-1] = (WEEK, parts[-1][1], week + WEEK)
            else:
                parts.append((WEEK, week, week + WEEK))
            at = week + WEEK
        if at < self.stop or not parts:  # there is at least one block
            parts.append((1, at, self.stop))
        return tuple(parts)


def _next_hour(time: datetime) -> int:
    return -(-int(time.timestamp() * 1_000_000) // (HOUR * 1_000_000))


class Buckets:
    """The calendar intervals of a window in a time zone, in order.

    starts  the start of each; the first and the last may be only partly in the window, but none
            starts after the last hour of the window
    """

    def __init__(self, window: Window, interval: Interval, zone: ZoneInfo) -> None:
        first = at(window.start).astimezone(zone)
        if interval == "hour":
            # The offset may be half an hour, so a local hour is not an hour of UTC.
            begin = at(window.start) - timedelta(minutes=first.minute)
            starts = [begin + timedelta(hours=i) for i in range(window.stop - window.start)]
        else:
            last = at(max(window.start, window.stop - 1))
            starts = list(_starts(first.date(), interval, zone, last))
        self.starts = tuple(start.astimezone(zone) for start in starts)
        self._seconds = [int(start.timestamp()) for start in starts]

    def index(self, hour: int) -> int:
        """Return the index of the interval that contains the hour of UTC."""
        return bisect_right(self._seconds, hour * HOUR) - 1


def _starts(first: date, interval: Interval, zone: ZoneInfo, last: datetime) -> Iterator[datetime]:
    day = first
    if interval == "week":
        day -= timedelta(days=day.weekday())  # ISO 8601: weeks begin on Monday
    elif interval == "month":
        day = day.replace(day=1)
    while (start := midnight(day, zone)) <= last:
        yield start
        if interval == "month":
            day = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
        else:
            day += timedelta(days=7 if interval == "week" else 1)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the start of the day in the zone, in UTC; later than 0:00 if the clock skips 0:00."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def last_days(to_at: datetime, days: int, zone: ZoneInfo) -> datetime:
    """Return the midnight from which the period until ``to_at`` has this many calendar days.

    In a zone whose offset is not a full hour, a day begins before its first full hour of UTC.
    Until that hour begins, the day has no figures and is not counted.
    """
    last_hour = at(Window.between(to_at, to_at).stop - 1)
    return midnight(last_hour.astimezone(zone).date() - timedelta(days=days - 1), zone)


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """The figures of a domain (an id or a name) in a period, and by interval in a time zone."""

    domain: str
    from_at: datetime
    to_at: datetime
    interval: Interval = "day"
    zone: ZoneInfo = _UTC_ZONE

    @property
    def window(self) -> Window:
        """The full hours in the period."""
        return Window.between(self.from_at, self.to_at)


MAX_COUNT = 10**12  # messages per record, so that forged counts cannot overflow a sum


def allocate(count: int, hours: Sequence[int]) -> list[tuple[int, int]]:
    """Return (hour, messages) pairs that spread a record's messages over its report's hours."""
    count = min(count, MAX_COUNT)
    if len(hours) == 1:  # the usual case
        return [(hours[0], count)] if count else []
    parts = periods.shares(count, len(hours))
    return [(hour, part) for hour, part in zip(hours, parts, strict=True) if part]
