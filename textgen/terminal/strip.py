"""A text as a heat map in the terminal, one neuron at a time.

Takes plain data: the pieces of the text and one number for each. With colours every character
stands on the colour of its value; without, a row of blocks beneath the text shows the same, from
`▁` at the low end of the scale to `█` at the high one (digits 0 to 9 where the stream cannot say
even that).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment, Segments
from rich.style import Style

from textgen.heat import HeatRow
from textgen.terminal import humanize as fmt
from textgen.terminal.console import ColorDepth
from textgen.terminal.excerpt import marks
from textgen.terminal.palette import palette_for, position
from textgen.terminal.text import TextCell, char_width, each_cell, each_row, visible

BLOCKS = "▁▂▃▄▅▆▇█"
DIGITS = "0123456789"

_BOLD = Style(bold=True)
_SCALE_COLUMNS = 32

#: Rows of text that are laid out at once where a strip is printed in blocks.
_BLOCK_ROWS = 256


class HeatStrip:
    """A text coloured by the values of one neuron, with a scale; give it to a rich console.

    Args:
        pieces: The text, piece by piece; "" takes no column.
        row: The values and their scale.
        header: Whether name, figures and scale are printed above the text.
        values: Other values than those of `row`.
    Raises:
        ValueError: There is not one value for each piece, or the scale has no extent.
    """

    def __init__(
        self,
        pieces: Sequence[str],
        row: HeatRow,
        *,
        header: bool = True,
        values: Sequence[float] | None = None,
    ) -> None:
        self._values = row.values if values is None else values
        if len(pieces) != len(self._values):
            raise ValueError(f"{len(pieces)} pieces but {len(self._values)} values")
        if not row.low < row.high:
            raise ValueError(f"the scale {row.low}..{row.high} has no extent")
        self._pieces = pieces
        self._row = row
        self._header = header

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """At least a narrow column, at most what the text would take on one line."""
        longest = max((len(line) for line in "".join(self._pieces).split("\n")), default=1)
        return Measurement(min(20, options.max_width), options.max_width).with_maximum(
            max(20, 2 * longest)
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The header, then the text in rows of at most the console's width."""
        yield from chain.from_iterable(self._lines(console, options))

    def print_to(self, console: Console) -> None:
        """Print it block by block, because a console holds everything that it is given at once."""
        lines = self._lines(console, console.options)
        while block := list(chain.from_iterable(islice(lines, _BLOCK_ROWS))):
            console.print(Segments(block))

    def _lines(self, console: Console, options: ConsoleOptions) -> Iterator[list[Segment]]:
        """The header, then each row of the text."""
        depth = ColorDepth.of_rich(console.color_system)
        painter = _Painter(self._row, self._values, depth, options.encoding)
        width = options.max_width
        if self._header:
            yield list(painter.header(width))
        for line in each_row(each_cell(self._pieces, encoding=options.encoding), width):
            yield list(painter.text_row(line))


def marked_strip(
    pieces: Sequence[str],
    mark: int,
    values: Iterable[float],
    row: HeatRow,
    encoding: str,
) -> HeatStrip:
    """A passage coloured by a neuron's values, with marks around the place that is meant.

    Args:
        pieces: The text, token by token.
        mark: Which piece is meant.
        values: One number for each piece; not a number has no colour.
        row: Has the scale of the values.
        encoding: The encoding of the stream.
    """
    first, last = marks(encoding)
    parts, numbers = list(pieces), [float(value) for value in values]
    # After a newline the second mark would stand on a row of its own.
    around = [parts[mark]] if "\n" in parts[mark] else [parts[mark], last]
    parts[mark : mark + 1] = [first, *around]
    numbers[mark : mark + 1] = [np.nan, numbers[mark], np.nan][: len(around) + 1]
    return HeatStrip(parts, row, header=False, values=numbers)


class _Painter:
    """Values to segments, for one terminal."""

    def __init__(
        self,
        row: HeatRow,
        values: Sequence[float] | NDArray[np.floating],
        depth: ColorDepth,
        encoding: str,
    ) -> None:
        self._row = row
        self._values = values
        self._depth = depth
        self._encoding = encoding
        self._palette = palette_for(row.low, row.high)
        blocks = all(char_width(block, encoding) is not None for block in BLOCKS)
        self._symbols = BLOCKS if blocks else DIGITS

    def header(self, width: int) -> Iterator[Segment]:
        row = self._row
        measure = f" {row.measure}" if row.measure else ""
        facts = [
            f"mean {fmt.number(row.mean)}{measure}",
            f"sd {fmt.number(row.sd)}",
            f"min {fmt.number(row.minimum)}",
            f"max {fmt.number(row.maximum)}",
        ]
        name = visible(row.title, encoding=self._encoding)
        for line in _flow([name, *facts], width):
            bold = line.startswith(name)
            if bold:
                yield Segment(name, _BOLD)
            yield Segment(line[len(name) if bold else 0 :])
            yield Segment.line()
        yield from self._scale(width)
        if row.note:
            for line in _flow(visible(row.note, encoding=self._encoding).split(), width, gap=" "):
                yield Segment(line)
                yield Segment.line()

    def _scale(self, width: int) -> Iterator[Segment]:
        row = self._row
        low, high = fmt.number(row.low), fmt.number(row.high)
        columns = min(_SCALE_COLUMNS, width - len(low) - len(high) - 2)
        yield Segment(f"{low} ")
        for column in range(columns):
            yield self._mark(column / max(columns - 1, 1))
        yield Segment(f" {high}")
        yield Segment.line()

    def _mark(self, place: float) -> Segment:
        """One column of the scale."""
        if self._depth is ColorDepth.NONE:
            return Segment(self._symbol(place))
        return Segment(" ", self._palette.style(place, self._depth))

    def _symbol(self, place: float) -> str:
        if math.isnan(place):
            return " "
        return self._symbols[min(int(place * len(self._symbols)), len(self._symbols) - 1)]

    def _place(self, cell: TextCell) -> float:
        return position(float(self._values[cell.piece]), self._row.low, self._row.high)

    def text_row(self, line: Sequence[TextCell]) -> Iterator[Segment]:
        if self._depth is ColorDepth.NONE:
            yield Segment("".join(cell.shown for cell in line))
            yield Segment.line()
            yield Segment("".join(self._symbol(self._place(cell)) * cell.width for cell in line))
        else:
            yield from Segment.simplify(
                Segment(cell.shown, self._palette.style(self._place(cell), self._depth))
                for cell in line
            )
        yield Segment.line()


def _flow(words: Sequence[str], width: int, *, gap: str = "  ") -> Iterator[str]:
    """Words set in lines of at most `width` columns; a longer word is cut."""
    line = ""
    for word in words:
        while len(word) > width:
            if line:
                yield line
                line = ""
            yield word[:width]
            word = word[width:]
        if line and len(line) + len(gap) + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line}{gap}{word}" if line else word
    if line:
        yield line
