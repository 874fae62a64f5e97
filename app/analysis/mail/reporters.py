"""Who reports, how often, and who has stopped. Pure."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from types import MappingProxyType

MIN_REPORTS = 4  # of one reporter, before anything can be said of its rhythm
SILENCE_FACTOR = 3  # times its usual interval
DAY = 24  # hours
LAG = 2 * DAY  # from the middle of a reported day until its report is there


@dataclass(frozen=True, slots=True)
class Reporter:
    """One reporter in a window.

    first, last      the hours at which its messages are counted
    days             with messages
    usual_interval   hours from one to the next, at the median; None if there are too few
    has_stopped      silent for SILENCE times that, longer than any silence before
    """

    name: str
    messages: int
    first: int
    last: int
    days: int
    typical_interval: int | None
    has_stopped: bool


def reporters(
    rows: Iterable[tuple[str, int, int]], now_hour: int,
    within: Mapping[str, Set[int]] = MappingProxyType({}),
) -> list[Reporter]:  # fmt: skip
    """Those of (reporter, hour, messages), the one with the most messages first.

    within  by reporter: hours of days that a report over several days tells of, but for its last;
            it is one report all the same, and the next comes after as long
    """
    found: dict[str, dict[int, int]] = {}
    for name, hour, messages in rows:
        hours = found.setdefault(name, {})
        hours[hour] = hours.get(hour, 0) + messages
    made = [
        _reporter(name, hours, now_hour, within.get(name, frozenset()))
        for name, hours in found.items()
    ]
    return sorted(made, key=lambda one: (-one.messages, one.name))


def _reporter(
    name: str, hours: Mapping[int, int], now_hour: int, within: Set[int]
) -> Reporter:  # fmt: skip
    seen = sorted(hours)
    ends = [hour for hour in seen if hour not in within]
    steps = [b - a for a, b in pairwise(ends)]
    usual = round(median(steps)) if len(ends) >= MIN_REPORTS else None
    silence = now_hour - seen[-1]
    has_stopped = (
        usual is not None and silence > max(SILENCE_FACTOR * max(usual, DAY), *steps) + LAG
    )
    days = len({hour // DAY for hour in seen})
    return Reporter(name, sum(hours.values()), seen[0], seen[-1], days, usual, has_stopped)


def gaps(hours: Iterable[int]) -> Sequence[tuple[int, int]]:
    """The days of UTC, from and to before, that have no messages at all.

    Days before the first and after the last message are no gaps.
    """
    days = sorted({hour // DAY for hour in hours})
    return [(a + 1, b) for a, b in pairwise(days) if b - a > 1]
