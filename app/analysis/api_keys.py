"""What the use of a key says: sums by day and route, and what is not as it was before."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

BASELINE_DAYS = 7  # before today: what today is held against
MIN_CALLS = 100  # a day with fewer is no rush
VOLUME_FACTOR = 3  # times the usual
DENIED_PERCENT = 20
MIN_DENIED = 10


@dataclass(frozen=True, slots=True)
class RouteUsage:
    """So many calls of one route with one status on one day."""

    day: date
    route: str
    status: int
    count: int


@dataclass(frozen=True, slots=True)
class Address:
    """Where calls came from."""

    address: str
    count: int
    today: int
    first_day: date
    last_at: datetime


@dataclass(frozen=True, slots=True)
class UsageAnomaly:
    """Something that its owner should know of. ``code`` names the pattern."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Activity:
    """How a key was used. ``days``: all of them, the quiet ones too; the last one is today."""

    days: Sequence[date]
    uses: Sequence[RouteUsage]
    addresses: Sequence[Address]

    def by_day(self) -> Sequence[tuple[date, dict[str, int]]]:
        """Each day, and its calls by how they ended: ``ok``, ``denied``, ``limited``, ``error``."""
        counts: dict[date, Counter[str]] = {day: Counter() for day in self.days}
        for use in self.uses:
            if use.day in counts:
                counts[use.day][expiry_of(use.status)] += use.count
        return [(day, dict(found)) for day, found in counts.items()]

    def by_route(self) -> Sequence[tuple[str, dict[int, int]]]:
        """Each route, and its calls by status; the busiest first."""
        counts: dict[str, Counter[int]] = {}
        for use in self.uses:
            counts.setdefault(use.route, Counter())[use.status] += use.count
        busiest = sorted(counts.items(), key=lambda item: (-item[1].total(), item[0]))
        return [(route, dict(sorted(found.items()))) for route, found in busiest]

    def total(self, *ends: str) -> int:
        """All calls, or only those that ended so."""
        return sum(use.count for use in self.uses if not ends or expiry_of(use.status) in ends)

    def remarks(self) -> Sequence[UsageAnomaly]:
        """What is unusual today, and what was refused."""
        return [
            remark
            for remark in (self._rush(), self._strangers(), self._denied(), self._limited())
            if remark
        ]

    def _rush(self) -> UsageAnomaly | None:
        *before, (_, today) = [(day, sum(ends.values())) for day, ends in self.by_day()]
        usual = sum(count for _, count in before[-BASELINE_DAYS:]) / BASELINE_DAYS
        if today < MIN_CALLS or today <= VOLUME_FACTOR * usual or not usual:
            return None
        text = f"{today} calls today; over the last {BASELINE_DAYS} days it was {usual:.0f} a day"
        return UsageAnomaly("rush", text)

    def _strangers(self) -> UsageAnomaly | None:
        """Addresses of today that were never seen before, of a key that others were seen with."""
        today = self.days[-1]
        new = [seen.address for seen in self.addresses if seen.first_day == today]
        if not new or len(new) == len(self.addresses):
            return None
        return UsageAnomaly(
            "new_address", f"used today from where it never was before: {_describe(new)}"
        )

    def _denied(self) -> UsageAnomaly | None:
        today = [use for use in self.uses if use.day == self.days[-1]]
        denied = sum(use.count for use in today if expiry_of(use.status) == "denied")
        total = sum(use.count for use in today)
        if denied < MIN_DENIED or denied * 100 < DENIED_PERCENT * total:
            return None
        text = f"{denied} of {total} calls today were denied: a scope or a network is missing"
        return UsageAnomaly("denied", text)

    def _limited(self) -> UsageAnomaly | None:
        count = sum(
            use.count for use in self.uses if use.day == self.days[-1] and use.status == 429
        )
        if not count:
            return None
        return UsageAnomaly("limited", f"{count} calls today were over the rate limit")


def expiry_of(status: int) -> str:
    """How a call with this status ended, in a word."""
    if status in (401, 403):
        return "denied"
    if status == 429:
        return "limited"
    return "error" if status >= 400 else "ok"


def _describe(addresses: Sequence[str]) -> str:
    shown = ", ".join(addresses[:3])
    return shown if len(addresses) <= 3 else f"{shown} and {len(addresses) - 3} more"
