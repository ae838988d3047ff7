"""A text of any length turned into a file of token ids, in bounded memory.

The text is read once; twice at word level without a vocabulary, first to count, then to write, and
at char level where characters are read as others. Char level writes provisional ids in the order in
which characters occur, and then replaces these: to decode and normalize the text again would cost
more. Inner loops work on slices that fit into a core's cache: one table look-up for all characters
of a slice.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.corpus_options import FEW_WORDS, USUAL_WORD_COUNT, CorpusOptions
from textgen.corpus.documents import DOCUMENT_MARK
from textgen.corpus.nearest_forms import Questions, ReadAs, variant_places, variants_in, ways_of
from textgen.corpus.vocabulary import END_ID, REPLACEMENT, UNKNOWN_ID, Ids, Vocabulary
from textgen.corpus.words import stream_words
from textgen.errors import EmptyCorpusError, named
from textgen.files import create_private, remove_quietly, replace_file
from textgen.terminal.humanize import plural

#: Characters or ids in a slice.
SLICE = 1 << 18

#: The shortest text to train on: int(0.9 * 4) = 3 characters train, which makes two pairs of a
#: character and its successor, and one validates.
MIN_CHARS = 4
#: The same in tokens, for levels where a token is not a character.
MIN_TOKENS = 4

#: Two marks and two symbols: with fewer there is nothing to choose.
_MIN_VOCABULARY = 4

#: How many different words are counted, at about 250 bytes each; beyond, the rarest are forgotten.
#: This affects only words whose count is near the smallest one that matters.
MAX_COUNTED_WORDS = 300_000

_CODE_POINTS = 0x110000
#: For the bytes of a code unit: how many steps in the length of UTF-8 its values can reach.
_LONGER = {1: 0, 2: 2, 4: 3}


@dataclass(frozen=True, kw_only=True)
class EncodedText:
    """What was written, and what was counted meanwhile.

    Args:
        vocabulary: The one given, or the one built.
        tokens: Ids in the file, end marks included; `sha256` is its hash.
        chars: Characters of the text, without marks; `utf8_bytes` is its length in UTF-8.
        unknown_chars: Characters the vocabulary lacks; where rare words are not spelled, all those
            of unknown tokens, the space before a word included.
        read_as: How often each way of writing a form stood in the text, where characters were read
            as others.
        words_forgotten: Whether there were too many different words to count them all.
    """

    vocabulary: Vocabulary
    tokens: int
    sha256: str
    documents: int
    chars: int
    utf8_bytes: int
    unknown_chars: int
    read_as: ReadAs = field(default_factory=dict)
    words_forgotten: bool = False


#: Opens the text again at its start; documents are separated by `DOCUMENT_MARK`.
Text = Callable[[], Iterable[str]]


def write_tokens(
    text: Text, choice: CorpusOptions | Vocabulary, path: Path, *, variants: bool = False
) -> EncodedText:
    """Encode a text into a raw array of ids at `path`.

    Args:
        text: The text, already normalised; called once or twice.
        choice: How to build the vocabulary, or the vocabulary to encode with.
        path: The file to write; a second one beside it, `.provisional`, is removed at the end.
        variants: Whether a character that the given vocabulary lacks is read as its nearest form,
            if it has one (`textgen.corpus.nearest_forms`).
    Raises:
        EmptyCorpusError: The text is empty; or too short, or of a single symbol, and a
            vocabulary was to be built from it.
        OSError: The file cannot be written.
    """
    if choice.level == "byte":
        result = _write_bytes(text, choice, path)
    elif choice.level == "char":
        result = _write_characters(text, choice, path, variants)
    else:
        result = _write_words(text, choice, path)
    if isinstance(choice, Vocabulary):
        return result
    if result.tokens < MIN_TOKENS:
        raise EmptyCorpusError(
            f"the text has {plural(result.tokens, 'token')} at {named('level')} {choice.level}, "
            f"too short to learn from; at least {MIN_TOKENS} are needed: give more text or use "
            f"{named('level')} char"
        )
    if len(result.vocabulary) < _MIN_VOCABULARY:
        if choice.level == "word" and not choice.spell_rare:
            raise EmptyCorpusError(
                "the text has fewer than two different words that are known: there is nothing to "
                f"learn from it; give more text, or a smaller {named('min_word_count')}"
            )
        raise EmptyCorpusError(
            f"{named('min_count')} {choice.min_count} leaves fewer than two symbols of the text; "
            "give a smaller one"
        )
    return result


class CharacterTable:
    """Provisional ids of characters, in the order in which they first occur.

    Id 0 is the document mark. Ids have the smallest type that holds those given so far.

    Args:
        counting: Whether to count how often each occurs, which takes as long as all the rest.
    """

    def __init__(self, *, counting: bool) -> None:
        self._counting = counting
        #: The length in UTF-8 of all the text so far.
        self.utf8_bytes = 0
        #: The code point of each id, `(K,)`.
        self.points: NDArray[np.uint32] = np.zeros(1, np.uint32)
        self._counts: NDArray[np.int64] = np.zeros(1, np.int64)
        self._set_type(np.dtype(np.uint8), np.zeros(_CODE_POINTS, np.bool_))

    def frequent(self, min_count: int) -> list[str]:
        """Return characters that occur `min_count` times or more; above 1 the table must count."""
        points = self.points if min_count <= 1 else self.points[self._counts >= min_count]
        return [chr(point) for point in points.tolist() if point != ord(DOCUMENT_MARK)]

    def look_up(self, text: str) -> Ids:
        """Return the ids of `text`, `(N,)`."""
        units = _code_units(text)
        ids = self._take(text, units)
        if ids.size and ids.max() == self._new:
            self._admit(np.unique(units[ids == self._new]))
            ids = self._take(text, units)
        if self._counting:
            self._counts += np.bincount(ids, minlength=self._counts.size)
        self.utf8_bytes += units.size + sum(
            int(np.count_nonzero(units >= bound))
            for bound in (0x80, 0x800, 0x10000)[: _LONGER[units.dtype.itemsize]]
        )
        return ids

    def _take(self, text: str, units: NDArray[Any]) -> Ids:
        if self._ascii and text.isascii():
            return np.frombuffer(text.encode("ascii").translate(self._ascii), np.uint8)
        out = np.empty(units.size, self._table.dtype)
        # "clip" skips the check of the indices: the table has every code point.
        return np.take(self._table, units, mode="clip", out=out)

    def _admit(self, points: NDArray[Any]) -> None:
        first = self.points.size
        self.points = np.concatenate([self.points, points.astype(np.uint32)])
        self._counts = np.concatenate([self._counts, np.zeros(points.size, np.int64)])
        needed = np.min_scalar_type(self.points.size)  # one more than the highest id, for "new"
        if needed.itemsize > self._table.dtype.itemsize:
            self._set_type(needed, self._table != self._new)
        self._table[points] = np.arange(first, self.points.size, dtype=self._table.dtype)
        self._refresh()

    def _set_type(self, dtype: np.dtype[Any], known: NDArray[np.bool_]) -> None:
        """Change the type of the table; its highest value stands for a new character."""
        self._new = int(np.iinfo(dtype).max)
        table = np.full(_CODE_POINTS, self._new, dtype)
        if known.any():
            table[known] = self._table[known]
        table[0] = 0
        self._table: Ids = table
        self._refresh()

    def _refresh(self) -> None:
        one_byte = self._table.dtype == np.uint8
        self._ascii = self._table[:256].tobytes() if one_byte else b""


class TokenWriter:
    """Writes arrays to a new file or over an old one; knows their hash and length.

    A new file can be read by this user alone.
    """

    def __init__(self, path: Path, *, over: bool = False) -> None:
        self._file = path.open("r+b", buffering=1 << 20) if over else create_private(path)
        self._sum = hashlib.sha256()
        self.count = 0

    def __enter__(self) -> TokenWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        """The hash of what was written."""
        return self._sum.hexdigest()

    def write(self, data: bytes | memoryview) -> None:
        """Append the bytes of ids."""
        self._sum.update(data)
        self.count += len(data)
        self._file.write(data)


def _write_bytes(text: Text, choice: CorpusOptions | Vocabulary, path: Path) -> EncodedText:
    vocabulary = choice if isinstance(choice, Vocabulary) else Vocabulary.utf8()
    table = bytearray(256)
    for symbol, i in vocabulary.symbol_index().items():
        table[ord(symbol)] = i
    table[ord(DOCUMENT_MARK)] = END_ID
    measure = _Measure(for_training=not isinstance(choice, Vocabulary))
    with TokenWriter(path) as writer:
        for piece in measure.slices(text):
            writer.write(piece.encode("utf-8").translate(table))
    return measure.encoded(vocabulary, writer, writer.count - measure.marks)


def _write_characters(
    text: Text, choice: CorpusOptions | Vocabulary, path: Path, variants: bool
) -> EncodedText:
    counting = not isinstance(choice, Vocabulary) and choice.min_count > 1
    table = CharacterTable(counting=counting)
    measure = _Measure(for_training=not isinstance(choice, Vocabulary))
    provisional = path.with_name(path.name + ".provisional")
    # The type of the ids grows with the table: a run is a type and a number of ids.
    runs: list[tuple[np.dtype[Any], int]] = []
    try:
        with create_private(provisional) as file:
            for piece in measure.slices(text):
                ids = table.look_up(piece)
                file.write(ids.data)
                if runs and runs[-1][0] == ids.dtype:
                    runs[-1] = (ids.dtype, runs[-1][1] + ids.size)
                else:
                    runs.append((ids.dtype, ids.size))
        if isinstance(choice, Vocabulary):
            vocabulary = choice
        else:
            vocabulary = Vocabulary.from_characters(_symbols(table, choice))
        index = vocabulary.symbol_index()
        final = np.array(
            [END_ID, *(index.get(chr(point), UNKNOWN_ID) for point in table.points[1:].tolist())],
            vocabulary.dtype,
        )
        writer, unknown = _replace_ids(provisional, runs, final, path)
    finally:
        remove_quietly(provisional)
    result = measure.encoded(vocabulary, writer, table.utf8_bytes - measure.marks, unknown)
    forms = variants_in(map(chr, table.points.tolist()), vocabulary) if variants else {}
    return _write_as_read(text, vocabulary, forms, path, result) if forms else result


def _write_as_read(
    text: Text, vocabulary: Vocabulary, forms: Mapping[str, str], path: Path, found: EncodedText
) -> EncodedText:
    """Write a text again, with some characters read as others.

    Args:
        text: The text.
        vocabulary: What it is encoded with.
        forms: What is read as what (`variants_in`).
        path: The file to write over.
        found: What was written there.
    """
    read_as = {form: dict.fromkeys(ways, 0) for form, ways in ways_of(forms).items()}
    told: dict[int, str] = {}

    def count(place: int, form: str) -> bool:
        char = told.get(place, "")
        is_variant = char in read_as[form]
        read_as[form][char if is_variant else form] += 1
        return is_variant

    questions = Questions(read_as, vocabulary, count)
    table = str.maketrans(dict(forms))
    unknown = 0
    path.unlink()
    with TokenWriter(path) as writer:
        for chunk in text():
            for start in range(0, len(chunk), SLICE):
                piece = chunk[start : start + SLICE]
                told = {questions.place + at: char for at, char in variant_places(piece, forms)}
                read = piece.translate(table)
                ids = vocabulary.encode(read)
                if DOCUMENT_MARK in read:
                    ids[_code_units(read) == ord(DOCUMENT_MARK)] = END_ID
                questions.read(ids)
                unknown += int(np.count_nonzero(ids == UNKNOWN_ID))
                writer.write(ids.data)
    tokens, sha256 = writer.count, writer.sha256
    return replace(found, tokens=tokens, sha256=sha256, unknown_chars=unknown, read_as=read_as)


def _replace_ids(
    provisional: Path, runs: list[tuple[np.dtype[Any], int]], final: Ids, path: Path
) -> tuple[TokenWriter, int]:
    """Make a file of final ids at `path`; returns its writer and how many ids are unknown."""
    unknown = 0
    some_unknown = bool((final == UNKNOWN_ID).any())
    # Ids that keep their size are written over those just read: new space on the disk takes longer
    # than all the rest. The reader is always ahead of the writer.
    over = all(dtype == final.dtype for dtype, _ in runs)
    with (
        provisional.open("rb") as file,
        TokenWriter(provisional if over else path, over=over) as writer,
    ):
        for dtype, count in runs:
            bytewise = b""
            if dtype == np.uint8 and final.dtype == np.uint8:
                bytewise = final[:256].tobytes().ljust(256, b"\0")
            for start in range(0, count, SLICE):
                data = file.read(min(SLICE, count - start) * dtype.itemsize)
                if bytewise:
                    ids: Ids = np.frombuffer(data.translate(bytewise), np.uint8)
                else:
                    ids = np.take(final, np.frombuffer(data, dtype))
                if some_unknown:
                    unknown += int(np.count_nonzero(ids == UNKNOWN_ID))
                writer.write(ids.data)
    if over:
        replace_file(provisional, path)
    return writer, unknown


def _write_words(text: Text, choice: CorpusOptions | Vocabulary, path: Path) -> EncodedText:
    forgotten = False
    if isinstance(choice, Vocabulary):
        vocabulary = choice
    else:
        vocabulary, forgotten = _count_words(text, choice)
    measure = _Measure(for_training=not isinstance(choice, Vocabulary))
    utf8_bytes = 0
    unknown = 0

    def measured() -> Iterator[str]:
        nonlocal utf8_bytes
        for piece in measure.slices(text):
            utf8_bytes += len(piece.encode("utf-8"))
            yield piece

    with TokenWriter(path) as writer:
        for words in stream_words(_lead(measured(), vocabulary.folded)):
            ids = vocabulary.encode_words(words, end=DOCUMENT_MARK)
            places = np.flatnonzero(ids == UNKNOWN_ID)
            if vocabulary.spelled:
                unknown += len(places)
            else:  # Each token is one of the words.
                unknown += sum(len(words[place]) for place in places.tolist())
            writer.write(ids.data)
    return measure.encoded(vocabulary, writer, utf8_bytes - measure.marks, unknown, forgotten)


def _count_words(text: Text, choice: CorpusOptions) -> tuple[Vocabulary, bool]:
    """The vocabulary of word level, and whether rare words were forgotten while counting."""
    table = CharacterTable(counting=choice.min_count > 1)

    def met() -> Iterator[str]:
        for piece in _Measure(for_training=True).slices(text):
            table.look_up(piece)
            yield piece

    limit = max(MAX_COUNTED_WORDS, 4 * choice.max_words)
    counts: Counter[str] = Counter()
    forgotten = False
    for words in stream_words(_lead(met(), choice.fold)):
        counts.update(words)
        if len(counts) > limit:
            _forget(counts, limit // 2)
            forgotten = True
    characters = _symbols(table, choice)
    if not choice.spell_rare:
        characters = [char for char in characters if char in counts]  # those between words
    elif choice.fold:
        characters.append(" ")  # before the first word of a text that is one word
    least = choice.min_word_count
    if least is None:
        keeps_all = not choice.spell_rare and sum(len(w) > 1 for w in counts) <= FEW_WORDS
        least = 1 if keeps_all else USUAL_WORD_COUNT
    kept = ((w, n) for w, n in counts.items() if len(w) > 1 and n >= least)
    best = sorted(kept, key=lambda item: (-item[1], item[0]))[: choice.max_words]
    vocabulary = Vocabulary.from_words(
        characters, dict(best), folded=choice.fold, spelled=choice.spell_rare
    )
    return vocabulary, forgotten


def _symbols(table: CharacterTable, options: CorpusOptions) -> list[str]:
    """The characters of the vocabulary, out of those in a table."""
    found = table.frequent(options.min_count)
    # U+FFFD in place of bytes that cannot be decoded is an unknown character.
    lost = options.encoding_errors == "replace"
    return [char for char in found if not (lost and char == REPLACEMENT)]


def _forget(counts: Counter[str], limit: int) -> None:
    """Drop the rarest words until at most `limit` are left."""
    by_count = Counter(counts.values())
    left = len(counts)
    least = 0
    while left > limit:
        least += 1
        left -= by_count[least]
    for word in [word for word, count in counts.items() if count <= least]:
        del counts[word]


class _Measure:
    """Counts characters and marks, and refuses a text with nothing to learn from."""

    def __init__(self, *, for_training: bool) -> None:
        self.chars = 0
        self.marks = 0
        self._for_training = for_training
        self._only = ""
        self._varied = False

    def slices(self, text: Text) -> Iterator[str]:
        """The text in slices of at most `SLICE` characters, counted, and at the end checked."""
        for chunk in text():
            for start in range(0, len(chunk), SLICE):
                piece = chunk[start : start + SLICE]
                # Looking for a character is thirty times as fast as counting it.
                marks = piece.count(DOCUMENT_MARK) if DOCUMENT_MARK in piece else 0
                self.marks += marks
                self.chars += len(piece) - marks
                if not self._varied:
                    self._only = self._only or piece.lstrip(DOCUMENT_MARK)[:1]
                    self._varied = piece.count(self._only) + marks < len(piece)
                yield piece
        self._check()

    def _check(self) -> None:
        if self.chars == 0:
            raise EmptyCorpusError(
                "nothing is left of the text after normalisation: it is empty, or has no letters "
                f"and {named('fold')} keeps nothing else; give a file with text in it"
            )
        if not self._for_training:
            return
        if self.chars < MIN_CHARS:
            raise EmptyCorpusError(
                f"the text has {plural(self.chars, 'character')}, too short to learn from; at "
                f"least {MIN_CHARS} are needed, and some thousands for words to appear: give more "
                "text"
            )
        if not self._varied:
            raise EmptyCorpusError(
                f"the text is one symbol, {self._only!r}, {self.chars:,} times: there is nothing "
                "to learn from it; give a text of at least two different characters"
            )

    def encoded(
        self,
        vocabulary: Vocabulary,
        writer: TokenWriter,
        utf8_bytes: int,
        unknown_chars: int = 0,
        words_forgotten: bool = False,
    ) -> EncodedText:
        """What was written and counted."""
        return EncodedText(
            vocabulary=vocabulary,
            tokens=writer.count,
            sha256=writer.sha256,
            documents=self.marks + 1,
            chars=self.chars,
            utf8_bytes=utf8_bytes,
            unknown_chars=unknown_chars,
            words_forgotten=words_forgotten,
        )


def _lead(chunks: Iterable[str], folded: bool) -> Iterator[str]:
    """The same text; if folded, with a space before the first word of each document."""
    lead = " " if folded else ""
    for chunk in chunks:
        yield lead + (chunk.replace(DOCUMENT_MARK, f"{DOCUMENT_MARK} ") if folded else chunk)
        lead = ""


def _code_units(text: str) -> NDArray[Any]:
    """The code points of `text`, in the smallest type that holds them all."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8)
    units = text.encode("utf-16-le")
    if len(units) == 2 * len(text):
        return np.frombuffer(units, np.uint16)
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)
