"""Reporters: how often they report, and which have stopped."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median
from types import MappingProxyType

from app.analysis.mail.periods import at

MIN_REPORTS = 4  # of one reporter, needed to estimate its interval
SILENCE_FACTOR = 3  # times its typical interval
DAY = 24  # hours
LAG = 2 * DAY  # from the middle of a reported day until its report is received


@dataclass(frozen=True, slots=True)
class Reporter:
    """One reporter in a window.

    first, last      hours of its first and last messages
    days             number of days with messages
    typical_interval median hours between reports; None if there are too few
    has_stopped      silent for SILENCE_FACTOR times that interval, and longer than ever before
    """

    name: str
    messages: int
    first: int
    last: int
    days: int
    typical_interval: int | None
    has_stopped: bool

    @property
    def first_at(self) -> datetime:
        """The time of the first messages."""
        return at(self.first)

    @property
    def last_at(self) -> datetime:
        """The time of the last messages."""
        return at(self.last)


def reporters(
    rows: Iterable[tuple[str, int, int]],
    now_hour: int,
    within: Mapping[str, Set[int]] = MappingProxyType({}),
) -> list[Reporter]:
    """Return the reporters in rows of (reporter, hour, messages), most messages first.

    within  by reporter: hours of all days but the last that a multi-day report covers; it counts
            as one report, so these hours do not shorten the interval
    """
    hours_by_reporter: dict[str, dict[int, int]] = {}
    for name, hour, messages in rows:
        hours = hours_by_reporter.setdefault(name, {})
        hours[hour] = hours.get(hour, 0) + messages
    reporters = [
        _reporter(name, hours, now_hour, within.get(name, frozenset()))
        for name, hours in hours_by_reporter.items()
    ]
    return sorted(reporters, key=lambda reporter: (-reporter.messages, reporter.name))


def _reporter(name: str, hours: Mapping[int, int], now_hour: int, within: Set[int]) -> Reporter:
    seen = sorted(hours)
    ends = [hour for hour in seen if hour not in within]
    steps = [b - a for a, b in pairwise(ends)]
    usual = round(median(steps)) if len(ends) >= MIN_REPORTS else None
    silence = now_hour - seen[-1]
    has_stopped = (
        usual is not None and silence > max(SILENCE_FACTOR * max(usual, DAY), *steps) + LAG
    )
    days = len({hour // DAY for hour in seen})
    return Reporter(
        name=name,
        messages=sum(hours.values()),
        first=seen[0],
        last=seen[-1],
        days=days,
        typical_interval=usual,
        has_stopped=has_stopped,
    )


def gaps(hours: Iterable[int]) -> Sequence[tuple[int, int]]:
    """Return the ranges of UTC days without messages, the end excluded.

    Days before the first and after the last message are not gaps.
    """
    days = sorted({hour // DAY for hour in hours})
    return [(a + 1, b) for a, b in pairwise(days) if b - a > 1]
