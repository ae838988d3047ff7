"""The likeliest continuations of a text as whole words: a small beam over symbols.

A continuation is what stands before a word, such as a space, and the word up to its end. Its
probability is that of its symbols, times that of anything which ends the word.
"""

from __future__ import annotations

import heapq
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.head import log_softmax
from textgen.model.network import StepNetwork
from textgen.sampling.networks import Position, step

#: Beginnings that are followed at once, and steps: a word has ended a step after its last symbol.
_WIDTH, _MOST_SYMBOLS = 24, 40
_APOSTROPHES = "'\u2019\u02bc"


@dataclass(frozen=True)
class LikelyWord:
    """A continuation.

    Args:
        ids: Its symbols; the last one is an end mark where the document ends with it.
        text: What they are as text.
        probability: Under the model as it is.
    """

    ids: tuple[int, ...]
    text: str
    probability: float


class _Begun(NamedTuple):
    """The beginning of a continuation: its symbols, those of whole characters, whether there is a
    letter of a word, and the bytes of a character that is not whole."""

    ids: tuple[int, ...]
    whole: int
    has_word: bool
    within: bytes


class WordSearch:
    """Finds the likeliest continuations.

    Args:
        network: The model.
        vocabulary: Its symbols.
        may_end: Whether a document may end; then its end is a continuation, too.
        edits: What is done to the states at every token.
    """

    def __init__(
        self,
        network: StepNetwork,
        vocabulary: Vocabulary,
        *,
        may_end: bool = False,
        edits: Edits = NO_EDITS,
    ) -> None:
        self._network = network
        self._vocabulary = vocabulary
        self._may_end = may_end
        self._edits = edits
        self._is_bytes = vocabulary.level == "byte"
        symbols = vocabulary.symbols
        # Which symbols go on with a word; of a byte beyond ASCII that is seen when the character is
        # whole.
        self._goes_on_V = np.array(
            [bool(symbol) and (self._is_part(symbol) or _in_word(symbol[0])) for symbol in symbols]
        )
        self._is_part_V = np.array([self._is_part(symbol) for symbol in symbols])

    def likeliest(
        self,
        position: Position,
        before: Sequence[int] = (),
        count: int = 5,
        *,
        after_word: bool = False,
    ) -> list[LikelyWord]:
        """The likeliest continuations, in order.

        Args:
            position: Where the network stands, one row.
            before: The text's symbols up to there: it may end within a character.
            count: How many at most.
            after_word: Whether the word before has ended, so that nothing goes on with it; the
                probabilities are under that condition.
        """
        if count < 1:
            return []
        begun = [_Begun((), 0, False, self._unfinished(before))]
        scores_B = reach_B = np.zeros(1)
        if after_word:
            logits_BV = np.where(self._goes_on_V, -np.inf, position.logits_BV)
            position = Position(logits_BV.astype(np.float32), position.state)
        masses: defaultdict[tuple[int, ...], float] = defaultdict(float)
        for _ in range(_MOST_SYMBOLS):
            logprobs_BV = log_softmax(position.logits_BV).astype(np.float64)
            scores_BV = scores_B[:, None] + logprobs_BV
            for row, own in enumerate(begun):
                if own.has_word and not own.within:
                    ends_V = ~self._goes_on_V
                    masses[own.ids] += float(np.exp(scores_BV[row, ends_V]).sum())
                    scores_BV[row, ends_V] = -np.inf
                elif self._may_end and not own.within:
                    masses[(*own.ids, END_ID)] += float(np.exp(scores_BV[row, END_ID]))
            scores_BV[:, [END_ID, UNKNOWN_ID]] = -np.inf
            # A continuation is no likelier than its beginning. But bytes that become a sign add to
            # the word before them, which is as likely as its last whole character at most.
            reach_BV = scores_BV.copy()
            for row, own in enumerate(begun):
                if own.has_word:
                    reach_BV[row, self._is_part_V] = reach_B[row]
            least = min(heapq.nlargest(count, masses.values())) if len(masses) >= count else 0.0
            rows, tokens = self._best(scores_BV, reach_BV, least)
            found = []
            for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
                longer = self._longer(begun[row], token)
                if longer is None:
                    continue
                if longer.has_word and self._is_bytes and self._ends_word(begun[row], longer):
                    masses[begun[row].ids[: begun[row].whole]] += float(
                        np.exp(scores_BV[row, token])
                    )
                    continue
                found.append((row, token, longer))
            if not found:
                break
            parents = np.array([row for row, _, _ in found], np.intp)
            read = np.array([token for _, token, _ in found])
            scores_B = scores_BV[parents, read]
            is_within_B = np.array([bool(longer.within) for _, _, longer in found])
            reach_B = np.where(is_within_B, reach_BV[parents, read], scores_B)
            begun = [longer for _, _, longer in found]
            position = step(
                self._network, read, position.repeat(parents).state, [self._edits] * len(read)
            )
        best = heapq.nsmallest(count, masses.items(), key=lambda item: (-item[1], item[0]))
        return [LikelyWord(ids, self._text(ids), mass) for ids, mass in best if mass > 0]

    def _best(
        self, scores_BV: NDArray[np.float64], reach_BV: NDArray[np.float64], least: float
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and symbols of the likeliest beginnings, those alone that reach above `least`."""
        flat = scores_BV.ravel()
        size = min(_WIDTH, flat.size)
        places = np.argpartition(-flat, size - 1)[:size]
        with np.errstate(divide="ignore"):
            places = places[reach_BV.ravel()[places] > np.log(least)]
        places = places[np.argsort(-flat[places], kind="stable")]
        rows, tokens = np.divmod(places, scores_BV.shape[1])
        return rows, tokens

    def _longer(self, begun: _Begun, token: int) -> _Begun | None:
        """A beginning with one more symbol; None where its bytes are no text."""
        ids, symbol = (*begun.ids, token), self._vocabulary.symbols[token]
        if not self._is_bytes:
            return _Begun(ids, len(ids), begun.has_word or _has_word(symbol), b"")
        code = begun.within + symbol.encode("latin-1")
        try:
            char = code.decode("utf-8")
        except UnicodeDecodeError as error:
            is_cut = error.reason == "unexpected end of data"
            return _Begun(ids, begun.whole, begun.has_word, code) if is_cut else None
        return _Begun(ids, len(ids), begun.has_word or _has_word(char), b"")

    def _ends_word(self, begun: _Begun, longer: _Begun) -> bool:
        """Whether bytes have become a character that ends the word before it."""
        if not begun.has_word or longer.within:
            return False
        return not _in_word(self._text(longer.ids[begun.whole :]))

    def _is_part(self, symbol: str) -> bool:
        return self._is_bytes and symbol >= "\x80"

    def _unfinished(self, before: Sequence[int]) -> bytes:
        """The bytes of a character that the text ends within."""
        if not self._is_bytes:
            return b""
        last = "".join(self._vocabulary.symbols[token] for token in before[-3:]).encode("latin-1")
        for start in range(len(last)):
            try:
                last[start:].decode("utf-8")
            except UnicodeDecodeError as error:
                if error.start == 0 and error.reason == "unexpected end of data":
                    return last[start:]
        return b""

    def _text(self, ids: tuple[int, ...]) -> str:
        return self._vocabulary.decode(ids, at_start=False)


def _in_word(char: str) -> bool:
    return char.isalnum() or char in _APOSTROPHES or unicodedata.category(char).startswith("M")


def _has_word(symbol: str) -> bool:
    return any(map(str.isalnum, symbol))
