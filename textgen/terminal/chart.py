"""Curves and rows of points in one chart: by plotext in the terminal, by matplotlib as a picture.

A picture is SVG or PNG, the same bytes for the same data. It is drawn without pyplot, so neither a
display nor another program's figures are touched, in a font that comes with matplotlib and has
Cyrillic and Greek. Both libraries are slow to import, so they are imported where they are used.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.style import Style
from rich.text import Text

from textgen.errors import ConfigError
from textgen.files import atomic_write_bytes
from textgen.progress import task
from textgen.terminal.text import visible

Points = tuple[tuple[float, float], ...]

#: Okabe and Ito 2008, without black and yellow: apart for every common kind of colour blindness.
COLORS = (
    *((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167)),
    *((86, 180, 233), (230, 159, 0), (128, 128, 128)),
)
#: Marks and letters distinguish series where there are no colours.
_MARKS = "●▲■◆○△□"
_ASCII_MARKS = "ox*+#@%"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ASCII_FRAME = str.maketrans("┌┐└┘─│┤┬┴├┼", "++++-|+++++")
_PICTURE_MARKS = "o^sDvPX"
_PICTURE_LINES = ("-", "--", "-.", ":")
#: How often a series' letter stands on it.
_LETTERS_EACH = 3
#: The most series of a chart with letters.
MOST_CURVES = len(_LETTERS)

#: A logarithmic y axis ends here: what lies lower is not drawn.
FLOOR = 1e-4

#: The first reports of a run are far above all later ones; its loss curve leaves them out, unless
#: it has few points.
_OPENING_SHARE, _FEW_POINTS = 0.05, 8

PICTURE_KINDS = ("svg", "png")
#: A picture's legend with more names than these stands below it, where it covers nothing.
LEGEND_INSIDE = 7


@dataclass(frozen=True, kw_only=True)
class Series:
    """Points of one colour.

    Args:
        name: What they are, for the legend; "" leaves them out of it.
        points: `(x, y)`, x rising. None at all: not drawn, but the series after it look as they do
            in other charts.
        bars: Vertical strokes `(x, low, high)`: a spread.
        joined: Whether a line joins the points. None joins them in pictures only, whose lines are
            thin.
        marked: Whether each point is marked. Charts with letters mark none.
    """

    name: str
    points: Points
    bars: tuple[tuple[float, float, float], ...] = ()
    joined: bool | None = True
    marked: bool = True


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What to draw.

    Args:
        series: The curves.
        x_label: What is shown across.
        y_label: What is shown upwards.
        levels: Horizontal lines `(name, y)`, to compare with.
        bands: Horizontal bands `(name, low, high)`, to compare with; in the terminal their edges.
        ticks: Names of places on the x axis, `(x, name)`. Without any, every x has its number where
            all points are marked, and round numbers stand there elsewhere.
        log_x: Whether equal steps across are equal factors; every x is then above zero.
        log_y: Whether equal steps upwards are equal factors; the axis ends at `FLOOR`.
        letters: Whether letters distinguish the series: for many points, and for up to
            `MOST_CURVES` series.
        x_limits: The range of x; None is what the points take.
        y_limits: The range of y; None is what the points take.
        title: The heading.
        labels: Words next to points, `(x, y, words)`, in pictures.
    """

    series: tuple[Series, ...]
    x_label: str
    y_label: str
    levels: tuple[tuple[str, float], ...] = ()
    bands: tuple[tuple[str, float, float], ...] = ()
    ticks: tuple[tuple[float, str], ...] = ()
    log_x: bool = False
    log_y: bool = False
    letters: bool = False
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    title: str = ""
    labels: tuple[tuple[float, float, str], ...] = ()

    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The ranges of x and y, as places on the axes."""
        if self.log_y:
            return self._log_limits()
        xs = [self.x_place(x) for series in self.series for x, _ in series.points]
        xs += [self.x_place(x) for x, _ in self.ticks]
        ys = [y for series in self.series for _, y in series.points]
        ys += [y for series in self.series for _, low, high in series.bars for y in (low, high)]
        ys += [y for _, y in self.levels]
        ys += [y for _, low, high in self.bands for y in (low, high)]
        return self.x_limits or _range(xs), self.y_limits or _range(ys)

    def _log_limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The range of x goes as far as any curve is to be seen."""
        points = [point for series in self.series for part in self.parts(series) for point in part]
        ends = [x for series in self.series for x, _ in series.points]
        right = max((x for x, _ in points), default=1.0)
        # Some room shows that nothing comes after.
        right = min(max(ends, default=1.0), max(1.0, math.ceil(1.1 * right)))
        ys = [y for _, y in points]
        bottom = math.floor(min(ys, default=0.0) + 1e-9)
        bottom = min([bottom, *(round(math.log10(y)) - 1 for _, y in self.levels)])
        return (0.0, max(right, 1.0)), (float(bottom), max(ys, default=0.0) + 0.15)

    def x_place(self, x: float) -> float:
        """Where `x` stands on its axis."""
        return math.log2(x) if self.log_x else x

    def y_place(self, y: float) -> float:
        """Where `y` stands on its axis."""
        if self.log_y:
            return math.log10(y) if y > 0 else -400.0
        return y

    def parts(self, series: Series) -> list[Points]:
        """The places of a series' points, in one part for each stretch that is to be seen."""
        places = tuple((self.x_place(x), self.y_place(y)) for x, y in series.points)
        return _above(places, math.log10(FLOOR)) if self.log_y else [places] if places else []

    def x_ticks(self, width: int) -> list[tuple[float, str]]:
        """Places on the x axis and their names, as many as `width` columns hold."""
        (left, right), _ = self.limits()
        if not self.ticks and (self.letters or not all(s.marked for s in self.series)):
            most = max(2, min(10 if self.letters else 7, width // (9 if self.letters else 12)))
            return [(x, _tick_label(x)) for x in _round_numbers(left, right, most, least=1)]
        values = sorted({x for series in self.series for x, _ in series.points})
        ticks = self.ticks or tuple((x, f"{x:g}") for x in values)
        return _thinned([(self.x_place(x), name) for x, name in ticks], left, right, width)

    def y_ticks(self, most: int) -> list[tuple[float, str]]:
        """Places on the y axis and their names."""
        _, (bottom, top) = self.limits()
        if self.log_y:
            powers = range(math.ceil(bottom), math.floor(top) + 1)
            return [(power, f"{10.0**power:g}") for power in powers]
        return [(y, _tick_label(y)) for y in _round_numbers(bottom, top, most)]


def loss_chart(
    train: Sequence[tuple[float, float]],
    validation: Sequence[tuple[float, float]],
    *,
    x_label: str = "steps",
    y_label: str = "bits per character",
    title: str = "",
) -> Chart | None:
    """The loss curve of a run; None where there are fewer than two points to join.

    Args:
        train: `(x, loss)` of each report on the training text, in order. Points that are not finite
            are left out.
        validation: The same on the validation text.
        x_label: What is counted along x.
        y_label: Unit of the loss.
        title: The heading of the picture.
    """
    trained, validated = (
        tuple((float(x), float(y)) for x, y in points if math.isfinite(x) and math.isfinite(y))
        for points in (train, validation)
    )
    if max(len(trained), len(validated)) < 2:
        return None
    points = [*trained, *validated]
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    later = [y for x, y in points if x >= left + _OPENING_SHARE * (right - left)]
    shown = later if len(points) >= _FEW_POINTS and later else [y for _, y in points]
    bottom, top = min(y for _, y in points), max(shown)
    margin = 0.05 * (top - bottom) or 0.05 * abs(top) or 1.0
    best = min(validated, key=lambda point: point[1], default=None)
    return Chart(
        series=(
            Series(name="training" if trained else "", points=trained, marked=False),
            Series(name="validation" if validated else "", points=validated, joined=None),
        ),
        x_label=x_label,
        y_label=y_label,
        x_limits=(left, right if right > left else left + 1.0),
        y_limits=(bottom - margin, top + margin),
        title=title,
        labels=() if best is None else ((*best, f"best {best[1]:.3f}"),),
    )


class TerminalChart:
    """A chart for a rich console.

    Args:
        chart: What to draw.
        height: Rows of the picture, the axis included.
    """

    def __init__(self, chart: Chart, *, height: int = 14) -> None:
        self._chart = chart
        self._height = height

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as it may be."""
        return Measurement(min(30, options.max_width), options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The legend, the picture, the label of the x axis."""
        chart, ascii_only = self._chart, options.ascii_only
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
        """The marks and what they stand for, in lines that fit the console."""
        chart, ascii_only = self._chart, options.ascii_only
        entries = []
        if chart.letters:
            heading = visible(chart.title or chart.y_label, encoding=options.encoding)
            yield Text(heading, Style(bold=True))
        else:
            entries.append(Text(f"{visible(chart.y_label, encoding=options.encoding)}:"))
        for number, name in enumerate(self._names(options.max_width)):
            if name:
                mark = _mark(chart, number, ascii_only) or ("." if ascii_only else "─")
                words = f"{mark} {visible(name, encoding=options.encoding)}"
                entries.append(Text(words, Style(color="rgb({},{},{})".format(*_color(number)))))
        for name, y in chart.levels:
            words = f"{visible(name, encoding=options.encoding)} {y:.3g}".strip()
            entries.append(Text(f"{'-' if ascii_only else '╌'} {words}"))
        for name, low, high in chart.bands:
            words = f"{visible(name, encoding=options.encoding)} {low:.3g} to {high:.3g}"
            entries.append(Text(f"{'-' if ascii_only else '╌'} {words}"))
        line = entries[0]
        for entry in entries[1:]:
            if line.cell_len + 2 + entry.cell_len > options.max_width:
                yield line
                line = entry
            else:
                line = Text.assemble(line, "  ", entry)
        yield line

    def _names(self, width: int) -> list[str]:
        """What the legend calls each series: by its place too where the axis cannot name all."""
        chart = self._chart
        shown = [series.name if series.points else "" for series in chart.series]
        if len(chart.x_ticks(max(width, 20))) >= len(chart.ticks):
            return shown
        at = dict(chart.ticks)
        return [
            name or (at.get(series.points[0][0], "") if series.points else "")
            for name, series in zip(shown, chart.series, strict=True)
        ]


def _color(number: int) -> tuple[int, int, int]:
    return COLORS[number % len(COLORS)]


def _mark(chart: Chart, number: int, ascii_only: bool) -> str:
    """What stands on a series in the terminal; "" where its points are not marked."""
    if chart.letters:
        return _LETTERS[number]
    marks = _ASCII_MARKS if ascii_only else _MARKS
    return _own(marks, chart, number) if chart.series[number].marked else ""


def _own(marks: str, chart: Chart, number: int) -> str:
    """The mark of a series among those that are marked."""
    return marks[sum(series.marked for series in chart.series[:number]) % len(marks)]


@task("drawing the picture")
def _plot(chart: Chart, width: int, height: int, ascii_only: bool) -> list[Text]:
    """The picture by plotext, line by line."""
    import plotext

    line, dash = (".", "-") if ascii_only else ("braille", "╌")
    figure = plotext.figure

    def draw(points: Points, mark: str, color: tuple[int, int, int], joined: bool) -> None:
        xs, ys = [x for x, _ in points], [y for _, y in points]
        signal = figure.signal(xs, ys, marker=plotext.marker(mark, color))
        figure.draw(signal.lines() if joined and len(points) > 1 else signal)

    # It is one figure for the whole process, so it is emptied before and after.
    figure.clear()
    try:
        figure.plot_size(width, height)
        figure.theme("colorless")
        (left, right), (bottom, top) = chart.limits()
        figure.ruler("x").lim(left, right)
        figure.ruler("y", "left").lim(bottom, top)
        ticks = chart.x_ticks(width)
        figure.ruler("x").ticks([x for x, _ in ticks], [name for _, name in ticks])
        ticks = chart.y_ticks(max(2, height // 3))
        figure.ruler("y", "left").ticks([y for y, _ in ticks], [name for _, name in ticks])
        edges = [y for _, low, high in chart.bands for y in (low, high)]
        for y in (*(y for _, y in chart.levels), *edges):
            level = chart.y_place(y)
            draw(((left, level), (right, level)), dash, (128, 128, 128), True)
        for number, series in enumerate(chart.series):
            for part in chart.parts(series) if series.joined else []:
                draw(part, line, _color(number), True)
            for x, low, high in series.bars:
                place = chart.x_place(x)
                draw(((place, low), (place, high)), line, _color(number), True)
        # The marks last: no line of another series may hide one.
        for number in range(len(chart.series)):
            mark, marked = _mark(chart, number, ascii_only), _marked(chart, number)
            if mark and marked:
                draw(marked, mark, _color(number), False)
        lines = Text.from_ansi(figure.build().string()).split("\n", allow_blank=True)
    finally:
        figure.clear()
    return [row for row in lines if row.plain.strip()]


def _marked(chart: Chart, number: int) -> Points:
    """Where marks stand: at all points of a series, or where its letter is seen best: spread over
    it, next to those of the others."""
    points = [point for part in chart.parts(chart.series[number]) for point in part]
    if not chart.letters or not points:
        return tuple(points)
    shift = (number + 1) / (len(chart.series) + 1)
    shares = [(place + shift) / _LETTERS_EACH for place in range(_LETTERS_EACH)]
    return tuple(points[round(share * (len(points) - 1))] for share in shares)


def _above(points: Points, bottom: float) -> list[Points]:
    """The stretches that lie at `bottom` or above, each cut off where it crosses that."""
    stretches: list[list[tuple[float, float]]] = []
    previous: tuple[float, float] | None = None
    for x, y in points:
        if previous is not None and (previous[1] >= bottom) != (y >= bottom):
            share = (bottom - previous[1]) / (y - previous[1])
            crossing = (previous[0] + share * (x - previous[0]), bottom)
            if y >= bottom:
                stretches.append([crossing])
            else:
                stretches[-1].append(crossing)
        elif previous is None and y >= bottom:
            stretches.append([])
        if y >= bottom:
            stretches[-1].append((x, y))
        previous = (x, y)
    return [tuple(stretch) for stretch in stretches]


def _range(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    return low - margin, high + margin


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


def _round_numbers(low: float, high: float, most: int, least: float = 0.0) -> list[float]:
    """Round numbers within a range, at most `most` of them and at least `least` apart."""
    unit = max(10.0 ** math.floor(math.log10((high - low) / most)), least)
    for factor in (1, 2, 5, 10, 20, 50):
        step = unit * factor
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first < most:
            break
    # Rounded, or a multiple of 0.1 would print as 0.30000000000000004.
    return [round(n * step, 12) for n in range(first, last + 1)]


def _tick_label(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 and value == round(value) else f"{value:.6g}"


@task("drawing the picture")
def save_charts(path: Path, charts: Sequence[Chart]) -> None:
    """Write charts into one picture, atomically; the kind follows from the name.

    Raises:
        ConfigError: The name ends neither in `.svg` nor in `.png`.
        StorageError: It cannot be written.
    """
    atomic_write_bytes(path, charts_picture(charts, picture_kind(path)), follow=True)


def charts_picture(charts: Sequence[Chart], kind: str = "svg") -> bytes:
    """Charts as an SVG or PNG file's bytes: the same bytes for the same charts.

    Args:
        charts: At least one; two stand in a row.
        kind: `svg` or `png`.
    """
    if len(charts) == 1:
        chart = charts[0]
        return draw_picture(
            lambda figure: _draw(figure.add_subplot(), chart), kind, size=(8.0, 4.5), font_size=11.0
        )
    rows = -(-len(charts) // 2)

    def draw(figure: Any) -> None:
        axes = figure.subplots(rows, 2, squeeze=False).flat
        for chart, axis in zip(charts, axes, strict=False):
            _draw(axis, chart)
            # What is measured, then how.
            axis.set_title(plain(chart.title.replace("; ", "\n", 1)), fontsize=10.0)
        for axis in axes[len(charts) :]:
            axis.set_axis_off()

    return draw_picture(draw, kind, size=(12.8, 4.2 * rows), font_size=10.0)


def _draw(axes: Any, chart: Chart) -> None:
    axes.set_xlabel(plain(chart.x_label))
    axes.set_ylabel(plain(chart.y_label))
    if chart.title:
        axes.set_title(plain(chart.title))
    axes.grid(True, color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    (left, right), y_limits = chart.limits()
    # Room for the last mark.
    axes.set_xlim(left, right + 0.01 * (right - left))
    axes.set_ylim(*y_limits)
    ticks = chart.x_ticks(90)
    axes.set_xticks([x for x, _ in ticks], [plain(name) for _, name in ticks])
    if chart.log_y:
        ticks = chart.y_ticks(0)
        axes.set_yticks([y for y, _ in ticks], [name for _, name in ticks])
    for name, y in chart.levels:
        label = plain(f"{name} {y:.3g}") if name else "_"
        axes.axhline(chart.y_place(y), color="0.45", lw=1.2, ls=(0, (2, 2)), label=label)
    for number, (name, low, high) in enumerate(chart.bands):
        # From the end of the colours, where the series have begun at the other.
        axes.axhspan(
            *(chart.y_place(low), chart.y_place(high)),
            color=_unit(_color(-1 - number)),
            alpha=0.25,
            lw=1.0,  # A band without height is a line.
            label=plain(name),
        )
    for number, series in enumerate(chart.series):
        _draw_series(axes, chart, number)
        for x, low, high in series.bars:
            axes.plot([chart.x_place(x)] * 2, [low, high], color=_unit(_color(number)), lw=1.4)
    for x, y, words in chart.labels:
        axes.annotate(
            words,
            (chart.x_place(x), chart.y_place(y)),
            xytext=(0, 14),
            textcoords="offset points",
            ha="right" if chart.x_place(x) > (left + right) / 2 else "left",
        )
    if any(series.name for series in chart.series) or chart.levels or chart.bands:
        many = len(axes.get_legend_handles_labels()[0]) > LEGEND_INSIDE
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "ncols": 2}
        axes.legend(frameon=False, **(below if many else {}))


def _draw_series(axes: Any, chart: Chart, number: int) -> None:
    series = chart.series[number]
    style: dict[str, Any] = {"color": _unit(_color(number)), "lw": 1.4}
    if chart.letters:
        style |= {"lw": 1.8, "ls": _PICTURE_LINES[number % len(_PICTURE_LINES)]}
    elif series.marked:
        # Curves may lie upon each other: the marks of those below are larger and look out.
        below = min(4, len(chart.series) - 1 - number) if series.joined else 0
        style |= {"marker": _own(_PICTURE_MARKS, chart, number), "ms": 5 + 2 * below}
    if series.joined is False:
        style["lw"] = 0
    label = plain(visible(series.name)) or "_"
    for part in chart.parts(series):
        axes.plot([x for x, _ in part], [y for _, y in part], label=label, **style)
        label = "_"  # In the legend once.


def _unit(color: tuple[int, int, int]) -> tuple[float, ...]:
    return tuple(channel / 255 for channel in color)


def picture_kind(path: Path) -> str:
    """`svg` or `png`, by the name.

    Raises:
        ConfigError: It ends in neither.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in PICTURE_KINDS:
        raise ConfigError(f"a picture is saved as .svg or .png, not as '{path.name}'")
    return kind


def draw_picture(
    draw: Callable[[Any], None], kind: str, *, size: tuple[float, float], font_size: float
) -> bytes:
    """A picture's bytes.

    Args:
        draw: Fills the `matplotlib.figure.Figure` that it is given.
        kind: `svg` or `png`.
        size: Width and height in inches, 120 pixels each in a PNG.
        font_size: In points.
    """
    with task("loading matplotlib"):
        import matplotlib.style
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

    stream = io.BytesIO()
    settings = {"svg.hashsalt": "textgen", "font.family": "DejaVu Sans", "font.size": font_size}
    # "default" undoes the settings file of whoever runs this.
    with (
        task("drawing the picture"),
        rc_context(),
        matplotlib.style.context(["default", settings]),
    ):
        figure = Figure(figsize=size, layout="constrained")
        canvas = (FigureCanvasSVG if kind == "svg" else FigureCanvasAgg)(figure)
        draw(figure)
        metadata = {"Date": None, "Creator": "textgen"} if kind == "svg" else {"Software": None}
        canvas.print_figure(stream, format=kind, dpi=120, metadata=metadata)
    return stream.getvalue()


def plain(text: str) -> str:
    """`text` with dollar signs and lone surrogates escaped, as matplotlib needs it."""
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8").replace("$", r"\$")
