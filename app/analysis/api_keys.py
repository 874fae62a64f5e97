"""API key usage: sums by day and route, and unusual activity."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

BASELINE_DAYS = 7  # before today, for comparison
MIN_CALLS = 100  # a day with fewer calls is never unusual
VOLUME_FACTOR = 3  # times the daily average
DENIED_PERCENT = 20
MIN_DENIED = 10


@dataclass(frozen=True, slots=True)
class RouteUsage:
    """The number of calls of one route with one status on one day."""

    day: date
    route: str
    status: int
    count: int


@dataclass(frozen=True, slots=True)
class RouteTotal:
    """The calls of one route; ``statuses`` has their numbers by status, in ascending order."""

    route: str
    statuses: Mapping[int, int]
    calls: int


@dataclass(frozen=True, slots=True)
class Address:
    """A source address and its calls."""

    address: str
    count: int
    today: int
    first_day: date
    last_at: datetime


@dataclass(frozen=True, slots=True)
class UsageAnomaly:
    """Unusual activity that the owner of the key should know about; ``code`` names its pattern."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Activity:
    """The usage of a key; ``days`` has every day, also without calls, and ends today."""

    days: Sequence[date]
    uses: Sequence[RouteUsage]
    addresses: Sequence[Address]

    def by_day(self) -> Sequence[tuple[date, dict[str, int]]]:
        """Each day with its calls by outcome: ``ok``, ``denied``, ``limited``, ``error``."""
        counts: dict[date, Counter[str]] = {day: Counter() for day in self.days}
        for use in self.uses:
            if use.day in counts:
                counts[use.day][expiry_of(use.status)] += use.count
        return [(day, dict(outcomes)) for day, outcomes in counts.items()]

    def by_route(self) -> Sequence[RouteTotal]:
        """Each route with its calls, most calls first."""
        counts: dict[str, Counter[int]] = {}
        for use in self.uses:
            counts.setdefault(use.route, Counter())[use.status] += use.count
        totals = [
            RouteTotal(route, dict(sorted(statuses.items())), statuses.total())
            for route, statuses in counts.items()
        ]
        return sorted(totals, key=lambda total: (-total.calls, total.route))

    def total(self, *ends: str) -> int:
        """Return the number of calls, of all outcomes or only of these."""
        return sum(use.count for use in self.uses if not ends or expiry_of(use.status) in ends)

    def remarks(self) -> Sequence[UsageAnomaly]:
        """Return the unusual activity and the refused calls of today."""
        return [
            remark
            for remark in (self._burst(), self._new_networks(), self._denied(), self._limited())
            if remark
        ]

    def _burst(self) -> UsageAnomaly | None:
        *before, (_, today) = [(day, sum(ends.values())) for day, ends in self.by_day()]
        usual = sum(count for _, count in before[-BASELINE_DAYS:]) / BASELINE_DAYS
        if today < MIN_CALLS or today <= VOLUME_FACTOR * usual or not usual:
            return None
        text = f"{today:,} calls today; the {BASELINE_DAYS}-day average is {usual:,.0f} calls a day"
        return UsageAnomaly("burst", text)

    def _new_networks(self) -> UsageAnomaly | None:
        """New addresses of today, if the key was used from other addresses before."""
        today = self.days[-1]
        new = [seen.address for seen in self.addresses if seen.first_day == today]
        if not new or len(new) == len(self.addresses):
            return None
        return UsageAnomaly("new_address", f"First used today from {_describe(new)}")

    def _denied(self) -> UsageAnomaly | None:
        today = [use for use in self.uses if use.day == self.days[-1]]
        denied = sum(use.count for use in today if expiry_of(use.status) == "denied")
        total = sum(use.count for use in today)
        if denied < MIN_DENIED or denied * 100 < DENIED_PERCENT * total:
            return None
        text = (
            f"{denied:,} of {total:,} calls today were denied: the scope is missing, or the "
            "network is not allowed"
        )
        return UsageAnomaly("denied", text)

    def _limited(self) -> UsageAnomaly | None:
        count = sum(
            use.count for use in self.uses if use.day == self.days[-1] and use.status == 429
        )
        if not count:
            return None
        return UsageAnomaly("limited", f"{count:,} calls today exceeded the rate limit")


def expiry_of(status: int) -> str:
    """Return the outcome of a call with this status."""
    if status in (401, 403):
        return "denied"
    if status == 429:
        return "limited"
    return "error" if status >= 400 else "ok"


def _describe(addresses: Sequence[str]) -> str:
    shown = ", ".join(addresses[:3])
    return shown if len(addresses) <= 3 else f"{shown} and {len(addresses) - 3} more"
