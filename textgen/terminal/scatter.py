"""Points in the unit square, several small plots in a row: in the terminal and as a picture.

With colours a plot is a sheet of paper of two pixels a character, each coloured by how many points
fall into it; without, the points are braille dots, or letters on a stream that has no braille.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

from textgen.files import atomic_write_bytes
from textgen.progress import task
from textgen.terminal.chart import draw_picture, picture_kind, plain
from textgen.terminal.console import ColorDepth
from textgen.terminal.palette import SEQUENTIAL
from textgen.terminal.text import char_width, visible

Counts = NDArray[np.int64]

#: The least and the most columns of a plot without its frame; it has half as many rows.
_NARROWEST, _WIDEST = 16, 32
_GAP = 2

#: Where no pixel can be coloured and no braille written: few points to many.
_LETTERS = " .:oO@"
_SCALE_COLUMNS = 12

_BOLD = Style(bold=True)
_BLUE = (64 / 255, 132 / 255, 214 / 255)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scatter:
    """One plot.

    Args:
        title: Written above it.
        x: Across, `(N,)`, each from 0 to 1.
        y: Up, `(N,)`, the same.
    """

    title: str
    x: NDArray[np.floating]
    y: NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class ScatterSheet:
    """Rows of plots that share their axes.

    Args:
        rows: The title of each row and the plots that stand in it; at least one.
        x_label: What is shown across, in words.
        y_label: What is shown upwards.
        noun: What a point is, in the plural.
    """

    rows: tuple[tuple[str, tuple[Scatter, ...]], ...]
    x_label: str
    y_label: str
    noun: str = "points"


class TerminalScatters:
    """A sheet for a rich console; its width decides how many plots stand in a row."""

    def __init__(self, sheet: ScatterSheet) -> None:
        self._sheet = sheet

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """The whole width of the console."""
        return Measurement(min(_NARROWEST + 2, options.max_width), options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The plots with what their axes mean, then the scale of their colours."""
        sheet = self._sheet
        depth = ColorDepth.of_rich(console.color_system)
        columns = max(len(plots) for _, plots in sheet.rows)
        beside = max(1, min(columns, (options.max_width + _GAP) // (_NARROWEST + 2 + _GAP)))
        room = (options.max_width - _GAP * (beside - 1)) // beside - 2
        # An even number, so that the plot has the same number of pixels upwards and across.
        width = max(2, min(_WIDEST, room) // 2 * 2)
        plots = chain.from_iterable(plots for _, plots in sheet.rows)
        most = max(int(_counts(plot, width, width).max()) for plot in plots)
        canvas = _Canvas(width, depth, options.encoding, most)
        for title, plots_of_row in sheet.rows:
            yield Segment(visible(title, encoding=options.encoding)[: options.max_width], _BOLD)
            yield Segment.line()
            for start in range(0, len(plots_of_row), beside):
                part = plots_of_row[start : start + beside]
                drawn = [list(self._plot(plot, canvas)) for plot in part]
                for line in zip(*drawn, strict=True):
                    for index, segments in enumerate(line):
                        if index:
                            yield Segment(" " * _GAP)
                        yield from segments
                    yield Segment.line()
        yield from canvas.scale(sheet.noun, options.max_width)

    def _plot(self, plot: Scatter, canvas: _Canvas) -> Iterator[list[Segment]]:
        """Its lines, each `width + 2` columns."""
        wide, sheet = canvas.width + 2, self._sheet
        up, right, vertical, horizontal, corner = canvas.frame
        yield [Segment(_fitted(visible(plot.title), wide), _BOLD)]
        yield [Segment(_fitted(f"{up} {sheet.y_label}", wide))]
        for number, line in enumerate(canvas.paper(plot)):
            tick = "1" if number == 0 else vertical
            yield [Segment(tick), *line, Segment(" ")]
        yield [Segment(f"{corner}{horizontal * (canvas.width - 1)}1 ")]
        yield [
            Segment(_fitted(f"{sheet.x_label} {right}", wide - 1).rstrip().rjust(wide - 1) + " ")
        ]


class _Canvas:
    """Points to segments, for one terminal."""

    def __init__(self, width: int, depth: ColorDepth, encoding: str, most: int) -> None:
        self.width = width
        self._depth = depth
        self._most = most
        symbols = "↑→│─└▀▄⣿"
        self._plain = any(char_width(symbol, encoding) is None for symbol in symbols)
        #: Arrow up, arrow right, and the lines of the frame.
        self.frame = ("^", ">", "|", "-", "+") if self._plain else ("↑", "→", "│", "─", "└")

    def paper(self, plot: Scatter) -> Iterator[list[Segment]]:
        """The rows of a plot, the upper one first."""
        if self._plain or self._depth is ColorDepth.NONE:
            yield from ([Segment(line)] for line in self._uncoloured(plot))
            return
        counts = _counts(plot, self.width, self.width)
        for row in range(0, self.width, 2):
            yield list(
                Segment.simplify(
                    self._pixels(column, row, counts[row : row + 2, column].tolist())
                    for column in range(self.width)
                )
            )

    def _pixels(self, column: int, row: int, counts: list[int]) -> Segment:
        """Two pixels, one above the other; above the diagonal nothing is drawn."""
        upper, lower = (
            None if not count and column + self.width - 1 - place > self.width else count
            for place, count in enumerate(counts, start=row)
        )
        if lower is None:
            return Segment(" ") if upper is None else Segment("▀", Style(color=self._color(upper)))
        if upper is None:
            return Segment("▄", Style(color=self._color(lower)))
        return Segment("▀", Style(color=self._color(upper), bgcolor=self._color(lower)))

    def _color(self, count: int) -> Any:
        """The colour of a pixel by the logarithm of its points; the palest one has none."""
        return SEQUENTIAL.style(self._place(count), self._depth).bgcolor

    def _place(self, count: int) -> float:
        # A single point must stand out from the paper.
        return 0.0 if not count else 0.3 + 0.7 * math.log(count) / max(math.log(self._most), 1e-9)

    def _uncoloured(self, plot: Scatter) -> Iterator[str]:
        rows = self.width // 2
        if self._plain:
            counts = _counts(plot, self.width, rows)
            for line in counts.tolist():
                yield "".join(_LETTERS[min(count, len(_LETTERS) - 1)] for count in line)
            return
        dots = _counts(plot, 2 * self.width, 4 * rows) > 0
        cells = dots.reshape(rows, 4, self.width, 2).transpose(0, 2, 1, 3)
        for line in (cells * _BRAILLE).sum(axis=(2, 3)).tolist():
            yield "".join(chr(0x2800 + bits) if bits else " " for bits in line)

    def scale(self, noun: str, width: int) -> Iterator[Segment]:
        """What the colours mean."""
        if self._plain:
            told = f". one of the {noun}, : two, o three, O four, @ five or more"
        elif self._depth is ColorDepth.NONE:
            told = f"a dot is one or more of the {noun}"
        else:
            told = f"{noun} in one place:"
        lines = textwrap.wrap(told, width)
        yield Segment("\n".join(lines))
        if not self._plain and self._depth is not ColorDepth.NONE:
            low, high = "1 ", f" {max(self._most, 1):,}"
            used = len(lines[-1]) + 1 + len(low) + _SCALE_COLUMNS + len(high)
            yield Segment(" ") if used <= width else Segment.line()
            yield Segment(low)
            for column in range(_SCALE_COLUMNS):
                place = 0.3 + 0.7 * column / (_SCALE_COLUMNS - 1)
                yield Segment(" ", SEQUENTIAL.style(place, self._depth))
            yield Segment(high)
        yield Segment.line()


#: The bits of a braille character by row and column of its dots.
_BRAILLE = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


def _counts(plot: Scatter, columns: int, rows: int) -> Counts:
    """How many points fall into each place, `(rows, columns)`, the upper row first."""
    result: Counts = np.zeros((rows, columns), np.int64)
    across = np.minimum((np.asarray(plot.x) * columns).astype(np.int64), columns - 1)
    up = np.minimum((np.asarray(plot.y) * rows).astype(np.int64), rows - 1)
    np.add.at(result, (rows - 1 - up, across), 1)
    return result


def _fitted(text: str, width: int) -> str:
    """`text` in exactly `width` columns; it is cut where it is longer."""
    return text[:width].ljust(width)


@task("drawing the picture")
def save_scatters(path: Path, sheet: ScatterSheet) -> None:
    """Write a sheet as a picture, atomically; the kind follows from the name.

    Args:
        path: Ends in `.svg` or `.png`.
        sheet: What to draw.
    Raises:
        ConfigError: The name ends in neither.
        StorageError: It cannot be written.
    """
    atomic_write_bytes(path, scatter_picture(sheet, picture_kind(path)), follow=True)


def scatter_picture(sheet: ScatterSheet, kind: str = "svg") -> bytes:
    """The sheet as an SVG or PNG file's bytes: the same bytes for the same sheet.

    Args:
        sheet: What to draw; each point is a translucent disc, as in the paper.
        kind: `svg` or `png`.
    """
    columns = max(len(plots) for _, plots in sheet.rows)

    def draw(figure: Any) -> None:
        _draw(sheet.rows, figure.subplots(len(sheet.rows), columns, squeeze=False))
        figure.supxlabel(f"{sheet.x_label}; a disc is one of the {sheet.noun}")
        figure.supylabel(sheet.y_label)

    size = (3.2 * columns + 0.5, 3.4 * len(sheet.rows) + 0.4)
    return draw_picture(draw, kind, size=size, font_size=10.0)


def _draw(rows: Sequence[tuple[str, tuple[Scatter, ...]]], axes: Any) -> None:
    for (heading, plots), line in zip(rows, axes, strict=True):
        for axis, plot in zip_longest(line, plots):
            if plot is None:
                axis.set_axis_off()
                continue
            title = f"{heading}, {plot.title}"
            axis.set_title(plain(title), fontsize=10.0)
            axis.plot([0.0, 1.0], [1.0, 0.0], color="0.85", lw=0.8, zorder=1)
            axis.scatter(plot.x, plot.y, s=26.0, color=_BLUE, alpha=0.25, linewidths=0, zorder=2)
            axis.set_xlim(-0.03, 1.03)
            axis.set_ylim(-0.03, 1.03)
            axis.set_aspect("equal")
            axis.spines[["top", "right"]].set_visible(False)
