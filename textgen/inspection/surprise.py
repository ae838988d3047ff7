"""What each character of a text cost the model, in bits.

The cost of a token is `-log2 p(token | all before)`; a character outside the vocabulary costs the
escape of `textgen.evaluation.nll` on top. The sum is the length of the text in an ideal code made
by the model, and equals what `eval` reports.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID
from textgen.evaluation.nll import charge_escapes
from textgen.inspection.trace import Trace

Bits = NDArray[np.float64]


@dataclass(frozen=True)
class Surprise:
    """The cost of a text.

    At byte level the cost of a character is that of all its bytes, at word level that of a token
    is the whole token's, so `pieces` are what is printed at once.

    Args:
        pieces: The text of each entry; "" for an end mark.
        bits: The cost of each entry, `(len(pieces),)`.
        token_bits: The cost of each token, `(T,)`.
        unknown: How many tokens stand for a character outside the vocabulary.
    """

    pieces: tuple[str, ...]
    bits: Bits
    token_bits: Bits
    unknown: int

    @property
    def total_bits(self) -> float:
        """The cost of the whole text in bits, end marks included."""
        return float(self.token_bits.sum())

    @property
    def chars(self) -> int:
        """Characters of the text; end marks are none."""
        return sum(map(len, self.pieces))

    @property
    def bits_per_char(self) -> float:
        """Mean cost of a character; not a number for a text without any."""
        return self.total_bits / self.chars if self.chars else math.nan


def token_bits(trace: Trace) -> Bits:
    """The cost of each token in bits, escapes included, `(T,)`."""
    return charge_escapes(trace.nats, trace.ids) / math.log(2.0)


def surprise(trace: Trace) -> Surprise:
    """The cost of the traced text.

    Args:
        trace: A trace made with a vocabulary (its `pieces` say which tokens print together).
    """
    bits = token_bits(trace)
    count = len(trace.ids)
    marks = trace.ids == END_ID
    printing = np.fromiter(map(bool, trace.pieces), np.bool_, count)
    # Bytes print nothing until the last of their character, so their cost goes to it; that of
    # bytes at the end which never print goes to an entry of its own.
    places = np.arange(count)
    carriers = np.append(np.flatnonzero(printing & ~marks), count)
    receivers = np.where(marks, places, carriers[np.searchsorted(carriers, places)])
    entries = np.flatnonzero(printing | marks)
    numbers = np.searchsorted(entries, receivers)
    costs = np.bincount(numbers, weights=bits, minlength=len(entries)).astype(np.float64)
    pieces = [trace.pieces[place] for place in entries.tolist()]
    if len(costs) > len(pieces):
        pieces.append("")
    return Surprise(tuple(pieces), costs, bits, int(np.count_nonzero(trace.ids == UNKNOWN_ID)))
