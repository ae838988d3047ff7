"""Whether the end of a text, which validates, is like the rest of it.

A licence, an index or a letter in another language at the end of a novel make the cost of the end
say little about the novel. Texts vary from place to place too, so the end is compared with what
is usual within the text: each stretch of it has a distance to all the rest, and the end is strange
if one of its stretches is much further off than others are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.corpus.windows import Tokens

#: Stretches that the end is cut into, and the beginning at most; the shortest, in tokens, that
#: says anything; and tokens looked at in each.
_END_STRETCHES, _MOST_STRETCHES = 4, 40
_LEAST_STRETCH, _LOOK = 400, 30_000
#: The end is strange from so many times the median distance on, if that is also so many times what
#: four of five stretches stay below (docs/log.md).
_MEDIANS, _FIFTHS = 2.2, 1.5
#: Pairs of characters, or bytes, are counted in so many classes.
_CLASSES = 1 << 15
#: Tokens handled at a time.
_SCAN = 1 << 20

Floats = NDArray[np.float64]


def strange_from(tokens: Tokens, cut: int, vocabulary: Vocabulary) -> int | None:
    """Where the end of a text begins to be of another kind than the text before it.

    Args:
        tokens: The text, `(N,)`.
        cut: The first token of the end.
        vocabulary: What the ids mean.
    Returns:
        The token from which on, to the precision of a stretch; None where the end is like the
        rest, there is too little text to tell, or the end is more than half of it.
    """
    size = (len(tokens) - cut) // _END_STRETCHES
    if size < _LEAST_STRETCH or len(tokens) - cut > cut:
        return None
    ends = np.arange(cut, len(tokens) - size + 1, size)[:_MOST_STRETCHES]
    starts = np.arange(cut % size, cut - size + 1, size)
    if len(starts) > _MOST_STRETCHES:
        starts = starts[np.linspace(0, len(starts) - 1, _MOST_STRETCHES).astype(int)]

    def pairs(start: int) -> Floats:
        codes = np.asarray(tokens[start : start + min(size, _LOOK)], np.uint32)
        if vocabulary.level == "word":  # Words are too many to be counted in pairs.
            text = "".join(vocabulary.symbols[number] for number in codes.tolist())
            codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        classes = (codes[:-1] * np.uint32(7919) ^ codes[1:]) % np.uint32(_CLASSES)
        return np.bincount(classes, minlength=_CLASSES).astype(np.float64)

    counts = [pairs(start) for start in starts.tolist()]
    whole = np.sum(counts, axis=0)
    usual = np.array([_distance(own, whole - own) for own in counts])
    limit = max(_MEDIANS * float(np.median(usual)), _FIFTHS * float(np.quantile(usual, 0.8)))
    for start in ends.tolist():
        if _distance(pairs(start), whole) > limit:
            return int(start)
    return None


def unseen_symbols(train: Tokens, val: Tokens, vocabulary: Vocabulary) -> tuple[list[str], int]:
    """Symbols that stand in what validates and in nothing that is trained on.

    Returns:
        The symbols, those met most often first, and how often they are met together.
    """
    counts = np.zeros(len(vocabulary), np.int64)
    for start in range(0, len(val), _SCAN):
        counts += np.bincount(val[start : start + _SCAN], minlength=len(vocabulary))
    counts[[END_ID, UNKNOWN_ID]] = 0
    for start in range(0, len(train), _SCAN):
        if not counts.any():
            break
        counts[train[start : start + _SCAN]] = 0
    order = np.argsort(-counts, kind="stable")[: int(np.count_nonzero(counts))]
    return [vocabulary.symbols[number] for number in order.tolist()], int(counts.sum())


def _distance(first: Floats, second: Floats) -> float:
    """The Jensen-Shannon divergence of two counts in bits: 0 for like ones, 1 for such that have
    nothing in common. Source: Lin 1991, "Divergence measures based on the Shannon entropy"."""
    if not first.any() or not second.any():
        return 0.0
    first, second = first / first.sum(), second / second.sum()
    return _entropy((first + second) / 2) - (_entropy(first) + _entropy(second)) / 2


def _entropy(shares: Floats) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log2(some)).sum())
