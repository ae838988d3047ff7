"""The documents and paragraphs of many files: in a temporary file, known by place and hash.

Memory is some seventy bytes for each passage while files are read; texts and sketches lie on the
disk. To compare them takes up to 600 bytes more for each passage that has a sketch, which is one of
`LEAST_PARAGRAPH` characters at least: those of one kind are in memory together.
"""

from __future__ import annotations

import re
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from textgen.cleaning.near_duplicates import BINS, Sketches, dense, sketch
from textgen.cleaning.placed_text import PlacedText
from textgen.corpus.documents import DOCUMENT_MARK
from textgen.errors import StorageError
from textgen.files import os_reason

#: Characters of a paragraph that is compared with others: shorter ones are refrains and greetings.
LEAST_PARAGRAPH = 80
#: Characters of a document that is compared shingle by shingle.
LEAST_DOCUMENT = 40
#: A paragraph of more characters is cut.
_LONGEST = 1 << 20
#: Sketches that are made dense together.
_ROWS = 4096
#: Bytes of a passage that is read to be compared; of a longer one the sketch has to do.
LONGEST_COMPARED = 1 << 20

_BLANK_RUN = re.compile(r"\n(?:[^\S\n]*\n)+")
_BY_BLANKS = re.compile(rf"{DOCUMENT_MARK}|{_BLANK_RUN.pattern}")
_BY_LINES = re.compile(rf"{DOCUMENT_MARK}|\n")
#: Of the lines of a text whose paragraphs are separated by blank ones, so many are blank.
_BLANK_SHARE = 0.02


class Passages:
    """Where passages stand in the temporary file, what file and line they came from, their hash."""

    def __init__(self) -> None:
        self.start, self.size, self.chars = array("q"), array("q"), array("q")
        self.file, self.line = array("i"), array("q")
        self.digest = array("Q")
        #: Of a paragraph the document that has it, of a document how many paragraphs it has.
        self.document, self.parts = array("q"), array("q")
        self._sketched = array("q")
        self._sketches = _temporary()

    def __len__(self) -> int:
        return len(self.start)

    def add(self, start: int, size: int, chars: int, file: int, line: int, document: int) -> None:
        """Add a passage whose hash is not known yet."""
        self.start.append(start)
        self.size.append(size)
        self.chars.append(chars)
        self.file.append(file)
        self.line.append(line)
        self.document.append(document)
        self.digest.append(0)
        self.parts.append(0)

    def forget(self, length: int) -> None:
        """Take the passages from a number on away."""
        columns: tuple[array[int], ...] = (
            *(self.start, self.size, self.chars, self.file, self.line),
            *(self.digest, self.document, self.parts),
        )
        for column in columns:
            del column[length:]
        while self._sketched and self._sketched[-1] >= length:
            self._sketched.pop()
        self._sketches.seek(len(self._sketched) * BINS * 4)
        self._sketches.truncate()

    def keep_sketches(self, numbers: list[int], sketches: Sketches) -> None:
        """Keep the sketches of passages."""
        self._sketched.extend(numbers)
        try:
            self._sketches.write(np.ascontiguousarray(sketches).tobytes())
        except OSError as error:
            raise _no_room(error) from error

    def sketches(self) -> tuple[NDArray[np.int64], Sketches]:
        """The numbers of the passages that have a sketch, and the dense sketches."""
        count = len(self._sketched)
        rows = np.empty((count, BINS), np.uint32)
        try:
            self._sketches.seek(0)
            for at in range(0, count, _ROWS):
                size = min(_ROWS, count - at) * BINS * 4
                read = np.frombuffer(self._sketches.read(size), np.uint32)
                rows[at : at + _ROWS] = dense(read.reshape(-1, BINS))
        except OSError as error:
            raise _no_room(error) from error
        return np.array(self._sketched, np.int64), rows

    def close(self) -> None:
        """Remove the file of sketches."""
        self._sketches.close()


class Gathered:
    """The texts of all files, one after the other.

    Attributes:
        documents, paragraphs: What they consist of; only paragraphs that are compared are known.
        has_lines: Whether a document has more than one line.
        most_blanks: The longest run of blank lines within a document.
    """

    def __init__(self) -> None:
        self.documents, self.paragraphs = Passages(), Passages()
        self.has_lines, self.most_blanks = False, 0
        self._file = _temporary()
        self._written = 0
        self._number = -1
        self._gap: re.Pattern[str] | None = None
        self._carry = PlacedText()
        # What a stretch leaves to the next: whether a document begins with the next paragraph, and
        # how many line ends stand in the white space at the end.
        self._begins, self._line_ends = True, 0
        # Of the document that goes on: its hash, its sketch, how many paragraphs it has.
        self._hash = blake2b(digest_size=8)
        self._minima: Sketches | None = None
        self._count = 0

    def close(self) -> None:
        """Remove the temporary files."""
        self._file.close()
        self.documents.close()
        self.paragraphs.close()

    def add(self, number: int, parts: Iterable[PlacedText]) -> None:
        """Add the text of a file.

        Args:
            number: Of the file.
            parts: Its text, with a mark before each document.
        """
        self._number, self._gap, self._carry = number, None, PlacedText()
        self._begins, self._line_ends = True, 0
        for part in parts:
            if self._gap is None:
                lines = part.text.count("\n") + 1
                blanks = len(_BLANK_RUN.findall(part.text))
                self._gap = _BY_BLANKS if blanks >= _BLANK_SHARE * lines else _BY_LINES
            whole = self._carry.and_then(part)
            cut = _cut(whole.text, self._gap)
            if cut:
                self._take(PlacedText(whole.text[:cut], whole.starts, whole.lines))
            self._carry = whole.after(cut)
        self._take(self._carry)
        self._end_document()

    def forget(self, documents: int, paragraphs: int) -> None:
        """Take away what was added of a file that turned out to be none.

        Args:
            documents: How many documents there were before.
            paragraphs: How many paragraphs.
        """
        self.documents.forget(documents)
        self.paragraphs.forget(paragraphs)
        self._hash, self._minima, self._count = blake2b(digest_size=8), None, 0

    def holds(self, text: str) -> bool:
        """Whether a text stands somewhere in the temporary file."""
        tail = ""
        for block in self.blocks(0, self._written):
            if text in tail + block:
                return True
            tail = block[-len(text) :]
        return False

    def text(self, start: int, size: int) -> str:
        """A stretch of the temporary file."""
        return self._bytes(start, size).decode()

    def _bytes(self, start: int, size: int) -> bytes:
        try:
            self._file.seek(start)  # What is not written yet goes to the disk first.
            return self._file.read(size)
        except OSError as error:
            raise _no_room(error) from error

    def blocks(self, start: int, size: int, block: int = 1 << 20) -> Iterator[str]:
        """The same, in pieces."""
        left = b""
        while size > 0:
            data = self._bytes(start, min(block, size))
            start, size = start + len(data), size - len(data)
            data = left + data
            # A character may be cut at the end.
            end = len(data)
            while size and end > len(data) - 4 and data[end - 1] & 0xC0 == 0x80:
                end -= 1
            if size and data[end - 1] >= 0xC0:
                end -= 1
            left = data[end:]
            yield data[:end].decode()

    def _take(self, part: PlacedText) -> None:
        """Cut a stretch into paragraphs, which end in it."""
        text, gap = part.text, self._gap or _BY_BLANKS
        spans, self._begins = _spans(text, gap, self._begins)
        self._count_blanks(text)
        if spans:
            sketches = sketch(text, [*(start for start, _, _ in spans), len(text)])
        numbers: list[int] = []
        rows: list[int] = []
        place = 0
        for row, (start, end, begins) in enumerate(spans):
            if begins:
                self._write(text[place:start])
                place = start
                self._end_document()
                self.documents.add(self._written, 0, 0, self._number, part.line_at(start), -1)
            self._write(text[place:start])
            passage = text[start:end]
            at, line = self._written, part.line_at(start)
            self._write(passage)
            place = end
            document = len(self.documents) - 1
            self.documents.size[document] = self._written - self.documents.start[document]
            self.documents.chars[document] += end - start
            digest = blake2b("".join(passage.split()).encode(), digest_size=8).digest()
            self._hash.update(digest)
            self._count += 1
            self.has_lines = self.has_lines or self._count > 1 or "\n" in passage
            if self._minima is None:
                self._minima = sketches[row].copy()
            else:
                np.minimum(self._minima, sketches[row], out=self._minima)
            if end - start >= LEAST_PARAGRAPH:
                self.paragraphs.add(
                    at, self._written - at, end - start, self._number, line, document
                )
                self.paragraphs.digest[-1] = int.from_bytes(digest)
                numbers.append(len(self.paragraphs) - 1)
                rows.append(row)
        self._write(text[place:])
        if rows:
            self.paragraphs.keep_sketches(numbers, sketches[rows])

    def _count_blanks(self, text: str) -> None:
        """Look for the longest run of blank lines; it may go on from stretch to stretch."""
        start, end = len(text) - len(text.lstrip()), len(text.rstrip())
        first = self._line_ends + text.count("\n", 0, start)
        runs = [run[0].count("\n") for run in _BLANK_RUN.finditer(text, start, end)]
        self.most_blanks = max(self.most_blanks, first - 1, *(ends - 1 for ends in runs))
        self._line_ends = text.count("\n", end) if end else first

    def _end_document(self) -> None:
        if not self._count:
            return
        self.documents.parts[-1] = self._count
        self.documents.digest[-1] = int.from_bytes(self._hash.digest())
        if self._minima is not None and self.documents.chars[-1] >= LEAST_DOCUMENT:
            self.documents.keep_sketches([len(self.documents) - 1], self._minima[None])
        self._hash, self._minima, self._count = blake2b(digest_size=8), None, 0

    def _write(self, text: str) -> None:
        data = text.replace(DOCUMENT_MARK, "").encode()
        if not data:
            return
        try:
            self._file.write(data)
        except OSError as error:
            raise _no_room(error) from error
        self._written += len(data)


def _cut(text: str, gap: re.Pattern[str]) -> int:
    """Where the last paragraph that ends in a text does; 0 where none does."""
    mark = text.rfind(DOCUMENT_MARK, 1)
    if gap is _BY_LINES:
        at = max(mark, text.rfind("\n", 1))
    else:
        at = mark
        for run in gap.finditer(text, max(mark, len(text) - (1 << 16), 0)):
            at = max(at, run.start())
        if at <= 0:
            at = max((run.start() for run in gap.finditer(text)), default=0)
    return len(text) if at <= 0 and len(text) >= _LONGEST else max(at, 0)


def _spans(
    text: str, gap: re.Pattern[str], begins: bool
) -> tuple[list[tuple[int, int, bool]], bool]:
    """Where each paragraph begins and ends, and whether a document begins with it.

    Args:
        text: A stretch.
        gap: What separates paragraphs.
        begins: Whether a document begins with the first one.
    Returns:
        The paragraphs, and whether a document begins with the first one of the next stretch.
    """
    spans, place = [], 0
    for found in gap.finditer(text):
        if span := _trimmed(text, place, found.start()):
            spans.append((*span, begins))
            begins = False
        begins = begins or found[0] == DOCUMENT_MARK
        place = found.end()
    if span := _trimmed(text, place, len(text)):
        spans.append((*span, begins))
        begins = False
    return spans, begins


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """A stretch without the line ends around it; None where there is nothing else."""
    passage = text[start:end]
    if not passage.strip():
        return None
    end = start + len(passage.rstrip("\n"))
    return start + len(passage) - len(passage.lstrip("\n")), end


def _temporary() -> BinaryIO:
    try:
        # On Windows it is of another class.
        return cast(BinaryIO, tempfile.TemporaryFile(prefix="textgen-"))
    except OSError as error:
        raise _no_room(error) from error


def _no_room(error: OSError) -> StorageError:
    return StorageError(
        f"the text cannot be kept in a temporary file: {os_reason(error)}; free some space or "
        "point TMPDIR to a folder that can be written"
    )
