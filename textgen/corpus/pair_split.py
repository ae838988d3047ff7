"""Pairs set in order for a run: shuffled, and split between pairs into training and validation.

Which pairs validate is drawn by a number made from the source's text: a sorted file gives a fair
sample, the same one for every seed and at every reading, and a source that stands in the file
several times lies on one side with all its targets, so that what validates was never trained on.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.cache import CacheEntry, TokenCache
from textgen.corpus.corpus import Corpus
from textgen.corpus.pairs import PairIndex
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.corpus.windows import Tokens, mix, permute
from textgen.errors import EmptyCorpusError, StorageError
from textgen.files import os_reason
from textgen.progress import track

#: Tokens handled at a time.
_SCAN = 1 << 20
#: Changes whenever the same pairs would be set in another order, or split otherwise.
_VERSION = 1
_SHUFFLE_KEY = 0x7061697273


@dataclass(frozen=True, kw_only=True)
class Side:
    """The pairs that are trained on, or those that validate.

    Args:
        pairs: How many.
        counted: Tokens that count: the targets' and an end mark each.
        target_chars: Characters of the targets.
        chars: Characters of sources and targets, separators included.
        tokens: All tokens, end marks included.
    """

    pairs: int = 0
    counted: int = 0
    target_chars: int = 0
    chars: int = 0
    tokens: int = 0


@dataclass(frozen=True, eq=False)
class SplitPairs:
    """Pairs in the order of a run.

    Args:
        train: Token ids to train on: an end mark, then each pair and an end mark, `(N,)`.
        val: Token ids to validate on: each pair and an end mark.
        train_side: What `train` holds.
        val_side: What `val` holds.
    """

    train: Tokens
    val: Tokens
    train_side: Side
    val_side: Side


def split_pairs(
    corpus: Corpus, index: PairIndex, share: float | None, *, cache: Path | None = None
) -> SplitPairs:
    """Shuffle pairs and split them; the outcome is kept in the cache, and taken from there.

    While it is made it takes 40 bytes a pair and some megabytes; nothing of it stays in memory.

    Args:
        corpus: As `open_pairs` gives it.
        index: Likewise.
        share: Of the sources, that validates, at least one; None: nothing does.
        cache: The cache folder; None means `$TEXTGEN_CACHE` or the system's place for caches.
    Raises:
        EmptyCorpusError: There are not two different sources to split.
        StorageError: There is no room for the shuffled tokens.
    """
    name = f"pairs {_VERSION} {corpus.cache_key} {share}"
    key = hashlib.sha256(name.encode()).hexdigest()
    entry = TokenCache(cache).load(key)
    if entry is None:
        entry = _store(corpus, _order(corpus, index, share), key, cache)
    sides = [Side(**side) for side in entry.header["sides"]]
    cut = 1 + sides[0].tokens
    return SplitPairs(entry.tokens[:cut], entry.tokens[cut:], *sides)


def _order(corpus: Corpus, index: PairIndex, share: float | None) -> tuple[PairIndex, PairIndex]:
    """The pairs of either side, shuffled."""
    shuffled = permute(np.arange(len(index)), len(index), _SHUFFLE_KEY)
    if share is None:
        return index.take(shuffled), index.take(shuffled[:0])
    hashes = source_hashes(corpus.tokens, index, corpus.vocabulary)
    different = np.unique(hashes)
    if len(different) < 2:
        raise EmptyCorpusError(
            f"{len(index)} pair(s) with one source between them cannot be split into some to train "
            "on and others to validate on; give more lines, some hundreds to learn anything, or "
            "name a file of pairs to validate on: --val FILE"
        )
    count = min(len(different) - 1, max(1, round(share * len(different))))
    validates = hashes[shuffled] < different[count]
    return index.take(shuffled[~validates]), index.take(shuffled[validates])


def _store(
    corpus: Corpus, sides: tuple[PairIndex, PairIndex], key: str, cache: Path | None
) -> CacheEntry:
    try:
        return _write(TokenCache(cache), corpus, sides, key)
    except OSError as error:
        first = error
    try:
        folder = Path(tempfile.mkdtemp(prefix="textgen-"))
        entry = _write(TokenCache(folder), corpus, sides, key)
    except OSError as error:
        raise StorageError(
            f"the shuffled pairs can be written neither to the cache ({os_reason(first)}) nor to "
            f"a temporary folder ({os_reason(error)}); set TEXTGEN_CACHE to a folder with room"
        ) from error
    weakref.finalize(entry.tokens, shutil.rmtree, folder, ignore_errors=True)
    return entry


def _write(
    store: TokenCache, corpus: Corpus, sides: tuple[PairIndex, PairIndex], key: str
) -> CacheEntry:
    lengths = corpus.vocabulary.symbol_lengths()
    figures, crc32, scratch = [], 0, store.scratch()
    try:
        with scratch.open("wb", buffering=1 << 20) as file:
            first = np.array([END_ID], corpus.tokens.dtype).tobytes()
            file.write(first)
            crc32 = zlib.crc32(first)
            for index in sides:
                counted = target_chars = chars = tokens = 0
                size = int((index.stops - index.starts + 1).sum())
                parts = gather(corpus.tokens, index)
                for ids, counts in track(parts, "shuffling the pairs", size, _tokens_of):
                    data = ids.tobytes()
                    file.write(data)
                    crc32 = zlib.crc32(data, crc32)
                    tokens += len(ids)
                    counted += int(counts.sum())
                    chars += int(lengths[ids].sum())
                    target_chars += int(lengths[ids[counts]].sum())
                figures.append(
                    Side(
                        pairs=len(index),
                        counted=counted,
                        target_chars=target_chars,
                        chars=chars,
                        tokens=tokens,
                    )
                )
        header = {
            "dtype": corpus.tokens.dtype.name,
            "tokens": 1 + sum(side.tokens for side in figures),
            "crc32": crc32,
            "vocab_size": len(corpus.vocabulary),
            "sides": [asdict(side) for side in figures],
        }
        return store.store(key, scratch, header)
    finally:
        scratch.unlink(missing_ok=True)


def _tokens_of(part: tuple[NDArray[Any], NDArray[np.bool_]]) -> int:
    return len(part[0])


def source_hashes(tokens: Tokens, index: PairIndex, vocabulary: Vocabulary) -> NDArray[np.uint64]:
    """A number for each source that depends on its symbols alone, `(P,)`: equal for equal ones.

    Args:
        tokens: Token ids, `(N,)`.
        index: The pairs.
        vocabulary: What the ids mean: the number does not depend on them.
    """
    symbols = np.array([zlib.crc32(symbol.encode()) for symbol in vocabulary.symbols], np.uint64)
    hashes = np.zeros(len(index), np.uint64)
    for numbers in _batches(index.separators - index.starts):
        part = index.take(numbers)
        rows, offsets = _ranges(part.separators - part.starts)
        letters = symbols[tokens[part.starts[rows] + offsets]]
        place = offsets.astype(np.uint64) << np.uint64(32)
        np.add.at(hashes, numbers[rows], mix(place | letters))
    mixed: NDArray[np.uint64] = mix(hashes)
    return mixed


def gather(tokens: Tokens, index: PairIndex) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
    """The pairs' tokens, an end mark after each, in pieces of bounded size.

    Yields:
        Tokens, and which of them count.
    """
    for numbers in _batches(index.stops - index.starts + 1):
        part = index.take(numbers)
        rows, offsets = _ranges(part.stops - part.starts + 1)
        places = part.starts[rows] + offsets
        is_end = places == part.stops[rows]
        ids = tokens[np.where(is_end, part.starts[rows], places)]
        ids[is_end] = END_ID
        yield ids, places > part.separators[rows]


def _batches(sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Runs of numbers whose sizes add up to a scan's worth, or to more where one alone does."""
    sums = np.cumsum(sizes)
    first = 0
    while first < len(sizes):
        base = int(sums[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(sums, base + _SCAN, side="right")))
        yield np.arange(first, last)
        first = last


def _ranges(sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each of so many places a row: the row's number, and the place in it."""
    rows = np.repeat(np.arange(len(sizes)), sizes)
    before = np.cumsum(sizes) - sizes
    return rows, np.arange(len(rows)) - before[rows]
