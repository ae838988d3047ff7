"""Steering by hand: a dose that a person changes while the text is written."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from textgen.errors import ConfigError
from textgen.model.config import ModelConfig
from textgen.model.edit import Edits
from textgen.steering.intervention import Intervention, SteeringPlan
from textgen.steering.target import Target
from textgen.text_spans import Span

#: By how much a key changes the dose, and how far, in standard deviations.
STEP, LARGEST_DOSE = 0.5, 10.0


class LiveSteering:
    """One target whose dose may change at any time, and fixed interventions; a `Steering`.

    The dose acts in the usual mode of the target, after all else has acted. It counts from the
    first character that is chosen under it: what is set while a character is being written, or
    several times between two, leaves no trace. So the schedule of its doses writes the same text
    again.

    Args:
        target: What is clamped, or of a latent added to.
        dose: In standard deviations; None: it is free.
        base: What else is done.
    Raises:
        ConfigError: `base` clamps the same target, or the dose is not finite.
    """

    _dose: float | None

    def __init__(
        self, target: Target, dose: float | None = None, base: SteeringPlan | None = None
    ) -> None:
        self.target = target
        self.base = SteeringPlan(()) if base is None else base
        try:
            SteeringPlan([*self.base.interventions, Intervention(target=target)])
        except ConfigError as error:
            raise ConfigError(
                f"'{target.name}' is steered by hand and by '{self.base}'; leave one of them out"
            ) from error
        # From which character each dose acted, and which; only changes.
        self._changes: list[tuple[int, float | None]] = []
        self._asked = -1
        self._known: dict[tuple[Edits, float], Edits] = {}
        self.dose = dose

    @property
    def dose(self) -> float | None:
        """The dose from the next character on; None: the target is free."""
        return self._dose

    @dose.setter
    def dose(self, dose: float | None) -> None:
        if dose is not None:
            _ = Intervention(target=self.target, dose=dose).edit  # It says what is wrong with it.
        self._dose = dose

    def raise_(self) -> None:
        """Raise the dose by half a standard deviation, from the mean where the target was free."""
        self._move(STEP)

    def lower(self) -> None:
        """Lower it by half a standard deviation."""
        self._move(-STEP)

    def zero(self) -> None:
        """The dose 0: a neuron is held at its mean."""
        self.dose = 0.0

    def release(self) -> None:
        """Let the target go free."""
        self.dose = None

    def _move(self, step: float) -> None:
        dose = round((self._dose or 0.0) + step, 6)
        self.dose = min(max(dose, -LARGEST_DOSE), LARGEST_DOSE)

    def check(self, config: ModelConfig) -> None:
        """Check that a model has what is steered.

        Raises:
            ConfigError: It does not.
        """
        self.base.check(config)
        self.target.check(config)

    @property
    def counts_sentences(self) -> bool:
        """Whether a fixed intervention is scheduled by sentences."""
        return self.base.counts_sentences

    def edits_at(self, char: int, sentence: int) -> Edits:
        """What acts on the state that a character is chosen from.

        The dose at which a character is first asked for stays that of the character.
        """
        if char > self._asked:
            self._asked = char
            if not self._changes or self._changes[-1][1] != self._dose:
                self._changes.append((char, self._dose))
        base, dose = self.base.edits_at(char, sentence), self.dose_at(char)
        if dose is None:
            return base
        if (base, dose) not in self._known:
            held = Intervention(target=self.target, dose=dose).edit
            self._known[base, dose] = (*base, held)
        return self._known[base, dose]

    def next_change(self, char: int) -> int:
        """Every character may be the first of another dose."""
        return char + 1

    def dose_at(self, char: int) -> float | None:
        """The dose that a character was chosen under."""
        place = bisect_right(self._changes, char, key=lambda change: change[0])
        return self._changes[place - 1][1] if place else None

    def schedule(self, chars: int) -> tuple[Intervention, ...]:
        """The changes as interventions.

        Args:
            chars: How many characters the text has. What acts on the state after the last of them
                has chosen none, and is left out.
        """
        borders = [*self._changes, (chars, None)]
        return tuple(
            Intervention(target=self.target, dose=dose, span=Span(start, min(stop, chars)))
            for (start, dose), (stop, _) in pairwise(borders)
            if dose is not None and start < chars
        )

    def spec(self, chars: int) -> str | None:
        """The schedule as one specification; None where the target was always free."""
        name = f"{self.target.name}="
        doses = [str(part).removeprefix(name) for part in self.schedule(chars)]
        return name + ",".join(doses) if doses else None
