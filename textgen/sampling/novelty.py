"""How much of a generated text is copied from the training text: runs, and whole documents.

The corpus stays where it is, in a memory map, and is read block by block. One vectorised pass
notes in which blocks each run of `min_run` tokens of the text occurs, by hash; only those blocks
are then searched, exactly. Memory is bounded by the block size and by one list entry for each
block in which a piece of the text occurs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.checkpoint import ModelHeader
from textgen.corpus.corpus import Corpus
from textgen.corpus.spans import find_documents
from textgen.corpus.vocabulary import END_ID
from textgen.errors import ConfigError, SamplingError, named
from textgen.notebook import Part, Prose, Shown
from textgen.progress import task, track
from textgen.sampling.generate import MOST_SHOWN, Generation
from textgen.sampling.seed import FittedSeed
from textgen.sampling.training_part import cached_text, text_paths
from textgen.terminal.humanize import plural, times
from textgen.terminal.text import visible

#: Tokens from which on a run counts as copied, where documents are not shorter.
MIN_RUN = 20
#: Corpus positions examined at a time: their hashes stay in the cache.
_BLOCK = 1 << 16
#: Bits of a hash that a first look-up uses; the text's hashes fill a small part of the table.
_TABLE_BITS = 16
_TOKEN_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_FIRST_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_MULTIPLIER = np.uint64(0x94D049BB133111EB)
#: The most known documents that are listed for a person; the others are only counted.
_LISTED = 20


@dataclass(frozen=True)
class CopiedRun:
    """A run of tokens that also stands in the corpus, longer neither to its left nor its right.

    Args:
        start: Index of its first token in the text.
        length: Tokens.
        source: Index of its first token in the corpus; of several places the first.
    """

    start: int
    length: int
    source: int


@dataclass(frozen=True)
class Novelty:
    """What of a text is copied.

    Args:
        length: Tokens of the text.
        min_run: Tokens from which on a run counts.
        runs: Every longest run of at least `min_run` tokens, by start. They may overlap.
        longest: Tokens of the longest run of the text that stands in the corpus; may be below
            `min_run`.
        copied: Tokens that lie in a run.
    """

    length: int
    min_run: int
    runs: tuple[CopiedRun, ...]
    longest: int
    copied: int

    @property
    def copied_share(self) -> float:
        """Share of the text inside runs, 0 to 1; 0 for an empty text."""
        return self.copied / self.length if self.length else 0.0


def find_copies(
    ids: Sequence[int] | NDArray[np.integer],
    corpus_tokens: NDArray[np.unsignedinteger],
    *,
    min_run: int = MIN_RUN,
) -> Novelty:
    """Find the longest runs of a text that are copied from a corpus.

    Args:
        ids: Tokens of the text, `(n,)`.
        corpus_tokens: Tokens of the corpus in the same vocabulary, `(N,)`, 8, 16 or 32 bits each;
            usually a memory map.
        min_run: Tokens from which on a run counts, at least 1.
    Returns:
        The runs and how much of the text they cover.
    Raises:
        SamplingError: `min_run` is below 1.
    """
    return find_copies_in_each([ids], corpus_tokens, min_run=min_run)[0]


@task("comparing with the training text")
def find_copies_in_each(
    texts: Sequence[Sequence[int] | NDArray[np.integer]],
    corpus_tokens: NDArray[np.unsignedinteger],
    *,
    min_run: int = MIN_RUN,
) -> list[Novelty]:
    """Call `find_copies` for each text, in as few passes over the corpus as one text needs.

    Args:
        texts: Tokens of each text.
        corpus_tokens: As for `find_copies`.
        min_run: As for `find_copies`.
    Raises:
        SamplingError: `min_run` is below 1.
    """
    if min_run < 1:
        raise SamplingError(f"min_run is {min_run}; it must be at least 1")
    rows = [np.asarray(text, dtype=np.int64) for text in texts]
    joined, owners = _joined(rows)
    runs: list[list[CopiedRun]] = [[] for _ in rows]
    firsts = np.array([len(row) + 1 for row in rows]).cumsum() - [len(row) + 1 for row in rows]
    for run in _maximal_runs(joined, corpus_tokens, min_run):
        owner = int(owners[run.start])
        runs[owner].append(replace(run, start=run.start - int(firsts[owner])))
    longest = [max((run.length for run in found), default=0) for found in runs]
    without = [number for number, found in enumerate(runs) if not found]
    below = _longest_below([rows[number] for number in without], corpus_tokens, min_run)
    for number, length in zip(without, below, strict=True):
        longest[number] = length
    results = []
    for row, found, length in zip(rows, runs, longest, strict=True):
        covered = np.zeros(len(row), np.bool_)
        for run in found:
            covered[run.start : run.start + run.length] = True
        results.append(Novelty(len(row), min_run, tuple(found), length, int(covered.sum())))
    return results


def _joined(rows: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Texts in one, a token that no corpus has after each; and whose each place is."""
    parts = [part for row in rows for part in (row, [-1])]
    joined = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    owners = np.repeat(np.arange(len(rows)), [len(row) + 1 for row in rows])
    return joined.astype(np.int64), owners


def least_run(corpus_tokens: NDArray[np.unsignedinteger]) -> int:
    """The least length of a run that counts: `MIN_RUN`, or the usual length of a document.

    In a list of names every run is short, and one as long as a name is a whole one.

    Args:
        corpus_tokens: Tokens of the corpus, documents separated by end marks, `(N,)`.
    Returns:
        The smaller of `MIN_RUN` and the median length of the documents, at least 1.
    """
    found = find_documents(corpus_tokens)
    if not len(found):
        return MIN_RUN
    return max(1, min(MIN_RUN, int(np.median(found.stops - found.starts))))


def count_documents(
    documents: Sequence[Sequence[int] | NDArray[np.integer]],
    corpus_tokens: NDArray[np.unsignedinteger],
) -> list[int]:
    """How often each of some documents stands in a corpus as a whole document.

    Args:
        documents: Tokens of each, without end marks.
        corpus_tokens: Tokens of the corpus in the same vocabulary, documents separated by end
            marks, `(N,)`.
    Returns:
        The number of the corpus's documents that are equal to each.
    """
    dtype = corpus_tokens.dtype
    wanted = [np.asarray(document, np.int64) for document in documents]
    # A token that the corpus's type cannot hold does not occur in it.
    keys = [
        part.astype(dtype).tobytes() if (part == part.astype(dtype)).all() else b""
        for part in wanted
    ]
    found = find_documents(corpus_tokens)
    lengths = found.stops - found.starts
    counts: Counter[bytes] = Counter()
    for width in {len(key) for key in keys} - {0}:
        own = np.array([key for key in keys if len(key) == width], f"S{width}")
        size = width // dtype.itemsize
        starts = found.starts[lengths == size]
        rows = max(1, _BLOCK // size)
        for first in range(0, len(starts), rows):
            block = corpus_tokens[starts[first : first + rows, None] + np.arange(size)]
            known = block[np.isin(block.view(own.dtype)[:, 0], own)]
            counts.update(row.tobytes() for row in known)
    return [counts[key] for key in keys]


def _maximal_runs(
    text: NDArray[np.int64], corpus: NDArray[np.unsignedinteger], min_run: int
) -> Iterator[CopiedRun]:
    """The runs of a text that ends with a token which no corpus has."""
    finder = _Finder(text, corpus, min_run)
    finder.scan()
    start = 0
    while start + min_run <= len(text):
        source = finder.find(start, start + min_run)
        if source is None:
            start += 1
            continue
        # The longest run from here: a longer one is found no more easily, so halve.
        end, beyond = start + min_run, len(text)
        step = min_run
        while end + 1 < beyond:
            middle = min(end + step, beyond - 1)
            found = finder.find(start, middle)
            if found is None:
                beyond = middle
                step = max((beyond - end) // 2, 1)
            else:
                end, source = middle, found
                step = max(min(2 * step, (beyond - end) // 2), 1)
        yield CopiedRun(start, end - start, source)
        # The next run that is not part of this one reaches past its end: its start is the first
        # from which the corpus holds the text up to and including token `end`.
        low, high = start + 1, end + 2 - min_run
        while low < high:
            middle = (low + high) // 2
            if finder.find(middle, end + 1) is None:
                low = middle + 1
            else:
                high = middle
        start = low


def _longest_below(
    rows: Sequence[NDArray[np.int64]], corpus: NDArray[np.unsignedinteger], limit: int
) -> list[int]:
    """Tokens of the longest run of each text in the corpus, known to be below `limit`."""
    low = [0 for _ in rows]
    high = [min(limit - 1, len(row)) for row in rows]
    while True:
        # Each is halved; those that are asked for the same length are looked for together.
        asked: dict[int, list[int]] = {}
        for number in range(len(rows)):
            if low[number] < high[number]:
                asked.setdefault((low[number] + high[number] + 1) // 2, []).append(number)
        if not asked:
            return low
        for middle, numbers in asked.items():
            joined, owners = _joined([rows[number] for number in numbers])
            found = _Finder(joined, corpus, middle).owners_found(owners)
            for place, number in enumerate(numbers):
                if place in found:
                    low[number] = middle
                else:
                    high[number] = middle - 1


class _Finder:
    """Answers where a part of the text, at least `size` tokens long, first stands in the corpus."""

    def __init__(
        self, text: NDArray[np.int64], corpus: NDArray[np.unsignedinteger], size: int
    ) -> None:
        self._corpus = corpus
        self._size = size
        limit = np.iinfo(corpus.dtype).max
        # A token that the corpus's type cannot hold does not occur in it.
        self._foreign = np.concatenate([[0], ((text < 0) | (text > limit)).cumsum()])
        self._text = text.astype(corpus.dtype)
        # Hashed before they are cut to the corpus's type, or two different ids could be equal.
        hashes = _window_hashes(text, size)
        self._sorted, self._group = np.unique(hashes, return_inverse=True)
        self._table = np.zeros(1 << _TABLE_BITS, np.bool_)
        self._table[_table_index(self._sorted)] = True
        self._blocks: list[list[int]] = [[] for _ in self._sorted]

    def scan(self) -> None:
        """Note the blocks in which each window of the text may begin."""
        for start, groups in self._candidates():
            for group in groups.tolist():
                self._blocks[group].append(start)

    def owners_found(self, owners: NDArray[np.int64]) -> set[int]:
        """Whose windows stand in the corpus; stops when something of everybody is found.

        Args:
            owners: Whose each place of the text is.
        """
        everybody, found = set(owners.tolist()), set[int]()
        order = np.argsort(self._group, kind="stable")
        borders = np.searchsorted(self._group[order], np.arange(len(self._sorted) + 1))
        for start, groups in self._candidates():
            for group in groups.tolist():
                for place in order[borders[group] : borders[group + 1]].tolist():
                    if int(owners[place]) in found:
                        continue
                    if self._find_in_block(place, place + self._size, start) is not None:
                        found.add(int(owners[place]))
            if len(found) == len(everybody):
                break
        return found

    def find(self, start: int, end: int) -> int | None:
        """First place in the corpus of `text[start:end]`, or `None`."""
        for block in self._blocks[self._group[start]]:
            place = self._find_in_block(start, end, block)
            if place is not None:
                return place
        return None

    def _candidates(self) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Start of a block and the groups of text windows whose hash begins in it."""
        if not len(self._sorted):
            return
        starts = range(0, len(self._corpus) - self._size + 1, _BLOCK)
        for start in track(starts, "comparing with the training text", len(starts)):
            tokens = np.asarray(self._corpus[start : start + _BLOCK + self._size - 1])
            hashes = _window_hashes(tokens, self._size)
            hashes = hashes[self._table[_table_index(hashes)]]
            groups = np.searchsorted(self._sorted, hashes)
            groups[groups == len(self._sorted)] = 0
            groups = np.unique(groups[self._sorted[groups] == hashes])
            if len(groups):
                yield start, groups

    def _find_in_block(self, start: int, end: int, block: int) -> int | None:
        """First place of `text[start:end]` that begins in the block at `block`, or `None`."""
        if self._foreign[end] != self._foreign[start]:
            return None
        needle = self._text[start:end].tobytes()
        haystack = self._corpus[block : block + _BLOCK + end - start - 1].tobytes()
        width = self._corpus.dtype.itemsize
        place = haystack.find(needle)
        while place >= 0 and place % width:
            # Found across the borders of tokens, which is nothing.
            place = haystack.find(needle, place + 1)
        return None if place < 0 else block + place // width


def _window_hashes(tokens: NDArray[np.integer], size: int) -> NDArray[np.uint64]:
    """A hash of every `size` adjacent tokens, `(len(tokens) - size + 1,)`.

    Windows double from 1 to the largest power of two within `size`; two of those, overlapping,
    make up the window. Equal windows have equal hashes; the reverse is checked by searching.
    """
    if len(tokens) < size:
        return np.zeros(0, np.uint64)
    hashes = tokens.astype(np.uint64) * _TOKEN_MULTIPLIER
    hashes ^= hashes >> np.uint64(29)
    width = 1
    while 2 * width <= size:
        hashes = _combine(hashes, width)
        width *= 2
    return _combine(hashes, size - width) if size > width else hashes


def _combine(hashes: NDArray[np.uint64], shift: int) -> NDArray[np.uint64]:
    """One hash of each and of the one `shift` places later."""
    result = hashes[:-shift] * _FIRST_MULTIPLIER
    result += hashes[shift:]
    result *= _SECOND_MULTIPLIER
    result ^= result >> np.uint64(32)
    return result


def _table_index(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return hashes >> np.uint64(64 - _TABLE_BITS)


class NoveltyReport(Shown):
    """What of some texts stands in the training text.

    Args:
        model: What wrote the texts.
        corpus: The training text; see `training_text`.
        texts: What was written.
        seed: What the texts begin with.
        end: What an end mark inside a text is written as.
    """

    def __init__(
        self,
        model: ModelHeader,
        corpus: Corpus,
        texts: Sequence[Generation],
        seed: FittedSeed,
        end: str,
    ) -> None:
        self._vocabulary = model.vocabulary
        self._seed, self._texts, self._end = seed, texts, end
        min_run = least_run(corpus.tokens)
        #: The copied runs of each text.
        self.found = find_copies_in_each([t.ids for t in texts], corpus.tokens, min_run=min_run)
        #: Whether whole documents were looked for, too.
        self.is_of_documents = model.writes_documents
        parts = [self._split(text) if self.is_of_documents else [] for text in texts]
        ids = [model.vocabulary.encode(model.normalization.apply(p)) for row in parts for p in row]
        counts = iter(count_documents(ids, corpus.tokens) if ids else [])
        #: The documents of each text, and how often each stands in the training text.
        self.documents = [[(part, next(counts)) for part in row] for row in parts]

    @property
    def copied_share(self) -> float:
        """Share of all texts inside copied runs, 0 to 1."""
        length = sum(found.length for found in self.found)
        return sum(found.copied for found in self.found) / length if length else 0.0

    @property
    def longest(self) -> int:
        """Tokens of the longest copied run of all texts."""
        return max((found.longest for found in self.found), default=0)

    @property
    def headline(self) -> str:
        """How much is copied."""
        return (
            f"{self.copied_share:.1%} of {plural(len(self._texts), 'text')} stands in the training "
            f"text in long runs; the longest has {plural(self.longest, 'token')}"
        )

    def parts(self) -> Iterable[Part]:
        """What was found, then each text, in which copied runs are set off."""
        if self.is_of_documents:
            yield from self.describe()
        for place in range(min(len(self._texts), MOST_SHOWN)):
            yield self.describe_text(place)[0]
            yield Prose(self.pieces(place), "stands so in the training text")

    def text_to_json(self, place: int) -> dict[str, Any]:
        """One text's figures as plain data."""
        found = self.found[place]
        record: dict[str, Any] = {
            "copied_share": found.copied_share,
            "longest": found.longest,
            "min_run": found.min_run,
            "runs": [
                {
                    "start": run.start,
                    "length": run.length,
                    "source": run.source,
                    "text": self._quote(place, run),
                }
                for run in found.runs
            ],
        }
        if self.is_of_documents:
            counts = [count for _, count in self.documents[place]]
            record["in_training_text"] = any(counts)
            record["matching_documents"] = sum(counts)
            record["documents"] = [
                {"text": text, "in_training_text": count > 0, "matching_documents": count}
                for text, count in self.documents[place]
            ]
        return record

    def to_json(self) -> dict[str, Any]:
        """All texts' figures as plain data."""
        record: dict[str, Any] = {"copied_share": self.copied_share, "longest": self.longest}
        if self.is_of_documents:
            counts = [count for row in self.documents for _, count in row]
            record["documents"] = len(counts)
            record["in_training_text"] = sum(count > 0 for count in counts)
        return record

    def pieces(self, place: int) -> list[tuple[str, bool]]:
        """One text, without its seed, in pieces, and whether each is copied."""
        text = self._texts[place]
        copied = {
            token
            for run in self.found[place].runs
            for token in range(run.start, run.start + run.length)
        }
        pieces = self._vocabulary.pieces(text.ids, at_start=not self._seed.ids, end=self._end)
        left, shown = len(text.text), []  # A stop text stands among the tokens and is not shown.
        for token, piece in enumerate(pieces):
            shown.append((piece[:left], token in copied))
            left -= len(piece[:left])
        return shown

    def describe_text(self, place: int) -> list[str]:
        """One text's figures for a person, a line each."""
        found = self.found[place]
        return [
            f"copied: {found.copied_share:.1%} of the text in runs of at least {found.min_run} "
            f"tokens; the longest run has {found.longest}",
            *(
                f"  {plural(run.length, 'token')}: {visible(self._quote(place, run))}"
                for run in found.runs
            ),
        ]

    def describe(self) -> list[str]:
        """The figures of texts that are documents, for a person, a line each."""
        documents = [entry for row in self.documents for entry in row]
        known = {text: count for text, count in documents if count}
        number = sum(count > 0 for _, count in documents)
        which = plural(len(documents), "text stands", "texts stand")
        lines = [f"known: {number:,} of {which} in the training text as a whole document"]
        for text, count in list(known.items())[:_LISTED]:
            shown = visible(text)
            shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
            lines.append(f"  {shown}" + (f" ({times(count)})" if count > 1 else ""))
        if len(known) > _LISTED:
            lines.append(f"  and {len(known) - _LISTED} more")
        lines.append(
            f"copied: {self.copied_share:.1%} of what was written in runs of at least "
            f"{self.found[0].min_run} tokens; the longest run has {self.longest}"
        )
        return lines

    def _quote(self, place: int, run: CopiedRun) -> str:
        ids = self._texts[place].ids[run.start : run.start + run.length]
        return self._vocabulary.decode(ids, end=self._end)

    def _split(self, text: Generation) -> list[str]:
        """The documents that a text holds, the seed a part of the first."""
        parts: list[list[int]] = [[]]
        for token in text.ids:
            if token == END_ID:
                parts.append([])
            else:
                parts[-1].append(token)
        rest = self._seed.text + text.text
        documents = []
        for number, part in enumerate(parts[:-1]):
            whole = self._vocabulary.decode(part, at_start=bool(number or not self._seed.ids))
            if not number:
                whole = self._seed.text + whole
            documents.append(whole)
            rest = rest[len(whole) + len(self._end) :]
        return [part for part in (*documents, rest) if part]


def training_text(model: ModelHeader, path: str | None = None) -> Corpus:
    """The training text of a model, from the cache or from files.

    Args:
        model: The model.
        path: The file or folder of the text; None takes it from the cache.
    Raises:
        ConfigError: It is no longer in the cache.
        TextgenError: It cannot be read.
    """
    if path is not None:
        trained = {} if model.corpus is None else model.corpus.get("options", {})
        given = {"ending": trained["ending"]} if "ending" in trained else {}
        return Corpus.open(
            [path],
            # Of a folder it reads the files that were trained on; a file that is not text was none.
            model.corpus_options(skip_bad=True, **given),
            vocabulary=model.vocabulary,
            normalization=model.normalization,
            label_optional=True,
        )
    corpus = cached_text(model)
    if corpus is None:
        paths = text_paths(model)
        known = paths[0] if len(paths) == 1 and paths != ["-"] else "PATH"
        raise ConfigError(
            f"the training text is no longer in the cache; give {named('novelty_corpus', known)}"
        )
    return corpus
