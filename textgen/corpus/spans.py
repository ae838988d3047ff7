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
from textgen.progress import track

#: Tokens handled at a time: few enough for what is computed of them to stay in a core's cache.
_SCAN = 1 << 16

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
    what = "counting the characters of the documents"
    chars: Integers = _sums(tokens, spans, lambda ids, _: lengths[ids], np.int64, what)
    if vocabulary.folded:
        # The first word of a document has a space in front that is not in the text.
        chars -= tokens[np.maximum(spans.starts - 1, 0)] == END_ID
        chars -= spans.starts == 0
    return chars


def span_hashes(tokens: Tokens, spans: Spans, vocabulary: Vocabulary) -> NDArray[np.uint64]:
    """Return a hash of each stretch, `(S,)`; it depends on the symbols, not on their ids."""
    symbols = np.array([zlib.crc32(symbol.encode()) for symbol in vocabulary.symbols], np.uint64)

    def mixed(ids: Tokens, offsets: Integers) -> NDArray[np.uint64]:
        result: NDArray[np.uint64] = mix(
            (offsets.astype(np.uint64) << np.uint64(32)) | symbols[ids]
        )
        return result

    what = "comparing the documents"
    hashes: NDArray[np.uint64] = mix(_sums(tokens, spans, mixed, np.uint64, what))
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
    sizes = spans.stops - spans.starts
    for rows, offsets in _pieces(sizes + 1):
        inside = offsets < sizes[rows]
        ids = np.full(len(offsets), END_ID, tokens.dtype)
        ids[inside] = _read(tokens, rows, (spans.starts[rows] + offsets)[inside])
        yield ids


def _sums(tokens: Tokens, spans: Spans, value: Any, dtype: Any, what: str) -> Any:
    """The sum of `value(ids, offsets)` over the tokens of each stretch, `(S,)`."""
    sums = np.zeros(len(spans), dtype)
    sizes = spans.stops - spans.starts
    pieces = track(_pieces(sizes), what, int(sizes.sum()), lambda piece: len(piece[1]))
    for rows, offsets in pieces:
        first = np.flatnonzero(np.diff(rows, prepend=-1))
        values = value(_read(tokens, rows, spans.starts[rows] + offsets), offsets)
        sums[rows[first]] += np.add.reduceat(values, first)
    return sums


def _read(tokens: Tokens, rows: Integers, places: Integers) -> Tokens:
    """The tokens at places as `_pieces` makes them: within one row they lie side by side."""
    if len(rows) == 1 and len(places):
        return tokens[int(places[0]) : int(places[-1]) + 1]
    return tokens[places]


def _pieces(sizes: Integers) -> Iterator[tuple[Integers, Integers]]:
    """All places in rows of these sizes, a scan at a time: index of the row, place in it.

    Where all of them lie in one row, its index stands once.
    """
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, _SCAN):
        stop = min(start + _SCAN, total)
        first = int(np.searchsorted(ends, start, side="right"))
        last = int(np.searchsorted(ends, stop - 1, side="right")) + 1
        begins = ends[first:last] - sizes[first:last]
        parts = np.minimum(ends[first:last], stop) - np.maximum(begins, start)
        rows = np.arange(first, last)
        if len(rows) > 1:
            rows = np.repeat(rows, parts)
        yield rows, np.arange(start, stop) - begins[rows - first]
