"""Where in a text the places of something lie: a row of blocks from its beginning to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

from textgen.terminal.strip import BLOCKS, DIGITS
from textgen.terminal.text import char_width

#: Columns of a part of the text, at most.
_WIDEST = 7
_DIM = Style(dim=True)


class Spread:
    """How many places lie in each part of a text, drawn and counted; give it to a rich console.

    A column without a place is a point. The others are blocks, the highest where most places lie
    (digits from 1 to 9 where the stream has no blocks).

    Args:
        count: Gives how many places lie in each of so many equal parts of the text.
        parts: Into how many parts the text is divided; their counts stand below the row.
    """

    def __init__(self, count: Callable[[int], Sequence[int]], parts: int) -> None:
        self._count = count
        self._parts = parts

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """A column for each part and for the bars between them, or more."""
        return Measurement(min(2 * self._parts + 1, options.max_width), options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The row, and the counts of the parts below it."""
        encoding, parts = options.encoding, self._parts
        columns = max(min((options.max_width - 1) // parts - 1, _WIDEST), 1)
        has_blocks = all(char_width(sign, encoding) is not None for sign in f"{BLOCKS}│·")
        signs, bar, none = (BLOCKS, "│", "·") if has_blocks else (DIGITS[1:], "|", ".")
        counts = self._count(parts * columns)
        most = max(*counts, 1)
        row = [signs[-(-count * len(signs) // most) - 1] if count else none for count in counts]
        yield Segment(bar, _DIM)
        for start in range(0, len(row), columns):
            yield from Segment.simplify(
                Segment(sign, _DIM if sign == none else None)
                for sign in row[start : start + columns]
            )
            yield Segment(bar, _DIM)
        yield Segment.line()
        shown = [str(count) for count in self._count(parts)]
        if max(map(len, shown)) <= columns:
            yield Segment(" " + " ".join(count.center(columns) for count in shown).rstrip())
        else:
            yield Segment(" ".join(shown))
        yield Segment.line()
