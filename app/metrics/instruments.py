"""Counters and histograms with bounded labels."""

import itertools
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from app.metrics import increments
from app.metrics.increments import Totals


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter.

    name     without the prefix and without ``_total``
    labels   the names of the labels
    initial  the label values of the samples that exist at zero
    """

    name: str
    summary: str
    labels: Sequence[str]
    initial: Sequence[tuple[str, ...]] = ()

    def add(self, *values: str, amount: int = 1) -> None:
        """Count; there is one value for each label."""
        increments.add((self.name, *values), amount)

    def samples(
        self, totals: Totals, initial: Sequence[tuple[str, ...]] = ()
    ) -> Iterator[tuple[tuple[str, ...], float]]:
        """Yield the label values and the total of each series; further ``initial`` exist at 0."""
        zeros = dict.fromkeys((*self.initial, *initial), 0.0)
        numbers = zeros | _of(self.name, len(self.labels), totals)
        yield from sorted(numbers.items())


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram of seconds.

    bounds   the upper bounds of the buckets
    initial  as for ``Counter``
    """

    name: str
    summary: str
    labels: Sequence[str]
    bounds: Sequence[float]
    initial: Sequence[tuple[str, ...]] = ((),)

    def observe(self, seconds: float, *values: str) -> None:
        """Count one duration; there is one value for each label."""
        bucket = str(bisect_left(self.bounds, seconds))
        increments.add_all(
            (((self.name, *values, bucket), 1), ((f"{self.name}_sum", *values), float(seconds)))
        )

    def samples(
        self, totals: Totals
    ) -> Iterator[tuple[tuple[str, ...], Sequence[tuple[str, float]], float]]:
        """Yield the label values, the cumulative buckets and the sum of each series."""
        buckets = _of(self.name, len(self.labels) + 1, totals)
        sums = _of(f"{self.name}_sum", len(self.labels), totals)
        for values in sorted({*self.initial, *sums}):
            counts = [buckets.get((*values, str(i)), 0.0) for i in range(len(self.bounds) + 1)]
            names = ["+Inf" if bound == inf else str(float(bound)) for bound in (*self.bounds, inf)]
            yield (
                values,
                list(zip(names, itertools.accumulate(counts), strict=True)),
                sums.get(values, 0.0),
            )


def _of(name: str, labels: int, totals: Totals) -> dict[tuple[str, ...], float]:
    """Return the totals of one metric by label values, as this release defines its labels."""
    return {
        series[1:]: total
        for series, total in totals.items()
        if series[0] == name and len(series) == labels + 1
    }
