"""A model that only counts: what followed the last tokens in a text, interpolated Kneser-Ney.

With c(w, x) for how often token x followed the context w, and w' for w without its first token:

    p(x | w) = (c(w, x) - D) / c(w) + (sum of D over the x of w) / c(w) * p(x | w')

D depends on the length of w and on whether c(w, x) is 1, 2, or 3 and more (Chen and Goodman 1998,
"An empirical study of smoothing techniques for language modeling": modified Kneser-Ney, whose
formulas for D from the counts of counts are used). Where w was never seen, p(x | w) is p(x | w');
below the empty context every symbol has the same probability. So it is a distribution over all
symbols, none of which has the probability 0.

Contexts of the longest length count each token. A shorter one counts x only where x is new in the
next longer one: what it counts is in how many contexts x stood, which is Kneser and Ney's idea, and
the update exclusion of PPM (Moffat 1990). So a text is counted in one pass, and can go on to be
counted while it is read.

After an end mark a context begins anew: with the mark, and nothing before it. The contexts lie in
a trie in C (`textgen/native/src/counts.c`). One that was seen once takes no room but for the place
of what followed it, so the trie of a text of 900,000 characters has about 30 MB.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.native.counts import Counts
from textgen.progress import track

#: The longest context that is chosen by itself.
MOST_CHOSEN = 16
#: What a token tells in its context, as a part of what it tells alone.
_LEFT = 0.6
_CHUNK = 1 << 18


def order_for(tokens: NDArray[np.integer[Any]], vocab_size: int) -> int:
    """The longest context whose counts say something in a text of this size.

    About as many tokens as it takes to tell one place of the text from all others, and one more:
    `1 + log2(N) / (0.6 H)` with the entropy H of single tokens in bits, a number from 2 to 16.

    Args:
        tokens: The text, `(N,)`, at least one token.
        vocab_size: Symbols.
    """
    counts_V = np.bincount(tokens, minlength=vocab_size)
    shares = counts_V[counts_V > 0] / len(tokens)
    entropy = max(-float((shares * np.log2(shares)).sum()), 1e-3)
    return int(min(max(round(1 + math.log2(len(tokens)) / (_LEFT * entropy)), 2), MOST_CHOSEN))


def count_text(
    tokens: NDArray[np.integer[Any]], vocab_size: int, order: int | None = None
) -> Counts:
    """Count a text.

    Args:
        tokens: The text, `(N,)`, documents separated by end marks, at least one token.
        vocab_size: Symbols.
        order: The longest context, in tokens; None is `order_for`.
    Raises:
        BackendError: The native library is not there, or there is no memory.
    """
    counts = Counts(vocab_size, order or order_for(tokens, vocab_size), END_ID)
    firsts = range(0, len(tokens), _CHUNK)
    for first in track(firsts, "counting the training text", len(firsts)):
        counts.add(np.asarray(tokens[first : first + _CHUNK]))
    counts.restart()
    counts.settle()
    return counts
