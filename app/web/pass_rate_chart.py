"""The chart of the daily DMARC pass rate as coordinates; days without email interrupt the line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from app.web.base.charts import FRAME, Frame

LABELS = 6


@dataclass(frozen=True, slots=True)
class Point:
    """A day with email, in the units of the view box; ``rate`` is 0 to 1."""

    label: str
    x: float
    y: float
    rate: float
    messages: int


@dataclass(frozen=True, slots=True)
class PassRateChart:
    """The pass rate of each day.

    lines     the points of consecutive days, as an SVG polyline has them
    grid      (percent, y) of the grid lines
    labels    (text, x) of some days
    """

    points: Sequence[Point]
    lines: Sequence[str]
    grid: Sequence[tuple[int, float]]
    labels: Sequence[tuple[str, float]]
    frame: Frame


def draw(days: Sequence[tuple[date, Mapping[str, int]]]) -> PassRateChart:
    """Return the chart of these days, each with its messages by ``pass`` and ``fail``."""
    slot = (FRAME.right - FRAME.left) / max(1, len(days))
    points: list[Point] = []
    lines: list[list[str]] = [[]]
    for index, (day, counts) in enumerate(days):
        passed, messages = counts.get("pass", 0), sum(counts.values())
        if not messages:
            lines.append([])
            continue
        point = Point(
            label=f"{day:%d %b}",
            x=round(FRAME.left + slot * (index + 0.5), 2),
            y=round(_y(passed / messages), 2),
            rate=passed / messages,
            messages=messages,
        )
        points.append(point)
        lines[-1].append(f"{point.x},{point.y}")
    every = -(-len(days) // LABELS) or 1
    return PassRateChart(
        points=points,
        lines=[" ".join(line) for line in lines if line],
        grid=[(percent, round(_y(percent / 100), 2)) for percent in (0, 25, 50, 75, 100)],
        labels=[
            (f"{days[index][0]:%d %b}", round(FRAME.left + slot * (index + 0.5), 2))
            for index in range(0, len(days), every)
        ],
        frame=FRAME,
    )


def _y(rate: float) -> float:
    return FRAME.top + FRAME.plot_height * (1 - rate)
