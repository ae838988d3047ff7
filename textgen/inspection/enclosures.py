"""How deep within quotation marks or brackets each character of a text stands.

A character counts as inside from the opening mark on, up to the closing one, which is outside:
what is open once it has been read. Whatever is open is forgotten at a blank line and at the end of
a document, so that one unpaired mark does not turn the rest of a text inside out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from textgen.inspection.characters import Bools, Characters, Kind

Depths = NDArray[np.int32]

#: What closes a quotation that began with a mark: “ opens in English and closes in German and
#: Russian, » opens in Danish, ” opens in Swedish.
_QUOTES = {
    "«": "»",
    "»": "«",
    "‹": "›",
    "„": "“”",
    "“": "”",
    "”": "”",
    '"': '"',
    "‘": "’",
    "‚": "‘’",
    "「": "」",
    "『": "』",
}
_QUOTE_MARKS = "".join(sorted(set("".join((*_QUOTES, *_QUOTES.values())))))
#: They open only in front of a word and not behind one: elsewhere they close, or stand for inches.
_AMBIGUOUS = '»”"'
#: Behind a word they are apostrophes; within one too.
_SINGLE = "‘’‚"
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


def quote_depth(characters: Characters) -> Depths:
    """How many quotations are open after each character, `(chars,)`.

    ASCII apostrophes open none: they cannot be told from quotation marks.
    """
    words = characters.words
    spaces = characters.are(Kind.SPACE | Kind.NEWLINE)
    codes, last = characters.codes, len(characters) - 1
    places = np.flatnonzero(characters.equal(_QUOTE_MARKS) | characters.resets)
    depths: list[int] = []
    open_: list[str] = []
    for place in places.tolist():
        char = chr(codes[place])
        behind = place > 0 and bool(words[place - 1])
        ahead = place < last and bool(words[place + 1])
        closes = not (char in _SINGLE and behind and ahead)
        if char not in _QUOTE_MARKS:
            open_.clear()
        elif closes and any(char in _QUOTES[mark] for mark in open_):
            while char not in _QUOTES[open_.pop()]:
                pass  # What was opened within is closed with it.
        elif char in _QUOTES and not (
            (char in _AMBIGUOUS and (behind or place == last or bool(spaces[place + 1])))
            or (char in "»”" and not ahead)
            or (char in _SINGLE and behind)
        ):
            open_.append(char)
        depths.append(len(open_))
    return _filled(places, depths, len(characters))


def bracket_depth(characters: Characters) -> Depths:
    """How many of `( [ {` are open after each character, `(chars,)`.

    A closing bracket closes the last one of its kind, and those opened within it; without one it
    is nothing. Sad faces, `:(`, `:-(` and `((` before a space, open none.
    """
    codes = characters.codes
    places = np.flatnonzero(characters.equal("()[]{}") | characters.resets)
    faces = _sad_faces(characters)
    depths: list[int] = []
    open_: list[str] = []
    for place in places.tolist():
        char = chr(codes[place])
        if char in _BRACKETS:
            if not faces[place]:
                open_.append(_BRACKETS[char])
        elif char not in ")]}":
            open_.clear()
        elif char in open_:
            while open_.pop() != char:
                pass
        depths.append(len(open_))
    return _filled(places, depths, len(characters))


def _sad_faces(characters: Characters) -> Bools:
    """Which opening parentheses are a mouth."""
    round_ = characters.equal("(")
    faces = np.zeros_like(round_)
    eyes = characters.equal(":;")
    nose = characters.equal("-")
    faces[1:] |= eyes[:-1]
    faces[2:] |= nose[1:-1] & eyes[:-2]
    spaces = characters.are(Kind.SPACE | Kind.NEWLINE) | characters.ends
    for start, stop in _runs(round_):
        if (stop - start > 1 and (stop == len(round_) or spaces[stop])) or faces[start]:
            faces[start:stop] = True
    return faces & round_


def _runs(flags: Bools) -> Iterator[tuple[int, int]]:
    """Where each run of flags starts and stops."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _filled(places: NDArray[np.int64], depths: list[int], count: int) -> Depths:
    """Each depth from its place on up to the next."""
    levels = np.array([0, *depths], np.int32)
    lengths = np.diff(np.concatenate([[0], places, [count]]))
    result: Depths = np.repeat(levels, lengths)
    return result
