"""Passages that are nearly the same, in time and memory proportional to the text.

Two passages are nearly the same where at least `LEAST` of their shingles, runs of five letters or
digits, are in both (the Jaccard index of the two sets). Case, marks and spaces count for nothing.
To compare all with all is too much. So of each passage a sketch is kept: shingles are hashed into
`BINS` bins, and a bin keeps the smallest (one permutation hashing; Li, Owen and Zhang 2012). An
empty bin borrows from the next one that is not (Shrivastava and Li 2014). The share of equal bins
estimates the index. Passages with an equal band of `ROWS` bins are candidates (Broder 1997;
Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3); what is then said to be
nearly the same was compared shingle by shingle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

#: The share of common shingles from which on two passages are nearly the same.
LEAST = 0.8
#: Letters in a shingle; bins of a sketch; bins of a band.
SHINGLE, BINS, ROWS = 5, 64, 4
#: The estimate from which on two passages are compared: 64 bins are right within 0.05.
_PROMISING = 0.65
_EMPTY = np.uint32(0xFFFFFFFF)
_BIN_BITS = 32 - BINS.bit_length() + 1
#: Odd, so that no letter is lost; the second spreads the sum over all bits.
_STEP, _SPREAD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
#: Hiragana: after the alphabets and the marks.
_UNCASED = 0x3041
#: Pairs that are estimated at a time.
_PAIRS = 1 << 16

Sketches = NDArray[np.uint32]


@cache
def _folded() -> NDArray[np.uint32]:
    """Each code point in lower case; 0 for what is neither letter nor digit.

    From `_UNCASED` on nearly all are letters, and have no lower case.
    """
    table = np.arange(0x110000, dtype=np.uint32)
    for code in range(_UNCASED):
        char = chr(code)
        table[code] = ord(char.lower()[0]) if char.isalnum() else 0
    return table


def shingles(text: str) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The hashes of the shingles of a text, and the place where each begins."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    folded = _folded()[codes]
    places = np.flatnonzero(folded)
    letters = folded[places].astype(np.uint64)
    count = max(len(letters) - SHINGLE + 1, 0)
    sums = np.zeros(count, np.uint64)
    for offset in range(SHINGLE):
        sums = sums * _STEP + letters[offset : offset + count]
    sums ^= sums >> np.uint64(29)
    sums *= _SPREAD
    return (sums >> np.uint64(32)).astype(np.uint32), places[:count].astype(np.int64)


def sketch(text: str, bounds: Sequence[int]) -> Sketches:
    """The sketches of passages that stand one after the other, `(passages, BINS)`.

    Args:
        text: All of them.
        bounds: Where each begins, and where the last ends; a shingle counts for the passage in
            which it begins and ends.
    """
    edges = np.asarray(bounds, np.int64)
    hashes, places = shingles(text)
    ends = np.concatenate([places[SHINGLE - 1 :], np.zeros(0, np.int64)])
    first = np.searchsorted(edges, places, side="right") - 1
    last = np.full(len(places), -1, np.int64)
    last[: len(ends)] = np.searchsorted(edges, ends, side="right") - 1
    # The last shingles of the text end beyond the places that are known: within its last passage.
    last[len(ends) :] = len(edges) - 2
    inside = (first == last) & (first >= 0) & (first < len(edges) - 1)
    keys = (first[inside].astype(np.uint64) << np.uint64(32)) | hashes[inside]
    keys.sort()
    starts = np.arange((len(edges) - 1) * BINS, dtype=np.uint64)
    starts = ((starts // np.uint64(BINS)) << np.uint64(32)) | (
        (starts % np.uint64(BINS)) << np.uint64(_BIN_BITS)
    )
    at = np.searchsorted(keys, starts)
    padded = np.append(keys, np.uint64(0xFFFFFFFFFFFFFFFF))
    found = padded[at]
    full = (found >> np.uint64(_BIN_BITS)) == (starts >> np.uint64(_BIN_BITS))
    return np.where(full, found.astype(np.uint32), _EMPTY).reshape(-1, BINS)


def dense(sketches: Sketches) -> Sketches:
    """The sketches with what their empty bins borrow from the next full one; a copy.

    The distance is added, so that two bins that borrowed are equal only if they did alike.
    """
    filled = sketches.copy()
    for _ in range(BINS - 1):
        holes = filled == _EMPTY
        if not holes.any() or holes.all():
            break
        after = np.roll(filled, -1, axis=1)
        take = holes & (after != _EMPTY)
        if not take.any():
            break
        filled[take] = after[take] + np.uint32(0x01000193)
    return filled


def similarity(one: str, other: str) -> float:
    """The share of common shingles among all of two texts."""
    first, second = (np.unique(shingles(text)[0]) for text in (one, other))
    both = len(np.intersect1d(first, second, assume_unique=True))
    return both / max(len(first) + len(second) - both, 1)


def candidates(sketches: Sketches) -> NDArray[np.int64]:
    """Pairs `(earlier, later)` that share a band and are promising, `(pairs, 2)`.

    A passage is compared with the first and with the last one before it in each band, so that a
    thousand of the same make two thousand pairs, and not a million.

    Args:
        sketches: Dense ones; those of passages without a shingle are empty.
    """
    usable = np.flatnonzero(sketches[:, 0] != _EMPTY)
    found: list[NDArray[np.int64]] = []
    for start in range(0, BINS, ROWS):
        band = np.ascontiguousarray(sketches[usable, start : start + ROWS]).view("<u8")
        keys = band[:, 0] * _STEP + band[:, 1]
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(keys[order][1:] == keys[order][:-1]) + 1
        if not len(same):
            continue
        # The first of each run of equal keys: the last place before which the key changes.
        begins = np.ones(len(order), bool)
        begins[same] = False
        first = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))[same]
        for earlier in (first, same - 1):
            found.append(np.stack([usable[order[earlier]], usable[order[same]]], axis=1))
    if not found:
        return np.zeros((0, 2), np.int64)
    pairs = np.unique(np.concatenate(found), axis=0)
    kept = [
        part[(sketches[part[:, 0]] == sketches[part[:, 1]]).mean(axis=1) >= _PROMISING]
        for part in np.array_split(pairs, max(1, len(pairs) // _PAIRS))
    ]
    return np.concatenate(kept)


def near_pairs(
    sketches: Sketches, text_of: Callable[[int], str | None]
) -> list[tuple[int, int, float]]:
    """The passages that are nearly the same as an earlier one.

    Args:
        sketches: As `candidates` takes them.
        text_of: The text of a passage by its number; None where it is too long to compare, and the
            estimate has to do.
    Returns:
        The passage, the earlier one that stays, and the share of common shingles; in the order of
        the passages, each at most once.
    """
    root: dict[int, int] = {}
    found = []
    pairs = candidates(sketches)
    for earlier, later in pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))].tolist():
        if later in root:
            continue
        one, other = text_of(earlier), text_of(later)
        if one is None or other is None:
            share = float((sketches[earlier] == sketches[later]).mean())
        else:
            share = similarity(one, other)
        if share >= LEAST:
            root[later] = root.get(earlier, earlier)
            found.append((later, root[later], share))
    return found
