"""Where a text is on its way, and what of its choices changes there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import Vocabulary
from textgen.options import SampleOptions
from textgen.sampling.filters import first_surprise, next_surprise

Value = TypeVar("Value")

SENTENCE_ENDS = frozenset(".!?…")
#: What may close a sentence after its end: quotes and brackets. `“` closes in German and Russian.
CLOSERS = frozenset("\"'»”“’›)]}")


class SentenceEnds:
    """Finds where sentences end.

    A sentence ends at `.`, `!`, `?` or `…` after a word, closing quotes and brackets after it
    included, before white space; abbreviations are not recognised.
    """

    def __init__(self) -> None:
        self._has_word = False
        self._at_end = False

    @property
    def is_at_end(self) -> bool:
        """Whether the sentence is over, but for the white space after it."""
        return self._at_end

    def pass_letters(self) -> None:
        """Go past one letter or more: as `ends_before` for each of them."""
        self._has_word, self._at_end = True, False

    def ends_before(self, char: str) -> bool:
        """Whether `char` is the white space after a sentence; the next one begins after it."""
        if char.isalpha():  # Most are, and none of them is anything else.
            self.pass_letters()
            return False
        if self._at_end and char.isspace():
            self._has_word = self._at_end = False
            return True
        if char in SENTENCE_ENDS:
            self._at_end = self._has_word
        elif char not in CLOSERS:
            self._at_end = False
            self._has_word = self._has_word or char.isalnum()
        return False


class Schedule(Protocol):
    """What changes at certain characters or sentences of a text."""

    @property
    def counts_sentences(self) -> bool:
        """Whether the number of the sentence bears on it."""
        ...

    def next_change(self, char: int) -> int | None:
        """The first character after `char` at which it may change, sentences apart; None where
        there will be none."""
        ...


class Follower(Generic[Value]):
    """Follows a text token by token, and knows what holds for its next character.

    Args:
        schedule: What changes on the way.
        at: What holds for a character, by its number and that of its sentence.
        vocabulary: The model's symbols.
        context_ids: What stands before the text: the seed.
        end: What an end mark is written as.
    """

    def __init__(
        self,
        schedule: Schedule,
        at: Callable[[int, int], Value],
        vocabulary: Vocabulary,
        context_ids: Sequence[int] = (),
        end: str = "",
    ) -> None:
        self._schedule, self._at = schedule, at
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
        self._next = schedule.next_change(0)
        #: What holds for the next character.
        self.now: Value = at(0, 1)

    @property
    def is_settled(self) -> bool:
        """Whether what holds now will hold to the end."""
        return self._next is None and not self._schedule.counts_sentences

    @property
    def tokens_to_change(self) -> int | None:
        """How many tokens on something else holds for certain; None where that is not known."""
        if self._next is None or not self._is_plain:
            return None
        return self._next - self._char

    @property
    def certain_tokens(self) -> int | None:
        """For how many tokens what holds now holds, at least; None: to the end."""
        if self.is_settled:
            return None
        known = None if self._schedule.counts_sentences else self.tokens_to_change
        return 1 if known is None else max(known, 1)

    @property
    def quiet_tokens(self) -> int:
        """How many tokens may be gone past by `skip`, for they change nothing."""
        if self._next is None or not self._is_plain or self._schedule.counts_sentences:
            return 0
        return self._next - self._char - 1

    @property
    def letters_V(self) -> NDArray[np.bool_]:
        """Which symbols are letters."""
        return np.array([symbol.isalpha() for symbol in self._symbols])

    @property
    def waits_for_sentences(self) -> bool:
        """Whether only the end of a sentence can change it, so that letters cannot."""
        return self._is_plain and self._next is None and self._schedule.counts_sentences

    def skip_letters(self, count: int) -> None:
        """Go past tokens that are a letter each, while `waits_for_sentences`."""
        if count:
            self._char += count
            self._ends.pass_letters()

    def skip(self, count: int) -> None:
        """Go past tokens of which `quiet_tokens` says that they change nothing."""
        self._char += count

    def advance(self, token: int) -> bool:
        """Go past a token; `now` is then what holds for the next one.

        Returns:
            Whether they changed.
        """
        sentence = self._sentence
        text = self._symbols[token] if self._is_plain else self._decoder.feed(token)
        self._char += len(text)
        if self._schedule.counts_sentences:
            for char in text:
                self._sentence += self._ends.ends_before(char)
        if self._sentence == sentence and (self._next is None or self._char < self._next):
            return False
        self._next = self._schedule.next_change(self._char)
        before, self.now = self.now, self._at(self._char, self._sentence)
        return before != self.now

    def follow(self, ids: Sequence[int]) -> int:
        """Go past tokens up to the first at which it changes, that one included.

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


class Course:
    """What moves with a text and bears on its choices: its temperature, and mirostat's bound.

    Args:
        options: The settings.
        temperature: What follows the parts of the text; None: the temperature has none.
        surprise: Mirostat's bound where the text goes on; None: that of the first token.
    """

    def __init__(
        self,
        options: SampleOptions,
        temperature: Follower[float] | None,
        surprise: float | None = None,
    ) -> None:
        self._options = options
        self._follower = temperature
        self._surprise = first_surprise(options) if surprise is None else surprise
        #: Whether it moves at all.
        self.moves = temperature is not None or bool(options.mirostat)

    @property
    def temperature(self) -> float:
        """That of the next token, turns apart."""
        if self._follower is None:
            return self._options.first_temperature
        return self._follower.now

    @property
    def surprise(self) -> float:
        """Mirostat's bound for the next token, in bits; infinite where it is off."""
        return self._surprise

    @property
    def room(self) -> int | None:
        """For how many tokens the temperature holds for certain; None: to the end."""
        return None if self._follower is None else self._follower.certain_tokens

    def advance(self, ids: Sequence[int], probabilities: Sequence[float]) -> None:
        """Go past tokens, chosen with these probabilities."""
        if self._follower is not None:
            for token in ids:
                self._follower.advance(token)
        if self._options.mirostat:
            for _, probability in zip(ids, probabilities, strict=False):
                self._surprise = next_surprise(self._surprise, probability, self._options)
