"""The characters that a model can write, as the rules of forms know them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import Vocabulary

#: What a model of bytes writes under a form, beside what the form names: ASCII, Latin letters with
#: marks, Greek, Cyrillic, and the punctuation of these.
_SCRIPTS = (
    *((0x09, 0x0A), (0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x3FF), (0x400, 0x52F)),
    *((0x2010, 0x2027), (0x2030, 0x203A), (0x20AC, 0x20AC), (0x2116, 0x2116)),
)
#: Vowel letters of alphabets that forms know; with a mark they are vowels, too.
VOWELS = frozenset("aeiouyæœøıаеёиоуыэюяєіїαεηιουω")
#: Letters that decompose into a vowel and a mark, and are consonants.
_CONSONANTS = frozenset("йў")
#: Vowels of which each is a syllable, whatever stands beside it.
_APART = frozenset("аеёиоуыэюяєії")


@dataclass(frozen=True)
class Alphabet:
    """Characters, numbered from 0.

    Args:
        chars: Each once, in the order of code points.
    """

    chars: str

    @classmethod
    def of(cls, vocabulary: Vocabulary, named: Iterable[str] = ()) -> Alphabet:
        """The characters that a model can write.

        Args:
            vocabulary: Its symbols.
            named: Texts whose characters a model of bytes writes, too.
        """
        if vocabulary.level == "byte":
            found = {chr(point) for a, b in _SCRIPTS for point in range(a, b + 1)}
            found = {char for char in found if unicodedata.category(char) != "Cn"}
            found |= {char for text in named for char in text if not "\ud800" <= char <= "\udfff"}
        else:
            found = {char for symbol in vocabulary.symbols for char in symbol}
        return cls("".join(sorted(found)))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each character."""
        return {char: number for number, char in enumerate(self.chars)}

    @cached_property
    def letters_N(self) -> NDArray[np.bool_]:
        """Which characters are letters of words."""
        return self.are(is_letter)

    def are(self, holds: Callable[[str], bool]) -> NDArray[np.bool_]:
        """Of which characters something holds."""
        return np.array([holds(char) for char in self.chars], np.bool_)

    def lacking(self, text: str) -> str:
        """The characters of a text that are not here in either case."""
        missing = (char for char in text if not self.cases(char))
        return "".join(dict.fromkeys(missing))

    def cases(self, char: str) -> str:
        """A character in every case that is here."""
        forms = dict.fromkeys((char, char.lower(), char.upper()))
        return "".join(form for form in forms if form in self.numbers)


def is_letter(char: str) -> bool:
    """Whether a character belongs to a word: a letter, a digit, or a mark on one."""
    return char.isalnum() or unicodedata.category(char).startswith("M")


def is_vowel(char: str) -> bool:
    """Whether a letter is a vowel of an alphabet that forms know."""
    low = char.lower()
    if low in VOWELS:
        return True
    return low not in _CONSONANTS and unicodedata.normalize("NFD", low)[:1] in VOWELS


def stands_apart(char: str) -> bool:
    """Whether a vowel is a syllable beside another vowel: in Cyrillic alphabets it is."""
    return unicodedata.normalize("NFC", char.lower())[:1] in _APART
