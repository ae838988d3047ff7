"""Tables and panels of the command line. They take plain data and know neither models nor runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.panel import Panel
from rich.segment import Segment
from rich.style import Style
from rich.table import Table as RichTable
from rich.text import Text

from textgen.table import Table, show_figure, show_value
from textgen.terminal import humanize as fmt
from textgen.terminal.bar import draw_bar
from textgen.terminal.excerpt import Excerpt, excerpt
from textgen.terminal.text import char_width, visible

#: Columns below which a table of choices has no room for three columns; and of the first two.
NARROW, _SETTING_COLUMNS = 60, 20

#: A narrower excerpt of a text stands below the feature instead of in a column of its own.
_NARROWEST = 26
#: Rows of a histogram.
_BARS = 16
_BOLD, _DIM = Style(bold=True), Style(dim=True)

#: A label and what to print next to it: text, or a number that gets its thousands set apart.
Row = tuple[str, object]


def draw_table(table: Table, words: Callable[[str], str] = str) -> RenderableType:
    """A table with its title above and its notes below.

    Words stand at the left, numbers at the right. What is too wide goes on in the next line: a
    figure that is cut off would be another figure.

    Args:
        table: The table.
        words: Puts a note into the words of the reader.
    """
    drawn = _table(*table.headings())
    for column, is_words in zip(drawn.columns, table.are_words(), strict=True):
        column.justify = "left" if is_words else "right"
    for row in table.shown():
        drawn.add_row(*map(_text, row))
    title = [Text(visible(table.title), style="bold")] if table.title else []
    return Group(*title, drawn, *(_text(words(note)) for note in table.notes))


def stacked_table(table: Table, width: int) -> RenderableType:
    """The rows of a table one below the other, for a terminal below `NARROW` columns.

    What stands in the first column is a line. The rest goes on below it with its headings, and no
    figure stands on another line than its name.

    Args:
        table: The table.
        width: The columns of the terminal.
    """
    heading, *headings = table.headings()
    lines: list[RenderableType] = [_text(heading)]
    for first, *rest in table.shown():
        lines.append(_text(first))
        said = ""
        for name, value in zip(headings, rest, strict=True):
            piece = f"{name} {value}".strip() if value else ""
            if said and piece and len(said) + len(piece) + 4 > width:
                lines.append(Padding(_text(f"{said},"), (0, 0, 0, 2)))
                said = piece
            elif piece:
                said = f"{said}, {piece}" if said else piece
        lines.append(Padding(_text(said), (0, 0, 0, 2)))
    return Group(*lines)


def key_values(title: str, rows: Sequence[Row], *, note: str = "") -> Panel:
    """A panel of labels and values.

    Args:
        title: The title of the panel.
        rows: `(label, value)`; rows whose value is None are left out.
        note: A paragraph below; "" for none.
    """
    grid = RichTable.grid(padding=(0, 2))
    grid.add_column(style="dim", overflow="fold")
    grid.add_column(overflow="fold")
    for label, value in rows:
        if value is not None:
            grid.add_row(_text(label), _text(show_value(value)))
    body: RenderableType = Group(grid, Text(), _text(note)) if note else grid
    return Panel(body, title=_text(title), title_align="left", box=ROUNDED, expand=False)


def choices_table(choices: Sequence[tuple[str, object, str]], *, width: int = 80) -> RichTable:
    """What was chosen and why.

    Args:
        choices: `(name, value, reason)`, in the order to show.
        width: The columns of the terminal; below `NARROW` each reason stands below its setting.
    """
    if width < NARROW:
        return _stacked_choices(choices)
    table = _table("setting", "value", "why")
    for column in table.columns[:2]:
        column.max_width = _SETTING_COLUMNS
    table.columns[2].overflow = "fold"
    for name, value, reason in choices:
        table.add_row(_text(name), _text(show_value(value)), _text(reason))
    return table


def _stacked_choices(choices: Sequence[tuple[str, object, str]]) -> RichTable:
    """The same for a narrow terminal, where three columns leave no room for words."""
    table = RichTable.grid()
    table.add_column(overflow="fold")
    for name, value, reason in choices:
        table.add_row(_text(f"{name} {show_value(value)}"))
        table.add_row(Padding(_text(reason), (0, 0, 0, 2)))
    return table


def evaluation_table(
    result: Mapping[str, object],
    cold: Mapping[str, object] | None = None,
    *,
    heading: str = "whole text",
) -> RichTable:
    """The figures of `eval`: one stateful pass, and next to it cold windows where asked for.

    Args:
        result: Name -> figure.
        cold: The same from cold windows, its names with or without `cold_` in front.
        heading: What `result` is of.
    """
    table = _table("", heading, *([] if cold is None else ["cold windows"]))
    for column in table.columns[1:]:
        column.justify = "right"
    beside = {name.removeprefix("cold_"): value for name, value in (cold or {}).items()}
    for name in [*result, *(name for name in beside if name not in result)]:
        values = [result.get(name)] + ([] if cold is None else [beside.get(name)])
        table.add_row(
            _text(name.replace("_", " ")),
            *(_text("" if value is None else show_figure(value)) for value in values),
        )
    return table


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
        table = _close_table()
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
    table = _close_table()
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


def _close_table() -> RichTable:
    """A table with narrower gaps than others, so that a passage fits into a column."""
    return RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))


def _table(*headings: str) -> RichTable:
    table = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _text(text: str) -> Text:
    """As it is: no markup, and nothing in it that could steer the terminal."""
    return Text(visible(text, keep_newlines=True))
