"""At which hour messages are counted, and what a window of time consists of. Pure.

A report says how many messages came within its period, not when. They are counted at the middle
of the period, in the full hour that it is in; those of a period of several days in equal parts.
Full hours of UTC add up to the days, weeks and months of every time zone.
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
SPANS = (1, WEEK)  # hours that one row of the roll-ups is about
LONG_PERIOD = timedelta(hours=36)  # what is longer is spread over days
MAX_DAYS = 366

Interval = Literal["hour", "day", "week", "month"]
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


def middle(begin: datetime, end: datetime) -> datetime:
    """When the messages of a period are counted.

    Reporters end a day at 23:59:59 or at 24:00:00: that is the same middle.
    """
    return begin + timedelta(seconds=int((end - begin + _SECOND).total_seconds()) // 2)


def days_of(begin: datetime, end: datetime) -> int:
    """Over how many days the counts of a period are spread: 1 unless it is a long one."""
    length = end - begin
    if length <= LONG_PERIOD:
        return 1
    return min(max(round(length / _DAY), 2), MAX_DAYS)


def hour_of(moment: datetime) -> int:
    """The full hour of UTC that the moment is in, counted from the epoch."""
    return int(moment.timestamp()) // HOUR


def at(hour: int) -> datetime:
    """When that hour begins."""
    return datetime.fromtimestamp(hour * HOUR, UTC)


def hours(begin: datetime, end: datetime, days: int) -> tuple[int, ...]:
    """The hours at which a report's messages are counted: one for each of its days."""
    part = (end - begin + _SECOND) / days
    return tuple(hour_of(begin + part * i + part / 2) for i in range(days))


def shares(count: int, days: int) -> list[int]:
    """The count in so many parts, as equal as whole numbers can be, the larger ones first."""
    each, rest = divmod(count, days)
    return [each + (i < rest) for i in range(days)]


@dataclass(frozen=True, slots=True)
class Window:
    """The full hours from ``start`` to before ``stop``."""

    start: int
    stop: int

    @classmethod
    def between(cls, from_at: datetime, to_at: datetime) -> "Window":
        """The hours that begin at or after ``from_at`` and before ``to_at``."""
        return cls(_next_hour(from_at), _next_hour(to_at))

    @property
    def before(self) -> "Window":
        """The window of the same length that ends where this one starts."""
        return Window(2 * self.start - self.stop, self.start)

    @property
    def with_before(self) -> "Window":
        """This one and the one before it, as one."""
        return Window(self.before.start, self.stop)

    @property
    def days(self) -> int:
        """Days begun."""
        return -(-(self.stop - self.start) // 24)

    def blocks(self, closed: Iterable[int]) -> tuple[tuple[int, int, int], ...]:
        """(span, start, stop): weeks that are added up, where they are whole; all else by hours.

        closed  the first hours of those weeks
        """
        parts = []
        at = self.start
        for week in sorted(closed):
            if week < at or week + WEEK > self.stop:
                continue
            if week > at:
                parts.append((1, at, week))
            if parts and parts[-1][0] == WEEK and parts[-1][2] == week:
                parts[-1] = (WEEK, parts[-1][1], week + WEEK)
            else:
                parts.append((WEEK, week, week + WEEK))
            at = week + WEEK
        if at < self.stop or not parts:  # there is one in any case
            parts.append((1, at, self.stop))
        return tuple(parts)


def _next_hour(moment: datetime) -> int:
    return -(-int(moment.timestamp() * 1_000_000) // (HOUR * 1_000_000))


class Buckets:
    """The intervals of a calendar that a window is in, in a time zone, in order.

    starts  when each begins; the first and the last may be in the window only in part, but
            none begins after the last hour does, for nothing could be counted there
    """

    def __init__(self, window: Window, interval: Interval, zone: ZoneInfo) -> None:
        first = at(window.start).astimezone(zone)
        if interval == "hour":
            # Clocks may be half an hour off, so an hour there is not an hour of UTC.
            begin = at(window.start) - timedelta(minutes=first.minute)
            found = [begin + timedelta(hours=i) for i in range(window.stop - window.start)]
        else:
            last = at(max(window.start, window.stop - 1))
            found = list(_starts(first.date(), interval, zone, last))
        self.starts = tuple(start.astimezone(zone) for start in found)
        self._seconds = [int(start.timestamp()) for start in found]

    def index(self, hour: int) -> int:
        """Which one the hour of UTC is in."""
        return bisect_right(self._seconds, hour * HOUR) - 1


def _starts(first: date, interval: Interval, zone: ZoneInfo, last: datetime) -> Iterator[datetime]:
    day = first
    if interval == "week":
        day -= timedelta(days=day.weekday())  # ISO 8601: a week begins on Monday
    elif interval == "month":
        day = day.replace(day=1)
    while (start := midnight(day, zone)) <= last:
        yield start
        if interval == "month":
            day = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
        else:
            day += timedelta(days=7 if interval == "week" else 1)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When the day begins there, in UTC; at the turn of the clocks where 0:00 is left out."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


MAX_COUNT = 10**12  # messages per record, so that forged counts cannot overflow a sum


def allocate(count: int, hours: Sequence[int]) -> list[tuple[int, int]]:
    """(hour, messages) pairs that distribute a record's messages over the hours of its report."""
    count = min(count, MAX_COUNT)
    if len(hours) == 1:  # the usual case
        return [(hours[0], count)] if count else []
    parts = periods.shares(count, len(hours))
    return [(hour, part) for hour, part in zip(hours, parts, strict=True) if part]
