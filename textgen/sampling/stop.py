"""Where a generated text ends before its length: at a stop text, or at the end of a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.messages import Message, named
from textgen.sampling.seed import is_surrogate, shown

StopReason = Literal["stop", "sentence"]

SENTENCE_ENDS = frozenset(".!?…")
#: What may close a sentence after its end: quotes and brackets. `“` closes in German and Russian.
CLOSERS = frozenset("\"'»”“’›)]}")


@dataclass(frozen=True)
class FittedStop:
    """A stop text as a model can write it.

    Args:
        text: Normalised as the model's texts were.
        notice: One line for the user where no text of the model can contain it; None where one
            can.
    """

    text: str
    notice: str | None = None


def fit_stop(
    text: str, vocabulary: Vocabulary, normalization: Normalization, end: str = ""
) -> FittedStop:
    """Normalise a stop text as a model's texts were, and see whether the model can write it.

    Args:
        text: The stop text.
        vocabulary: The model's symbols.
        normalization: What the model's texts went through.
        end: What is written between two documents, which the vocabulary need not have.
    """
    fitted = _normalized(text, normalization)
    if not fitted:
        # Nothing of it is left in any text; as it is, it is never found there.
        return FittedStop(text, _never(text, "the model's texts were folded to words"))
    lacking = dict.fromkeys(char for char in fitted if not _can_write(char, vocabulary, end))
    if not lacking:
        return FittedStop(fitted)
    chars = " or ".join(_quoted(char) for char in lacking)
    return FittedStop(fitted, _never(fitted, f"the model's vocabulary has no {chars}"))


def _never(text: str, reason: str) -> Message:
    return Message(f"{named('stop')} {_quoted(text)} can never occur: {reason}")


def _normalized(text: str, normalization: Normalization) -> str:
    """`text` as it stands in the middle of a normalised text."""
    fitted = normalization.apply(text)
    if not (normalization.fold and fitted):
        return fitted
    # Folding joins words by single spaces and has none at the ends of a text.
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() else ""
    return f"{before}{fitted}{after}"


def _quoted(text: str) -> str:
    """In quotes, line ends and tabs as they are typed; or as code points."""
    typed = text.replace("\n", "\\n").replace("\t", "\\t")
    return f"'{typed}'" if typed != text and typed.isprintable() else shown(text)


def _can_write(char: str, vocabulary: Vocabulary, end: str) -> bool:
    if char in end:
        return True
    if vocabulary.level == "byte":
        return not is_surrogate(char)
    if vocabulary.level == "char":
        return char in vocabulary.symbol_index()
    return any(char in symbol for symbol in vocabulary.symbols)


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
