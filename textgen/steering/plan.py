"""Several interventions over a text: which edits act at which of its characters."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any, Protocol

from textgen.errors import ConfigError
from textgen.model.config import ModelConfig
from textgen.model.edit import NO_EDITS, Edits
from textgen.steering.intervention import Intervention
from textgen.steering.schedule import ALWAYS, Span


class Steering(Protocol):
    """What a text is steered by while it is written.

    Characters are those that were generated, from 0; character `n` is chosen from a state that
    `edits_at(n, ...)` changed. Sentences are counted from 1, the first being the one in which the
    writing begins.
    """

    @property
    def counts_sentences(self) -> bool:
        """Whether it asks for the number of the sentence."""
        ...

    def edits_at(self, char: int, sentence: int) -> Edits:
        """What acts on the state that a character is chosen from."""
        ...

    def next_change(self, char: int) -> int | None:
        """The first character after `char` at which other edits may act, sentences apart; None
        where there will be none."""
        ...


class SteeringPlan:
    """Interventions that were settled before the text is written; a `Steering`.

    Args:
        interventions: They act in this order.
    Raises:
        ConfigError: Two of them clamp the same target at the same time.
    """

    def __init__(self, interventions: Iterable[Intervention]) -> None:
        self.interventions = tuple(interventions)
        self._edits = tuple(part.edit for part in self.interventions)
        self._known: dict[tuple[int, ...], Edits] = {}
        for first, second in combinations(self.interventions, 2):
            if _contradict(first, second):
                raise ConfigError(
                    f"'{first}' and '{second}' hold the same thing at two values at the same "
                    "time; leave out one, or give them stretches apart, such as @0..60 and @60.."
                )

    def check(self, config: ModelConfig) -> None:
        """Refuse a model that does not have what is steered.

        Raises:
            ConfigError: It has not.
        """
        for part in self.interventions:
            part.target.check(config)

    @property
    def is_constant(self) -> bool:
        """Whether everything acts always."""
        return all(part.span == ALWAYS for part in self.interventions)

    @property
    def counts_sentences(self) -> bool:
        """Whether one of them is scheduled by sentences."""
        return any(part.span.by_sentence for part in self.interventions)

    def edits_at(self, char: int, sentence: int) -> Edits:
        """What acts on the state that a character is chosen from; the same object for the same."""
        active = tuple(
            number
            for number, part in enumerate(self.interventions)
            if part.span.holds(char, sentence)
        )
        if not active:
            return NO_EDITS
        if active not in self._known:
            self._known[active] = tuple(self._edits[number] for number in active)
        return self._known[active]

    def next_change(self, char: int) -> int | None:
        """The next border of a span after `char`."""
        borders = (part.span.next_border(char) for part in self.interventions)
        return min((border for border in borders if border is not None), default=None)

    def describe(self) -> list[str]:
        """What is done and on which scale, a line each, for a person."""
        return [part.describe() for part in self.interventions]

    def to_json(self) -> list[dict[str, Any]]:
        """As plain data."""
        return [part.to_json() for part in self.interventions]

    def __str__(self) -> str:
        """As it is typed, one specification for each intervention."""
        return " ".join(map(str, self.interventions))


def _contradict(first: Intervention, second: Intervention) -> bool:
    a, b = first.target, second.target
    same = (a.layer, a.state) == (b.layer, b.state) and (
        a.name == b.name if a.unit is None or b.unit is None else a.unit == b.unit
    )
    clamps = first.mode in ("clamp", "off") and second.mode in ("clamp", "off")
    return same and clamps and _overlap(first.span, second.span)


def _overlap(first: Span, second: Span) -> bool:
    """Whether two spans may share a character; of characters and sentences nobody knows."""
    if first.by_sentence != second.by_sentence:
        whole = [span for span in (first, second) if span == ALWAYS]
        return bool(whole)
    starts = max(first.start, second.start)
    return all(span.stop is None or starts < span.stop for span in (first, second))
