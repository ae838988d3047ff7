"""Stretches of a token array: where documents are, their lengths and hashes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.corpus.windows import Tokens, mix

#: Tokens handled at a time.
_SCAN = 1 << 20

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Spans:
    """Stretches of a token array, 16 bytes each.

    Args:
        starts: The first token of each, `(S,)`.
        stops: One after the last, `(S,)`.
    """

    starts: Integers
    stops: Integers

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, numbers: NDArray[Any]) -> Spans:
        """Return the stretches at some indices, in their order, or where a mask is true."""
        return Spans(self.starts[numbers], self.stops[numbers])


@dataclass(frozen=True, kw_only=True)
class DocumentLengths:
    """The number of documents in a text and their lengths in characters.

    The median of an even number is the smaller one of the two in the middle.
    """

    count: int
    shortest: int
    median: int
    longest: int


def places(tokens: Tokens, token: int) -> Integers:
    """Return the positions of a token, in rising order."""
    found = [
        start + np.flatnonzero(tokens[start : start + _SCAN] == token)
        for start in range(0, len(tokens), _SCAN)
    ]
    return np.concatenate(found).astype(np.int64) if found else np.zeros(0, np.int64)


def find_documents(tokens: Tokens) -> Spans:
    """Return the stretches between end marks; empty ones at the two ends are not documents."""
    ends = places(tokens, END_ID)
    borders = np.concatenate(([-1], ends, [len(tokens)]))
    starts, stops = borders[:-1] + 1, borders[1:]
    filled = stops > starts
    return Spans(starts[filled], stops[filled])


def span_chars(tokens: Tokens, spans: Spans, vocabulary: Vocabulary) -> Integers:
    """Return the number of characters in each stretch, `(S,)`."""
    if vocabulary.level == "char":
        return spans.stops - spans.starts
    lengths = vocabulary.symbol_lengths()
    chars: Integers = _sums(spans, lambda places, _: lengths[tokens[places]], np.int64)
    if vocabulary.folded:
        # The first word of a document has a space in front that is not in the text.
        chars -= tokens[np.maximum(spans.starts - 1, 0)] == END_ID
        chars -= spans.starts == 0
    return chars


def span_hashes(tokens: Tokens, spans: Spans, vocabulary: Vocabulary) -> NDArray[np.uint64]:
    """Return a hash of each stretch, `(S,)`; it depends on the symbols, not on their ids."""
    symbols = np.array([zlib.crc32(symbol.encode()) for symbol in vocabulary.symbols], np.uint64)

    def mixed(places: Integers, offsets: Integers) -> NDArray[np.uint64]:
        result: NDArray[np.uint64] = mix(
            (offsets.astype(np.uint64) << np.uint64(32)) | symbols[tokens[places]]
        )
        return result

    hashes: NDArray[np.uint64] = mix(_sums(spans, mixed, np.uint64))
    return hashes


def document_lengths(chars: Integers) -> DocumentLengths:
    """Return the statistics of the lengths of one document or more."""
    middle = (len(chars) - 1) // 2
    return DocumentLengths(
        count=len(chars),
        shortest=int(chars.min()),
        median=int(np.partition(chars, middle)[middle]),
        longest=int(chars.max()),
    )


def gather(tokens: Tokens, spans: Spans) -> Iterator[Tokens]:
    """Yield stretches one after the other, each with an end mark, in pieces of bounded size."""
    for rows, offsets in _pieces(spans.stops - spans.starts + 1):
        found = spans.starts[rows] + offsets
        is_end = found == spans.stops[rows]
        ids = tokens[np.where(is_end, spans.starts[rows], found)]
        ids[is_end] = END_ID
        yield ids


def _sums(spans: Spans, value: Any, dtype: Any) -> Any:
    """The sum of `value(places, offsets)` over the tokens of each stretch, `(S,)`."""
    sums = np.zeros(len(spans), dtype)
    for rows, offsets in _pieces(spans.stops - spans.starts):
        first = np.flatnonzero(np.diff(rows, prepend=-1))
        values = value(spans.starts[rows] + offsets, offsets)
        sums[rows[first]] += np.add.reduceat(values, first)
    return sums


def _pieces(sizes: Integers) -> Iterator[tuple[Integers, Integers]]:
    """All places in rows of these sizes, a scan at a time: index of the row, place in it."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, _SCAN):
        stop = min(start + _SCAN, total)
        first = int(np.searchsorted(ends, start, side="right"))
        last = int(np.searchsorted(ends, stop - 1, side="right")) + 1
        begins = ends[first:last] - sizes[first:last]
        parts = np.minimum(ends[first:last], stop) - np.maximum(begins, start)
        rows = np.repeat(np.arange(first, last), parts)
        yield rows, np.arange(start, stop) - begins[rows - first]
