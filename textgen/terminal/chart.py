"""Several named curves, or rows of points, in one chart: by plotext in the terminal, by matplotlib
as a picture.

Plotext is slow to import and wanted once, so it is imported where used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.style import Style
from rich.text import Text

from textgen.files import atomic_write_bytes
from textgen.progress import task
from textgen.terminal.picture import draw_picture, picture_kind, plain
from textgen.terminal.text import visible

#: Okabe and Ito 2008, without black and yellow: apart for every common kind of colour blindness.
COLORS = (
    *((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167)),
    *((86, 180, 233), (230, 159, 0), (128, 128, 128)),
)
#: A series is told from the others without colours too.
_MARKS = "●▲■◆○△□"
_ASCII_MARKS = "ox*+#@%"
_ASCII_FRAME = str.maketrans("┌┐└┘─│┤┬┴├┼", "++++-|+++++")
_PICTURE_MARKS = "o^sDvPX"


@dataclass(frozen=True, kw_only=True)
class Series:
    """Points of one colour.

    Args:
        name: What they are, for the legend; "" leaves them out of it.
        points: `(x, y)`, in order.
        bars: Vertical strokes `(x, low, high)`: a spread.
        joined: Whether a line goes from point to point.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    bars: tuple[tuple[float, float, float], ...] = ()
    joined: bool = True


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What to draw.

    Args:
        series: The curves.
        x_label: What is shown across.
        y_label: What is shown upwards.
        levels: Horizontal lines `(name, y)`, to compare with.
        ticks: Names of places on the x axis, `(x, name)`; none: numbers.
        log_x: Whether equal steps across are equal factors; every x is then above zero.
        y_limits: The range of y; None is what the points take.
        title: Heading of the picture.
    """

    series: tuple[Series, ...]
    x_label: str
    y_label: str
    levels: tuple[tuple[str, float], ...] = ()
    ticks: tuple[tuple[float, str], ...] = ()
    log_x: bool = False
    y_limits: tuple[float, float] | None = None
    title: str = ""

    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The ranges of x (its logarithm where `log_x`) and y, with a margin."""
        xs = [self.place(x) for series in self.series for x, _ in series.points]
        xs += [self.place(x) for x, _ in self.ticks]
        ys = [y for series in self.series for _, y in series.points]
        ys += [y for series in self.series for _, low, high in series.bars for y in (low, high)]
        ys += [y for _, y in self.levels]
        return _range(xs), self.y_limits or _range(ys)

    def place(self, x: float) -> float:
        """Where `x` stands on the axis."""
        return math.log2(x) if self.log_x else x

    def shown_ticks(self) -> tuple[tuple[float, str], ...]:
        """Places on the axis and their names: those given, or every x there is."""
        if self.ticks:
            return tuple((self.place(x), name) for x, name in self.ticks)
        values = sorted({x for series in self.series for x, _ in series.points})
        return tuple((self.place(x), f"{x:g}") for x in values)


def _range(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    return low - margin, high + margin


class TerminalChart:
    """A chart for a rich console.

    Args:
        chart: What to draw.
        height: Rows of the picture, the axis included.
    """

    def __init__(self, chart: Chart, *, height: int = 16) -> None:
        self._chart = chart
        self._height = height

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as it may be."""
        return Measurement(min(30, options.max_width), options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The legend, the picture, the label of the x axis."""
        chart, ascii_only = self._chart, options.ascii_only
        marks = _ASCII_MARKS if ascii_only else _MARKS
        legend = Text(f"{visible(chart.y_label)}:")
        for number, name in enumerate(self._names(options.max_width)):
            if name:
                style = Style(color="rgb({},{},{})".format(*_color(number)))
                legend.append(f"  {marks[number % len(marks)]} {visible(name)}", style)
        for name, y in chart.levels:
            legend.append(f"  {'--' if ascii_only else '╌╌'} {visible(name)} {y:.3g}")
        yield legend
        for line in _plot(chart, max(options.max_width, 20), max(self._height, 8), ascii_only):
            if ascii_only:
                line.plain = line.plain.translate(_ASCII_FRAME)
            line.no_wrap = True
            line.truncate(options.max_width)
            yield line
        yield Text(visible(chart.x_label), justify="right")

    def _names(self, width: int) -> list[str]:
        """What the legend calls each series: by its place too where the axis cannot name all."""
        chart = self._chart
        (left, right), _ = chart.limits()
        ticks = chart.shown_ticks() if chart.ticks else ()
        if len(_thinned(ticks, left, right, max(width, 20))) == len(ticks):
            return [series.name for series in chart.series]
        at = dict(ticks)
        return [
            series.name or (at.get(chart.place(series.points[0][0]), "") if series.points else "")
            for series in chart.series
        ]


def _color(number: int) -> tuple[int, int, int]:
    return COLORS[number % len(COLORS)]


@task("drawing the picture")
def _plot(chart: Chart, width: int, height: int, ascii_only: bool) -> list[Text]:
    """The picture by plotext, line by line."""
    import plotext

    marks = _ASCII_MARKS if ascii_only else _MARKS
    line, dash = (".", "-") if ascii_only else ("braille", "╌")
    figure = plotext.figure
    # It is one figure for the whole process, so it is emptied before and after.
    figure.clear()
    try:
        figure.plot_size(width, height)
        figure.theme("colorless")
        (left, right), (bottom, top) = chart.limits()
        figure.ruler("x").lim(left, right)
        figure.ruler("y", "left").lim(bottom, top)
        ticks = _thinned(chart.shown_ticks(), left, right, width)
        figure.ruler("x").ticks([x for x, _ in ticks], [name for _, name in ticks])
        numbers = _round_numbers(bottom, top, max(2, height // 4))
        figure.ruler("y", "left").ticks(numbers, [f"{y:.6g}" for y in numbers])
        for _, y in chart.levels:
            marker = plotext.marker(dash, (128, 128, 128))
            figure.draw(figure.signal([left, right], [y, y], marker=marker).lines())
        places = [[chart.place(x) for x, _ in series.points] for series in chart.series]
        values = [[y for _, y in series.points] for series in chart.series]
        for number, (series, xs, ys) in enumerate(zip(chart.series, places, values, strict=True)):
            stroke = plotext.marker(line, _color(number))
            if series.joined and len(xs) > 1:
                figure.draw(figure.signal(xs, ys, marker=stroke).lines())
            for x, low, high in series.bars:
                place = chart.place(x)
                figure.draw(figure.signal([place, place], [low, high], marker=stroke).lines())
        # The points last: no line of another series may hide one.
        for number, (xs, ys) in enumerate(zip(places, values, strict=True)):
            if xs:
                mark = plotext.marker(marks[number % len(marks)], _color(number))
                figure.draw(figure.signal(xs, ys, marker=mark))
        lines = Text.from_ansi(figure.build().string()).split("\n", allow_blank=True)
    finally:
        figure.clear()
    return [row for row in lines if row.plain.strip()]


def _thinned(
    ticks: Sequence[tuple[float, str]], left: float, right: float, width: int
) -> list[tuple[float, str]]:
    """The ticks whose names do not run into each other, from the left."""
    kept: list[tuple[float, str]] = []
    free = 0.0
    for x, name in ticks:
        middle = (x - left) / (right - left) * (width - 8)
        if middle - len(name) / 2 >= free or not kept:
            kept.append((x, name))
            free = middle + len(name) / 2 + 1
    return kept


def _round_numbers(low: float, high: float, most: int) -> list[float]:
    """Round numbers within a range, at most `most` of them."""
    unit = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 5, 10, 20, 50):
        step = unit * factor
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first < most:
            break
    # Rounded, or a multiple of 0.1 would print as 0.30000000000000004.
    return [round(n * step, 12) for n in range(first, last + 1)]


def save_chart(path: Path, chart: Chart) -> None:
    """Write the chart as a picture, atomically; the kind follows from the name.

    Raises:
        ConfigError: The name ends neither in `.svg` nor in `.png`.
        StorageError: It cannot be written.
    """
    atomic_write_bytes(path, chart_bytes(chart, picture_kind(path)))


def chart_bytes(chart: Chart, kind: str) -> bytes:
    """The chart as an SVG or PNG file's bytes: the same bytes for the same chart.

    Args:
        chart: What to draw.
        kind: `svg` or `png`.
    """
    return draw_picture(
        lambda figure: _draw(figure.add_subplot(), chart), kind, size=(8.0, 4.5), font_size=11.0
    )


def _draw(axes: Any, chart: Chart) -> None:
    axes.set_xlabel(plain(chart.x_label))
    axes.set_ylabel(plain(chart.y_label))
    if chart.title:
        axes.set_title(plain(chart.title))
    axes.grid(True, color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    x_limits, y_limits = chart.limits()
    axes.set_xlim(*x_limits)
    axes.set_ylim(*y_limits)
    ticks = _thinned(chart.shown_ticks(), *x_limits, 90)
    axes.set_xticks([x for x, _ in ticks], [plain(name) for _, name in ticks])
    for name, y in chart.levels:
        axes.axhline(y, color="0.45", lw=1.2, ls="--", label=plain(f"{name} {y:.3g}"))
    for number, series in enumerate(chart.series):
        color = tuple(channel / 255 for channel in _color(number))
        axes.plot(
            [chart.place(x) for x, _ in series.points],
            [y for _, y in series.points],
            color=color,
            lw=1.4 if series.joined else 0,
            marker=_PICTURE_MARKS[number % len(_PICTURE_MARKS)],
            # Curves may lie upon each other: the marks of those below are larger and look out.
            ms=5 + 2 * min(4, len(chart.series) - 1 - number) * series.joined,
            label=plain(series.name) or "_",
        )
        for x, low, high in series.bars:
            axes.plot([chart.place(x)] * 2, [low, high], color=color, lw=1.4)
    if any(series.name for series in chart.series) or chart.levels:
        axes.legend(frameon=False)
