"""Text with the lines of the file where its parts stood."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from textgen.corpus.documents import DOCUMENT_MARK, mark_documents

#: Characters that are handled together.
PART = 1 << 18


@dataclass
class PlacedText:
    """A stretch of text, with a `DOCUMENT_MARK` before each document that begins in it.

    Args:
        text: The characters.
        starts: Places in the text from which on lines are counted anew, ascending, the first is 0.
        lines: The line of the file at each of these places.
    """

    text: str = ""
    starts: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    #: A place and its line, so that lines are not counted again from the beginning.
    _known: tuple[int, int] = (0, 0)

    def line_at(self, place: int) -> int:
        """The line of the file where a character stood; fast for ascending places."""
        index = bisect_right(self.starts, place) - 1
        start, line = self.starts[index], self.lines[index]
        if start < self._known[0] <= place:
            start, line = self._known
        line += self.text.count("\n", start, place)
        self._known = (place, line)
        return line

    def after(self, place: int) -> PlacedText:
        """What follows a place."""
        index = bisect_right(self.starts, place)
        starts = [0, *(start - place for start in self.starts[index:])]
        return PlacedText(self.text[place:], starts, [self.line_at(place), *self.lines[index:]])

    def and_then(self, other: PlacedText) -> PlacedText:
        """This stretch and the one that follows it."""
        if not self.text:
            return other
        shift = len(self.text)
        starts = [*self.starts, *(start + shift for start in other.starts)]
        return PlacedText(self.text + other.text, starts, [*self.lines, *other.lines])


def in_parts(pieces: Iterable[tuple[str, int]], part: int = PART) -> Iterator[PlacedText]:
    """Stretches of about `part` characters from many small pieces and their lines."""
    texts: list[str] = []
    starts: list[int] = []
    lines: list[int] = []
    length, expected = 0, 0
    for text, line in pieces:
        if line != expected or not starts:
            starts.append(length)
            lines.append(line)
        texts.append(text)
        length += len(text)
        expected = line + text.count("\n")
        if length >= part:
            yield PlacedText("".join(texts), starts, lines)
            texts, starts, lines, length = [], [], [], 0
    if length:
        yield PlacedText("".join(texts), starts, lines)


def in_documents(parts: Iterable[PlacedText], mode: str | None) -> Iterator[PlacedText]:
    """The same text with a mark before each document, as `mode` cuts it.

    What separates documents is left out. Each document stands in the text as it stood there, so it
    is found again, and with it its line.
    """
    if mode is None:
        for number, part in enumerate(parts):
            if number == 0:
                part = PlacedText(DOCUMENT_MARK, [0], part.lines[:1]).and_then(part)
            yield part
        return
    waiting = PlacedText()

    def feed() -> Iterator[str]:
        nonlocal waiting
        for part in parts:
            waiting = waiting.and_then(part)
            yield part.text

    began = False
    for chunk in mark_documents(feed(), mode):
        texts: list[tuple[str, int]] = []
        place = 0
        for number, segment in enumerate(chunk.split(DOCUMENT_MARK)):
            if number or not began:
                texts.append((DOCUMENT_MARK, 0))
                began = True
            if segment:
                # Only blank lines and separators stand before it.
                at = max(waiting.text.find(segment, place), place)
                texts.append((segment, waiting.line_at(at)))
                place = at + len(segment)
        waiting = waiting.after(place) if waiting.text else waiting
        yield from in_parts(texts, len(chunk) + 1)
