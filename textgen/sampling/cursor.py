"""Where a steered text stands: how much of it is written, and what acts on the state next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import Vocabulary
from textgen.model.edit import Edits
from textgen.sampling.stop import SentenceEnds
from textgen.steering import Steering


class ConstantSteering:
    """The same edits from beginning to end; a `Steering`."""

    counts_sentences = False

    def __init__(self, edits: Edits) -> None:
        self._edits = edits

    def edits_at(self, char: int, sentence: int) -> Edits:
        """Return the same edits at every character."""
        return self._edits

    def next_change(self, char: int) -> None:
        """Return None: they never change."""


class Cursor:
    """Follows a text token by token.

    Character `n` is chosen from a state that `Steering.edits_at(n, ...)` changed, so what acts
    while a token is read is what is asked for the character after it. Within a character of
    several bytes that is the character itself.

    Args:
        steering: What the text is steered by.
        vocabulary: The model's symbols.
        context_ids: What stands before the text: the seed.
        end: What an end mark is written as.
    """

    def __init__(
        self,
        steering: Steering,
        vocabulary: Vocabulary,
        context_ids: Sequence[int] = (),
        end: str = "",
    ) -> None:
        self._steering = steering
        self._decoder = vocabulary.decoder(end=end)
        # Where each token is a character, how many there are need not be found out.
        self._is_plain = vocabulary.level == "char" and not end
        self._symbols = vocabulary.symbols
        self._ends = SentenceEnds()
        # The seed may stand within a sentence, which is then the first.
        for token in context_ids:
            for char in self._decoder.feed(token):
                self._ends.ends_before(char)
        if self._ends.is_at_end:
            self._ends = SentenceEnds()
        self._char, self._sentence = 0, 1
        self._next = steering.next_change(0)
        #: What acts on the next state.
        self.edits: Edits = steering.edits_at(0, 1)

    @property
    def is_settled(self) -> bool:
        """Whether what acts now will act to the end."""
        return self._next is None and not self._steering.counts_sentences

    @property
    def tokens_to_change(self) -> int | None:
        """How many tokens on other edits act for certain; None where that is not known."""
        if self._next is None or not self._is_plain:
            return None
        return self._next - self._char

    @property
    def quiet_tokens(self) -> int:
        """How many tokens may be gone past by `skip`, for they change nothing."""
        if self._next is None or not self._is_plain or self._steering.counts_sentences:
            return 0
        return self._next - self._char - 1

    @property
    def letters_V(self) -> NDArray[np.bool_]:
        """Which symbols are letters."""
        return np.array([symbol.isalpha() for symbol in self._symbols])

    @property
    def waits_for_sentences(self) -> bool:
        """Whether only the end of a sentence can change the edits, so that letters cannot."""
        return self._is_plain and self._next is None and self._steering.counts_sentences

    def skip_letters(self, count: int) -> None:
        """Go past tokens that are a letter each, while `waits_for_sentences`."""
        if count:
            self._char += count
            self._ends.pass_letters()

    def skip(self, count: int) -> None:
        """Go past tokens of which `quiet_tokens` says that they change nothing."""
        self._char += count

    def advance(self, token: int) -> bool:
        """Go past a token; `edits` is then what acts while it is read.

        Returns:
            Whether they changed.
        """
        sentence = self._sentence
        text = self._symbols[token] if self._is_plain else self._decoder.feed(token)
        self._char += len(text)
        if self._steering.counts_sentences:
            for char in text:
                self._sentence += self._ends.ends_before(char)
        if self._sentence == sentence and (self._next is None or self._char < self._next):
            return False
        self._next = self._steering.next_change(self._char)
        before, self.edits = self.edits, self._steering.edits_at(self._char, self._sentence)
        return before != self.edits

    def follow(self, ids: Sequence[int]) -> int:
        """Go past tokens up to the first at which the edits change, that one included.

        Returns:
            How many stand before it; all of them where there is none.
        """
        if self.is_settled:
            return len(ids)
        first = min(len(ids), self.quiet_tokens)
        self.skip(first)
        for count in range(first, len(ids)):
            if self.advance(ids[count]):
                return count
        return len(ids)
