"""A place in a text, on one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.style import Style
from rich.text import Text

from textgen.terminal.color import ColorDepth
from textgen.terminal.text import Cell, cells, char_width

_MARKS, _PLAIN_MARKS = ("▸", "◂"), (">", "<")
#: Share of an excerpt that stands before the place.
_BEFORE = 0.75
_HERE = Style(reverse=True, bold=True)


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


def _fitting(row: Sequence[Cell] | Iterator[Cell], width: int) -> Iterator[Cell]:
    for cell in row:
        width -= cell.width
        if width < 0:
            return
        yield cell


def marks(encoding: str) -> tuple[str, str]:
    """What stands around the place where no colour can show it."""
    there = all(char_width(mark, encoding) is not None for mark in _MARKS)
    return _MARKS if there else _PLAIN_MARKS
