r"""Chats that WhatsApp exported as text, whatever the language of the telephone was.

    [05.03.21, 14:05:11] Anna: Hello          an iPhone
    05.03.21, 14:05 - Anna: Hello             Android
    2021-03-05 2:05 p.m. - Anna: Hello        Android in another language

A message begins with date and time; what does not goes on with the message before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from textgen.corpus.extraction.piece import FilePiece, lines_of

#: Marks of the direction of writing, which WhatsApp puts before what it writes itself.
_MARKS = "\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
_SPACE = "[ \u00a0\u2009\u202f]"
_DATE = rf"\d{{1,4}}[./\-年년]{_SPACE}?\d{{1,2}}[./\-月월]{_SPACE}?\d{{1,4}}[.日일]?"
# Words stand between the two in many languages ("klo", "à", "г., во"), and after the time ("AM").
_TIME = r"[^\d\n\[\]]{1,14}\d{1,2}[:.]\d{2}(?:[:.]\d{2})?[^\d\n\[\]:–—-]{0,10}"
_STAMP = re.compile(
    rf"[{_MARKS}]*(?:\[{_DATE}{_TIME}\]{_SPACE}?|{_DATE}{_TIME}{_SPACE}?[-–—]{_SPACE}"
    rf"|\d{{4}}년[^\n,]{{4,30}},{_SPACE})"
)
_NAME = re.compile(rf"[{_MARKS}~ ]*[^:\n]{{1,80}}?{_SPACE}?:(?:{_SPACE}|(?=\n|$))")
#: A message that the program wrote instead of a picture, in any language: "image omitted" after a
#: mark, "<Media omitted>", "IMG-1.jpg (file attached)".
_OMITTED = re.compile(rf"(?:[{_MARKS}].*|<[^<>\n]{{3,60}}>|\S+\.\w{{3,4}} \([^()\n]{{1,60}}\))\s*$")

#: Lines that are looked at, and how many of them have to be messages.
_LOOKED_AT, _LEAST, _SHARE = 60, 3, 0.3


def is_chat(head: str) -> bool:
    """Whether a text, of which this is the beginning, is a chat."""
    lines = [line for line in head.split("\n")[:_LOOKED_AT] if line.strip()]
    stamped = sum(_STAMP.match(line) is not None for line in lines)
    return stamped >= min(_LEAST, len(lines)) and stamped >= _SHARE * max(len(lines), 1)


def read_chat(chunks: Iterable[str]) -> Iterator[FilePiece]:
    """The text as it is, with the times and the lines of the program set apart.

    A line without a time is somebody's: of a message, or below a picture.
    """
    for line in lines_of(chunks):
        stamp = _STAMP.match(line)
        if stamp is None:
            yield FilePiece(line)
            continue
        end = stamp.end()
        name = _NAME.match(line, end)
        if name is None or _OMITTED.match(line, name.end()):
            yield FilePiece(line, "system")
            continue
        yield FilePiece(line[:end], "timestamps")
        yield FilePiece(line[end:])
