"""Charts as coordinates for a template that draws them as SVG. No markup is made here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 180
LEFT, RIGHT, TOP, BOTTOM = 46, 4, 8, 22  # margins for the axis labels
STEPS = (1, 2, 3, 4, 5, 6, 8)
TIP_WIDTH, TIP_GAP, TIP_LINE, TIP_PADDING = 172, 6, 17, 6
TEXTURES = {  # by series; one without a texture is plain
    "fail": "stripes",
    "failed": "stripes",
    "error": "stripes",
    "denied": "dots",
    "limited": "lines",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One part of a column, in the units of the view box.

    texture  the name of its pattern, which tells the series apart without color; empty if plain
    """

    series: str
    texture: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Tip:
    """The box with the figures of a column, which is shown when it has the focus.

    lines  (series, y): the base line of the figure of each series that is not zero
    """

    x: float
    y: float
    width: float
    height: float
    text_x: float
    label_y: float
    lines: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Column:
    """The stacked bars at one label; ``x`` and ``width`` include the gap."""

    label: str
    x: float
    width: float
    bars: Sequence[Bar]
    values: Mapping[str, int]
    tip: Tip

    @property
    def is_empty(self) -> bool:
        """Whether all values are zero."""
        return not any(self.values.values())


@dataclass(frozen=True, slots=True)
class Line:
    """A horizontal grid line at a value; ``text_y`` is the base line of its label."""

    value: int
    y: float
    text_y: float


@dataclass(frozen=True, slots=True)
class Frame:
    """The parts of a chart that are the same for all data, in the units of the view box."""

    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    plot_height: int = HEIGHT - TOP - BOTTOM
    value_x: int = LEFT - 6  # the end of the labels of the grid lines
    label_y: int = HEIGHT - 6  # the base line of the labels of the columns


FRAME = Frame()


@dataclass(frozen=True, slots=True)
class Stacked:
    """Columns of stacked bars, with grid lines.

    lines   from the bottom
    labels  (text, x) of some columns, so that they do not overlap
    """

    series: Sequence[str]
    columns: Sequence[Column]
    lines: Sequence[Line]
    labels: Sequence[tuple[str, float]]
    frame: Frame

    @property
    def textures(self) -> Mapping[str, str]:
        """The texture of each series that has one."""
        return {name: TEXTURES[name] for name in self.series if name in TEXTURES}

    @property
    def is_empty(self) -> bool:
        """Whether all values are zero."""
        return all(column.is_empty for column in self.columns)


def stacked(series: Sequence[str], rows: Sequence[tuple[str, Mapping[str, int]]]) -> Stacked:
    """Return a chart of stacked columns; a row is a label and its counts by series."""
    top = _top(max((sum(values.get(name, 0) for name in series) for _, values in rows), default=0))
    height = HEIGHT - TOP - BOTTOM
    slot = (WIDTH - LEFT - RIGHT) / max(1, len(rows))
    columns = []
    for index, (label, values) in enumerate(rows):
        x = LEFT + index * slot
        bars = _bars(series, values, x, slot, height / top)
        columns.append(
            Column(
                label=label,
                x=round(x, 2),
                width=round(slot, 2),
                bars=bars,
                values=values,
                tip=_tip(x, slot, [bar.series for bar in bars]),
            )
        )
    lines = [_line(top * part // 4, HEIGHT - BOTTOM - height * part / 4) for part in range(5)]
    every = -(-len(rows) // 6) or 1
    labels = [(c.label, c.x + slot / 2) for c in columns[:: every or 1]]
    return Stacked(
        series=series,
        columns=columns,
        lines=lines if top >= 4 else [lines[0], lines[-1]],
        labels=labels,
        frame=FRAME,
    )


def _bars(
    series: Sequence[str], values: Mapping[str, int], x: float, slot: float, scale: float
) -> list[Bar]:
    """The bars of the series that are not zero, from the bottom; ``scale``: height of one."""
    bars, foot = [], float(HEIGHT - BOTTOM)
    for name in series:
        tall = scale * values.get(name, 0)
        if not tall:
            continue
        foot -= tall
        bars.append(
            Bar(
                series=name,
                texture=TEXTURES.get(name, ""),
                x=round(x + slot * 0.1, 2),
                y=round(foot, 2),
                width=round(slot * 0.8, 2),
                height=round(tall, 2),
            )
        )
    return bars


def bar_width(part: int, whole: int) -> str:
    """Return the width of a bar for a share, where the whole is 100 wide; 0 without a whole."""
    return f"{100 * part / whole:.1f}" if whole else "0"


def spark(values: Sequence[int], most: int = 100, width: int = 96, height: int = 24) -> str:
    """Return the points of a sparkline; a single value gives a horizontal line."""
    points = list(values) if len(values) > 1 else list(values) * 2
    if not points:
        return ""
    step = (width - 4) / (len(points) - 1)
    low, high = min(points), max(points)
    span = max(high - low, most // 10)  # a small change looks small
    middle = (low + high) / 2
    return " ".join(
        f"{2 + index * step:.1f},{height / 2 - (value - middle) / span * (height - 6):.1f}"
        for index, value in enumerate(points)
    )


def _tip(x: float, width: float, series: Sequence[str]) -> Tip:
    """The box to the right of the column, or to its left if there is not enough space."""
    right = x + width + TIP_GAP
    left = right if right + TIP_WIDTH <= WIDTH - RIGHT else x - TIP_GAP - TIP_WIDTH
    label_y = TOP + TIP_PADDING + TIP_LINE - 5
    return Tip(
        x=round(left, 2),
        y=TOP,
        width=TIP_WIDTH,
        height=2 * TIP_PADDING + TIP_LINE * (1 + len(series)),
        text_x=round(left + TIP_PADDING + 3, 2),
        label_y=label_y,
        lines=[(name, label_y + TIP_LINE * (index + 1)) for index, name in enumerate(series)],
    )


def _line(value: int, y: float) -> Line:
    return Line(value=value, y=round(y, 2), text_y=round(y + 4, 2))


def _top(most: int) -> int:
    """Return the round number at the top of the axis, a multiple of four from four on."""
    size = 1
    while True:
        for step in STEPS:
            if step * size * 4 >= most:
                return step * size * 4 if most > 3 else max(1, most)
        size *= 10
