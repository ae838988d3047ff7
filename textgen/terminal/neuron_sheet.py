"""A table of neurons, and a sheet on one of them. They take plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from textgen.terminal import humanize as fmt
from textgen.terminal.bar import draw_bar
from textgen.terminal.excerpt import Excerpt, excerpt, marks
from textgen.terminal.strip import HeatStrip, HeatValues
from textgen.terminal.text import char_width, visible

#: A narrower excerpt moves beneath the feature instead of into a column of its own.
_NARROWEST = 26
#: Rows of a histogram.
_BARS = 16
_BOLD, _DIM = Style(bold=True), Style(dim=True)


@dataclass(frozen=True, kw_only=True)
class NeuronRow:
    """One line of the table.

    Args:
        name: As it is typed: `0:137`.
        mean: Mean of its values.
        sd: Their standard deviation.
        saturation: Shares of time shut and open; None for what is no gate.
        follows: What it follows; "" for nothing, None where the text is too short to say.
        correlation: With that, on text that did not choose it; None for nothing.
        highest: Where it is highest; None where that is not known.
    """

    name: str
    mean: float
    sd: float
    saturation: tuple[float, float] | None = None
    follows: str | None = ""
    correlation: float | None = None
    highest: Excerpt | None = None


class NeuronTable:
    """A table of neurons for any width: narrow ones put each passage beneath what is followed.

    Args:
        rows: One for each neuron, in the order to show.
    """

    def __init__(self, rows: Sequence[NeuronRow]) -> None:
        self._rows = rows

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
    ) -> Table:
        """With a passage of `width` columns (None: without); `follows` gives it no column."""
        gates = any(row.saturation for row in self._rows)
        table = close_table()
        table.add_column("neuron", no_wrap=True)
        for heading in ("mean", "sd", *(("<0.1", ">0.9") if gates else ())):
            table.add_column(heading, justify="right", no_wrap=True)
        if follows:
            table.add_column("follows", no_wrap=True)
            table.add_column("r", justify="right", no_wrap=True)
        if width is not None:
            heading = "highest" if follows else "follows, highest"
            table.add_column(heading, width=width, no_wrap=True, overflow="crop")
        for row in self._rows:
            entries: list[RenderableType] = [
                Text(row.name),
                Text(fmt.number(row.mean)),
                Text(f"{row.sd:.2g}"),
            ]
            if gates:
                shut, open_ = row.saturation or (0.0, 0.0)
                entries += [Text(f"{shut:.0%}"), Text(f"{open_:.0%}")]
            feature = _followed(row.follows)
            score = Text("" if row.correlation is None else signed(row.correlation))
            if follows:
                entries += [feature, score]
            if width is not None:
                drawn = excerpt(row.highest, width, options.encoding, console)
                if follows:
                    entries.append(drawn)
                else:
                    entries.append(Text("\n").join([Text(" ").join([feature, score]), drawn]))
            table.add_row(*entries)
        return table


def _followed(name: str | None) -> Text:
    if name is None:
        return Text("too short", _DIM)
    return Text(visible(name)) if name else Text("nothing", _DIM)


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """How a neuron goes with one feature.

    Args:
        feature: Its name.
        chosen: Correlation on the text that chooses; None where it is not known.
        correlation: On the other text.
        auc: There.
        best: Whether this one was chosen.
    """

    feature: str
    chosen: float | None
    correlation: float | None
    auc: float | None
    best: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class PassageStrip:
    """A passage coloured by a neuron's values.

    Args:
        title: Printed above.
        pieces: The text, token by token.
        mark: Which piece is meant.
        row: The values and their scale.
    """

    title: str
    pieces: tuple[str, ...]
    mark: int
    row: HeatValues


@dataclass(frozen=True, kw_only=True, eq=False)
class NeuronSheet:
    """One neuron in depth; give it to a rich console.

    Args:
        row: Its name, figures and scale; has no values.
        facts: Sentences beneath.
        seen: What scores and histogram are of.
        scores: Its scores on features, in the order to show.
        counts: How many values lie in each bin, `(bins,)`.
        edges: Of the bins, `(bins + 1,)`.
        passages: Where it is highest and lowest.
    """

    row: HeatValues
    facts: Sequence[str]
    seen: str
    scores: Sequence[ScoreRow]
    counts: NDArray[np.int64]
    edges: NDArray[np.float64]
    passages: Sequence[PassageStrip]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Figures, scores, histogram, passages."""
        yield HeatStrip((), self.row)
        for fact in self.facts:
            yield Text(visible(fact, encoding=options.encoding))
        yield Text()
        yield score_table(self.scores)
        yield Text()
        yield Text(f"values of {self.seen}", _BOLD)
        yield Histogram(self.counts, self.edges)
        for passage in self.passages:
            yield Text()
            yield Text(passage.title, _BOLD)
            yield marked_strip(passage, options.encoding)


def score_table(scores: Sequence[ScoreRow]) -> Table:
    """Correlations and AUC of one neuron with many features; the chosen one in bold."""
    table = close_table()
    table.add_column("feature", no_wrap=True)
    for heading in ("r choosing", "r held out", "AUC"):
        table.add_column(heading, justify="right", no_wrap=True)
    for score in scores:
        table.add_row(
            Text(visible(score.feature)),
            *(
                Text("" if value is None else signed(value))
                for value in (score.chosen, score.correlation)
            ),
            Text("" if score.auc is None else f"{score.auc:.3f}"),
            style=_BOLD if score.best else Style.null(),
        )
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


def marked_strip(passage: PassageStrip, encoding: str) -> HeatStrip:
    """The passage as a heat map with marks around the place that is meant."""
    first, last = marks(encoding)
    mark = passage.mark
    pieces = list(passage.pieces)
    values = [float(value) for value in passage.row.values]
    # After a newline the second mark would stand on a row of its own.
    around = [pieces[mark]] if "\n" in pieces[mark] else [pieces[mark], last]
    pieces[mark : mark + 1] = [first, *around]
    values[mark : mark + 1] = [np.nan, values[mark], np.nan][: len(around) + 1]
    return HeatStrip(pieces, _Values(passage.row, values), header=False)


class _Values:
    """Other values on the same scale."""

    def __init__(self, row: HeatValues, values: Sequence[float]) -> None:
        self.values = values
        self.title, self.mean, self.sd = row.title, row.mean, row.sd
        self.minimum, self.maximum = row.minimum, row.maximum
        self.low, self.high = row.low, row.high
        self.measure, self.note = row.measure, row.note


def close_table() -> Table:
    """Closer set than other tables, so that a passage fits beside."""
    return Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))


def signed(value: float) -> str:
    """`+0.74`, `-0.03`."""
    return f"{value:+.2f}"
