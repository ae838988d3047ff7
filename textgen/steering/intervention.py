"""Interventions: what is done to a target, how strongly and when; several of them are a plan."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from math import isfinite
from typing import Any, Literal, Protocol, get_args

from textgen.errors import ConfigError
from textgen.heat import neuron_title
from textgen.model.config import ModelConfig
from textgen.model.edit import NO_EDITS, Edit, Edits
from textgen.notebook import Part, Shown
from textgen.steering.target import Target
from textgen.text_spans import ALWAYS, Span, parse_span

Mode = Literal["clamp", "add", "scale", "off"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """What is done to a target, and when.

    The modes, on the target's coordinate `p` with mean `m` and standard deviation `s`:

        clamp   p becomes m + dose * s: dose 0 holds it at its mean
        add     p becomes p + dose * s
        scale   p becomes dose * p: 1 changes nothing
        off     p becomes 0: ablation

    In clamp and add a target of negative sign takes the dose with the other sign. A latent reads 0
    where `p + bias` is not above its threshold, not where `p` is 0: scale acts on this sum, and off
    holds the sum at 0, or `p` at its mean where that is lower.

    Args:
        target: A neuron or a direction.
        dose: In standard deviations for clamp and add, a factor for scale; `off` has none (0).
        mode: One of `MODES`; None: the usual one of the target: clamp, or add of a latent.
        span: When it acts.
    Raises:
        ConfigError: The dose is not finite or the mode unknown.
    """

    target: Target
    dose: float = 0.0
    mode: Mode | None = None
    span: Span = ALWAYS

    def __post_init__(self) -> None:
        if self.mode is None:
            object.__setattr__(self, "mode", self.target.usual_mode)
        if self.mode not in MODES:
            raise ConfigError(f"the mode '{self.mode}' is unknown; choose: {', '.join(MODES)}")
        if not isfinite(self.dose):
            raise ConfigError(f"the dose {self.dose} is not finite; usual doses lie in -5..+5")

    @property
    def edit(self) -> Edit:
        """What it does to the state."""
        target = self.target
        shift = target.sign * self.dose * target.sd
        if self.mode == "clamp":
            return target.edit(0.0, target.mean + shift)
        if self.mode == "add":
            return target.edit(1.0, shift)
        bias = 0.0 if target.threshold is None else target.bias
        if self.mode == "scale":
            return target.edit(self.dose, (self.dose - 1.0) * bias)
        return target.edit(0.0, 0.0 if target.threshold is None else min(target.mean, -bias))

    def describe(self) -> str:
        """What it does and on which scale, for a person."""
        target = self.target
        where = f"{target.what} of layer {target.layer}, {target.quantity} state"
        if target.unit is not None:
            where = neuron_title(target.layer, target.unit, target.quantity)
        scale = f"mean {target.mean:.3g}, standard deviation {target.sd:.3g}"
        source = target.info.get("calibrated_on")
        said = f"{self}: {where}; {scale}{'' if source is None else f' on {source}'}"
        if self.is_unfelt:
            return (
                f"{said}. There tanh is flat, and the rest of the network sees tanh(c), so this "
                f"will have little effect; steer the output: {target.layer}:{target.unit}.h"
            )
        return said

    @property
    def is_unfelt(self) -> bool:
        """Whether it clamps or moves a cell state where tanh is flat."""
        target = self.target
        if target.state != "c" or target.unit is None or self.mode not in ("clamp", "add"):
            return False
        moved = target.mean + target.sign * self.dose * target.sd
        around = (target.mean - 2 * target.sd, target.mean + 2 * target.sd, moved)
        # Beyond 3 all of tanh's change is a two-hundredth.
        return min(around) > 3.0 or max(around) < -3.0

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        target = self.target
        return {
            "spec": str(self),
            "name": target.name,
            "layer": target.layer,
            "state": target.state,
            "unit": target.unit,
            "mean": target.mean,
            "sd": target.sd,
            "sign": target.sign,
            "mode": self.mode,
            "dose": self.dose,
            "span": str(self.span),
        }

    def __str__(self) -> str:
        """As it is typed, without what is the default."""
        span = "" if self.span == ALWAYS else f"@{self.span}"
        if self.mode == "off":
            return f"{self.target.name}=off{span}"
        mode = "" if self.mode == self.target.usual_mode else f":{self.mode}"
        # The shortest form that is read as the same number.
        dose = f"{float(self.dose):+}".removesuffix(".0")
        return f"{self.target.name}={dose}{mode}{span}"


HOW_TO = (
    "write TARGET=DOSE, such as 0:137=+2, sentiment=-1.5:add, 0:137=off or "
    "sentiment=-2@0..60,+2@60.."
)


def parse_spec(text: str, target: Callable[[str], Target]) -> list[Intervention]:
    """Read one specification.

        TARGET=DOSE[:MODE][@SPAN][,DOSE[:MODE][@SPAN]]...

    TARGET is LAYER:UNIT, with `.h` or `.c` after it for the output or the cell state (default: the
    cell state where there is one), latent:NUMBER, or a name that was saved. DOSE is in standard
    deviations. MODE is `clamp` (default), `add` (default of a latent) or `scale`; `off` stands in
    place of a dose. SPAN is as in `parse_span`.

    Args:
        text: The specification.
        target: Gives the target of a name or of LAYER:UNIT.
    Raises:
        ConfigError: It cannot be read.
    """
    name, equals, doses = text.strip().partition("=")
    if not equals or not name.strip() or not doses.strip():
        raise ConfigError(f"'{text}' does not say what to steer and how; {HOW_TO}")
    if re.fullmatch(r"[-+−]?[0-9]+,[0-9]+", doses.strip()):
        raise ConfigError(
            f"'{text}' has a comma between digits; a fraction is written with a point, such as "
            "0:137=2.5, and two doses need spans of their own, such as 0:137=2@0..60,5@60.."
        )
    chosen = target(name.strip())
    return [_parse_dose(part.strip(), chosen, text) for part in doses.split(",")]


def _parse_dose(part: str, target: Target, whole: str) -> Intervention:
    match = re.fullmatch(
        r"(?:(?P<dose>[-+−]?[0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?)(?::(?P<mode>\w+))?|:?(?P<off>off))(?:@(?P<span>.*))?",
        part,
    )
    if match is None:
        raise ConfigError(f"'{part}' in '{whole}' is not a dose; {HOW_TO}")
    mode = match["off"] or match["mode"] or target.usual_mode
    if mode not in MODES:
        raise ConfigError(f"the mode '{mode}' in '{whole}' is unknown; choose: {', '.join(MODES)}")
    known: Mode = mode
    # A minus sign may come out of a text as the typographic one.
    dose = 0.0 if mode == "off" else float(match["dose"].replace("−", "-"))
    span = ALWAYS if match["span"] is None else parse_span(match["span"])
    return Intervention(target=target, dose=dose, mode=known, span=span)


def parse_specs(texts: Iterable[str], target: Callable[[str], Target]) -> tuple[Intervention, ...]:
    """Read several; they act in the order given."""
    return tuple(part for text in texts for part in parse_spec(text, target))


class Steering(Protocol):
    """What steers a text while it is written.

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


class SteeringPlan(Shown):
    """Interventions that are fixed before the text is written; a `Steering`.

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
                    f"'{first}' and '{second}' clamp the same target at two values at the same "
                    "time; leave one out, or give them separate spans, such as @0..60 and @60.."
                )

    @property
    def headline(self) -> str:
        """As it is typed."""
        return str(self) or "steers nothing"

    def parts(self) -> Iterable[Part]:
        """What is done, a sentence each."""
        return self.describe()

    def check(self, config: ModelConfig) -> None:
        """Check that a model has what is steered.

        Raises:
            ConfigError: It does not.
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
    return same and clamps and first.span.may_meet(second.span)
