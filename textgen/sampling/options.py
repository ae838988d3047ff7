"""The settings of a generated text."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real

from textgen.errors import SamplingError, named
from textgen.values import make_plain

#: Random seeds lie below this.
RNG_LIMIT = 2**64


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """How a text is generated.

    Args:
        length: Characters to generate at most, the seed not counted. A byte model ends with the
            last whole character, a word model with the word that reaches the length.
        temperature: What the logits are divided by; 1 is off, 0 takes the likeliest symbol.
        top_k: Symbols to choose among; 0 is off.
        top_p: Probability mass to choose from, in `(0, 1]`; 1 is off.
        min_p: Least probability as a share of the likeliest symbol's, in `[0, 1]`; 0 is off.
        repetition_penalty: Weakens symbols seen among the last `repetition_window`; 1 is off,
            below 1 it strengthens them.
        repetition_window: Tokens of seed and generated text that the penalty looks at. All of a
            long text would hold every letter and so tell nothing: 64 is about a line.
        stop: Texts that end the generation where the generated text first contains one; the stop
            text itself is left out. None by default.
        until_sentence: Whether to end with the first sentence that holds a generated word. A
            sentence ends at `.`, `!`, `?` or `…`, closing quotes and brackets after it included,
            before white space; abbreviations are not recognised.
        until_end: Whether the end-of-document mark may be chosen; it ends the text.
        keep_going: Whether the mark may be chosen and another document begins after it, as the
            first did: the text ends at its length, or at a stop.
        separator: What is written between two documents then; it counts as part of the text.
        history: Tokens that the network sees at each prediction, the state from zero before them;
            0 carries the state on from the beginning of the text, as is usual.
        rng: Seed of the random generator, in `[0, 2**64)`.
    Raises:
        SamplingError: A setting lies outside its range.
    """

    length: int = 500
    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    repetition_window: int = 64
    stop: tuple[str, ...] = ()
    until_sentence: bool = False
    until_end: bool = False
    keep_going: bool = False
    separator: str = "\n\n"
    history: int = 0
    rng: int = 0

    def __post_init__(self) -> None:
        make_plain(self, SamplingError)
        _require_whole("length", self.length, 0)
        _require_whole("top_k", self.top_k, 0)
        _require_whole("history", self.history, 0)
        _require_whole("repetition_window", self.repetition_window, 1)
        _require_whole("rng", self.rng, 0)
        if self.rng >= RNG_LIMIT:
            raise SamplingError(f"{named('rng')} is {self.rng}; it must lie in 0..2**64 - 1")
        _require_range("temperature", self.temperature, "0 or above", lambda x: x >= 0)
        _require_range("top_p", self.top_p, "in (0, 1]; 1 is off", lambda x: 0 < x <= 1)
        _require_range("min_p", self.min_p, "in [0, 1]; 0 is off", lambda x: 0 <= x <= 1)
        _require_range(
            "repetition_penalty", self.repetition_penalty, "above 0; 1 is off", lambda x: x > 0
        )
        object.__setattr__(self, "stop", _stop_texts(self.stop))
        if self.until_end and self.keep_going:
            raise SamplingError(
                f"{named('until_end')} and {named('keep_going')} contradict each other; give one"
            )
        if not (isinstance(self.separator, str) and self.separator):
            raise SamplingError(
                f"separator is {self.separator!r}; it must be a text of at least one character"
            )

    @property
    def may_end(self) -> bool:
        """Whether the end-of-document mark may be chosen."""
        return self.until_end or self.keep_going

    @property
    def end_text(self) -> str:
        """What an end-of-document mark is written as: "" where it ends the text."""
        return self.separator if self.keep_going else ""


def _require_whole(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SamplingError(
            f"{named(name)} is {value!r}; it must be a whole number, at least {least}"
        )


def _require_range(
    name: str, value: object, expected: str, inside: Callable[[float], bool]
) -> None:
    if not (isinstance(value, Real) and math.isfinite(value) and inside(float(value))):
        raise SamplingError(f"{named(name)} is {value!r}; it must be {expected}")


def _stop_texts(value: object) -> tuple[str, ...]:
    """As a tuple; a bare string would pass for a sequence of its characters."""
    if not isinstance(value, (tuple, list)) or not all(isinstance(text, str) for text in value):
        raise SamplingError(f"stop is {value!r}; it must be a tuple of texts, such as ('.',)")
    if "" in value:
        raise SamplingError(f"{named('stop')} is empty; it must hold at least one character")
    return tuple(value)
