"""Text as a row of terminal cells: widths, combining marks, control characters made visible.

Nothing that comes from a corpus may steer the terminal or shift the columns, so all characters
that do either are shown escaped: controls, format characters (among them those that turn the
direction of writing), unassigned ones, and the few whose width terminals disagree about.
"""

from __future__ import annotations

import os
import shlex
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

#: Shown at the end of each line of the text, where a row ends.
NEWLINE_SIGN = "↵"
#: Stands for a space in a list, where a space would not be seen.
SPACE_SIGN = "␣"
#: Carries a combining mark that has no base character.
MARK_CARRIER = "◌"

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
#: What the Command Prompt or PowerShell takes for something else outside quotes.
_SPECIAL_ON_WINDOWS = frozenset(" \t\\\"'`&|<>^%!$@#(){}[];,=*?~")
_VARIATION_SELECTORS = frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))


@dataclass(frozen=True, slots=True)
class TextCell:
    """What is drawn in one place.

    Args:
        shown: What is written: a character with its marks, or an escape. Holds no control.
        width: Columns it takes.
        source: The characters it stands for.
        piece: Which of the pieces the first of these characters belongs to.
        ends_row: Whether it stands for a newline.
    """

    shown: str
    width: int
    source: str
    piece: int
    ends_row: bool = False


def escape(char: str) -> str:
    """How a character looks that must not be written as it is: `\\n`, `\\x1b`, `\\u202e`."""
    if char in _NAMED:
        return _NAMED[char]
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def is_control(char: str) -> bool:
    """Whether a character is not seen: it steers the terminal, or nobody has defined it."""
    return unicodedata.category(char) in _ESCAPED_CATEGORIES


@lru_cache(maxsize=8192)
def char_width(char: str, encoding: str = "utf-8") -> int | None:
    """Columns of a character: 0 for a mark on the one before; None if it must be escaped."""
    if is_control(char):
        return None
    width = 1 if char.isascii() else _table_width(char)
    if width is None:
        return None
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return None
    return width


def _table_width(char: str) -> int | None:
    """The width that two tables agree on; None where they differ, as terminals then do too."""
    from rich.cells import cell_len
    from wcwidth import wcwidth

    width = wcwidth(char)
    return width if width == cell_len(char) >= 0 else None


def visible(text: str, *, keep_newlines: bool = False, encoding: str = "utf-8") -> str:
    """`text` with everything escaped that could steer a terminal or shift its columns.

    Args:
        text: From anywhere.
        keep_newlines: Whether newlines stay as they are.
        encoding: The encoding of the stream; characters that it lacks are escaped too.
    """
    return "".join(
        char
        if (char == "\n" and keep_newlines) or char_width(char, encoding) is not None
        else escape(char)
        for char in text
    )


def with_signs(text: str, marks: Mapping[str, str] | None = None) -> str:
    """A few symbols as they stand in a list or a sentence, spaces and line ends as signs.

    Args:
        text: The symbols.
        marks: Characters that mean something else than themselves, and what is shown for each.
    """
    signs = {" ": SPACE_SIGN, "\n": NEWLINE_SIGN, **(marks or {})}
    return "".join(signs.get(char, char) for char in text)


def note_line(note: str) -> str:
    """A note as a line for the terminal; a warning has its own beginning."""
    return visible(note if note.startswith("warning: ") else f"note: {note}")


def cells(pieces: Iterable[str], *, encoding: str = "utf-8") -> list[TextCell]:
    """The cells of a text, all at once: see `each_cell`."""
    return list(each_cell(pieces, encoding=encoding))


def each_cell(pieces: Iterable[str], *, encoding: str = "utf-8") -> Iterator[TextCell]:
    """The cells of a text given in pieces, in order, one at a time.

    Combining marks join the cell of the character before them, also across a border of pieces;
    the cell belongs to the piece of its base. Variation selectors join it without being written:
    terminals disagree on whether they widen it.

    Args:
        pieces: The text, token by token; "" takes no cell.
        encoding: The encoding of the stream; characters that it lacks are escaped.
    """
    newline = NEWLINE_SIGN if char_width(NEWLINE_SIGN, encoding) is not None else escape("\n")
    carrier = MARK_CARRIER if char_width(MARK_CARRIER, encoding) is not None else " "
    last: TextCell | None = None  # held back, for a mark may join it
    for index, piece in enumerate(pieces):
        for char in piece:
            width = char_width(char, encoding)
            if char == "\n":
                cell = TextCell(newline, len(newline), char, index, ends_row=True)
            elif width is None:
                shown = escape(char)
                cell = TextCell(shown, len(shown), char, index)
            elif width > 0:
                cell = TextCell(char, width, char, index)
            else:
                written = "" if char in _VARIATION_SELECTORS else char
                if last is not None and not last.ends_row and _carries_marks(last):
                    last = _joined(last, written, char)
                    continue
                cell = TextCell(carrier + written, 1, char, index)
            if last is not None:
                yield last
            last = cell
    if last is not None:
        yield last


def _carries_marks(cell: TextCell) -> bool:
    """Whether a mark may join it: an escape would be another text with a mark on it."""
    return cell.shown[0] != "\\" or cell.source[0] == "\\"


def _joined(base: TextCell, written: str, char: str) -> TextCell:
    return TextCell(base.shown + written, base.width, base.source + char, base.piece)


def each_row(row: Iterable[TextCell], width: int) -> Iterator[list[TextCell]]:
    """Break cells into rows of at most `width` columns, one row at a time.

    A row ends after a newline, else after the last space if there is one in its second half,
    else where it is full. A cell wider than a row (an escape) stands alone.

    Args:
        row: The cells of a text.
        width: Columns of a row, at least 1.
    """
    line: list[TextCell] = []
    used = after_space = 0
    for cell in row:
        while line and used + cell.width > width:
            columns = sum(c.width for c in line[:after_space])
            stop = after_space if 2 * columns >= width and cell.source != " " else len(line)
            yield line[:stop]
            # What is left follows the last space, so it holds none.
            line, after_space = line[stop:], 0
            used = sum(c.width for c in line)
        line.append(cell)
        used += cell.width
        if cell.source == " ":
            after_space = len(line)
        if cell.ends_row:
            yield line
            line, used, after_space = [], 0, 0
    if line:
        yield line


def quote(word: str) -> str:
    """A word for a shell, with everything escaped that could steer a terminal.

    Any shell reads the result where nothing had to be escaped, else those that know `$'...'`: bash,
    zsh, ksh. On Windows it is for the Command Prompt and PowerShell, and nothing is for them with
    such a character in it.
    """
    if all(map(_is_shown, word)):
        return _quoted_for_windows(word) if sys.platform == "win32" else shlex.quote(word)
    return "$'" + "".join(map(_escaped, word)) + "'"


def _quoted_for_windows(word: str) -> str:
    """A word in double quotes, unless it needs none; the rules of backslashes are Python's."""
    if word and not _SPECIAL_ON_WINDOWS.intersection(word):
        return word
    from subprocess import list2cmdline

    quoted = list2cmdline([word])
    return quoted if quoted.startswith('"') else f'"{quoted}"'


def quote_path(path: str | os.PathLike[str]) -> str:
    """The same for a path, which must not look like an option where it begins with a dash."""
    path = os.fspath(path)
    return quote(f"./{path}" if path.startswith("-") and path != "-" else path)


def command_line(words: Iterable[object]) -> str:
    """The words as one line for a shell."""
    return " ".join(quote(str(word)) for word in words)


def _is_shown(char: str) -> bool:
    """Whether a terminal shows a character as it is."""
    return char_width(char) is not None


def _escaped(char: str) -> str:
    code = ord(char)
    if char in "\\'":
        return f"\\{char}"
    if _is_shown(char):
        return char
    if 0xDC80 <= code < 0xDD00:  # a byte outside UTF-8, as Python hands it on
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
