"""What would be trained on, and the same text written into one file: files in, a report out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from textgen.cleaning.clean_options import DUPLICATES, NEAR, CleanOptions
from textgen.cleaning.corpus_report import (
    AS_THEY_ARE,
    KEPT,
    KIND_ORDER,
    Boilerplate,
    CorpusReport,
    ReadFile,
    Repeat,
    RepeatCount,
    SymbolCount,
)
from textgen.cleaning.gathered_passages import LONGEST_COMPARED, Gathered, Passages
from textgen.cleaning.near_duplicates import near_pairs
from textgen.cleaning.read_files import FileText, FirstPlaces
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.documents import MOST_BLANKS
from textgen.corpus.source import BadFile, Found, Source, count_endings, find_sources
from textgen.corpus.text_stream import bad_files_error, short_reason
from textgen.errors import ConfigError, CorpusError, EmptyCorpusError, StorageError
from textgen.files import atomic_write, check_writable
from textgen.progress import task
from textgen.terminal.humanize import listed, plural

_EXCERPT = 60


def describe_files(
    paths: Sequence[str],
    options: CleanOptions,
    *,
    out: Path | None = None,
    stdin: BinaryIO | None = None,
) -> CorpusReport:
    """Read files, look for what may not belong to their text, and write the rest if that is asked.

    Args:
        paths: Files of any known format, folders, or `-`.
        options: How they are read, and what is left out.
        out: The file to write.
        stdin: What `-` reads.
    Raises:
        ConfigError: A table has no such column; or `out` is one of the files.
        CorpusError: A file is not what it is called, or nothing is left.
        StorageError: A file cannot be read, or `out` cannot be written.
    """
    if out is not None:
        check_writable(out)
    found = find_sources(paths, ending=options.ending, stdin=stdin, extracts=False)
    if out is not None and any(_is_same(out, source) for source in found.sources):
        raise ConfigError(f"{out} is one of the files that are read; write another one")
    with contextlib.closing(Gathered()) as gathered:
        read, boilerplate, places, notes = _gather(found, options, gathered)
        repeats = _Repeats(gathered, [own.path for own in read])
        text = _Remaining(gathered, repeats, options.dropped)
        if not len(gathered.documents):
            raise EmptyCorpusError(
                f"{listed(paths)}: there is no text"
                + (" left; leave out less of it" if options.dropped else "; name other files")
            )
        if out is None:
            text.read(None)
        else:
            atomic_write(out, text.read, follow=True)
        sink, names = text.sink, [own.path for own in read]
        return CorpusReport(
            paths=tuple(paths),
            files=tuple(read),
            documents=sink.documents,
            chars=sink.chars,
            utf8_bytes=sink.utf8_bytes,
            separator=text.mode,
            symbols=tuple(
                SymbolCount(symbol, count, names[number], line)
                for symbol, count in sink.symbols()
                for number, line in (places.found.get(symbol, (0, 1)),)
            ),
            boilerplate=tuple(sorted(boilerplate, key=lambda own: KIND_ORDER[own.kind])),
            repeat_counts=repeats.counts(options.dropped),
            repeats=tuple(repeats.found),
            dropped=tuple(sorted(options.dropped)),
            out=None if out is None else str(out),
            notes=tuple(notes),
            training=_training(paths, options, read),
        )


def _training(
    paths: Sequence[str], options: CleanOptions, read: Sequence[ReadFile]
) -> dict[str, Any] | None:
    """The settings with which training reads the same text; None where it cannot."""
    # What standard input had is gone.
    if options.dropped or options.format or options.column or "-" in paths:
        return None
    if any(own.format not in AS_THEY_ARE for own in read):
        return None
    usual = CorpusOptions()
    names = ("encoding", "encoding_errors", "skip_bad", "documents")
    settings = {name: getattr(options, name) for name in names}
    # Training reads .txt alone of a folder.
    inside = [own.path.lower().removesuffix(".gz") for own in read if own.path not in paths]
    if not all(name.endswith(usual.ending) for name in inside):
        settings["ending"] = options.ending
        if options.ending == CleanOptions().ending:
            settings["ending"] = ",".join(sorted({os.path.splitext(name)[1] for name in inside}))
    return {name: value for name, value in settings.items() if value != getattr(usual, name)}


def _is_same(out: Path, source: Source) -> bool:
    return source.path is not None and out.exists() and out.samefile(source.path)


def _gather(
    found: Found, options: CleanOptions, gathered: Gathered
) -> tuple[list[ReadFile], list[Boilerplate], FirstPlaces, list[str]]:
    """Read every file into `gathered`."""
    read: list[ReadFile] = []
    boilerplate: list[Boilerplate] = []
    places = FirstPlaces()
    bad = list(found.bad)
    alone = len(found.sources) + len(bad) == 1
    total = sum(source.size or 0 for source in found.sources)
    with task("reading the text", total) as reading:
        for source in found.sources:
            before, paragraphs = len(gathered.documents), len(gathered.paragraphs)
            try:
                file = FileText(source, len(read), options)
                gathered.add(len(read), file.parts(places, reading))
            except (ConfigError, CorpusError, StorageError) as error:
                if alone or (isinstance(error, ConfigError) and not options.skip_bad):
                    raise
                bad.append(BadFile(source.name, error))
                gathered.forget(before, paragraphs)
                places.forget(len(read))
                continue
            read.append(file.read_file(len(gathered.documents) - before))
            boilerplate += file.boilerplate()
    if bad and (not options.skip_bad or not read):
        raise bad_files_error(bad, len(read))
    notes = [f"left out, for it cannot be read: {short_reason(own)}" for own in bad]
    if found.unread:
        which = plural(len(found.unread), "file is", "files are")
        notes.append(f"{which} of no known format: {count_endings(found.unread)}")
    if found.empty:
        notes.append(f"there is nothing in {listed(found.empty)}")
    return read, boilerplate, places, notes


class _Repeats:
    """The passages that stood there before."""

    def __init__(self, gathered: Gathered, names: Sequence[str]) -> None:
        self._gathered, self._names = gathered, names
        self.found: list[Repeat] = []
        documents, paragraphs = gathered.documents, gathered.paragraphs
        self._tallies: dict[tuple[str, str], tuple[int, int]] = {}
        #: The numbers of the passages, by kind and unit.
        self.numbers: dict[tuple[str, str], NDArray[np.int64]] = {}
        with task("looking for duplicates"):
            everything = np.ones(len(documents), bool)
            again = self._look("document", documents, everything)
            # A paragraph that is its whole document, or stands in a repeated one, counts once.
            owner = np.array(paragraphs.document, np.int64)
            single = np.array(documents.parts, np.int64)[owner] < 2
            self._look("paragraph", paragraphs, ~(single | again[owner]))

    def _look(self, unit: str, passages: Passages, usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Find the repeated ones of the passages that are `usable`; returns which these are."""
        repeated = np.zeros(len(passages), bool)
        chosen = np.flatnonzero(usable)
        digests = np.array(passages.digest, np.uint64)[chosen]
        _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
        same = np.flatnonzero(first[inverse] != np.arange(len(chosen)))
        self._note(
            (DUPLICATES, unit),
            passages,
            chosen[same],
            chosen[first[inverse[same]]],
            np.ones(len(same)),
        )
        repeated[chosen[same]] = True
        numbers, sketches = passages.sketches()
        left = usable[numbers] & ~repeated[numbers]
        if not left.all():
            numbers, sketches = numbers[left], sketches[left]

        def text_of(number: int) -> str | None:
            place = int(numbers[number])
            size = passages.size[place]
            whole = size <= LONGEST_COMPARED
            return self._gathered.text(passages.start[place], size) if whole else None

        pairs = near_pairs(sketches, text_of)
        near = numbers[[later for later, _, _ in pairs]] if pairs else numbers[:0]
        of = numbers[[earlier for _, earlier, _ in pairs]] if pairs else numbers[:0]
        shares = np.array([share for _, _, share in pairs])
        self._note((NEAR, unit), passages, near, of, shares)
        repeated[near] = True
        return repeated

    def _note(
        self,
        kind: tuple[str, str],
        passages: Passages,
        numbers: NDArray[np.int64],
        of: NDArray[np.int64],
        shares: NDArray[np.float64],
    ) -> None:
        self.numbers[kind] = numbers
        chars = sum(passages.chars[number] for number in numbers.tolist())
        self._tallies[kind] = len(numbers), chars
        for number, earlier, share in zip(
            numbers[:KEPT].tolist(), of[:KEPT].tolist(), shares[:KEPT].tolist(), strict=True
        ):
            text = self._gathered.text(passages.start[number], min(passages.size[number], 400))
            self.found.append(
                Repeat(
                    kind=kind[0],
                    unit=kind[1],
                    file=self._names[passages.file[number]],
                    line=passages.line[number],
                    of_file=self._names[passages.file[earlier]],
                    of_line=passages.line[earlier],
                    chars=passages.chars[number],
                    similarity=share,
                    excerpt=" ".join(text.split())[:_EXCERPT],
                )
            )

    def counts(self, dropped: frozenset[str]) -> tuple[RepeatCount, ...]:
        """How many there are of each kind that there is."""
        return tuple(
            RepeatCount(kind, unit, count, chars, kind in dropped)
            for (kind, unit), (count, chars) in self._tallies.items()
            if count
        )


class _Sink:
    """Where the text goes: it is counted, and written into a file if there is one."""

    def __init__(self, separator: str) -> None:
        self.file: BinaryIO | None = None
        self.separator = separator
        self.documents, self.chars, self.utf8_bytes = 0, 0, 0
        self._counts = np.zeros(0x110000, np.int64)
        self._waiting: list[str] = []
        self._length = 0

    def begin(self) -> None:
        """A document begins."""
        if self.documents:
            self._put(self.separator)
        self.documents += 1

    def add(self, text: str) -> None:
        """Its text goes on."""
        self.chars += len(text)
        self._put(text)

    def end(self) -> None:
        """There are no more documents, and there was one at least."""
        self._put("\n")
        self._flush()
        if self.documents == 1:
            self.chars += 1
            return
        # What stands between documents and after the last one is no part of the text.
        for symbol in self.separator:
            self._counts[ord(symbol)] -= self.documents - 1
        self._counts[ord("\n")] -= 1
        self.utf8_bytes -= len(self.separator) * (self.documents - 1) + 1

    def _put(self, text: str) -> None:
        self._waiting.append(text)
        self._length += len(text)
        if self._length >= 1 << 20:
            self._flush()

    def _flush(self) -> None:
        text = "".join(self._waiting)
        self._waiting, self._length = [], 0
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        counts = np.bincount(codes)
        self._counts[: len(counts)] += counts
        data = text.encode()
        self.utf8_bytes += len(data)
        if self.file is not None:
            self.file.write(data)

    def symbols(self) -> list[tuple[str, int]]:
        """The symbols and their counts, the most frequent first."""
        codes = np.flatnonzero(self._counts)
        order = codes[np.argsort(-self._counts[codes], kind="stable")]
        return [(chr(code), int(self._counts[code])) for code in order.tolist()]


class _Remaining:
    """The text without what is left out."""

    def __init__(self, gathered: Gathered, repeats: _Repeats, dropped: frozenset[str]) -> None:
        self._gathered = gathered

        def left_out(unit: str, passages: Passages) -> NDArray[np.bool_]:
            mask = np.zeros(len(passages), bool)
            for kind in dropped & {DUPLICATES, NEAR}:
                mask[repeats.numbers[kind, unit]] = True
            return mask

        documents, paragraphs = gathered.documents, gathered.paragraphs
        self._documents = np.flatnonzero(~left_out("document", documents))
        self._holes = np.flatnonzero(left_out("paragraph", paragraphs))
        self._hole_starts = np.array(paragraphs.start, np.int64)[self._holes]
        #: The option that cuts the written text into its documents.
        self.mode: str | None = None
        self.sink = _Sink(self._separator())

    def _separator(self) -> str:
        """What is written between two documents, which stands in none; `mode` says it."""
        if len(self._documents) < 2:
            return ""
        if not self._gathered.has_lines:
            self.mode = "line"
            return "\n"
        blanks = self._gathered.most_blanks + 1
        if blanks <= MOST_BLANKS:
            self.mode = "blank" if blanks == 1 else f"blank:{blanks}"
            return "\n" * (blanks + 1)
        line = "=" * 20
        while self._gathered.holds(line):
            line += "="
        self.mode = f"separator:{line}"
        return f"\n{line}\n"

    def read(self, file: BinaryIO | None) -> None:
        """Go through the text once; write it into `file`, if there is one."""
        sink, sizes = self.sink, self._gathered.documents.size
        sink.file = file
        with task("counting" if file is None else "writing", sum(sizes)) as going:
            for number in self._documents.tolist():
                begun = False
                for text in self._document(number):
                    if not begun:
                        sink.begin()
                        begun = True
                    sink.add(text)
                going.advance(sizes[number])
            sink.end()

    def _document(self, number: int) -> Iterator[str]:
        """The text of a document without the paragraphs that are left out."""
        documents, paragraphs = self._gathered.documents, self._gathered.paragraphs
        start = documents.start[number]
        end = start + documents.size[number]
        low, high = np.searchsorted(self._hole_starts, [start, end])
        if low == high:
            yield from self._gathered.blocks(start, end - start)
            return
        begun, gap = False, ""
        for hole in (*self._holes[low:high].tolist(), None):
            stop = end if hole is None else paragraphs.start[hole]
            after = True
            for text in self._gathered.blocks(start, stop - start):
                # After a hole the gap before it stays, and the one behind it goes.
                text = text.lstrip("\n") if after else text
                after = after and not text
                kept = text.rstrip("\n")
                if kept:
                    yield (gap if begun else "") + kept
                    begun, gap = True, text[len(kept) :]
                else:
                    gap += text
            if hole is not None:
                start = stop + paragraphs.size[hole]
