"""Places in a text: one place on a line, or many below each other (a concordance)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from textgen.terminal.console import ColorDepth
from textgen.terminal.text import TextCell, cells, char_width

_MARKS, _PLAIN_MARKS = ("▸", "◂"), (">", "<")
#: Share of an excerpt that stands before the place.
_BEFORE = 0.75
_HERE = Style(reverse=True, bold=True)
#: The share of the room for text that is given to what stands before the place.
_CONTEXT_BEFORE = 0.6
_GAP = "  "

_BOLD = Style(bold=True)
_DIM = Style(dim=True)


@dataclass(frozen=True)
class Excerpt:
    """A place in a text.

    Args:
        before: What stands before it.
        at: What stands there.
        after: What follows.
    """

    before: str
    at: str
    after: str


def excerpt(place: Excerpt | None, width: int, encoding: str, console: Console) -> Text:
    """A place in a text on one line of at most `width` columns.

    With colours the place stands in reverse, without it stands between marks.
    """
    if place is None or width < 3:
        return Text()
    plain = ColorDepth.of_rich(console.color_system) is ColorDepth.NONE
    first, last = marks(encoding) if plain else ("", "")
    row = cells([place.before, place.at, place.after], encoding=encoding)
    here = [index for index, cell in enumerate(row) if cell.piece == 1]
    if not here:  # A combining mark stands on what is before it.
        here = [max(sum(cell.piece == 0 for cell in row) - 1, 0)]
    room = width - len(first) - len(last)
    middle = list(_fitting(row[here[0] : here[-1] + 1], room))
    room -= sum(cell.width for cell in middle)
    # What one side does not need is the other's.
    behind = list(_fitting(reversed(row[: here[0]]), int(room * _BEFORE)))
    ahead = list(_fitting(row[here[-1] + 1 :], room - sum(cell.width for cell in behind)))
    room -= sum(cell.width for cell in ahead)
    behind = list(_fitting(reversed(row[: here[0]]), room))
    text = Text(no_wrap=True, overflow="crop")
    text.append("".join(cell.shown for cell in reversed(behind)))
    text.append(first)
    text.append("".join(cell.shown for cell in middle), _HERE)
    text.append(last)
    text.append("".join(cell.shown for cell in ahead))
    return text


def _fitting(row: Iterable[TextCell], width: int) -> Iterator[TextCell]:
    """The first cells that fit into `width` columns."""
    for cell in row:
        width -= cell.width
        if width < 0:
            return
        yield cell


def marks(encoding: str) -> tuple[str, str]:
    """What stands around the place where no colour can show it."""
    there = all(char_width(mark, encoding) is not None for mark in _MARKS)
    return _MARKS if there else _PLAIN_MARKS


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
        headings: The headings of the labels.
        lines: The places, in the order to show; each has a label for each heading.
    """

    def __init__(self, headings: Sequence[str], lines: Sequence[ContextLine]) -> None:
        self._headings = headings
        self._lines = lines

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """The whole width of the console."""
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
        left = int(room * _CONTEXT_BEFORE)
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
