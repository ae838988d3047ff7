"""How a model learns while it reads: a step of gradient descent after each stretch of the text.

With the gradient g of the mean cost of the stretch, and the weights w0 as they were trained,

    v = w - rate * g / (RMS + 0.1 * mean of all RMS)
    w = v + pull * (w0 - v)

where g / (...) is scaled down so that the root of its mean square over all weights is 2 at most: on
a text of another kind gradients are a hundred times as large, and without a bound the weights are
lost at once.

Source: Krause, Kahembwe, Murray and Renals 2018, "Dynamic Evaluation of Neural Sequence Models",
section 4: SGD divided by the root of the mean squared gradients on the training text, with a decay
to the trained weights. Here the RMS is one number for each row of a matrix, and one for a vector: a
number for each weight would double the file, and gained a sixtieth more (docs/log.md). The mean in
the divisor keeps rows whose gradients are small from being thrown far.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.model.config import ModelConfig

Floats = NDArray[np.float32]

#: What of the mean of all RMS is added to that of a row.
MEAN_SHARE = 0.1
#: The most that the root of the mean square of all divided gradients may be: it is about 1 on the
#: training text.
MOST = 2.0
#: RMS are not taken for less: a row that no gradient reached has none.
LEAST_RMS = 2.0**-40
#: What wrong data can raise when a rule is made from it.
_BAD_DATA = (ValueError, TypeError, LookupError, AttributeError, binascii.Error)


@dataclass(frozen=True, eq=False)
class AdaptationRule:
    """How far a model steps; `fit_adaptation` fits it.

    Args:
        rate: The learning rate; 0: the model stays as it is, for learning did not help.
        pull: The share of the way back to the trained weights that each step goes.
        stretch: Tokens from one step to the next, a multiple of `reach`.
        reach: Tokens that a gradient reaches back at most.
        scales: The RMS of the gradient on the training text, by the names of the weights that are
            trained: of each row of a matrix `(rows,)`, of a vector `(1,)`.
        fitted_tokens: Validation tokens that rate and pull were fitted on.
        gain: Nats a token that were gained there.
    """

    rate: float
    pull: float
    stretch: int
    reach: int
    scales: Mapping[str, Floats]
    fitted_tokens: int = 0
    gain: float = 0.0

    @property
    def most(self) -> float:
        """The largest root of the mean square of a step."""
        return MOST * self.rate

    def divisors(self) -> dict[str, Floats]:
        """What each row's gradient is divided by, shaped as in `scales`."""
        total = sum(float(rms.sum(dtype=np.float64)) for rms in self.scales.values())
        rows = sum(rms.size for rms in self.scales.values())
        mean = np.float32(MEAN_SHARE * total / rows)
        return {name: rms + mean for name, rms in self.scales.items()}

    def to_json(self) -> dict[str, Any]:
        """As plain data: the RMS as logarithms to the base 2 in half precision, within 1 %."""
        logs = np.concatenate([np.log2(np.maximum(rms, LEAST_RMS)) for rms in self.scales.values()])
        return {
            "rate": self.rate,
            "pull": self.pull,
            "stretch": self.stretch,
            "reach": self.reach,
            "fitted_tokens": self.fitted_tokens,
            "gain": self.gain,
            "scales": base64.b64encode(logs.astype("<f2").tobytes()).decode("ascii"),
        }

    @classmethod
    def from_json(cls, data: object, config: ModelConfig) -> AdaptationRule | None:
        """The rule that `to_json` wrote of a model of that shape; None where it is none."""
        shapes = scale_shapes(config)
        try:
            assert isinstance(data, dict)
            logs = np.frombuffer(base64.b64decode(data["scales"], validate=True), "<f2")
            rms = np.exp2(logs.astype(np.float32))
            numbers = [float(data[name]) for name in ("rate", "pull", "gain")]
            counts = [int(data[name]) for name in ("stretch", "reach", "fitted_tokens")]
        except (*_BAD_DATA, AssertionError):
            return None
        rate, pull, gain = numbers
        stretch, reach, fitted = counts
        ends = np.cumsum(list(shapes.values()))
        fits = len(rms) == ends[-1] and bool(np.isfinite(rms).all())
        sane = math.isfinite(gain) and 0 <= rate < 1 and 0 <= pull < 1
        if not (fits and sane and 0 < reach <= stretch and stretch % reach == 0):
            return None
        scales = dict(zip(shapes, np.split(rms, ends[:-1]), strict=True))
        return cls(rate, pull, stretch, reach, scales, fitted, gain)


def scale_shapes(config: ModelConfig) -> dict[str, int]:
    """How many RMS each weight that is trained has: one a row, and one for a vector."""
    return {
        name: shape[0] if len(shape) > 1 else 1
        for name, shape in config.tensor_shapes().items()
        if name not in config.untrained
    }


def descend(
    weights: Mapping[str, Floats],
    start: Mapping[str, Floats],
    gradients: Mapping[str, Floats],
    rule: AdaptationRule,
) -> dict[str, Floats]:
    """One step, with NumPy: the specification of what `textgen.native.net.Descent` does.

    Args:
        weights: By name, those that are trained at least.
        start: The same as they were trained.
        gradients: Of the mean cost of a stretch.
        rule: How far it goes.
    Returns:
        The weights after the step, by the names in `rule.scales`.
    """
    divisors = rule.divisors()
    steps = {
        name: np.float32(rule.rate)
        / divisor.reshape(-1, *[1] * (gradients[name].ndim - 1))
        * gradients[name]
        for name, divisor in divisors.items()
    }
    squares = sum(float(np.square(step, dtype=np.float64).sum()) for step in steps.values())
    root = math.sqrt(squares / sum(step.size for step in steps.values()))
    scale = np.float32(rule.most / root if root > rule.most else 1.0)
    after = {}
    for name, step in steps.items():
        moved = weights[name] - scale * step
        after[name] = moved + np.float32(rule.pull) * (start[name] - moved)
    return after
