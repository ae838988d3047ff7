"""The header and the licence around a book of Project Gutenberg, and who made the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from textgen.corpus.extraction.piece import FilePiece
from textgen.corpus.list_text import LOOK_CHARS, judge_list

#: Characters in which the line that ends a header is looked for.
_HEADER = 1 << 16
_START = re.compile(
    r"^(?:\*{3} ?START OF (?:THE|THIS) PROJECT GUTENBERG.*?(?:\*{3}|$)[^\n]*|"
    r"\*END\*? ?THE SMALL PRINT.*|\*{3} START: FULL LICENSE.*)\n?",
    re.MULTILINE | re.IGNORECASE,
)
_END = re.compile(
    r"^(?:\*{3} ?END OF (?:THE|THIS) PROJECT GUTENBERG|"
    r"End of (?:the )?Project Gutenberg(?:'s|’s| EBook|TM)?\b.*)",
    re.MULTILINE | re.IGNORECASE,
)
_NAMED = re.compile(r"project gutenberg", re.IGNORECASE)
#: A paragraph after the header, or a line at the top of a text, about who made the file.
_MAKERS = re.compile(
    r"\s*(?:(?:Produced by|E-?text prepared by|This (?:e-?text|e-?book) was (?:produced|prepared)|"
    r"Transcribed (?:by|from)|Prepared by)\b(?:[^\n]+\n)+\s*)",
    re.IGNORECASE,
)
_WORK = (
    r"(?:OCR|Spell-?check(?:ed)?|Scan(?:ned)?|Origin|E-?mail|"
    r"Сканирование|Вычитка|Корректура|Источник)"
)
#: Such a line names some of this work, and after a colon who did it: "OCR & spellcheck: Somebody".
_MAKER_LINE = re.compile(
    rf"(?:{_WORK}(?:(?:\s*[,&/+]\s*|\s+(?:and|и)\s+){_WORK}){{0,4}}(?:\s+by)?|"
    r"Файл из [^:]{1,60}|Изд(?:ание)? подготовлено)\s*:.{0,200}",
    re.IGNORECASE,
)
_TOP_LINES = 40


def mark_licence(pieces: Iterable[FilePiece]) -> Iterator[FilePiece]:
    """The same pieces, cut where a licence begins or ends.

    Args:
        pieces: Of one file that is one document.
    """
    first, inside = True, False
    for piece in _joined(pieces):
        if piece.kind:
            yield piece
            continue
        text, start = piece.text, 0
        if first:
            first = False
            start, marked = _top(text)
            yield from marked
        for end, after in _cuts(text, start, inside):
            if end > start:
                yield FilePiece(text[start:end], "licence" if inside else "")
            start, inside = end, after


def _top(text: str) -> tuple[int, list[FilePiece]]:
    """Where the text of the author begins, and what stands before it."""
    head = text[:_HEADER]
    match = _START.search(head)
    if match and _NAMED.search(head[: match.end()]):
        end = _after(text, match)
        return end, [FilePiece(text[:end], "licence")]
    pieces = []
    place = 0
    lines = head.split("\n")[:_TOP_LINES]
    for number, line in enumerate(lines):
        end = min(place + len(line) + 1, len(text))
        if number + 1 < len(lines) and _MAKER_LINE.fullmatch(line.strip()):
            pieces.append(FilePiece(text[place:end], "licence"))
        elif line:
            pieces.append(FilePiece(text[place:end]))
        place = end
    # An entry of a list may be such a line.
    if not any(piece.kind for piece in pieces) or judge_list(text[:LOOK_CHARS]).is_list:
        return 0, []
    return place, _with_gaps(text[:place], pieces)


def _after(text: str, start: re.Match[str]) -> int:
    """Where the book begins after a header: behind the names of those who made the file."""
    makers = _MAKERS.match(text, start.end())
    return makers.end() if makers else start.end()


def _with_gaps(text: str, pieces: list[FilePiece]) -> list[FilePiece]:
    """The pieces with the blank lines between them, which belong to the text."""
    whole, place = [], 0
    for piece in pieces:
        at = text.index(piece.text, place)
        if at > place:
            whole.append(FilePiece(text[place:at]))
        whole.append(piece)
        place = at + len(piece.text)
    return [*whole, FilePiece(text[place:])] if place < len(text) else whole


def _cuts(text: str, start: int, inside: bool) -> Iterator[tuple[int, bool]]:
    """Where a licence begins (True) or ends (False), and the end of the text."""
    while True:
        if inside:
            match = _START.search(text, start)
            end = _after(text, match) if match else len(text)
        else:
            match = _END.search(text, start)
            end = match.start() if match else len(text)
        if match is None:
            yield len(text), inside
            return
        inside = not inside
        yield end, inside
        start = end


def _joined(pieces: Iterable[FilePiece]) -> Iterator[FilePiece]:
    """The pieces; those of plain text are joined, and cut at the ends of lines."""
    chunk: list[str] = []
    size = 0
    for piece in pieces:
        if piece.kind:
            if chunk:
                yield FilePiece("".join(chunk))
                chunk, size = [], 0
            yield piece
            continue
        chunk.append(piece.text)
        size += len(piece.text)
        if size >= 2 * _HEADER:
            text = "".join(chunk)
            end = text.rfind("\n") + 1 or len(text)
            yield FilePiece(text[:end])
            chunk, size = [text[end:]], len(text) - end
    if size:
        yield FilePiece("".join(chunk))
