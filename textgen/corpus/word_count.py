"""How many words a text of a word vocabulary has, counted from its tokens.

A word is a run of letters, digits and marks, as `textgen.corpus.words` cuts a text, whether the
vocabulary has it as one token or spells it in several. What stands between words is none.
"""

from __future__ import annotations

import numpy as np

from textgen.corpus.vocabulary import Vocabulary
from textgen.corpus.windows import Tokens
from textgen.corpus.words import split_words

_CHUNK = 1 << 20
_OTHER, _MARK, _LETTER, _WORD, _APOSTROPHE = range(5)


def count_words(vocabulary: Vocabulary, tokens: Tokens) -> int:
    """How many words begin in `tokens`, in bounded memory.

    A run of more than 64 characters that is spelled counts as one word.

    Args:
        vocabulary: Of level `word`.
        tokens: A text, `(N,)`.
    """
    kinds_V = np.array([_kind(symbol) for symbol in vocabulary.symbols], np.uint8)
    total, before = 0, np.full(2, _OTHER, np.uint8)
    for start in range(0, len(tokens), _CHUNK):
        kinds = kinds_V[tokens[start : start + _CHUNK]]
        # Two tokens before the chunk say whether its first letter goes on with a word.
        along = np.concatenate([before, kinds])
        here, last, second = along[2:], along[1:-1], along[:-2]
        spelled, after = (here == _LETTER) | (here == _MARK), (last == _LETTER) | (last == _MARK)
        joined = (last == _APOSTROPHE) & ((second == _LETTER) | (second == _MARK))
        goes_on = after | (joined & (here == _LETTER))
        total += int(np.count_nonzero((here == _WORD) | (spelled & ~goes_on)))
        before = along[-2:]
    return total


def _kind(symbol: str) -> int:
    if len(symbol) > 1:
        return _WORD
    if symbol in ("'", "\u2019"):
        return _APOSTROPHE
    # A character is part of a word if it stays in the word of a letter before it. After an
    # apostrophe a letter does too, a mark does not.
    if not symbol or len(split_words("a" + symbol)) > 1:
        return _OTHER
    return _LETTER if len(split_words("a'" + symbol)) == 1 else _MARK
