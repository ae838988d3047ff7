"""What is done to a text before its symbols are numbered: line ends, NFC, folding.

The same `Normalization` is applied to a corpus, a seed and an evaluated text, and is stored in the
checkpoint. Long texts go through `NormalizationStream`, piece by piece; `is_boundary` says where a
text may be cut so that the pieces give what the whole gives. This module knows neither files nor
encodings.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.errors import ConfigError

#: Characters composed at a time. A window without combining marks needs only a quick check, so one
#: accent in a long text slows down its own window only.
_WINDOW = 4096

_SOFT_HYPHEN = "\u00ad"
#: A byte order mark. Within a text it comes from joined files, and is invisible.
_MARK_OF_ORDER = "\ufeff"
_LETTER, _MARK = 1, 2


@dataclass(frozen=True, kw_only=True)
class Normalization:
    r"""How a text is normalized.

    A byte order mark (U+FEFF) is left out wherever it stands.

    Args:
        newlines: Whether `\r\n` and `\r` become `\n`.
        nfc: Whether characters are composed (Unicode Standard Annex 15, form NFC).
        fold: Whether only lower-case words stay, with one space between them: letters and the
            marks on them are kept, everything else (hyphens and apostrophes too) separates words,
            soft hyphens vanish. `Σ` always becomes `σ`.
    Raises:
        ConfigError: A value is not a boolean.
    """

    newlines: bool = True
    nfc: bool = True
    fold: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, bool):
                raise ConfigError(f"{field.name} is {value!r}; it must be true or false")

    def apply(self, text: str) -> str:
        """Return `text`, normalized. A second time changes nothing more."""
        return self.stream().feed(text)

    def stream(self) -> NormalizationStream:
        """Return a normalizer for one text that comes in pieces."""
        return NormalizationStream(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a checkpoint's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Normalization:
        """Make a normalization from plain data.

        Raises:
            ConfigError: A key is unknown or missing, or a value is not a boolean.
        """
        known = {field.name for field in fields(cls)}
        if set(data) != known:
            wrong = ", ".join(sorted(set(data) ^ known))
            raise ConfigError(f"normalisation settings are unknown or missing: {wrong}")
        return cls(**data)


class NormalizationStream:
    """Normalizes one text piece by piece.

    The results of `feed`, joined, equal `Normalization.apply` of the whole text if it was cut only
    where `is_boundary` allows.
    """

    def __init__(self, normalization: Normalization) -> None:
        self._normalization = normalization
        self._any_word = False
        self._in_word = False
        #: Byte order marks (U+FEFF) that were left out.
        self.marks = 0

    def feed(self, text: str) -> str:
        """Return the next piece, normalized; it may be empty."""
        options = self._normalization
        if _MARK_OF_ORDER in text:
            self.marks += text.count(_MARK_OF_ORDER)
            text = text.replace(_MARK_OF_ORDER, "")
        if options.newlines and "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if options.fold:
            # Lower case comes before composing: an H with a line below has no composed form, but
            # its lower case has. Sigma comes first: str.lower() looks for the end of its word,
            # which a piece may not show.
            text = text.replace(_SOFT_HYPHEN, "").replace("Σ", "σ").lower()
        if options.nfc and not text.isascii():
            text = _compose(text)
        if options.fold:
            text = self._join_words(text)
        return text

    def _join_words(self, text: str) -> str:
        """The words of a piece with single spaces between them, and one before a new word."""
        if not text:
            return ""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        kinds = _kinds()[codes]
        inside = kinds == _LETTER
        marks = kinds == _MARK
        if marks.any():
            # A mark belongs to a word if the last character before it that is not a mark does.
            # No piece starts with a mark of a word: it is not cut there.
            places = np.arange(len(codes))
            base = np.maximum.accumulate(np.where(marks, -1, places))
            inside |= marks & (base >= 0) & inside[base]
        kept = inside.copy()
        kept[1:] |= inside[:-1]  # the first separator after each word
        words: bytes = np.where(inside, codes, np.uint32(ord(" ")))[kept].tobytes()
        joined = words.decode("utf-32-le", "surrogatepass").removesuffix(" ")
        if joined and self._any_word and not (self._in_word and inside[0]):
            joined = " " + joined
        self._any_word = self._any_word or bool(joined)
        self._in_word = bool(inside[-1])
        return joined


def is_boundary(text: str, index: int) -> bool:
    r"""Return whether `text` may be cut before `text[index]` and both parts normalized alone.

    Not between `\r` and `\n`, nor before a mark or anything else that composes with the character
    before it. Conservative: it refuses a few possible places.
    Source: Unicode Standard Annex 15, section 9.1 (stable code points, boundaries).

    Args:
        text: At least `index + 1` characters.
        index: At least 1.
    """
    char = text[index]
    if char == _MARK_OF_ORDER or text[index - 1] == _MARK_OF_ORDER:
        return False  # it is left out, and its neighbours meet
    if char < "\u0300":  # no character below composes with the one before it
        return char != _SOFT_HYPHEN and not (char == "\n" and text[index - 1] == "\r")
    if "\u1160" <= char <= "\u11ff":  # Hangul vowels and final consonants
        return False
    if unicodedata.combining(char) or unicodedata.category(char).startswith("M"):
        return False
    before = text[index - 1]
    apart = unicodedata.normalize("NFC", before) + unicodedata.normalize("NFC", char)
    return unicodedata.normalize("NFC", before + char) == apart


def last_boundary(text: str, reach: int = 1024) -> int:
    """Return the last index where `text` may be cut; 0 if the last `reach` characters hold none."""
    for index in range(len(text) - 1, max(0, len(text) - reach), -1):
        if is_boundary(text, index):
            return index
    return 0


def _compose(text: str) -> str:
    """`text` in form NFC, window by window."""
    length = len(text)
    if length <= _WINDOW:
        return unicodedata.normalize("NFC", text)
    parts = []
    same = True
    start = 0
    while start < length:
        end = min(start + _WINDOW, length)
        while end < length and not is_boundary(text, end):
            end += 1
        window = text[start:end]
        composed = unicodedata.normalize("NFC", window)
        same = same and composed is window
        parts.append(composed)
        start = end
    return text if same else "".join(parts)


@cache
def _kinds() -> NDArray[np.uint8]:
    """Whether each code point is a letter, a mark on one, or separates words."""
    kinds = {"L": _LETTER, "M": _MARK}
    codes = range(sys.maxunicode + 1)
    return np.fromiter(
        (kinds.get(unicodedata.category(chr(code))[0], 0) for code in codes), np.uint8
    )
