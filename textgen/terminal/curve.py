"""The loss curve: in the terminal by plotext, as SVG or PNG by matplotlib.

Both are slow to import and wanted once, at the end of a run, so they are imported where used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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

Points = Sequence[tuple[float, float]]

#: Blue and vermilion: apart for every common kind of colour blindness, and in lightness.
_TRAIN_COLOR = (64, 132, 214)
_VALIDATION_COLOR = (213, 94, 0)

#: Reports of the first part of a run are far above all later ones; the picture starts after it.
_OPENING_SHARE = 0.05
#: Below this many points nothing is left out.
_FEW_POINTS = 8


@dataclass(frozen=True, kw_only=True)
class LossCurve:
    """How the loss fell.

    Args:
        train: `(x, loss)` of each report on the training text, in order.
        validation: The same on the validation text.
        x_label: What is counted along x.
        y_label: Unit of the loss.
        title: Heading of the picture; "" for none.
    """

    train: tuple[tuple[float, float], ...] = ()
    validation: tuple[tuple[float, float], ...] = ()
    x_label: str = "steps"
    y_label: str = "bits per character"
    title: str = ""

    def __post_init__(self) -> None:
        for name in ("train", "validation"):
            points = tuple(
                (float(x), float(y))
                for x, y in getattr(self, name)
                if math.isfinite(x) and math.isfinite(y)
            )
            object.__setattr__(self, name, points)

    @property
    def drawable(self) -> bool:
        """Whether there are two points to join."""
        return max(len(self.train), len(self.validation)) >= 2

    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The ranges of x and y to draw: all of x; of y what follows the steep opening."""
        points = [*self.train, *self.validation]
        x_values = [x for x, _ in points]
        low, high = min(x_values), max(x_values)
        later = [y for x, y in points if x >= low + _OPENING_SHARE * (high - low)]
        shown = later if len(points) >= _FEW_POINTS and later else [y for _, y in points]
        bottom, top = min(y for _, y in points), max(shown)
        margin = 0.05 * (top - bottom) or 0.05 * abs(top) or 1.0
        return (low, high if high > low else low + 1.0), (bottom - margin, top + margin)


class TerminalCurve:
    """A loss curve for a rich console.

    Args:
        curve: What to draw.
        height: Rows, the legend and the axis included.
    """

    def __init__(self, curve: LossCurve, *, height: int = 16) -> None:
        self._curve = curve
        self._height = height

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as it may be."""
        return Measurement(min(30, options.max_width), options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The legend, the picture, the label of the x axis."""
        curve = self._curve
        if not curve.drawable:
            yield Text("The run is too short for a loss curve: it has fewer than two reports.")
            return
        train, validation = (
            Style(color=f"rgb({r},{g},{b})") for r, g, b in (_TRAIN_COLOR, _VALIDATION_COLOR)
        )
        ascii_only = options.ascii_only
        mark = "o" if ascii_only else "●"
        legend = Text(f"{curve.y_label}:")
        if curve.train:
            legend.append(f"  {'..' if ascii_only else '──'} training", train)
        if curve.validation:
            legend.append(f"  {mark} validation", validation)
        yield legend
        width = max(options.max_width, 20)
        picture = _plot(curve, width, max(self._height - 2, 6), mark, "." if ascii_only else "")
        for line in picture:
            if ascii_only:
                line.plain = line.plain.translate(_ASCII_FRAME)
            line.no_wrap = True
            line.truncate(options.max_width)
            yield line
        yield Text(curve.x_label, justify="right", no_wrap=True, overflow="crop")


_ASCII_FRAME = str.maketrans("┌┐└┘─│┤┬┴├┼", "++++-|+++++")


@task("drawing the picture")
def _plot(curve: LossCurve, width: int, height: int, mark: str, dot: str) -> list[Text]:
    """The picture by plotext, line by line."""
    import plotext

    figure = plotext.figure
    # It is one figure for the whole process, so it is emptied before and after.
    figure.clear()
    try:
        figure.plot_size(width, height)
        figure.theme("colorless")
        (left, right), (bottom, top) = curve.limits()
        figure.ruler("x").lim(left, right)
        figure.ruler("y", "left").lim(bottom, top)
        ticks = _ticks(left, right, max(2, min(7, width // 12)))
        figure.ruler("x").ticks(ticks, [_tick_label(tick) for tick in ticks])
        ticks = _ticks(bottom, top, max(2, height // 3))
        figure.ruler("y", "left").ticks(ticks, [_tick_label(tick) for tick in ticks])
        if curve.train:
            marker = plotext.marker(dot or "braille", _TRAIN_COLOR)
            figure.draw(_signal(figure, curve.train, marker).lines())
        if curve.validation:
            marker = plotext.marker(mark, _VALIDATION_COLOR)
            figure.draw(_signal(figure, curve.validation, marker))
        lines = Text.from_ansi(figure.build().string()).split("\n", allow_blank=True)
    finally:
        figure.clear()
    return [line for line in lines if line.plain.strip()]


def _signal(figure: Any, points: Points, marker: Any) -> Any:
    return figure.signal([x for x, _ in points], [y for _, y in points], marker=marker)


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers within a range: as many as there are steps for, at most `most` of them."""
    unit = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 5, 10, 20, 50):
        step = unit * factor
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first < most:
            break
    # Rounded, or a multiple of 0.1 would print as 0.30000000000000004.
    return [round(n * step, 12) for n in range(first, last + 1)]


def _tick_label(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 and value == round(value) else f"{value:.6g}"


def save_curve(path: Path, curve: LossCurve) -> None:
    """Write the curve as a picture, atomically; the kind follows from the name.

    Args:
        path: Ends in `.svg` or `.png`.
        curve: What to draw.
    Raises:
        ConfigError: The name ends in neither.
        StorageError: It cannot be written.
    """
    kind = picture_kind(path, "a loss curve")
    atomic_write_bytes(path, picture(curve, kind))


def save_curve_svg(path: Path, curve: LossCurve) -> None:
    """Write the curve as SVG, atomically, whatever the name.

    Raises:
        StorageError: It cannot be written.
    """
    atomic_write_bytes(path, picture(curve, "svg"))


def picture(curve: LossCurve, kind: str = "svg") -> bytes:
    """The curve as an SVG or PNG file's bytes: the same bytes for the same curve.

    Args:
        curve: What to draw; without two points an empty frame that says so.
        kind: `svg` or `png`.
    """
    return draw_picture(
        lambda figure: _draw(figure.add_subplot(), curve), kind, size=(8.0, 4.5), font_size=11.0
    )


def _draw(axes: Any, curve: LossCurve) -> None:
    axes.set_xlabel(plain(curve.x_label))
    axes.set_ylabel(plain(curve.y_label))
    if curve.title:
        axes.set_title(plain(curve.title))
    axes.grid(True, color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if not curve.drawable:
        axes.text(0.5, 0.5, "fewer than two reports", ha="center", transform=axes.transAxes)
        return
    (left, right), (bottom, top) = curve.limits()
    # Room for the last mark.
    axes.set_xlim(left, right + 0.01 * (right - left))
    axes.set_ylim(bottom, top)
    axes.xaxis.set_major_formatter(lambda value, _: _tick_label(value))
    if curve.train:
        axes.plot(*_columns(curve.train), color=_unit(_TRAIN_COLOR), lw=1.2, label="training")
    if curve.validation:
        axes.plot(
            *_columns(curve.validation),
            color=_unit(_VALIDATION_COLOR),
            lw=1.6,
            marker="o",
            ms=4,
            label="validation",
        )
        x, y = min(curve.validation, key=lambda point: point[1])
        axes.annotate(
            f"best {y:.3f}",
            (x, y),
            xytext=(0, 14),
            textcoords="offset points",
            ha="right" if x > (left + right) / 2 else "left",
            color=_unit(_VALIDATION_COLOR),
        )
    axes.legend(frameon=False)


def _columns(points: Points) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _unit(color: Iterable[int]) -> tuple[float, ...]:
    return tuple(channel / 255 for channel in color)
