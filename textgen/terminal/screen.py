"""A whole screen for a text that grows, with one line at the bottom.

It is the terminal's alternate screen, so that all of it can be drawn again when the size changes,
and the screen that was there before comes back untouched.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from rich.color import ColorSystem
from rich.style import Style
from rich.text import Text

from textgen.terminal.console import ColorDepth
from textgen.terminal.text import each_cell, each_row

#: What of a text is laid out again when the size changes: more than any screen holds.
_KEPT_CHARS = 50_000
_FALLBACK_SIZE = (80, 24)
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
# Cleared first, for a terminal that has one screen only.
_LEAVE = "\x1b[2J\x1b[H\x1b[?25h\x1b[?1049l"
_SYSTEMS = {
    ColorDepth.STANDARD: ColorSystem.STANDARD,
    ColorDepth.EIGHT_BIT: ColorSystem.EIGHT_BIT,
    ColorDepth.TRUECOLOR: ColorSystem.TRUECOLOR,
}

#: What is written in a row, and its columns.
_Row = tuple[str, int]


class TextScreen:
    """While entered, the terminal shows what is added here.

    Args:
        stream: Writes to the terminal.
        depth: Colours it has.
    """

    def __init__(self, stream: TextIO, depth: ColorDepth = ColorDepth.NONE) -> None:
        self._stream = stream
        self._depth = depth
        self._encoding = stream.encoding or "utf-8"
        self._text = self._added = ""
        self._size = (0, 0)
        self._rows = TextRows(1)
        self._drawn: list[_Row] = []

    def __enter__(self) -> TextScreen:
        self._stream.write(_ENTER)
        self._stream.flush()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.write(_LEAVE)
        self._stream.flush()

    def add(self, text: str) -> None:
        """Add to the text; `draw` shows it."""
        self._added += text

    def draw(self, bottom: Callable[[int], Text]) -> None:
        """Draw what has changed, or everything where the size of the terminal has changed.

        Args:
            bottom: Makes the last line, of at most as many columns as it is given.
        """
        size = terminal_size(self._stream.fileno())
        self._text = (self._text + self._added)[-_KEPT_CHARS:]
        written: list[str] = []
        if size != self._size:
            self._size, self._drawn = size, []
            self._rows = TextRows(size[0], self._encoding)
            self._rows.add(self._text)
            written.append("\x1b[2J")
        else:
            self._rows.add(self._added)
        self._added = ""
        columns, lines = size
        line = bottom(columns)
        wanted = self._rows.last(lines - 1)
        wanted += [("", 0)] * (lines - 1 - len(wanted)) + [self._rendered(line)]
        for number, row in enumerate(wanted):
            if number < len(self._drawn) and self._drawn[number] == row:
                continue
            # At the end of a full row this would take its last character with it.
            erase = "\x1b[K" if row[1] < columns else ""
            written.append(f"\x1b[{number + 1};1H{row[0]}{erase}")
        self._drawn = wanted
        if written:
            self._stream.write("".join(written))
            self._stream.flush()

    def _rendered(self, line: Text) -> _Row:
        if self._depth is ColorDepth.NONE:
            return line.plain, line.cell_len
        system = _SYSTEMS[self._depth]
        parts = [(span.start, span.end, span.style) for span in line.spans]
        written, place = "", 0
        for start, end, style in parts:
            known = Style.parse(style) if isinstance(style, str) else style
            written += line.plain[place:start]
            written += known.render(line.plain[start:end], color_system=system)
            place = end
        return written + line.plain[place:], line.cell_len


class TextRows:
    """The rows of a text that grows at its end.

    Args:
        width: Columns of a row.
        encoding: The encoding of the stream; characters that it lacks are escaped.
    """

    def __init__(self, width: int, encoding: str = "utf-8") -> None:
        self._width = max(width, 1)
        self._encoding = encoding
        self._done: list[_Row] = []
        # The last row grows, and with a mark on its first character the one before may break
        # elsewhere.
        self._source, self._open = "", [("", 0)]

    def add(self, text: str) -> None:
        """Add to the text."""
        if not text:
            return
        cells = each_cell([self._source + text], encoding=self._encoding)
        laid = list(each_row(cells, self._width))
        rows = [
            (
                "".join(cell.shown for cell in row if not cell.ends_row),
                sum(cell.width for cell in row if not cell.ends_row),
            )
            for row in laid
        ]
        self._done += rows[:-2]
        self._open = rows[-2:]
        self._source = "".join(cell.source for row in laid[-2:] for cell in row)

    def last(self, count: int) -> list[_Row]:
        """The last rows, `count` at most."""
        return [*self._done[-count:], *self._open][-count:] if count > 0 else []


def terminal_size(descriptor: int) -> tuple[int, int]:
    """Columns and lines of a terminal; 80 by 24 where it does not tell."""
    try:
        columns, lines = os.get_terminal_size(descriptor)
    except (OSError, ValueError):  # Windows knows three descriptors.
        return _FALLBACK_SIZE
    return (columns, lines) if columns > 0 and lines > 0 else _FALLBACK_SIZE
