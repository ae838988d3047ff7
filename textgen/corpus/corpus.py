"""A corpus: texts as one array of token ids, encoded once and kept in a cache."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.cache import FORMAT_VERSION, CacheEntry, TokenCache, write_entry
from textgen.corpus.corpus_options import IN_TEXT, USUAL_WORD_COUNT, CorpusOptions
from textgen.corpus.documents import document_separator, has_border_lines
from textgen.corpus.nearest_forms import TABLE_VERSION, ReadAs
from textgen.corpus.normalization import Normalization
from textgen.corpus.source import find_sources
from textgen.corpus.text_stream import FileReport, TextStream
from textgen.corpus.tokens import write_tokens
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Ids, Vocabulary
from textgen.corpus.windows import count_of
from textgen.errors import ConfigError, CorpusError, EmptyCorpusError, StorageError, named
from textgen.files import remove_quietly
from textgen.messages import Message, marks_of
from textgen.plain_data import Count, Some, from_plain
from textgen.progress import task
from textgen.terminal.humanize import listed, plural

#: Tokens looked at together when a character is searched for.
_SCAN = 1 << 20
#: The options that every cache key is made from, whatever their values.
_FIRST_OPTIONS = (
    *("level", "fold", "min_count", "min_word_count", "max_words"),
    *("documents", "encoding", "newlines", "nfc"),
)
#: Options that say which files are read, not what becomes of them.
_CHOOSING = ("ending", "skip_bad")
#: Hexadecimal digits of a cache key that do not depend on the text's content.
_PREFIX_DIGITS = 16
#: Files whose notes are given; the others are counted.
_NOTED = 5


class FileRecord(TypedDict):
    """What is looked at of a file's `FileReport` in plain data."""

    path: str
    bytes: Count
    encoding: NotRequired[str]


class TextRecord(TypedDict):
    """What tells a text from others."""

    sha256: str
    files: list[FileRecord]
    options: NotRequired[Annotated[dict[str, Any], CorpusOptions]]


class LengthsRecord(TypedDict):
    """What is looked at of `DocumentLengths` in plain data."""

    longest: Some


class CorpusRecord(TextRecord):
    """What files say of the text of a model or a run: `Corpus.summary`, and what a run adds."""

    tokens: Some
    #: Cache entries of the text and, if it is another file, of the validation text.
    keys: NotRequired[tuple[str, str | None]]
    #: The hashes of their tokens.
    tokens_sha256: NotRequired[tuple[str | None, str | None]]
    #: The names of the labels, and the hash of which document has which.
    labels: NotRequired[list[str]]
    labels_sha256: NotRequired[str]
    documents: NotRequired[Count]
    separator: NotRequired[str]
    document_lengths: NotRequired[LengthsRecord | None]
    split: NotRequired[Literal["tail", "drawn", "ends", "whole"]]
    #: The file that validates.
    validation_text: NotRequired[TextRecord]


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """Texts as token ids. `Corpus.open` and `Corpus.from_cache` make one.

    Args:
        tokens: Ids of `vocabulary.dtype`, `(N,)`, read-only; those of a large text are mapped from
            the cache. Documents are separated by one `END_ID`; a single document has none.
        vocabulary: What the ids mean.
        normalization: What was done to the text before.
        options: As they were given; level and normalization are those of the given vocabulary.
        files: One report for each file.
        documents: How many there are.
        separator: What stands between documents, as in the text if that can be told.
        borders: Lines found that separate or begin documents; None if `options.documents` does not
            ask for such lines.
        chars: Characters after normalization, without end marks.
        utf8_bytes: The same text's length in UTF-8.
        unknown_chars: Characters that the vocabulary lacks; where rare words are not spelled, all
            those of unknown tokens.
        read_as: How often each way of writing a form stood in the text, where characters were read
            as others. Then `chars`, `utf8_bytes` and `unknown_chars` are still those of the text as
            it is, and `tokens` those of the text as read.
        sha256: Hash of the raw (decompressed) bytes; of several files, of their hashes, so that
            the borders between them count.
        cache_key: The name of the cache entry, for `from_cache`.
        tokens_sha256: Hash of the tokens; None of an entry that an earlier version wrote.
        labels: Names of the labels, where `options.label_from` asks for them.
        label_D: The label of each document, its number in `labels` from 1; 0 is none. None where
            they are not asked for.
        list_reason: Why its lines were read as documents unasked; None where they were not.
        notes: What the user should know about how it was made; usually nothing.
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
    read_as: ReadAs = field(default_factory=dict)
    tokens_sha256: str | None = None
    separator: str = "\n\n"
    borders: int | None = None
    labels: tuple[str, ...] = ()
    label_D: NDArray[np.int64] | None = None
    list_reason: str | None = None
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
        variants: bool = False,
        lists: bool = False,
        label_optional: bool = False,
        cache: Path | None = None,
        stdin: BinaryIO | None = None,
    ) -> Corpus:
        """Read and encode texts, or take them from the cache if they are there.

        A text that is not in the cache is read once (twice at word level), and its tokens are
        written twice. A text that may be there is read once to compare its content. With
        `skip_bad`, or after an error, all files are read once more to know every bad one. If the
        cache folder cannot be written, a temporary folder takes its place, and `notes` says so.

        Args:
            paths: Files, folders (every `.txt` below, or `options.ending`), `.gz` files, `-` for
                standard input. A file that is named twice is read once.
            options: None means the defaults.
            vocabulary: To encode with, for evaluation and fine-tuning; its level is then used,
                whatever `options` say. None builds one from the texts.
            normalization: Overrides that of `options`.
            variants: Whether a character that the vocabulary lacks is read as the nearest form that
                it has, if there is one (`textgen.corpus.nearest_forms`): to measure a text, or to
                learn from it. It matters at level `"char"` only.
            lists: Whether each line of a list (`textgen.corpus.list_text`) is read as a document,
                where `options` name no documents.
            label_optional: Whether a file without labels is read as it is, where `options` look for
                them in the text: to measure a text.
            cache: The cache folder; None means `$TEXTGEN_CACHE` or the system's place for caches.
            stdin: What `-` reads; None means the process's standard input.
        Raises:
            ConfigError: The options contradict the vocabulary.
            EmptyCorpusError: There is no text; or it is too short, or a single symbol, and a
                vocabulary was to be built from it.
            CorpusError: A file is not text in the encoding taken.
            StorageError: A file is missing or unreadable, or there is no room for the tokens.
        """
        options = options or CorpusOptions()
        lists = lists and options.documents is None and options.label_from not in IN_TEXT
        options = _settle(options, vocabulary, normalization)
        label_optional = label_optional and options.label_from in IN_TEXT
        found = find_sources(paths, ending=options.ending, stdin=stdin)
        stream = TextStream(found, options, label_optional=label_optional)
        list_reason = None
        if lists:
            with task("looking at the text"):
                list_reason = stream.list_reason()
        if list_reason is not None:
            stream.options = options = replace(options, documents="line")
        names = [source.name for source in stream.sources]
        variants = variants and vocabulary is not None and vocabulary.level == "char"
        request = _request(options, vocabulary, variants, stream.path_labels())
        if label_optional:
            request["label_optional"] = True
        prefix = _digest({**request, "sizes": [source.size for source in stream.sources]})
        prefix = prefix[:_PREFIX_DIGITS]
        store = TokenCache(cache)
        if store.has_any(prefix):
            entry = store.load(_key(prefix, request, stream.sha256))
            corpus = None if entry is None else _from_entry(entry, names)
            if corpus is not None and stream.reads_as(corpus.files):
                notes = (*corpus.notes, *stream.notes())
                return replace(corpus, options=options, list_reason=list_reason, notes=notes)

        def encode(store: TokenCache) -> CacheEntry:
            return _encode(store, stream, request, prefix, vocabulary, variants)

        try:
            entry, note = write_entry(cache, "the encoded text", encode)
        except EmptyCorpusError as error:
            if any(str(error).startswith(name) for name in names):
                raise  # It was one of several texts, and the message names it.
            raise EmptyCorpusError(f"{listed(names)}: {error.marked}") from error
        except (CorpusError, StorageError) as error:
            explained = stream.explain(error)
            if explained is error:
                raise
            raise explained from error
        corpus = _from_entry(entry)
        assert corpus is not None
        notes = (*corpus.notes, *note, *stream.notes())
        return replace(corpus, list_reason=list_reason, notes=notes)

    @classmethod
    def from_cache(
        cls, cache_key: str, cache: Path | None = None, *, tokens_sha256: str | None = None
    ) -> Corpus | None:
        """Return an encoded text without its files, to continue training with.

        Args:
            cache_key: From `Corpus.cache_key`.
            cache: As for `open`.
            tokens_sha256: What the hash of the tokens has to be; None where it is not known, as to
                runs of earlier versions, whose entries serve then.
        Returns:
            None if the cache no longer has this entry, or it is damaged or another text.
        """
        store = TokenCache(cache)
        # The text may have been standard input, which only the cache still has.
        entry = store.load(cache_key, older=tokens_sha256 is None)
        if entry is None:
            return None
        if tokens_sha256 not in (None, entry.header.get("tokens_sha256")):
            store.remove(cache_key)  # Somebody put it there: it is not the text of that key.
            return None
        return _from_entry(entry)

    def require_borders(self) -> None:
        """Make sure that the lines by which the text is cut into documents are there.

        Raises:
            CorpusError: There is none.
        """
        if self.borders != 0:
            return
        mode = self.options.documents or ""
        kind, _, text = mode.partition(":")
        if kind == "separator":
            missing = f"no line is '{text}'"
            other = named("documents", f"start:{text}")
            hint = f"if documents begin with a line that starts so, give {other}"
        else:
            missing = f"no line begins with '{text}'"
            hint = (
                "upper and lower case count, and so do spaces; what follows start: is a regular "
                "expression"
            )
        names = listed([report.path for report in self.files])
        raise CorpusError(f"{names}: {missing}, so {named('documents', mode)} cuts nothing; {hint}")

    @cached_property
    def labels_sha256(self) -> str | None:
        """The hash of the labels, and of which document has which; None without labels."""
        if self.label_D is None:
            return None
        return _digest({"labels": list(self.labels), "of_documents": self.label_D.tolist()})

    @cached_property
    def unknown_tokens(self) -> int:
        """How many tokens are unknown."""
        return count_of(self.tokens, UNKNOWN_ID)

    @property
    def decoded_chars(self) -> int:
        """Characters of the decoded text, in which each unknown token has the same length."""
        shown = self.unknown_tokens * len(self.vocabulary.unknown_text)
        return self.chars - self.unknown_chars + shown

    def decode(self, start: int = 0, stop: int | None = None) -> str:
        """The text of the tokens from `start` up to `stop`; all the rest if that is None."""
        at_start = start <= 0 or bool(self.tokens[start - 1] == END_ID)
        return self.vocabulary.decode(self.tokens[start:stop], at_start=at_start)

    def token_at_char(self, position: int) -> int:
        """The first token that starts at or after a character, in bounded memory.

        Args:
            position: Number of a character of the text, from 0; end marks are none. Where rare
                words are not spelled, the result is near it.
        Returns:
            An index into `tokens`; their number if no token starts there or later.
        """
        if position <= 0:
            return 0
        if position >= self.chars:
            return len(self.tokens)
        if not self.vocabulary.spelled:  # Unknown words are as long as they are on average.
            position = position * self.decoded_chars // self.chars
        elif self.chars == len(self.tokens):  # each token is a character, and there is no mark
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
        """The corpus as plain data, for a checkpoint and for JSON; its notes are `Message`s."""
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


def _settle(
    options: CorpusOptions, vocabulary: Vocabulary | None, normalization: Normalization | None
) -> CorpusOptions:
    """The options with everything that follows from the other two arguments."""
    if options.documents == "file":
        options = replace(options, documents=None)
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


def _request(
    options: CorpusOptions,
    vocabulary: Vocabulary | None,
    variants: bool = False,
    path_labels: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Everything but the text that decides what the tokens are, and whose."""
    usual = asdict(CorpusOptions())
    given = asdict(options)
    if options.level != "word" and options.min_word_count is None:
        given["min_word_count"] = USUAL_WORD_COUNT  # As in the keys of older versions.
    return {
        "format": FORMAT_VERSION,
        "unicode": unicodedata.unidata_version,
        # A newer option counts only if it is used: otherwise every old key would change.
        "options": {
            name: value
            for name, value in given.items()
            if name not in _CHOOSING
            and (
                name in _FIRST_OPTIONS
                or value != usual[name]
                # Older versions spelled without being asked.
                or (name == "spell_rare" and options.level == "word")
            )
        },
        "vocabulary": None if vocabulary is None else _digest(vocabulary.to_dict()),
        **({"variants": TABLE_VERSION} if variants else {}),
        **({} if path_labels is None else {"labels": list(path_labels)}),
    }


def _digest(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _key(prefix: str, request: Mapping[str, Any], sha256: str) -> str:
    """The entry's name: a part known before the text is read, and a part made from its content."""
    content = _digest({**request, "sha256": sha256})
    return prefix + content[: len(content) - len(prefix)]


def _encode(
    store: TokenCache,
    stream: TextStream,
    request: Mapping[str, Any],
    prefix: str,
    vocabulary: Vocabulary | None,
    variants: bool,
) -> CacheEntry:
    """Encode a text into an entry of `store`."""
    options = stream.options
    scratch = store.scratch()
    forgotten = "the text has too many different words to count them all; rare ones were left"
    try:
        encoded = write_tokens(stream.text, vocabulary or options, scratch, variants=variants)
        key = _key(prefix, request, stream.sha256)
        header = {
            "cache_key": key,
            "dtype": encoded.vocabulary.dtype.name,
            "tokens": encoded.tokens,
            "tokens_sha256": encoded.sha256,
            "vocab_size": len(encoded.vocabulary),
            "vocabulary": encoded.vocabulary.to_dict(),
            "options": asdict(options),
            "files": [
                {**asdict(report), "notes": list(map(marks_of, report.notes))}
                for report in stream.files
            ],
            "separator": stream.separator,
            "borders": stream.borders if has_border_lines(options.documents) else None,
            "sha256": stream.sha256,
            "notes": [forgotten] if encoded.words_forgotten else [],
            **({"read_as": encoded.read_as} if encoded.read_as else {}),
            **({} if options.label_from is None else _label_record(stream, encoded.documents)),
            **{name: getattr(encoded, name) for name in _NUMBERS},
        }
        return store.store(key, scratch, header)
    finally:
        remove_quietly(scratch)


def _label_record(stream: TextStream, documents: int) -> dict[str, Any]:
    """What an entry keeps of the labels: their names, and how many documents in a row have each."""
    assert len(stream.labels) == documents, (len(stream.labels), documents)
    names = sorted(set(stream.labels) - {""})
    numbers = {name: number for number, name in enumerate(["", *names])}
    runs = [[numbers[name], len(list(same))] for name, same in groupby(stream.labels)]
    return {"labels": names, "label_runs": runs}


class _CorpusHeader(TypedDict):
    """What `_encode` writes of a text into its cache entry."""

    vocab_size: Some
    files: list[dict[str, Any]]
    sha256: str
    cache_key: str
    separator: NotRequired[str | None]
    #: Entries of older versions have none of these two.
    borders: NotRequired[Count | None]
    tokens_sha256: NotRequired[str]
    notes: list[str]
    read_as: NotRequired[dict[str, dict[str, Count]]]
    labels: NotRequired[list[str]]
    label_runs: NotRequired[list[tuple[Count, Some]]]
    documents: Some
    chars: Some
    utf8_bytes: Count
    unknown_chars: Count


#: What `EncodedText`, the header of an entry and `Corpus` have in common.
_NUMBERS = ("documents", "chars", "utf8_bytes", "unknown_chars")


def _from_entry(entry: CacheEntry, names: Sequence[str] | None = None) -> Corpus | None:
    """The corpus of a cache entry; None if this version did not write its header.

    `names` are those of its files now; None: they are called as they were.
    """
    try:
        header = from_plain(_CorpusHeader, entry.header)
        vocabulary = Vocabulary.from_dict(entry.header["vocabulary"])
        options = from_plain(CorpusOptions, entry.header["options"])
        files = tuple(
            replace(report, notes=tuple(map(Message, report.notes)))
            for report in from_plain(tuple[FileReport, ...], entry.header["files"])
        )
        if names is not None:
            both = zip(files, names, strict=True)
            files = tuple(replace(report, path=name) for report, name in both)
        fits = len(vocabulary) == header["vocab_size"] and vocabulary.dtype == entry.tokens.dtype
        runs = np.array(header.get("label_runs", []), np.int64).reshape(-1, 2)
        label_D = np.repeat(runs[:, 0], runs[:, 1])
        labels = tuple(header.get("labels", ()))
        if label_D.size and (label_D.size != header["documents"] or label_D.max() > len(labels)):
            return None
        if not files or not fits:
            return None
        return Corpus(
            tokens=entry.tokens,
            vocabulary=vocabulary,
            normalization=options.normalization,
            options=options,
            files=files,
            sha256=header["sha256"],
            cache_key=header["cache_key"],
            read_as=header.get("read_as", {}),
            tokens_sha256=header.get("tokens_sha256"),
            separator=str(header.get("separator") or document_separator(options.documents)),
            borders=header.get("borders"),
            labels=labels,
            label_D=label_D if options.label_from is not None else None,
            notes=(*header["notes"], *_file_notes(files)),
            **{name: entry.header[name] for name in _NUMBERS},
        )
    except (KeyError, TypeError, ValueError):
        return None


def _file_notes(files: Sequence[FileReport]) -> tuple[str, ...]:
    """The notes on the files, with their names."""
    noted = [report for report in files if report.notes]
    notes: list[str] = [
        Message(f"{report.path} {marks_of(note)}")
        for report in noted[:_NOTED]
        for note in report.notes
    ]
    if len(noted) > _NOTED:
        more = plural(len(noted) - _NOTED, "more file has", "more files have")
        notes.append(f"{more} such notes; the JSON output has them")
    return tuple(notes)
