"""A corpus: texts as one memory-mapped array of token ids, encoded once and kept in a cache."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import unicodedata
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any, BinaryIO

import numpy as np

from textgen.corpus.cache import FORMAT_VERSION, CacheEntry, TokenCache
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.documents import (
    DOCUMENT_MARK,
    document_separator,
    has_border_lines,
    join_documents,
    mark_documents,
    normalize_documents,
)
from textgen.corpus.encoding import Detection, detect
from textgen.corpus.normalization import Normalization
from textgen.corpus.reader import Findings, SourceText
from textgen.corpus.several import Checked, bad_files_error, check_sources, reading_notes
from textgen.corpus.source import BadFile, Found, Source, find_sources
from textgen.corpus.tokens import Choice, EncodedText, write_tokens
from textgen.corpus.vocabulary import END_ID, Ids, Vocabulary
from textgen.errors import (
    ConfigError,
    CorpusError,
    EmptyCorpusError,
    StorageError,
    TextgenError,
    named,
)
from textgen.files import os_reason
from textgen.progress import Task, task, track

#: What is being done, to people.
_READING = "reading the text"
#: Tokens looked at a time when a character is searched for.
_SCAN = 1 << 20
#: Bytes hashed at a time.
_HASH_BYTES = 1 << 20
#: The options that every cache key is made from, whatever their values.
_FIRST_OPTIONS = (
    *("level", "fold", "min_count", "min_word_count", "max_words"),
    *("documents", "encoding", "newlines", "nfc"),
)
#: Options that say which files are read, not what becomes of them.
_CHOOSING = ("ending", "skip_bad")
#: Hexadecimal digits of a cache key that can be told without reading the text.
_PREFIX_DIGITS = 16


@dataclass(frozen=True)
class FileReport:
    """What was found in one file.

    Args:
        path: As it was typed.
        encoding: Taken for it.
        confidence: How sure that is, from 0 to 1.
        reason: Why that one.
        bytes: Length, decompressed.
        chars: Characters after normalisation.
        replaced: Sequences of bytes that stand for nothing, each read as U+FFFD.
        notes: What a person should know about the file, without its name; usually nothing.
    """

    path: str
    encoding: str
    confidence: float
    reason: str
    bytes: int
    chars: int
    replaced: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """Texts as token ids. `Corpus.open` and `Corpus.from_cache` make one.

    Args:
        tokens: Ids of `vocabulary.dtype`, `(N,)`, mapped read-only. Documents are separated by
            one `END_ID`; a single one has none.
        vocabulary: What the ids mean.
        normalization: What was done to the text before.
        options: As they were given; level and normalisation are those of the given vocabulary.
        files: One report for each file.
        documents: How many there are.
        separator: What stands between documents, as the text has it where that can be told.
        borders: Lines found that separate or begin documents; None where `options.documents` asks
            for no such lines.
        chars: Characters after normalisation, without end marks.
        utf8_bytes: The same text's length in UTF-8.
        unknown_chars: Characters that the vocabulary lacks.
        sha256: Of the raw (decompressed) bytes: of a single file its own; of several, of their
            digests, so that the boundaries between them count.
        cache_key: The name of the cache entry, for `from_cache`.
        notes: What a person should know about how it was made; usually nothing.
    """

    tokens: Ids
    vocabulary: Vocabulary
    normalization: Normalization
    options: CorpusOptions
    files: tuple[FileReport, ...]
    documents: int
    chars: int
    utf8_bytes: int
    unknown_chars: int
    sha256: str
    cache_key: str
    separator: str = "\n\n"
    borders: int | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def open(
        cls,
        paths: Sequence[str | Path],
        options: CorpusOptions | None = None,
        *,
        vocabulary: Vocabulary | None = None,
        normalization: Normalization | None = None,
        cache: Path | None = None,
        stdin: BinaryIO | None = None,
    ) -> Corpus:
        """Read and encode texts, or take them from the cache if they are there.

        A text not in the cache is read once (twice at word level), and its tokens rewritten once.
        A text that may be there is read once to make sure that its content is the same. With
        `skip_bad`, and where a file turns out bad, all files are read once more to know every bad
        one. Where the cache folder cannot be written, a temporary folder takes its place, and
        `notes` says so.

        Args:
            paths: Files, folders (every `.txt` below, or `options.ending`), `.gz` files, `-` for
                standard input. A file that is named twice is read once.
            options: The defaults if None.
            vocabulary: To encode with, for evaluation and fine-tuning; its level is then used,
                whatever `options` say. None builds one from the texts.
            normalization: Overrides that of `options`.
            cache: The cache folder; None means `$TEXTGEN_CACHE` or the system's place for caches.
            stdin: What `-` reads; the process's standard input if None.
        Raises:
            ConfigError: The options contradict the vocabulary.
            EmptyCorpusError: There is no text; or too little, or a single symbol, to build a
                vocabulary from.
            CorpusError: A file is no text in the encoding taken.
            StorageError: A file is missing or unreadable, or there is no room for the tokens.
        """
        options = _settle(options or CorpusOptions(), vocabulary, normalization)
        found = find_sources(paths, ending=options.ending, stdin=stdin)
        reading = _choose(found, options)
        sources = reading.sources
        request = _request(options, vocabulary)
        prefix = _digest({**request, "sizes": [source.size for source in sources]})[:_PREFIX_DIGITS]
        store = TokenCache(cache)
        if store.has_any(prefix):
            key = _key(prefix, request, _sha256(reading.hash()))
            entry = store.load(key)
            corpus = _from_entry(entry, sources) if entry is not None else None
            if corpus is not None and _still_reads_so(corpus, sources):
                return reading.annotate(replace(corpus, options=options))
        try:
            return reading.annotate(_build(store, reading, request, prefix, vocabulary))
        except EmptyCorpusError as error:
            if any(str(error).startswith(source.name) for source in sources):
                raise  # It was one of several texts, and the message names it.
            names = ", ".join(source.name for source in sources[:3])
            more = f" and {len(sources) - 3} more" if len(sources) > 3 else ""
            raise EmptyCorpusError(f"{names}{more}: {error.marked}") from error
        except (CorpusError, StorageError) as error:
            explained = reading.explain(error)
            if explained is error:
                raise
            raise explained from error
        except TextgenError:
            raise
        except OSError as error:
            reason = os_reason(error)
        note = (
            f"the cache folder {store.folder} cannot be written ({reason}); the encoded text is in "
            "a temporary folder for this run only; set TEXTGEN_CACHE to a folder with room"
        )
        try:
            temporary = Path(tempfile.mkdtemp(prefix="textgen-"))
        except OSError as error:
            raise _no_room(error, tempfile.gettempdir()) from error
        try:
            corpus = _build(TokenCache(temporary), reading, request, prefix, vocabulary)
            corpus = reading.annotate(replace(corpus, notes=(*corpus.notes, note)))
        except BaseException as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if isinstance(error, OSError) and not isinstance(error, TextgenError):
                raise _no_room(error, str(temporary)) from error
            raise
        weakref.finalize(corpus, shutil.rmtree, temporary, ignore_errors=True)
        return corpus

    @classmethod
    def from_cache(cls, cache_key: str, cache: Path | None = None) -> Corpus | None:
        """An encoded text without its files, to go on training with.

        Args:
            cache_key: As `Corpus.cache_key` had it.
            cache: As for `open`.
        Returns:
            None if the cache has no such entry any more, or a damaged one.
        """
        entry = TokenCache(cache).load(cache_key)
        return None if entry is None else _from_entry(entry)

    def require_borders(self) -> None:
        """Make sure that the lines by which the text is cut into documents are there.

        Raises:
            CorpusError: There is none.
        """
        if self.borders != 0:
            return
        kind, _, text = (self.options.documents or "").partition(":")
        names = ", ".join(report.path for report in self.files[:3])
        more = f" and {len(self.files) - 3} more" if len(self.files) > 3 else ""
        if kind == "separator":
            missing = f"no line is '{text}'"
            other = f"start:{text}"
            hint = f"if documents begin with a line that starts so, type --documents {quote(other)}"
        else:
            missing = f"no line begins with '{text}'"
            hint = (
                "upper and lower case count, and so do spaces; what follows start: is a regular "
                "expression"
            )
        raise CorpusError(
            f"{names}{more}: {missing}, so --documents {quote(f'{kind}:{text}')} cuts nothing; "
            f"{hint}"
        )

    def decode(self, start: int = 0, stop: int | None = None) -> str:
        """The text of the tokens from `start` up to `stop`; all the rest if that is None."""
        at_start = start <= 0 or bool(self.tokens[start - 1] == END_ID)
        return self.vocabulary.decode(self.tokens[start:stop], at_start=at_start)

    def token_at_char(self, position: int) -> int:
        """The first token that starts at or after a character, in bounded memory.

        Args:
            position: Number of a character of the text, from 0; end marks are none.
        Returns:
            An index into `tokens`; their number if no token starts there or later.
        """
        if position <= 0:
            return 0
        if position >= self.chars:
            return len(self.tokens)
        if self.chars == len(self.tokens):  # each token is a character, and there is no mark
            return position
        lengths = self.vocabulary.symbol_lengths()
        # At byte level a character starts at its first byte only, the one that counts.
        inside = lengths == 0
        inside[END_ID] = False
        before = 0
        previous = END_ID
        for start in range(0, len(self.tokens), _SCAN):
            ids = self.tokens[start : start + _SCAN]
            sizes = lengths[ids]
            if self.vocabulary.folded:
                # The first word of a document has a space in front that the text has not.
                first = np.concatenate([[previous == END_ID], ids[:-1] == END_ID])
                sizes -= first & (ids != END_ID)
                previous = int(ids[-1])
            starts = before + np.cumsum(sizes) - sizes
            if starts[-1] >= position:
                found = np.flatnonzero((starts >= position) & ~inside[ids])
                if found.size:
                    return start + int(found[0])
            before = int(starts[-1] + sizes[-1])
        return len(self.tokens)

    def summary(self) -> dict[str, Any]:
        """What a checkpoint or `--json` tells of it, as plain data."""
        return {
            "files": [asdict(report) for report in self.files],
            "sha256": self.sha256,
            "cache_key": self.cache_key,
            "options": asdict(self.options),
            "documents": self.documents,
            "separator": self.separator,
            "tokens": len(self.tokens),
            "chars": self.chars,
            "utf8_bytes": self.utf8_bytes,
            "unknown_chars": self.unknown_chars,
            "vocab_size": len(self.vocabulary),
            "dtype": self.tokens.dtype.name,
            "notes": list(self.notes),
        }


def is_same_text(
    paths: Sequence[str | Path],
    options: CorpusOptions,
    *,
    sizes: Sequence[int],
    sha256: str,
    stdin: BinaryIO | None = None,
) -> bool:
    """Whether texts hold the bytes that a corpus was made from.

    They are read only where their number and sizes are the same.

    Args:
        paths: As `Corpus.open` takes them.
        options: As `Corpus.options` has them: they say which files of a folder are read.
        sizes: Bytes of each of the corpus's files, decompressed (`FileReport.bytes`).
        sha256: `Corpus.sha256`.
        stdin: What `-` reads.
    Raises:
        TextgenError: A text is missing or unreadable.
    """
    found = find_sources(paths, ending=options.ending, stdin=stdin)
    sources = _choose(found, options).sources
    if len(sources) != len(sizes):
        return False
    if any(source.size not in (None, size) for source, size in zip(sources, sizes, strict=True)):
        return False
    return _sha256(_hash_all(sources)) == sha256


class _Reading:
    """The texts as one stream that can be read again, and what was found in them.

    Args:
        found: What the paths led to.
        options: How texts become tokens.
        checked: The sources to read, if they were read to their end before; None takes all.
        skipped: Files left out because they cannot be read.
    """

    def __init__(
        self,
        found: Found,
        options: CorpusOptions,
        checked: Sequence[Checked] | None = None,
        skipped: Sequence[BadFile] = (),
    ) -> None:
        self._found = found
        self._skipped = skipped
        self.options = options
        self.sources: Sequence[Source] = found.sources
        self._detections: list[Detection] | None = None
        self.borders = 0
        self.gaps: Counter[int] = Counter()
        self._digests: list[bytes] | None = None
        if checked is not None:
            self.sources = [good.source for good in checked]
            self._detections = [good.detection for good in checked]
            self._digests = [good.digest for good in checked]
        self.files: tuple[FileReport, ...] = ()

    def hash(self) -> list[bytes]:
        """The digest of each file; reads it where that was not done yet."""
        if self._digests is None:
            self._digests = _hash_all(self.sources)
        return self._digests

    def annotate(self, corpus: Corpus) -> Corpus:
        """The corpus with notes on the files that were not read, or twice."""
        names = [source.name for source in self.sources]
        digests = list(zip(names, self.hash(), strict=True))
        notes = reading_notes(self._found, self._skipped, digests)
        return replace(corpus, notes=(*corpus.notes, *notes))

    def explain(self, error: CorpusError | StorageError) -> TextgenError:
        """The error for all bad files, where reading one of several raised `error`."""
        if len(self.sources) == 1:
            return error
        good, bad = check_sources(self.sources, self.options.encoding, self.options.encoding_errors)
        return bad_files_error(bad, len(good)) if bad else error

    @property
    def sha256(self) -> str:
        """Of what was read; known after the first pass."""
        assert self._digests is not None
        return _sha256(self._digests)

    def text(self) -> Iterator[str]:
        """One pass; documents are separated by `DOCUMENT_MARK`."""
        if self._detections is None:
            encoding, errors = self.options.encoding, self.options.encoding_errors
            sources = track(self.sources, "finding out the encoding", len(self.sources))
            self._detections = [detect(source, encoding, errors) for source in sources]
        self.borders = 0
        self.gaps.clear()
        with task(_READING, _bytes(self.sources)) as reading:
            tallies = [_Tally(reading) for _ in self.sources]
            yield from join_documents(map(self._one, self.sources, self._detections, tallies))
        digests = [tally.digest() for tally in tallies]
        if self._digests not in (None, digests):
            raise StorageError("a text changed while it was being read; start again")
        self._digests = digests
        self.files = tuple(
            FileReport(
                s.name,
                d.encoding,
                d.confidence,
                d.reason,
                t.bytes,
                t.chars,
                t.findings.replaced,
                d.notes + t.findings.notes(),
            )
            for s, d, t in zip(self.sources, self._detections, tallies, strict=True)
        )

    def _one(self, source: Source, detection: Detection, tally: _Tally) -> Iterator[str]:
        normalization = self.options.normalization
        mode = self.options.documents
        text = SourceText(source, detection)
        if mode is None:
            yield from tally.count(tally.chunks(text, normalization))
        elif normalization.fold:
            raw = Normalization(newlines=False, nfc=False)
            documents = mark_documents(tally.chunks(text, raw), mode, self._count)
            yield from tally.count(normalize_documents(documents, normalization))
        else:
            chunks = tally.count(tally.chunks(text, normalization))
            yield from mark_documents(chunks, mode, self._count)

    def _count(self, borders: int, gaps: Sequence[int]) -> None:
        self.borders += borders
        self.gaps.update(gaps)

    @property
    def separator(self) -> str:
        """What usually stands between documents; known after the first pass."""
        usual = self.gaps.most_common(1)
        return document_separator(self.options.documents, usual[0][0] if usual else None)


class _Tally:
    """Counts and hashes what is read of one file."""

    def __init__(self, reading: Task) -> None:
        self._sha256 = hashlib.sha256()
        self._reading = reading
        self.bytes = 0
        self.chars = 0
        self.findings = Findings()

    def chunks(self, text: SourceText, normalization: Normalization) -> Iterator[str]:
        return text.chunks(normalization, hasher=self, findings=self.findings)

    def update(self, data: memoryview, /) -> None:
        self._sha256.update(data)
        self.bytes += len(data)
        self._reading.advance(len(data))

    def count(self, chunks: Iterator[str]) -> Iterator[str]:
        for chunk in chunks:
            marks = chunk.count(DOCUMENT_MARK) if DOCUMENT_MARK in chunk else 0
            self.chars += len(chunk) - marks
            yield chunk

    def digest(self) -> bytes:
        return self._sha256.digest()


def _choose(found: Found, options: CorpusOptions) -> _Reading:
    """What of the texts found is read: all of them, or those that can be.

    Raises:
        BadFilesError: Some cannot be opened and are not to be left out, or none can be read.
    """
    if not found.bad and not options.skip_bad:
        return _Reading(found, options)
    if len(found.sources) == 1 and not found.bad:
        return _Reading(found, options)  # The only text: its own error says it best.
    good, bad = check_sources(found.sources, options.encoding, options.encoding_errors)
    bad = [*found.bad, *bad]
    if bad and (not options.skip_bad or not good):
        raise bad_files_error(bad, len(good))
    return _Reading(found, options, good, bad)


def _settle(
    options: CorpusOptions, vocabulary: Vocabulary | None, normalization: Normalization | None
) -> CorpusOptions:
    """The options with everything that follows from the other two arguments."""
    if vocabulary is not None:
        options = replace(options, level=vocabulary.level, fold=options.fold or vocabulary.folded)
    if normalization is not None:
        options = replace(options, **normalization.to_dict())
    if vocabulary is not None and vocabulary.level == "word" and vocabulary.folded != options.fold:
        is_folded = "is" if vocabulary.folded else "is not"
        raise ConfigError(
            f"the vocabulary's text {is_folded} folded and this one's would be otherwise; "
            f"both need the same {named('fold')}"
        )
    return options


def _request(options: CorpusOptions, vocabulary: Vocabulary | None) -> dict[str, Any]:
    """Everything but the text that decides what the tokens are."""
    usual = asdict(CorpusOptions())
    return {
        "format": FORMAT_VERSION,
        "unicode": unicodedata.unidata_version,
        # An option that came later counts where it is used: else every key would be another.
        "options": {
            name: value
            for name, value in asdict(options).items()
            if name not in _CHOOSING and (name in _FIRST_OPTIONS or value != usual[name])
        },
        "vocabulary": None if vocabulary is None else _digest(vocabulary.to_dict()),
    }


def _digest(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _key(prefix: str, request: Mapping[str, Any], sha256: str) -> str:
    """The entry's name: a part known before the text is read, and a part made from its content."""
    content = _digest({**request, "sha256": sha256})
    return prefix + content[: len(content) - len(prefix)]


def _hash_all(sources: Sequence[Source]) -> list[bytes]:
    with task(_READING, _bytes(sources)) as reading:
        return [_hash(source, reading) for source in sources]


def _hash(source: Source, reading: Task) -> bytes:
    digest = hashlib.sha256()
    buffer = bytearray(_HASH_BYTES)
    with source.open() as file, memoryview(buffer) as view:
        while count := file.readinto(view):  # type: ignore[attr-defined]
            digest.update(view[:count])
            reading.advance(count)
    return digest.digest()


def _bytes(sources: Sequence[Source]) -> int:
    """Of all texts together; 0 where a packed one tells only when it is read."""
    sizes = [source.size for source in sources]
    return 0 if None in sizes else sum(size or 0 for size in sizes)


def _sha256(digests: Sequence[bytes]) -> str:
    if len(digests) == 1:
        return digests[0].hex()
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _build(
    store: TokenCache,
    reading: _Reading,
    request: Mapping[str, Any],
    prefix: str,
    vocabulary: Vocabulary | None,
) -> Corpus:
    """Encode a text into an entry of `store`."""
    options = reading.options
    choice = vocabulary or Choice(
        level=options.level,
        folded=options.fold and options.level == "word",
        min_count=options.min_count,
        min_word_count=options.min_word_count,
        max_words=options.max_words,
        lost_is_unknown=options.encoding_errors == "replace",
    )
    scratch = store.scratch()
    try:
        encoded = write_tokens(reading.text, choice, scratch)
        key = _key(prefix, request, reading.sha256)
        entry = store.store(key, scratch, _header(encoded, reading, key))
    finally:
        scratch.unlink(missing_ok=True)
    corpus = _from_entry(entry)
    assert corpus is not None
    return corpus


def _header(encoded: EncodedText, reading: _Reading, key: str) -> dict[str, Any]:
    vocabulary = encoded.vocabulary
    notes = []
    if encoded.words_forgotten:
        notes.append("the text has too many different words to count them all; rare ones were left")
    return {
        "cache_key": key,
        "dtype": vocabulary.dtype.name,
        "tokens": encoded.tokens,
        "crc32": encoded.crc32,
        "vocab_size": len(vocabulary),
        "vocabulary": vocabulary.to_dict(),
        "options": asdict(reading.options),
        "files": [asdict(report) for report in reading.files],
        "documents": encoded.documents,
        "separator": reading.separator,
        "borders": reading.borders if has_border_lines(reading.options.documents) else None,
        "chars": encoded.chars,
        "utf8_bytes": encoded.utf8_bytes,
        "unknown_chars": encoded.unknown_chars,
        "sha256": reading.sha256,
        "notes": notes,
    }


def _from_entry(entry: CacheEntry, sources: Sequence[Source] | None = None) -> Corpus | None:
    """The corpus of a cache entry; None if the header is not one this version wrote.

    Args:
        entry: The entry.
        sources: Its files as they are named now; None: as they were named.
    """
    header = entry.header
    try:
        vocabulary = Vocabulary.from_dict(header["vocabulary"])
        options = CorpusOptions(**header["options"])
        files = tuple(
            FileReport(**{**report, "notes": tuple(report.get("notes", ()))})
            for report in header["files"]
        )
        if sources is not None:
            both = zip(files, sources, strict=True)
            files = tuple(replace(report, path=source.name) for report, source in both)
        numbers = {name: header[name] for name in _NUMBERS}
        if len(vocabulary) != header["vocab_size"] or vocabulary.dtype != entry.tokens.dtype:
            return None
        return Corpus(
            tokens=entry.tokens,
            vocabulary=vocabulary,
            normalization=options.normalization,
            options=options,
            files=files,
            sha256=header["sha256"],
            cache_key=header["cache_key"],
            separator=str(header.get("separator") or document_separator(options.documents)),
            borders=header.get("borders"),  # Entries of older versions have none.
            notes=(*header["notes"], *_file_notes(files)),
            **numbers,
        )
    except (KeyError, TypeError, ValueError):
        return None


def _still_reads_so(corpus: Corpus, sources: Sequence[Source]) -> bool:
    """Whether files are still taken for what they were when the corpus was encoded.

    A guess may have become a better one since; what is Unicode, or was asked for, is no guess.
    """
    if corpus.options.encoding is not None:
        return True
    return all(
        report.encoding == "utf-8"
        or detect(source, None, corpus.options.encoding_errors).encoding == report.encoding
        for report, source in zip(corpus.files, sources, strict=True)
    )


#: Files whose notes are printed; of the others only how many have any is told.
_NOTED = 5


def _file_notes(files: Sequence[FileReport]) -> tuple[str, ...]:
    """The notes of the files with their names."""
    noted = [report for report in files if report.notes]
    notes = [f"{report.path} {note}" for report in noted[:_NOTED] for note in report.notes]
    if len(noted) > _NOTED:
        notes.append(f"{len(noted) - _NOTED:,} more files have such notes; --json lists them")
    return tuple(notes)


_NUMBERS = ("documents", "chars", "utf8_bytes", "unknown_chars")


def _no_room(error: OSError, folder: str) -> StorageError:
    return StorageError(
        f"the encoded text can be written neither to the cache nor to {folder}: "
        f"{os_reason(error)}; set TEXTGEN_CACHE to a folder with room"
    )
