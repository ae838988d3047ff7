"""Text cut into words and single characters, without losing one.

A token is a run of word characters (letters, digits, combining marks, apostrophes inside) with
one space before it if there is one, or any other single character. Joined together, the tokens
are the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain

#: A longer run of word characters is cut: no vocabulary holds such words, and without a limit a
#: text that never ends a word (a genome, say) would have to be held in memory.
MAX_WORD_CHARS = 64

#: Characters cut at a time, which bounds the list of tokens.
SLICE_CHARS = 1 << 18

#: How far behind a token's end the pattern looks: an apostrophe and the letter after it.
_LOOKAHEAD = 2


def split_words(text: str) -> list[str]:
    """The tokens of `text`, in order; `"".join` gives `text` back."""
    return _pattern().findall(text)


def stream_words(chunks: Iterable[str]) -> Iterator[list[str]]:
    """The tokens of a text that comes in chunks, in lists of bounded length.

    Where the chunks end makes no difference: together the lists are `split_words` of the whole.
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


@cache
def _pattern() -> re.Pattern[str]:
    # `\w` lacks the combining marks, without which Hindi or decomposed Russian falls to pieces.
    marks = "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in _mark_ranges())
    letter = r"[^\W_]"
    word = rf"(?:{letter}|[{marks}])"
    # The first branch is three times as fast and right wherever no mark or apostrophe follows;
    # its quantifier is possessive, or it would fall back to a shorter word instead of failing.
    return re.compile(
        rf" ?(?:{letter}{{1,{MAX_WORD_CHARS}}}+(?!['’{marks}])"
        rf"|{word}(?:{word}|['’](?={letter})){{0,{MAX_WORD_CHARS - 1}}})"
        r"|.",
        re.DOTALL,
    )


def _mark_ranges() -> Iterator[tuple[int, int]]:
    """First and last code point of every run of combining marks (general category M)."""
    first: int | None = None
    # The planes between are ideographs and unassigned.
    for point in chain(range(0x300, 0x20000), range(0xE0000, 0xE1000)):
        if unicodedata.category(chr(point)).startswith("M"):
            if first is None:
                first = point
        elif first is not None:
            yield first, point - 1
            first = None
