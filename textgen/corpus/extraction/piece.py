"""A piece of the text of a file: what stands there, and what it looks like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

#: What may look like none of the author's text -> what it is, in words.
KINDS = {
    "licence": "the header and the licence of Project Gutenberg, and who made the file",
    "menus": "navigation, forms, headers and footers of web pages",
    "credits": "who made or offers subtitles",
    "timestamps": "date and time before chat messages",
    "system": "lines of the chat program, and what stands for pictures",
    "table": "the first row of a table, where it looks like a heading, and rows without the column",
    "notes": "title page, notes, synopses and omitted passages of a screenplay",
}

#: Half of a character, as UTF-16 writes one beyond U+FFFF; alone it stands for none.
_HALVES = re.compile("[\ud800-\udfff]")


class FilePiece(NamedTuple):
    """A piece of a text. The pieces of a file join to its text.

    Args:
        text: Any characters but NUL.
        kind: A key of `KINDS`; "" for the text itself.
        line: The line of the file where it begins, from 1; 0 where lines are counted in the text.
        begins: Whether it begins a document.
    """

    text: str
    kind: str = ""
    line: int = 0
    begins: bool = False


def whole_characters(text: str) -> str:
    """The same text, with U+FFFD for each half of a character: no file can be written with one."""
    return _HALVES.sub("\ufffd", text)


def whole_lines(chunks: Iterable[str], longest: int = 1 << 20) -> Iterator[str]:
    """The same text in pieces that end where lines do.

    Args:
        chunks: The text, in pieces of any length.
        longest: A line of more characters is cut.
    """
    carry: list[str] = []
    waiting = 0
    for chunk in chunks:
        end = chunk.rfind("\n") + 1
        if not end and waiting + len(chunk) < longest:
            carry.append(chunk)
            waiting += len(chunk)
            continue
        end = end or len(chunk)
        yield "".join((*carry, chunk[:end]))
        carry, waiting = [chunk[end:]], len(chunk) - end
    if rest := "".join(carry):
        yield rest


def lines_of(chunks: Iterable[str], longest: int = 1 << 20) -> Iterator[str]:
    """The lines of a text, each with its end; one of more than `longest` characters is cut."""
    for part in whole_lines(chunks, longest):
        yield from part.splitlines(keepends=True) if _is_plain(part) else _split(part)


def _is_plain(text: str) -> bool:
    """Whether `splitlines` cuts at line feeds alone."""
    return text.isascii() and not any(char in text for char in "\r\v\f\x1c\x1d\x1e")


def _split(text: str) -> list[str]:
    parts = text.split("\n")
    last = parts.pop()
    lines = [f"{part}\n" for part in parts]
    return [*lines, last] if last else lines
