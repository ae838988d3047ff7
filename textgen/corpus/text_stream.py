"""Several sources as one text: it can be read again, and tells what was found in each file."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from textgen.corpus.corpus_options import IN_TEXT, CorpusOptions
from textgen.corpus.documents import (
    DOCUMENT_MARK,
    document_separator,
    join_documents,
    mark_documents,
    normalize_documents,
)
from textgen.corpus.encoding import Detection, detect
from textgen.corpus.label_sources import has_labels, label_of_path, labelled_documents
from textgen.corpus.list_text import LOOK_CHARS, judge_list
from textgen.corpus.normalization import Normalization
from textgen.corpus.reader import Findings, SourceText
from textgen.corpus.source import (
    BadFile,
    Found,
    Source,
    ask_for,
    count_endings,
    find_sources,
    text_files,
)
from textgen.errors import (
    BadFilesError,
    CorpusError,
    StorageError,
    TextgenError,
    UnreadableFilesError,
)
from textgen.messages import Message, call, named
from textgen.progress import Task, task, track
from textgen.terminal.humanize import listed, plural

#: What is being done, as the progress line calls it.
_READING = "reading the text"
#: Bad files listed in a message.
_LISTED = 10
#: Where the advice of a message begins: after a semicolon, or a full sentence.
_ADVICE = re.compile(r"; |\. (?=[A-Z])")
#: Characters of a bad file's reason.
_REASON_CHARS = 200
#: The beginning of a note that should not be missed.
WARNING = "warning: "
#: Texts that are looked at for a list, and bytes of each: a longer one is none that was typed in.
_MOST_LISTS, _LONGEST_LIST = 20, 64 << 20
#: Bytes hashed at a time.
_HASH_BYTES = 1 << 20


@dataclass(frozen=True)
class FileReport:
    """What was found in one file.

    Args:
        path: As it was typed.
        encoding: The one it was read in, with the `confidence` and the `reason` of `Detection`.
        bytes: Length, decompressed.
        chars: Characters after normalization.
        replaced: Sequences of bytes that stand for no character, each read as U+FFFD.
        notes: What the user should know about the file, without its name; usually nothing.
    """

    path: str
    encoding: str
    confidence: float
    reason: str
    bytes: int
    chars: int
    replaced: int = 0
    notes: tuple[str, ...] = ()


class TextStream:
    """The texts of several sources, one after the other.

    Args:
        found: The sources.
        options: How they are read.
        label_optional: Whether a source in which no labels stand is a text without labels, where
            they are to stand in it.
    Raises:
        BadFilesError: Some files cannot be read as text and are not to be left out, or none can.
    """

    def __init__(
        self, found: Found, options: CorpusOptions, *, label_optional: bool = False
    ) -> None:
        self.options = options
        self._label_optional = label_optional
        self.sources: Sequence[Source] = found.sources
        #: A report on each file, and how many lines separate or begin documents; see `text`.
        self.files: tuple[FileReport, ...] = ()
        self.borders = 0
        #: The label of each document, "" where it has none; see `text`.
        self.labels: list[str] = []
        self._found = found
        self._skipped: Sequence[BadFile] = ()
        self._detections: Sequence[Detection] | None = None
        self._digests: Sequence[bytes] | None = None
        self._gaps: Counter[int] = Counter()
        # A text alone is not checked: its own error says best what is wrong with it.
        if found.bad or (options.skip_bad and len(found.sources) > 1):
            good, bad = self._check()
            bad = [*found.bad, *bad]
            if bad and (not options.skip_bad or not good):
                raise bad_files_error(bad, len(good))
            self._skipped = bad
            self.sources, self._detections, self._digests = zip(*good, strict=True)

    def list_reason(self) -> str | None:
        """Return why each line is a document of its own; None if the text is no list.

        Of several texts all have to be lists.
        """
        sizes = [source.size or 0 for source in self.sources]
        if len(sizes) > _MOST_LISTS or max(sizes) > _LONGEST_LIST:
            return None
        as_it_is = Normalization(newlines=False, nfc=False)
        reasons = []
        for source in self.sources:
            try:
                text = ""
                for chunk in SourceText(source, detect(source, self.options)).chunks(as_it_is):
                    text += chunk
                    if len(text) >= LOOK_CHARS:
                        break
            except (CorpusError, StorageError):
                return None  # Who reads the whole text says what is wrong with it.
            verdict = judge_list(text)
            if not verdict.is_list:
                return None
            reasons.append(verdict.reason)
        return reasons[0]

    def _check(self) -> tuple[list[tuple[Source, Detection, bytes]], list[BadFile]]:
        """Read every source to its end, to know all bad ones at once."""
        good, bad = [], []
        as_it_is = Normalization(newlines=False, nfc=False)
        for source in self.sources:
            findings = Findings()
            try:
                detection = detect(source, self.options)
                for _ in SourceText(source, detection).chunks(as_it_is, findings=findings):
                    pass
            except (CorpusError, StorageError) as error:
                bad.append(BadFile(source.name, error))
            else:
                good.append((source, detection, findings.sha256.digest()))
        return good, bad

    def text(self) -> Iterator[str]:
        """Read all sources once; their documents are separated by `DOCUMENT_MARK`.

        After it `files`, `borders`, `labels` and `separator` are known.
        """
        if self._detections is None:
            sources = track(self.sources, "finding out the encoding", len(self.sources))
            self._detections = [detect(source, self.options) for source in sources]
        self.borders = 0
        self.labels = []
        self._gaps.clear()
        with task(_READING, _bytes(self.sources)) as reading:
            findings = [Findings(reading.advance) for _ in self.sources]
            texts: Iterable[Iterator[str]]
            texts = map(self._documents, self.sources, self._detections, findings)
            if (labels := self.path_labels()) is not None:
                texts = map(self._labelled, labels, texts)
            yield from join_documents(texts)
        digests = [found.sha256.digest() for found in findings]
        if self._digests is not None and list(self._digests) != digests:
            raise StorageError("a text changed while it was being read; start again")
        self._digests = digests
        self.files = tuple(map(_report, self.sources, self._detections, findings))

    def path_labels(self) -> list[str] | None:
        """The label of each source; None where they do not come from the names of files.

        Raises:
            ConfigError: A source has no such name.
        """
        way = self.options.label_from
        if way is None or way in IN_TEXT:
            return None
        return [label_of_path(source.origin, way) for source in self.sources]

    def _labelled(self, label: str, text: Iterator[str]) -> Iterator[str]:
        """The same text, whose documents are all of one label."""
        count = 0
        for chunk in filter(None, text):
            count = max(count, 1) + chunk.count(DOCUMENT_MARK)
            yield chunk
        self.labels += [label] * count

    def _documents(self, source: Source, detection: Detection, findings: Findings) -> Iterator[str]:
        """The text of one source, with a `DOCUMENT_MARK` between documents."""
        normalization, mode = self.options.normalization, self.options.documents

        def chunks(normalization: Normalization) -> Iterator[str]:
            return SourceText(source, detection).chunks(normalization, findings=findings)

        if (way := self.options.label_from) in IN_TEXT:
            assert way is not None
            as_lines = Normalization(newlines=normalization.newlines, nfc=False)
            if self._label_optional:
                look = SourceText(source, detection).chunks(as_lines)
                if not has_labels(look, way, source.name):
                    return self._labelled("", _counted(chunks(normalization), findings))
            documents = labelled_documents(chunks(as_lines), way, source.name)
            return _counted(self._with_labels(documents, normalization), findings)
        if mode is None:
            return _counted(chunks(normalization), findings)
        if normalization.fold:
            raw = chunks(Normalization(newlines=False, nfc=False))
            marked = mark_documents(raw, mode, self._count)
            return _counted(normalize_documents(marked, normalization), findings)
        return mark_documents(_counted(chunks(normalization), findings), mode, self._count)

    def _with_labels(
        self, documents: Iterable[tuple[str, str]], normalization: Normalization
    ) -> Iterator[str]:
        """Texts, each normalized by itself, whose labels are kept; empty ones are left out."""
        any_before = False
        for label, text in documents:
            own = _without_blank_lines(normalization.apply(text))
            if own:
                yield f"{DOCUMENT_MARK}{own}" if any_before else own
                any_before = True
                self.labels.append(label)

    def _count(self, borders: int, gaps: Sequence[int]) -> None:
        self.borders += borders
        self._gaps.update(gaps)

    @property
    def separator(self) -> str:
        """What usually stands between two documents."""
        if self.options.label_from == "column":
            return "\n"
        usual = self._gaps.most_common(1)
        return document_separator(self.options.documents, usual[0][0] if usual else None)

    @property
    def sha256(self) -> str:
        """The hash of the raw bytes; reads them if that was not done yet.

        Of several files it is the hash of their hashes, so that the borders between them count.
        """
        digests = self._hashes()
        return (
            digests[0].hex() if len(digests) == 1 else hashlib.sha256(b"".join(digests)).hexdigest()
        )

    def reads_as(self, files: Sequence[FileReport]) -> bool:
        """Return whether the files still have the encodings of some reports.

        A guess may have become a better one since; Unicode, or what was asked for, is not a guess.
        """
        return self.options.encoding is not None or all(
            report.encoding == "utf-8" or detect(source, self.options).encoding == report.encoding
            for report, source in zip(files, self.sources, strict=True)
        )

    def _hashes(self) -> Sequence[bytes]:
        if self._digests is None:
            with task(_READING, _bytes(self.sources)) as reading:
                self._digests = [_hash(source, reading) for source in self.sources]
        return self._digests

    def explain(self, error: CorpusError | StorageError) -> TextgenError:
        """Return the error for all bad files, where reading one of several raised `error`."""
        good, bad = self._check() if len(self.sources) > 1 else ([], [])
        return bad_files_error(bad, len(good)) if bad else error

    def notes(self) -> tuple[str, ...]:
        """Return what the user should know of the files that were not read, or read twice."""
        found, notes = self._found, []
        if found.repeated:
            names = [
                f"{name} is {first}" if name != first else name for name, first in found.repeated
            ]
            which = plural(len(names), "file is", "files are")
            notes.append(f"{which} named twice and read once: {listed(names)}")
        if found.empty:
            why = _left_out(len(found.empty), "there is nothing in {}", "it", "them")
            notes.append(f"{why}: {listed(found.empty)}")
        if self._skipped:
            reasons = "; ".join(short_reason(file) for file in self._skipped[:_LISTED])
            left = len(self._skipped) - _LISTED
            why = _left_out(len(self._skipped), "{} cannot be read as text", "it", "they")
            more = f"; and {left:,} more" if left > 0 else ""
            notes.append(f"{why}: {reasons}{more}")
        for name, what in found.extracted[:_LISTED]:
            look = call("describe_corpus", name)
            notes.append(Message(f"{name} is {what}: its text is read; {look} tells what is in it"))
        if found.linked:
            links = listed(found.linked)
            notes.append(f"folders that are links are not entered: {links}; name one to read it")
        names = [source.name for source in self.sources]
        return (*notes, *_same_content(zip(names, self._hashes(), strict=True)), *_unread(found))


def _without_blank_lines(text: str) -> str:
    """A document without blank lines at its beginning and line ends at its end."""
    return re.sub(r"\A(?:[^\S\r\n]*[\r\n])+", "", text).rstrip("\r\n") if text.strip() else ""


def _counted(chunks: Iterable[str], findings: Findings) -> Iterator[str]:
    """The same text; its characters are counted on the way."""
    for chunk in chunks:
        marks = chunk.count(DOCUMENT_MARK) if DOCUMENT_MARK in chunk else 0
        findings.chars += len(chunk) - marks
        yield chunk


def _report(source: Source, detection: Detection, findings: Findings) -> FileReport:
    return FileReport(
        path=source.name,
        encoding=detection.encoding,
        confidence=detection.confidence,
        reason=detection.reason,
        bytes=findings.size,
        chars=findings.chars,
        replaced=findings.replaced,
        notes=detection.notes + findings.notes(),
    )


def is_same_text(
    paths: Sequence[str | Path],
    options: CorpusOptions,
    *,
    sizes: Sequence[int],
    sha256: str,
    stdin: BinaryIO | None = None,
) -> bool:
    """Return whether files hold the bytes that a corpus was made from.

    They are read only if their number and sizes are the same.

    Args:
        paths: As `Corpus.open` takes them, and `stdin` too.
        options: `Corpus.options`, which say which files of a folder are read.
        sizes: Bytes of each of the corpus's files, decompressed (`FileReport.bytes`).
        sha256: `Corpus.sha256`.
    Raises:
        TextgenError: A text is missing or unreadable.
    """
    stream = TextStream(find_sources(paths, ending=options.ending, stdin=stdin), options)
    if len(stream.sources) != len(sizes):
        return False
    same = (s.size in (None, size) for s, size in zip(stream.sources, sizes, strict=True))
    return all(same) and stream.sha256 == sha256


def _hash(source: Source, reading: Task) -> bytes:
    digest = hashlib.sha256()
    buffer = bytearray(_HASH_BYTES)
    with source.open() as file, memoryview(buffer) as view:
        while count := file.readinto(view):  # type: ignore[attr-defined]
            digest.update(view[:count])
            reading.advance(count)
    return digest.digest()


def _bytes(sources: Sequence[Source]) -> int:
    """Bytes of all sources together; 0 where a packed one tells only when it is read."""
    sizes = [source.size for source in sources]
    return 0 if None in sizes else sum(size or 0 for size in sizes)


def bad_files_error(bad: Sequence[BadFile], good: int) -> BadFilesError:
    """One error for all the files that cannot be read; `good` others can."""
    lines = [f"{len(bad):,} of {plural(len(bad) + good, 'file')} cannot be read as text:"]
    lines += [f"  {short_reason(file)}" for file in bad[:_LISTED]]
    if len(bad) > _LISTED:
        lines.append(f"  and {len(bad) - _LISTED:,} more")
    if good:
        rest = "the other file" if good == 1 else f"the other {good:,}"
        skip = named("skip_bad", True)
        lines.append(f"repair them or take them away; or add {skip} to read {rest} only")
    else:
        lines.append("name text files")
    is_disk = all(isinstance(file.error, StorageError) for file in bad)
    return (UnreadableFilesError if is_disk else BadFilesError)("\n".join(lines))


def _unread(found: Found) -> list[str]:
    """How many files of a folder have other endings; a warning where most of its text is there."""
    if not found.unread:
        return []
    wanted = " or ".join(found.endings)
    count = len(found.unread)
    which = plural(count, "other file is", "other files are")
    note = (
        f"of a folder only files that end in {wanted} are read; {which} not: "
        f"{count_endings(found.unread)}"
    )
    texts = text_files(found.unread)
    origins = [source.origin for source in found.sources if source.origin is not None]
    read = sum(map(os.path.getsize, origins))
    if len(texts) <= len(found.sources) and sum(file.size for file in texts) <= read:
        return [note]
    others = list(dict.fromkeys(file.ending for file in texts))
    if "" in others:  # Names without an ending are asked for with all the others.
        how = f"{ask_for([''])} reads all"
    else:
        how = (
            f"To read them too add {ask_for([*found.endings, *others[:3]])}; to read nothing else "
            f"add {ask_for(others[:3])}"
        )
    return [Message(f"{WARNING}most of the text is left out: {note}. {how}")]


def _same_content(digests: Iterable[tuple[str, bytes]]) -> list[str]:
    first: dict[bytes, str] = {}
    same = []
    for name, digest in digests:
        if digest in first:
            same.append(f"{name} is the same as {first[digest]}")
        else:
            first[digest] = name
    if not same:
        return []
    which = plural(len(same), "file is", "files are")
    return [f"{which} read again under another name: {listed(same)}"]


def _left_out(count: int, why: str, one: str, many: str) -> str:
    which = plural(count, "file is", "files are")
    return f"{which} left out because {why.format(one if count == 1 else many)}"


def short_reason(file: BadFile) -> str:
    """What is wrong with a file, without the advice, on one line."""
    reason = str(file.error)
    reason = reason[len(file.name) :] if reason.startswith(file.name) else f": {reason}"
    reason = _ADVICE.split(reason)[0]
    if len(reason) > _REASON_CHARS:
        reason = reason[: _REASON_CHARS - 3] + "..."
    return f"{file.name}{reason}".replace("\n", "\\n")
