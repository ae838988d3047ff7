"""Words of a command that a person copies into a shell."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable


def quote(word: str) -> str:
    """A word for a shell, in which nothing is left that could steer a terminal.

    Where there is no such thing any shell reads it, else those that know `$'...'`: bash, zsh, ksh.
    """
    if all(map(_is_shown, word)):
        return shlex.quote(word)
    return "$'" + "".join(map(_escaped, word)) + "'"


def quote_path(path: str | os.PathLike[str]) -> str:
    """The same for a path that stands by itself: a dash at its beginning makes it no option."""
    path = os.fspath(path)
    return quote(f"./{path}" if path.startswith("-") and path != "-" else path)


def command_line(words: Iterable[object]) -> str:
    """The words as one line for a shell."""
    return " ".join(quote(str(word)) for word in words)


def _is_shown(char: str) -> bool:
    """Whether a terminal shows a character as it is."""
    from textgen.terminal.text import char_width  # It loads rich, which training does without.

    return char_width(char) is not None


def _escaped(char: str) -> str:
    code = ord(char)
    if char in "\\'":
        return f"\\{char}"
    if _is_shown(char):
        return char
    if 0xDC80 <= code < 0xDD00:  # a byte that is no UTF-8, as Python hands it on
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
