"""What falls by powers of ten: several curves on one logarithmic scale, in the terminal by plotext,
as a picture by matplotlib.

Each curve is told from the others by a letter on it, so that no colour is needed. plotext is slow
to import and wanted once, so it is imported where used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.style import Style
from rich.text import Text

from textgen.files import atomic_write_bytes
from textgen.progress import task
from textgen.terminal.chart import COLORS
from textgen.terminal.picture import draw_picture, picture_kind, plain
from textgen.terminal.text import visible

Points = tuple[tuple[float, float], ...]

#: What lies lower is not drawn: there a curve leaves the chart.
FLOOR = 1e-4
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
#: Of one chart.
MOST_CURVES = len(_LETTERS)
#: So often a curve's letter stands on it.
_MARKS = 3
_ASCII_FRAME = str.maketrans("┌┐└┘─│┤┬┴├┼", "++++-|+++++")
_LINES = ("-", "--", "-.", ":")


@dataclass(frozen=True, kw_only=True)
class DecayCurve:
    """One curve.

    Args:
        name: For the legend.
        points: `(x, y)`, x rising, y zero or more. None at all: not drawn, but the curves after it
            look as they do in other charts.
    """

    name: str
    points: Points

    def shown(self, bottom: float = FLOOR) -> list[Points]:
        """The stretches that lie at `bottom` or above, as `(x, log10 y)`, each cut off where the
        curve crosses it."""
        low = math.log10(bottom)
        logs = [(x, math.log10(y) if y > 0 else -400.0) for x, y in self.points]
        stretches: list[list[tuple[float, float]]] = []
        previous: tuple[float, float] | None = None
        for x, y in logs:
            if previous is not None and (previous[1] >= low) != (y >= low):
                share = (low - previous[1]) / (y - previous[1])
                crossing = (previous[0] + share * (x - previous[0]), low)
                if y >= low:
                    stretches.append([crossing])
                else:
                    stretches[-1].append(crossing)
            elif previous is None and y >= low:
                stretches.append([])
            if y >= low:
                stretches[-1].append((x, y))
            previous = (x, y)
        return [tuple(stretch) for stretch in stretches]


@dataclass(frozen=True, kw_only=True)
class DecayChart:
    """What to draw.

    Args:
        curves: At most `MOST_CURVES`.
        x_label: What is shown across.
        y_label: What is shown upwards.
        level: A height to compare with, drawn as a horizontal line.
        title: Heading; "" for none.
    """

    curves: tuple[DecayCurve, ...]
    x_label: str
    y_label: str
    level: float
    title: str = ""

    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The ranges of x, as far as any curve is to be seen, and of `log10 y`."""
        points = [p for curve in self.curves for part in curve.shown() for p in part]
        ends = [x for curve in self.curves for x, _ in curve.points]
        right = max((x for x, _ in points), default=1.0)
        # Some room to see that nothing comes after, but no more than there is.
        right = min(max(ends, default=1.0), max(1.0, math.ceil(1.1 * right)))
        low = min((y for _, y in points), default=0.0)
        high = max((y for _, y in points), default=0.0)
        bottom = min(math.floor(low + 1e-9), round(math.log10(self.level)) - 1)
        return (0.0, max(right, 1.0)), (float(bottom), max(high, 0.0) + 0.15)


class TerminalDecay:
    """A chart for a rich console.

    Args:
        chart: What to draw.
        height: Rows of the picture, the axis included.
    """

    def __init__(self, chart: DecayChart, *, height: int = 14) -> None:
        self._chart = chart
        self._height = height

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as it may be."""
        return Measurement(min(30, options.max_width), options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What is drawn and the legend, the picture, the label of the x axis."""
        chart, ascii_only = self._chart, options.ascii_only
        shown = visible(chart.title or chart.y_label, encoding=options.encoding)
        yield Text(shown, Style(bold=True))
        yield from self._legend(options)
        for line in _plot(chart, max(options.max_width, 20), max(self._height, 8), ascii_only):
            if ascii_only:
                line.plain = line.plain.translate(_ASCII_FRAME)
            line.no_wrap = True
            line.truncate(options.max_width)
            yield line
        label = visible(chart.x_label, encoding=options.encoding)
        yield Text(label, justify="right", no_wrap=True, overflow="crop")

    def _legend(self, options: ConsoleOptions) -> Iterator[Text]:
        """The letters and what they stand for, as many to a line as it takes."""
        entries = [
            Text(
                f"{_LETTERS[number]} {visible(curve.name, encoding=options.encoding)}",
                Style(color="rgb({},{},{})".format(*_color(number))),
            )
            for number, curve in enumerate(self._chart.curves)
            if curve.points
        ]
        entries.append(Text(f"{'-' if options.ascii_only else '╌'} {self._chart.level:g}"))
        line = entries[0]
        for entry in entries[1:]:
            if line.cell_len + 2 + entry.cell_len > options.max_width:
                yield line
                line = entry
            else:
                line = Text.assemble(line, "  ", entry)
        yield line


def _color(number: int) -> tuple[int, int, int]:
    return COLORS[number % len(COLORS)]


@task("drawing the picture")
def _plot(chart: DecayChart, width: int, height: int, ascii_only: bool) -> list[Text]:
    """The picture by plotext, line by line."""
    import plotext

    stroke, dash = (".", "-") if ascii_only else ("braille", "╌")
    figure = plotext.figure
    # It is one figure for the whole process, so it is emptied before and after.
    figure.clear()
    try:
        figure.plot_size(width, height)
        figure.theme("colorless")
        (left, right), (bottom, top) = chart.limits()
        figure.ruler("x").lim(left, right)
        figure.ruler("y", "left").lim(bottom, top)
        ticks = _whole_numbers(right, max(2, min(10, width // 9)))
        figure.ruler("x").ticks(ticks, [f"{tick:,}" for tick in ticks])
        powers = range(math.ceil(bottom), math.floor(top) + 1)
        figure.ruler("y", "left").ticks(list(powers), [_power(power) for power in powers])
        level = math.log10(chart.level)
        marker = plotext.marker(dash, (128, 128, 128))
        figure.draw(figure.signal([left, right], [level, level], marker=marker).lines())
        for number, curve in enumerate(chart.curves):
            marker = plotext.marker(stroke, _color(number))
            for part in curve.shown():
                signal = figure.signal([x for x, _ in part], [y for _, y in part], marker=marker)
                figure.draw(signal.lines() if len(part) > 1 else signal)
        for number, curve in enumerate(chart.curves):
            marker = plotext.marker(_LETTERS[number], _color(number))
            marks = _marked(curve, number, len(chart.curves))
            if marks:
                xs, ys = [x for x, _ in marks], [y for _, y in marks]
                figure.draw(figure.signal(xs, ys, marker=marker))
        lines = Text.from_ansi(figure.build().string()).split("\n", allow_blank=True)
    finally:
        figure.clear()
    return [line for line in lines if line.plain.strip()]


def _marked(curve: DecayCurve, number: int, count: int) -> list[tuple[float, float]]:
    """Where a curve's letter stands: spread over what is seen of it, beside those of others."""
    points = [point for part in curve.shown() for point in part]
    last = len(points) - 1
    shares = [(mark + (number + 1) / (count + 1)) / _MARKS for mark in range(_MARKS)]
    return [points[round(share * last)] for share in shares] if points else []


def _whole_numbers(right: float, most: int) -> list[int]:
    """0 and round numbers after it up to `right`, at most `most` in all."""
    unit = 1
    while True:
        for factor in (1, 2, 5):
            if right // (unit * factor) < most:
                return list(range(0, int(right) + 1, unit * factor))
        unit *= 10


def _power(power: int) -> str:
    return f"{10.0**power:g}"


def save_decays(path: Path, charts: Sequence[DecayChart]) -> None:
    """Write charts beside each other into one picture, atomically; the kind follows from the name.

    Raises:
        ConfigError: The name ends neither in `.svg` nor in `.png`.
        StorageError: It cannot be written.
    """
    atomic_write_bytes(path, decay_picture(charts, picture_kind(path)))


def decay_picture(charts: Sequence[DecayChart], kind: str = "svg") -> bytes:
    """Charts beside each other as an SVG or PNG file's bytes: the same for the same charts.

    Args:
        charts: At least one; two stand in a row.
        kind: `svg` or `png`.
    """
    columns = min(2, len(charts))
    rows = -(-len(charts) // columns)

    def draw(figure: Any) -> None:
        axes = figure.subplots(rows, columns, squeeze=False).flat
        for chart, axis in zip(charts, axes, strict=False):
            _draw(axis, chart)
        for axis in axes[len(charts) :]:
            axis.set_axis_off()

    return draw_picture(draw, kind, size=(6.4 * columns, 4.2 * rows), font_size=10.0)


def _draw(axis: Any, chart: DecayChart) -> None:
    (left, right), (bottom, top) = chart.limits()
    axis.set_yscale("log")
    axis.set_xlim(left, right)
    axis.set_ylim(10.0**bottom, 10.0**top)
    powers = range(math.ceil(bottom), math.floor(top) + 1)
    axis.set_yticks([10.0**power for power in powers], [_power(power) for power in powers])
    axis.minorticks_off()
    axis.grid(True, color="0.9")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel(plain(chart.x_label))
    axis.set_ylabel(plain(chart.y_label))
    if chart.title:
        # Two panels stand beside each other: what is measured, then how.
        axis.set_title(plain(chart.title.replace("; ", "\n", 1)), fontsize=10.0)
    axis.axhline(chart.level, color="0.45", lw=1.0, ls=(0, (2, 2)))
    for number, curve in enumerate(chart.curves):
        color = tuple(channel / 255 for channel in _color(number))
        line = _LINES[number % len(_LINES)]
        name = plain(visible(curve.name))
        for part in curve.shown(10.0**bottom):
            xs, ys = [x for x, _ in part], [10.0**y for _, y in part]
            axis.plot(xs, ys, color=color, lw=1.8, ls=line, label=name)
            name = "_"  # In the legend once.
    axis.legend(frameon=False)
