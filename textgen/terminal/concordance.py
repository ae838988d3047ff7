"""Places of a text beneath each other, each on a line, with what stands before and after them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

from textgen.terminal.text import Cell, cells, char_width

#: The share of the room for text that is given to what stands before the place.
_BEFORE_SHARE = 0.6
_GAP = "  "

_BOLD = Style(bold=True)
_DIM = Style(dim=True)


@dataclass(frozen=True)
class ContextLine:
    """One place.

    Args:
        labels: What is written in front, one for each column.
        before: The text up to the place.
        after: The text after it.
        marked: How many of the last characters before the place are set off.
    """

    labels: tuple[str, ...]
    before: str
    after: str
    marked: int = 0


class Concordance:
    """Places for a rich console; all of them stand in the same column.

    Args:
        headings: Of the labels.
        lines: The places, in the order to show; each has a label for each heading.
    """

    def __init__(self, headings: Sequence[str], lines: Sequence[ContextLine]) -> None:
        self._headings = headings
        self._lines = lines

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as it may be."""
        return Measurement(min(40, options.max_width), options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The headings, then a line for each place."""
        widths = [
            max(map(len, column))
            for column in zip(self._headings, *(line.labels for line in self._lines), strict=True)
        ]
        used = sum(width + len(_GAP) for width in widths)
        # A place between the two texts is a bar.
        room = max(options.max_width - used - 1, 8)
        left = int(room * _BEFORE_SHARE)
        bar = "│" if char_width("│", options.encoding) is not None else "|"
        yield Segment(_labels(self._headings, widths).rstrip(), _DIM)
        yield Segment.line()
        for line in self._lines:
            yield Segment(_labels(line.labels, widths))
            shown = list(_fitting(reversed(cells([line.before], encoding=options.encoding)), left))
            yield Segment(" " * (left - sum(cell.width for cell in shown)))
            marked = line.marked
            pieces = []
            for cell in shown:
                pieces.append(Segment(cell.shown, _BOLD if marked > 0 else None))
                marked -= len(cell.source)
            yield from Segment.simplify(reversed(pieces))
            yield Segment(bar, _DIM)
            after = _fitting(cells([line.after], encoding=options.encoding), room - left)
            yield Segment("".join(cell.shown for cell in after))
            yield Segment.line()


def _labels(labels: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(label.rjust(width) + _GAP for label, width in zip(labels, widths, strict=True))


def _fitting(row: Iterable[Cell], width: int) -> Iterable[Cell]:
    """The first cells, as many as `width` columns hold."""
    for cell in row:
        width -= cell.width
        if width < 0:
            return
        yield cell
