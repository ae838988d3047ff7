"""A sheet on one neuron. It takes plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from textgen.terminal import humanize as fmt
from textgen.terminal.excerpt import marks
from textgen.terminal.neurons import close_table, signed
from textgen.terminal.strip import HeatStrip, HeatValues
from textgen.terminal.text import char_width, visible

#: Rows of a histogram.
_BARS = 16
_PARTS = " ▏▎▍▌▋▊▉█"
_BOLD = Style(bold=True)


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
        full = all(char_width(char, options.encoding) is not None for char in _PARTS[1:])
        top = max(float(shares.max()), 1e-12)
        for label, share in zip(labels, shares.tolist(), strict=True):
            yield Segment(f"{label} {share:7.1%} {_bar(share / top * room, full)}".rstrip())
            yield Segment.line()


def _bar(length: float, full: bool) -> str:
    if not full:
        return "#" * round(length)
    eighths = round(length * 8)
    return _PARTS[8] * (eighths // 8) + _PARTS[eighths % 8].strip()


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
