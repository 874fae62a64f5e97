"""The layout of charts."""

import itertools

import pytest

from app.web.base import charts


def test_stacked_bars_add_up_to_axis() -> None:
    chart = charts.stacked(("pass", "fail"), [("a", {"pass": 6, "fail": 2}), ("b", {})])
    first, second = chart.columns
    lower, upper = first.bars
    assert (lower.series, upper.series) == ("pass", "fail")
    assert upper.y + upper.height == pytest.approx(lower.y, abs=0.01)
    assert lower.height == pytest.approx(3 * upper.height)
    assert second.bars == []
    assert [value for value, _ in chart.lines] == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    ("most", "top"), [(0, 1), (1, 1), (3, 3), (4, 4), (5, 8), (21_000, 24_000), (999, 1200)]
)
def test_axis_ends_at_round_number(most: int, top: int) -> None:
    chart = charts.stacked(("n",), [("a", {"n": most})])
    assert chart.lines[-1][0] == top
    assert all(bar.y >= charts.TOP for column in chart.columns for bar in column.bars)


@pytest.mark.parametrize("rows", [0, 1, 7, 30, 90, 400])
def test_labels_do_not_overlap(rows: int) -> None:
    chart = charts.stacked(("n",), [(f"day {n}", {"n": n}) for n in range(rows)])
    places = [x for _, x in chart.labels]
    assert len(places) <= 6
    assert all(b - a > 60 for a, b in itertools.pairwise(places))


def test_chart_without_values_is_empty() -> None:
    assert charts.stacked(("n",), [("a", {"n": 0})]).is_empty
    assert not charts.stacked(("n",), [("a", {"n": 1})]).is_empty


@pytest.mark.parametrize("values", [[50], [0, 100], [100, 100, 100], [97, 98, 97]])
def test_sparkline_stays_within_its_frame(values: list[int]) -> None:
    points = [tuple(map(float, point.split(","))) for point in charts.spark(values).split()]
    assert len(points) == max(2, len(values))
    assert all(0 <= x <= 96 and 0 <= y <= 24 for x, y in points)


def test_sparkline_without_values_is_empty() -> None:
    assert charts.spark([]) == ""
