"""One intervention: what is done to a target, how strongly, and when."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, get_args

from textgen.errors import ConfigError
from textgen.model.edit import Edit
from textgen.model.neuron import neuron_title
from textgen.steering.schedule import ALWAYS, Span
from textgen.steering.target import Target

Mode = Literal["clamp", "add", "scale", "off"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """Something done to a target.

    The modes, on the target's coordinate `p` with mean `m` and standard deviation `s`:

        clamp   p becomes m + dose * s: dose 0 holds it at its mean
        add     p becomes p + dose * s
        scale   p becomes dose * p: 1 changes nothing
        off     p becomes 0: ablation

    In clamp and add a target of negative sign takes the dose with the other sign.

    Args:
        target: A neuron or a direction.
        dose: In standard deviations for clamp and add, a factor for scale; `off` has none (0).
        mode: One of `MODES`.
        span: When it acts.
    Raises:
        ConfigError: The dose is not finite or the mode unknown.
    """

    target: Target
    dose: float = 0.0
    mode: Mode = "clamp"
    span: Span = ALWAYS

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"'{self.mode}' is no way to steer; choose: {', '.join(MODES)}")
        if not isfinite(self.dose):
            raise ConfigError(f"the dose {self.dose} is not finite; doses are mostly -5..+5")

    @property
    def edit(self) -> Edit:
        """What it does to the state."""
        target = self.target
        shift = target.sign * self.dose * target.sd
        if self.mode == "clamp":
            return target.edit(0.0, target.mean + shift)
        if self.mode == "add":
            return target.edit(1.0, shift)
        return target.edit(self.dose if self.mode == "scale" else 0.0, 0.0)

    def describe(self) -> str:
        """What it does and on which scale, for a person."""
        target = self.target
        where = f"a direction of layer {target.layer}, {target.quantity} state"
        if target.unit is not None:
            where = neuron_title(target.layer, target.unit, target.quantity)
        scale = f"mean {target.mean:.3g}, standard deviation {target.sd:.3g}"
        source = target.info.get("calibrated_on")
        said = f"{self}: {where}; {scale}{'' if source is None else f' on {source}'}"
        if self.is_unfelt:
            return (
                f"{said}. There the rest of the network, which sees tanh(c), hardly tells values "
                f"apart, so this will do little; steer the output: {target.layer}:{target.unit}.h"
            )
        return said

    @property
    def is_unfelt(self) -> bool:
        """Whether a cell is held or moved where tanh is flat, at its mean and all around it."""
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
        mode = "" if self.mode == "clamp" else f":{self.mode}"
        # The shortest form that is read as the same number.
        dose = f"{float(self.dose):+}".removesuffix(".0")
        return f"{self.target.name}={dose}{mode}{span}"
