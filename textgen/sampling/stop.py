"""Where a generated text ends before its length: at a stop text, or at the end of a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

StopReason = Literal["stop", "sentence"]

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


class StopMatcher:
    """Reads the generated text piece by piece and says what may be printed.

    Text is held back while it could still be the beginning of a stop text, so that what is
    printed at once and what is printed at the end are the same.

    Args:
        stop: Texts that end the generation and are not printed. The one that is complete first
            counts, of several the longest.
        until_sentence: Whether the white space after a sentence ends it too; see `SampleOptions`.
    """

    def __init__(self, stop: Sequence[str] = (), until_sentence: bool = False) -> None:
        self._stop = sorted(stop, key=len, reverse=True)
        self._until_sentence = until_sentence
        self._held = ""
        self._sentences = SentenceEnds()

    def feed(self, text: str) -> tuple[str, StopReason | None]:
        """Read the next piece.

        Returns:
            What may be printed now, and why the text ends here, or `None`. After an end nothing
            is held back: `flush` has nothing to add.
        """
        if not self._stop and not self._until_sentence:
            return text, None
        printed: list[str] = []
        for char in text:
            if self._until_sentence and self._sentences.ends_before(char):
                return "".join(printed) + self.flush(), "sentence"
            self._held += char
            for stop in self._stop:
                if self._held.endswith(stop):
                    printed.append(self._held.removesuffix(stop))
                    self._held = ""
                    return "".join(printed), "stop"
            keep = self._prefix_length()
            printed.append(self._held[: len(self._held) - keep])
            self._held = self._held[len(self._held) - keep :]
        return "".join(printed), None

    def flush(self) -> str:
        """The text still held back: to be printed where the generation ends otherwise."""
        text, self._held = self._held, ""
        return text

    def _prefix_length(self) -> int:
        """Length of the longest end of the held text that begins a stop text."""
        for length in range(len(self._held), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stop):
                return length
        return 0
