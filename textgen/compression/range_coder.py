"""Entropy coding: choices among weighted alternatives as bytes, and back.

`ChoiceWriter` and `ChoiceReader` have one method, `choose`, and one function calls it for both
ways: so the two cannot compute their weights differently. Probabilities are whole numbers of
2**-24, at least 1 of them for each alternative: the library constriction rounds them so (Bamler
2022, "Understanding entropy coding with asymmetric numeral systems", arXiv:2201.01741). It is
loaded here alone, and only when something is coded.

Shape suffixes: `N` choices, `A` alternatives of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from textgen.errors import BackendError, CompressionError
from textgen.evaluation.nll import SCALAR_VALUES
from textgen.extras import install_hint
from textgen.progress import task

Symbols = NDArray[np.int32]
Weights = NDArray[np.float64]

#: By the 128 code points from here on, Python's `surrogateescape` shows a byte that is no text.
FIRST_STRAY, STRAYS = 0xDC80, 128
_FIRST_SURROGATE, _SURROGATES = 0xD800, 0x800
#: A character is two even choices, the second among so many: 1,086 * 1,024 are all of Unicode.
_LOW = 1024
#: How much likelier a letter of a short text becomes when it has occurred; how many letters must
#: have come after another one to count as much as the letters at all.
_GAIN, _DOUBT = 2.0, 8.0
#: The most letters that a speller tells apart, the most texts that are remembered, and the sum of
#: weights at which all of them are halved.
_MOST_LETTERS, _MOST_TEXTS, _FORGET = 1024, 4096, 2.0**16


class Coder(Protocol):
    """What chooses: `ChoiceWriter` and `ChoiceReader`."""

    def choose(self, weights_NA: Weights, symbols_N: Symbols | None) -> Symbols:
        """Code choices, one after the other.

        Args:
            weights_NA: How likely each alternative is, not negative; a row need not sum to 1.
            symbols_N: What is chosen; a reader, which is given None, finds out.
        Returns:
            What is chosen.
        """


class ChoiceWriter:
    """Writes choices.

    Raises:
        BackendError: The library is not installed.
    """

    def __init__(self) -> None:
        queue, self._family = _library()
        self._encoder = queue.RangeEncoder()

    def choose(self, weights_NA: Weights, symbols_N: Symbols | None) -> Symbols:
        """Write choices; see `Coder.choose`."""
        assert symbols_N is not None
        self._encoder.encode(symbols_N, self._family, weights_NA)
        return symbols_N

    def __len__(self) -> int:
        """Bytes so far, about."""
        return 4 * int(self._encoder.num_words())

    def to_bytes(self) -> bytes:
        """Return all that was written; zeros at its end say nothing, and are left out."""
        words: NDArray[np.uint32] = self._encoder.get_compressed()
        return words.astype("<u4").tobytes().rstrip(b"\0")


class ChoiceReader:
    """Reads the choices that were written. Past the end, zeros are read.

    Args:
        data: From `ChoiceWriter.to_bytes`.
    Raises:
        BackendError: The library is not installed.
    """

    def __init__(self, data: bytes) -> None:
        queue, self._family = _library()
        words = np.frombuffer(data + bytes(-len(data) % 4), "<u4").astype(np.uint32)
        self._decoder = queue.RangeDecoder(words)

    def choose(self, weights_NA: Weights, symbols_N: Symbols | None) -> Symbols:
        """Read choices; see `Coder.choose`.

        Raises:
            CompressionError: Such bytes are never written.
        """
        try:
            chosen: Symbols = self._decoder.decode(self._family, weights_NA)
        except AssertionError as error:
            raise CompressionError("its data are not what the model predicts") from error
        return chosen


@cache
def _library() -> tuple[Any, Any]:
    """The module of the coders, and the kind of distribution: one by the weights of all symbols."""
    try:
        with task("loading constriction"):
            import constriction

            # "Perfect" would look for the best rounding; without, the cost is the same to five
            # digits.
            family = constriction.stream.model.Categorical(perfect=False)
            # Its first use asks NumPy for its version, in Python. What a signal raises there would
            # be a panic; the command line ends within this function without raising anything.
            one_N, weights_NA = np.zeros(1, np.int32), np.ones((1, 2))
            constriction.stream.queue.RangeEncoder().encode(one_N, family, weights_NA)
    except ImportError as error:
        raise BackendError(
            "compressing needs the library constriction, which is not installed; "
            f"{install_hint('constriction')}"
        ) from error
    return constriction.stream.queue, family


def choose_one(coder: Coder, weights_A: Weights, symbol: int | None) -> int:
    """Code one choice; where there is one alternative, nothing is said."""
    if len(weights_A) == 1:
        return 0
    known = None if symbol is None else np.array([symbol], np.int32)
    return int(coder.choose(weights_A[None, :], known)[0])


@cache
def _even(alternatives: int) -> Weights:
    return np.ones(alternatives)


def choose_evenly(coder: Coder, alternatives: int, symbol: int | None) -> int:
    """Code one of several that are equally likely."""
    return choose_one(coder, _even(alternatives), symbol)


def choose_character(coder: Coder, char: str | None, *, strays: bool) -> str:
    """Code one of all characters of Unicode, each equally likely: log2(1,112,064) bits.

    Args:
        coder: Writes or reads.
        char: The character; None where it is read.
        strays: Whether it may also be a byte that is no text, as `surrogateescape` shows it.
    Raises:
        CompressionError: What is read is none.
    """
    high = low = None
    if char is not None:
        point = ord(char)
        if _FIRST_SURROGATE <= point < _FIRST_SURROGATE + _SURROGATES:
            assert strays
            number = SCALAR_VALUES + point - FIRST_STRAY
        else:
            number = point if point < _FIRST_SURROGATE else point - _SURROGATES
        high, low = divmod(number, _LOW)
    high = choose_evenly(coder, SCALAR_VALUES // _LOW + strays, high)
    number = high * _LOW + choose_evenly(coder, _LOW, low)
    if number >= SCALAR_VALUES + STRAYS:
        raise CompressionError("it holds a character that is none")
    if number >= SCALAR_VALUES:
        return chr(number - SCALAR_VALUES + FIRST_STRAY)
    return chr(number if number < _FIRST_SURROGATE else number + _SURROGATES)


class Speller:
    """Spells short texts, and learns from them which letters follow each other.

    Args:
        letters: Those that are known from the beginning.
        strays: As for `choose_character`, which spells a letter that has not occurred.
    """

    def __init__(self, letters: Iterable[str], *, strays: bool) -> None:
        self._strays = strays
        # The first two stand for the end of a text, and for a letter that is not known yet.
        self._letters = ["", "", *sorted(set(letters))]
        self._numbers = {letter: i for i, letter in enumerate(self._letters) if letter}
        self._weights = np.ones(len(self._letters))
        #: The same after each letter, and after the end: at the beginning.
        self._after: dict[int, Weights] = {}

    def spell(self, coder: Coder, text: str | None, most: int) -> str:
        """Code a text.

        Args:
            coder: Writes or reads.
            text: The text; None where it is read.
            most: The most characters that it can have.
        Raises:
            CompressionError: What is read is longer.
        """
        spelled: list[str] = []
        number = 0
        while True:
            letter = None if text is None else text[len(spelled) : len(spelled) + 1]
            known = None if letter is None else self._numbers.get(letter, 1 if letter else 0)
            number = self._choose(coder, number, known)
            if number == 0:
                return "".join(spelled)
            if len(spelled) == most:
                raise CompressionError("it holds more than it says")
            if number == 1:
                spelled.append(choose_character(coder, letter, strays=self._strays))
                self._learn(spelled[-1])
            else:
                spelled.append(self._letters[number])

    def _choose(self, coder: Coder, before: int, known: int | None) -> int:
        """Code a letter, by how often each has come after the one before, and at all."""
        after = self._after.get(before, np.zeros(0))
        after = np.append(after, np.zeros(len(self._weights) - len(after)))
        whole = self._weights.sum()
        number = choose_one(coder, after + self._weights * (_DOUBT / whole), known)
        after[number] += 1.0
        self._after[before] = after
        self._weights[number] += _GAIN
        if whole > _FORGET:
            self._weights = np.maximum(self._weights / 2.0, 1.0)
        return number

    def _learn(self, letter: str) -> None:
        if letter not in self._numbers and len(self._letters) < _MOST_LETTERS:
            self._numbers[letter] = len(self._letters)
            self._letters.append(letter)
            self._weights = np.append(self._weights, _GAIN)


class Repeats:
    """Short texts of which most are one of those before.

    Args:
        speller: Spells a text that is new.
    """

    def __init__(self, speller: Speller) -> None:
        self._speller = speller
        self._texts: list[str] = []
        self._numbers: dict[str, int] = {}
        # The first stands for a new text.
        self._weights = np.ones(1)

    def code(self, coder: Coder, text: str | None, most: int) -> str:
        """Code a text; `text` and `most` as for `Speller.spell`."""
        number = choose_one(
            coder, self._weights, None if text is None else self._numbers.get(text, 0)
        )
        self._weights[number] += _GAIN
        if number:
            if len(self._texts[number - 1]) > most:
                raise CompressionError("it holds more than it says")
            return self._texts[number - 1]
        text = self._speller.spell(coder, text, most)
        if text not in self._numbers and len(self._texts) < _MOST_TEXTS:
            self._texts.append(text)
            self._numbers[text] = len(self._texts)
            self._weights = np.append(self._weights, _GAIN)
        return text
