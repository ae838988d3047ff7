"""Screenplays in Fountain, which is plain text: the film itself, and what is only for its makers.

The syntax is that of fountain.io: a title page of keys and values, `/* omitted */`, `[[notes]]`,
`# sections`, `= synopses`, `===` for a new page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from textgen.corpus.extraction.piece import FilePiece, lines_of

#: How a title page begins; another word before a colon ("FADE IN:") belongs to the film.
_KEY = re.compile(
    r"(?:title|credits?|authors?|source|notes|draft(?: date)?|date|contact(?: info)?|copyright|"
    r"revision|episode|series|format):",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"/\*|\[\[")
_CLOSES = {"/*": "*/", "[[": "]]"}
#: An aside that goes on for more lines was never closed.
_LONGEST = 2000


def read_screenplay(chunks: Iterable[str]) -> Iterator[FilePiece]:
    """The text as it is; title page, notes, synopses and omitted passages are set apart."""
    on_title_page, first = False, True
    closes, lines_inside = "", 0
    for line in lines_of(chunks):
        if first and line.strip():
            on_title_page, first = _KEY.match(line) is not None, False
        if on_title_page:
            yield FilePiece(line, "notes")
            on_title_page = bool(line.strip())
            continue
        if not closes and line.startswith(("#", "=")):
            yield FilePiece(line, "notes")
            continue
        place = 0
        while place < len(line):
            if closes:
                at = line.find(closes, place)
                end = len(line) if at < 0 else at + len(closes)
                lines_inside += at < 0
                if at >= 0 or lines_inside > _LONGEST:
                    closes, lines_inside = "", 0
                if not line[end:].strip():
                    end = len(line)  # The line was nothing else, or ends with it.
                yield FilePiece(line[place:end], "notes")
            else:
                found = _ASIDE.search(line, place)
                end = found.start() if found else len(line)
                closes = _CLOSES[found[0]] if found else ""
                if end > place:
                    yield FilePiece(line[place:end])
            place = end
