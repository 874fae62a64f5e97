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
    assert [line.value for line in chart.lines] == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    ("most", "top"), [(0, 1), (1, 1), (3, 3), (4, 4), (5, 8), (21_000, 24_000), (999, 1200)]
)
def test_axis_ends_at_round_number(most: int, top: int) -> None:
    chart = charts.stacked(("n",), [("a", {"n": most})])
    assert chart.lines[-1].value == top
    assert all(bar.y >= charts.TOP for column in chart.columns for bar in column.bars)


@pytest.mark.parametrize("rows", [0, 1, 7, 30, 90, 400])
def test_labels_do_not_overlap(rows: int) -> None:
    chart = charts.stacked(("n",), [(f"day {n}", {"n": n}) for n in range(rows)])
    places = [x for _, x in chart.labels]
    assert len(places) <= 6
    assert all(b - a > 60 for a, b in itertools.pairwise(places))


def test_grid_lines_are_level_with_the_bars() -> None:
    chart = charts.stacked(("n",), [("a", {"n": 8}), ("b", {"n": 4})])
    full, half = (column.bars[0] for column in chart.columns)
    by_value = {line.value: line.y for line in chart.lines}
    assert (full.y, half.y) == (by_value[8], by_value[4])
    assert full.y == charts.FRAME.top
    assert full.height == charts.FRAME.plot_height


def test_columns_fill_the_width_between_the_margins() -> None:
    chart = charts.stacked(("n",), [(f"day {n}", {"n": n}) for n in range(30)])
    assert chart.columns[0].x == charts.FRAME.left
    assert chart.columns[-1].x + chart.columns[-1].width == pytest.approx(
        charts.FRAME.right, abs=0.01
    )
    assert [column.is_empty for column in chart.columns[:2]] == [True, False]


@pytest.mark.parametrize(
    ("part", "whole", "width"), [(1, 3, "33.3"), (7, 7, "100.0"), (0, 5, "0.0"), (0, 0, "0")]
)
def test_bar_shows_the_share_of_the_whole(part: int, whole: int, width: str) -> None:
    assert charts.bar_width(part, whole) == width


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


def test_figures_of_each_column_are_within_the_chart() -> None:
    chart = charts.stacked(("n",), [(f"day {n}", {"n": n}) for n in range(90)])
    for column in chart.columns:
        tip = column.tip
        assert tip.x + tip.width <= column.x or tip.x >= column.x + column.width
        assert 0 <= tip.x <= tip.x + tip.width <= charts.FRAME.width
        assert tip.y + tip.height <= charts.FRAME.height


def test_figures_leave_out_series_without_a_value() -> None:
    chart = charts.stacked(("pass", "fail"), [("a", {"pass": 6, "fail": 0})])
    assert [series for series, _ in chart.columns[0].tip.lines] == ["pass"]


@pytest.mark.parametrize(
    "series", [("pass", "fail"), ("successful", "failed"), ("ok", "limited", "denied", "error")]
)
def test_series_differ_without_color(series: tuple[str, ...]) -> None:
    textures = charts.stacked(series, []).textures
    assert len({textures.get(name, "") for name in series}) == len(series)
