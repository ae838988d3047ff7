"""A table of neurons, and what a sheet on one of them shows. They take plain data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table as RichTable
from rich.text import Text

from textgen.heat import HeatRow
from textgen.table import Table
from textgen.terminal import humanize as fmt
from textgen.terminal.bar import draw_bar
from textgen.terminal.excerpt import Excerpt, excerpt, marks
from textgen.terminal.strip import HeatStrip
from textgen.terminal.text import char_width, visible

#: A narrower excerpt moves beneath the feature instead of into a column of its own.
_NARROWEST = 26
#: Rows of a histogram.
_BARS = 16
_BOLD, _DIM = Style(bold=True), Style(dim=True)


class NeuronTable:
    """A table of neurons for any width: narrow ones put each passage beneath what is followed.

    Args:
        table: A row for each neuron. The first column names it, and the last two say what it
            follows and the correlation with that.
        places: Where each neuron is highest; None where that is not known.
    """

    def __init__(self, table: Table, places: Sequence[Excerpt | None]) -> None:
        self._headings = table.headings()
        self._rows = list(zip(table.shown(), places, strict=True))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, at most as wide as the console."""
        bare = self._table(None, options, console)
        left = options.max_width - Measurement.get(console, options, bare).maximum - 2
        if left >= _NARROWEST:
            yield self._table(left, options, console)
            return
        numbers = self._table(None, options, console, follows=False)
        left = options.max_width - Measurement.get(console, options, numbers).maximum - 2
        yield self._table(max(left, 3), options, console, follows=False)

    def _table(
        self,
        width: int | None,
        options: ConsoleOptions,
        console: Console,
        *,
        follows: bool = True,
    ) -> RichTable:
        """With a passage of `width` columns (None: without); `follows` gives it no column."""
        table = close_table()
        name, *figures, followed, score = self._headings
        table.add_column(name, no_wrap=True)
        for heading in figures:
            table.add_column(heading, justify="right", no_wrap=True)
        if follows:
            table.add_column(followed, no_wrap=True)
            table.add_column(score, justify="right", no_wrap=True)
        if width is not None:
            heading = "highest" if follows else "follows, highest"
            table.add_column(heading, width=width, no_wrap=True, overflow="crop")
        for row, place in self._rows:
            *plain, feature, correlation = row
            entries: list[RenderableType] = [*map(Text, plain)]
            about = [_followed(feature), Text(correlation)]
            if follows:
                entries += about
            if width is not None:
                drawn = excerpt(place, width, options.encoding, console)
                entries.append(
                    drawn if follows else Text("\n").join([Text(" ").join(about), drawn])
                )
            table.add_row(*entries)
        return table


def _followed(name: str) -> Text:
    return Text(visible(name), _DIM if name in ("nothing", "too short") else Style.null())


def score_table(scores: Table, best: int | None) -> RichTable:
    """Correlations and AUC of one neuron with many features; the chosen one in bold."""
    table = close_table()
    name, *figures = scores.headings()
    table.add_column(name, no_wrap=True)
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=True)
    for place, row in enumerate(scores.shown()):
        style = _BOLD if place == best else Style.null()
        table.add_row(*(Text(visible(entry)) for entry in row), style=style)
    return table


class Histogram:
    """Bars for how often a neuron's values lie where, as long as the console is wide.

    Args:
        counts: How many values lie in each bin, `(bins,)`.
        edges: Of the bins, `(bins + 1,)`.
    """

    def __init__(self, counts: NDArray[np.int64], edges: NDArray[np.float64]) -> None:
        self._counts = counts
        self._edges = edges

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One row for each of some neighbouring bins, with its share."""
        joined = max(1, len(self._counts) // _BARS)
        counts = np.add.reduceat(self._counts, np.arange(0, len(self._counts), joined))
        edges = [*self._edges[:-1][::joined].tolist(), float(self._edges[-1])]
        shares = counts / max(int(counts.sum()), 1)
        labels = [f"{fmt.number(low):>6} to {fmt.number(high):>6}" for low, high in pairwise(edges)]
        room = max(options.max_width - len(labels[0]) - 10, 4)
        ascii_only = any(char_width(char, options.encoding) is None for char in "▏▎▍▌▋▊▉█")
        top = max(float(shares.max()), 1e-12)
        for label, share in zip(labels, shares.tolist(), strict=True):
            bar = draw_bar(share / top, room, ascii_only=ascii_only)
            yield Segment(f"{label} {share:7.1%} {bar}".rstrip())
            yield Segment.line()


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


def close_table() -> RichTable:
    """Closer set than other tables, so that a passage fits beside."""
    return RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
