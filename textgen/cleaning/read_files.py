"""Files of any known format as text, with what looks like none of the author's set apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from textgen.cleaning.clean_options import CleanOptions
from textgen.cleaning.corpus_report import KEPT, Boilerplate, ReadFile
from textgen.cleaning.placed_text import PlacedText, in_documents, in_parts
from textgen.corpus.corpus_options import FileOptions
from textgen.corpus.documents import DOCUMENT_MARK
from textgen.corpus.encoding import Detection, detect
from textgen.corpus.encoding_names import encoding_name
from textgen.corpus.extraction import FilePiece
from textgen.corpus.extraction.file_format import FORMATS, FileFormat, format_of, text_format
from textgen.corpus.extraction.web_page import page_encoding
from textgen.corpus.formats import WORDS_ALONE
from textgen.corpus.list_text import LOOK_CHARS, judge_list
from textgen.corpus.normalization import Normalization
from textgen.corpus.reader import Findings, SourceText
from textgen.corpus.source import Source
from textgen.errors import CorpusError
from textgen.messages import marks_of
from textgen.progress import Task

#: Kinds of which pieces that follow each other are one.
_JOINED = frozenset(("licence", "menus", "notes"))
_EXCERPT = 60
_HEAD = 1 << 16
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{2,40})""", re.IGNORECASE)


@dataclass
class _Tally:
    """What was met of one kind in one file."""

    count: int = 0
    chars: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)
    excerpt: str = ""


@dataclass
class FirstPlaces:
    """Where each symbol occurs first: its character -> the number of the file, and the line."""

    found: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._seen = np.zeros(0x110000, bool)
        self._seen[ord(DOCUMENT_MARK)] = True

    def forget(self, number: int) -> None:
        """Take away what a file brought that turned out to be none."""
        for symbol, (own, _) in list(self.found.items()):
            if own == number:
                del self.found[symbol]
                self._seen[ord(symbol)] = False

    def look(self, number: int, part: PlacedText) -> PlacedText:
        """Note the symbols that are new in a stretch of a file; returns it."""
        codes = np.frombuffer(part.text.encode("utf-32-le", "surrogatepass"), "<u4")
        fresh = codes[~self._seen[codes]]
        for code in np.unique(fresh).tolist():
            symbol = chr(code)
            self.found[symbol] = number, part.line_at(part.text.index(symbol))
            self._seen[code] = True
        return part


class FileText:
    """The text of a file, read once.

    Args:
        source: The file.
        number: Of the file among all.
        options: How it is read.

    Attributes:
        read: What was found; known after the text was read.
    """

    def __init__(self, source: Source, number: int, options: CleanOptions) -> None:
        self._source, self._number, self._options = source, number, options
        self._tallies: dict[str, _Tally] = {}
        self._chars = 0
        self._detection: Detection | None = None
        self._findings = Findings()
        self.format = self._format()

    def _format(self) -> FileFormat:
        if self._options.format is not None:
            return FORMATS[self._options.format]
        with self._source.open() as stream:
            return format_of(self._source.name, stream.read(_HEAD))

    def parts(self, places: FirstPlaces, reading: Task) -> Iterator[PlacedText]:
        """The text that is kept, with a mark before each document.

        Args:
            places: Is told the symbols.
            reading: Is told the bytes that were read.
        Raises:
            CorpusError: The file is not what it is called, or holds no text.
            ConfigError: It is a table, and no column of it was named.
            StorageError: It cannot be read.
        """
        pieces = self._pieces(reading)
        # The format of a text is known when its beginning was read.
        first = next(pieces, None)
        pairs = self._kept(chain(() if first is None else (first,), pieces))
        if not self.format.is_whole:
            parts = in_parts(chain([(DOCUMENT_MARK, 1)], pairs))
            yield from (places.look(self._number, part) for part in parts)
            return
        looked = (places.look(self._number, part) for part in in_parts(pairs))
        start = next(looked, None)
        if start is None:
            return
        mode = self._options.documents
        if mode is None and self.format.name == "text":
            verdict = judge_list(start.text[:LOOK_CHARS])
            mode = "line" if verdict.is_list else None
        yield from in_documents(chain((start,), looked), None if mode == "file" else mode)

    def _pieces(self, reading: Task) -> Iterator[FilePiece]:
        name, column = self._source.name, self._options.column
        if self.format.read_bytes is not None:
            with self._source.open() as stream:
                yield from self.format.read_bytes(name, stream)
            reading.advance(self._source.size or 0)
            return
        self._detection = detection = self._detect()
        self._findings.advance = reading.advance
        text = SourceText(self._source, detection)
        chunks = text.chunks(Normalization(), findings=self._findings)
        if self.format.name == "text" and self._options.format is None:
            first = next(chunks, "")
            self.format = text_format(first[:_HEAD])
            chunks = chain((first,), chunks)
        assert self.format.read_text is not None
        yield from self.format.read_text(name, chunks, column)

    def _detect(self) -> Detection:
        """The encoding; a web page names its own."""
        options = self._options
        given = FileOptions(encoding=options.encoding, encoding_errors=options.encoding_errors)
        if self.format.name == "html" and options.encoding is None:
            with self._source.open() as stream:
                head = stream.read(_HEAD)
            says = _CHARSET.search(head[:4096])
            name = says[1].decode("ascii", "replace") if says else ""
            told = page_encoding(name, head)
            if told is not None:
                try:
                    found = detect(self._source, replace(given, encoding=told))
                    if encoding_name(name) == told:
                        return replace(found, reason="the page says so")
                    return replace(
                        found,
                        reason="its bytes are valid UTF-8",
                        notes=(*found.notes, f"says that it is {name}, but its bytes are UTF-8"),
                    )
                except CorpusError:
                    pass  # It says something wrong, as many do.
        return detect(self._source, given)

    def _kept(self, pieces: Iterable[FilePiece]) -> Iterator[tuple[str, int]]:
        """What is not left out, with its lines; all else is counted."""
        dropped = self._options.dropped
        line, before = 1, ""
        for piece in pieces:
            text, kind = piece.text, piece.kind
            here = piece.line or line
            line = here + text.count("\n")
            self._chars += len(text)
            if kind:
                self._count(kind, text, here, line, goes_on=kind == before)
            if kind not in dropped and (text or piece.begins):
                yield (DOCUMENT_MARK + text if piece.begins else text), here
            before = kind

    def _count(self, kind: str, text: str, line: int, after: int, *, goes_on: bool) -> None:
        tally = self._tallies.setdefault(kind, _Tally())
        tally.chars += len(text)
        last = max(line, after - text.endswith("\n"))
        if goes_on and kind in _JOINED and tally.places:
            if tally.count == len(tally.places):
                tally.places[-1] = (tally.places[-1][0], last)
            return
        tally.count += 1
        if len(tally.places) < KEPT:
            begins = line + len(text) - len(text.lstrip("\n"))
            tally.places.append((min(begins, last), last))
        if not tally.excerpt:
            tally.excerpt = " ".join(text.split())[:_EXCERPT]

    def read_file(self, documents: int) -> ReadFile:
        """What was found; `documents` is how many its text was cut into."""
        detection = self._detection or Detection("utf-8", 1.0, f"{self.format.called} says it")
        notes = [note for note in detection.notes if not marks_of(note).endswith(WORDS_ALONE)]
        return ReadFile(
            path=self._source.name,
            format=self.format.name,
            called=self.format.called,
            encoding=detection.encoding,
            confidence=detection.confidence,
            reason=detection.reason,
            bytes=self._findings.size or self._source.size or 0,
            chars=self._chars,
            documents=documents,
            notes=(*notes, *self._findings.notes()),
        )

    def boilerplate(self) -> list[Boilerplate]:
        """What looks like none of the author's text."""
        dropped = self._options.dropped
        return [
            Boilerplate(
                kind=kind,
                file=self._source.name,
                count=tally.count,
                chars=tally.chars,
                places=tuple(tally.places),
                excerpt=tally.excerpt,
                dropped=kind in dropped,
            )
            for kind, tally in self._tallies.items()
            if tally.excerpt
        ]
