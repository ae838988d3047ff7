"""Text cut into words and single characters; together they are the text again.

A token is a run of word characters (letters, digits, combining marks, apostrophes inside) with the
space before it, if there is one, or any other single character.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from textgen.corpus.vocabulary import Vocabulary
    from textgen.corpus.windows import Tokens

#: Longer runs of word characters are cut: no vocabulary has such words, and a text in which a word
#: never ends (a genome, say) would not fit into memory.
MAX_WORD_CHARS = 64

#: Characters cut at a time, which bounds the list of tokens.
SLICE_CHARS = 1 << 18

#: How far the pattern looks past the end of a token: an apostrophe and the letter after it.
_LOOKAHEAD = 2

#: `UNKNOWN_ID` of the vocabulary, which imports this module.
_UNKNOWN = 1

#: Tokens looked at together when words are counted, and the kinds of tokens.
_CHUNK = 1 << 20
_OTHER, _MARK, _LETTER, _WORD, _APOSTROPHE = range(5)


def split_words(text: str) -> list[str]:
    """Return the tokens of `text`, in order; `"".join` gives `text` back."""
    return _pattern().findall(text)


def stream_words(chunks: Iterable[str]) -> Iterator[list[str]]:
    """Yield the tokens of a text that comes in chunks, in lists of bounded length.

    Together the lists are `split_words` of the whole, wherever the chunks end.
    """
    carry = ""
    for chunk in chunks:
        for start in range(0, len(chunk), SLICE_CHARS):
            tokens = split_words(carry + chunk[start : start + SLICE_CHARS])
            carry = ""
            while tokens and len(carry) < _LOOKAHEAD:
                carry = tokens.pop() + carry
            if tokens:
                yield tokens
    if carry:
        yield split_words(carry)


def count_words(vocabulary: Vocabulary, tokens: Tokens) -> int:
    """Return how many words begin in `tokens`, in bounded memory.

    A word counts whether it is one token or spelled by several, also with more than 64 characters.

    Args:
        vocabulary: Of level `word`.
        tokens: A text, `(N,)`.
    """
    kinds_V = np.array([_kind(symbol) for symbol in vocabulary.symbols], np.uint8)
    if not vocabulary.spelled:  # Each token of letters is a word, and so is nearly each unknown.
        kinds_V[(kinds_V == _LETTER) | (kinds_V == _MARK)] = _WORD
        kinds_V[_UNKNOWN] = _WORD
    total, before = 0, np.full(2, _OTHER, np.uint8)
    for start in range(0, len(tokens), _CHUNK):
        kinds = kinds_V[tokens[start : start + _CHUNK]]
        # The two tokens before the chunk tell whether its first letter continues a word.
        along = np.concatenate([before, kinds])
        here, last, second = along[2:], along[1:-1], along[:-2]
        spelled, after = (here == _LETTER) | (here == _MARK), (last == _LETTER) | (last == _MARK)
        joined = (last == _APOSTROPHE) & ((second == _LETTER) | (second == _MARK))
        goes_on = after | (joined & (here == _LETTER))
        total += int(np.count_nonzero((here == _WORD) | (spelled & ~goes_on)))
        before = along[-2:]
    return total


def junctions(symbols: Sequence[str], *, spelled: bool) -> bytes:
    """Return which tokens may follow each other, a byte for each token; b"" where all may.

    A text is never cut between two letters, save those of a spelled word: no letter stands behind
    a whole word, and no word without a space in front behind a letter, or a space that begins a
    spelled word. The low four bits of a byte are 1 for a letter, 2 for a word without a space in
    front, 0 for all else. The high four are how strict a token is: token `b` does not follow
    token `a` where `(a >> 4) + (b & 15) > 2`.

    Args:
        symbols: Of a vocabulary of words; the first two are the marks.
        spelled: Whether it spells rare words.
    """
    begins, strict = np.zeros(len(symbols), np.uint8), np.zeros(len(symbols), np.uint8)
    for token, symbol in enumerate(symbols):
        if len(symbol) > 1:
            begins[token], strict[token] = 0 if symbol[0] == " " else 2, 2
        elif symbol and _kind(symbol) in (_LETTER, _MARK):
            begins[token], strict[token] = 1, 1 if spelled else 2
        elif symbol == " " or (token == _UNKNOWN and not spelled):
            strict[token] = 1 if spelled else 2
    if not begins.any():
        return b""
    # Something must be able to follow: the least that a symbol begins with.
    strict = np.minimum(strict, 2 - begins[2:].min())
    table: bytes = (strict << 4 | begins).tobytes()
    return table


@cache
def word_characters() -> tuple[str, str]:
    """Two regular expressions of one character: a letter or digit; that, or a combining mark.

    Between two of them an apostrophe belongs to the word if a letter or digit follows it.
    """
    return r"[^\W_]", rf"(?:[^\W_]|[{_marks()}])"


def _marks() -> str:
    # `\w` lacks the combining marks, without which Hindi or decomposed Russian falls to pieces.
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in _mark_ranges())


@cache
def _pattern() -> re.Pattern[str]:
    marks = _marks()
    letter, word = word_characters()
    # The first branch is three times as fast and is right if no mark or apostrophe follows. Its
    # quantifier is possessive: it fails rather than fall back to a shorter word.
    return re.compile(
        rf" ?(?:{letter}{{1,{MAX_WORD_CHARS}}}+(?!['’{marks}])"
        rf"|{word}(?:{word}|['’](?={letter})){{0,{MAX_WORD_CHARS - 1}}})"
        r"|.",
        re.DOTALL,
    )


def _mark_ranges() -> Iterator[tuple[int, int]]:
    """First and last code point of every run of combining marks (general category M)."""
    first: int | None = None
    # The planes between hold ideographs or nothing.
    for point in chain(range(0x300, 0x20000), range(0xE0000, 0xE1000)):
        if unicodedata.category(chr(point)).startswith("M"):
            if first is None:
                first = point
        elif first is not None:
            yield first, point - 1
            first = None


def _kind(symbol: str) -> int:
    if len(symbol) > 1:
        return _WORD
    if symbol in ("'", "\u2019"):
        return _APOSTROPHE
    # A character is part of a word if it joins a letter before it. After an apostrophe only a
    # letter does, not a mark.
    if not symbol or len(split_words("a" + symbol)) > 1:
        return _OTHER
    return _LETTER if len(split_words("a'" + symbol)) == 1 else _MARK
