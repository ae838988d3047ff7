"""A table of neurons. It takes plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.style import Style
from rich.table import Table
from rich.text import Text

from textgen.terminal import humanize as fmt
from textgen.terminal.excerpt import Excerpt, excerpt
from textgen.terminal.text import visible

#: A narrower excerpt moves beneath the feature instead of into a column of its own.
_NARROWEST = 26
_DIM = Style(dim=True)


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


def close_table() -> Table:
    """Closer set than other tables, so that a passage fits beside."""
    return Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))


def signed(value: float) -> str:
    """`+0.74`, `-0.03`."""
    return f"{value:+.2f}"
