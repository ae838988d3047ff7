"""What a series is shifted and divided by before a network reads it, and how that is undone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from textgen.errors import CorpusError

Floats = TypeVar("Floats", float, NDArray[np.float64])

#: The largest output that a squashed network without a readout is asked for: 1 it never reaches.
_LARGEST_OUTPUT = 0.8


@dataclass(frozen=True)
class Scaling:
    """A number x of the series is `(x - shift) / divisor` for the network.

    Args:
        shift: In the units of the series.
        divisor: In the units of the series, above 0.
        reason: Why these, in words.
    """

    shift: float
    divisor: float
    reason: str = ""

    def apply(self, values: Floats) -> Floats:
        """Numbers of the series as the network reads them."""
        return (values - self.shift) / self.divisor

    def undo(self, values: Floats) -> Floats:
        """Numbers of the network in the units of the series."""
        return values * self.divisor + self.shift


def choose_scaling(values: NDArray[np.float64], *, readout: bool, nonlinearity: str) -> Scaling:
    """What to shift and divide a series by.

    A network with a readout gets mean 0 and standard deviation 1. Without one its output is the
    prediction: a linear or rectified unit must not be shifted, so that its state of zero before a
    window is zero in the series too, and the output of a squashed one lies between -1 and 1.

    Args:
        values: The training part, `(N,)`.
        readout: Whether a linear readout makes the prediction of the network's output.
        nonlinearity: Of the network without one.
    Raises:
        CorpusError: The numbers are too large to be told apart in float64.
    """
    low, high = float(values.min()), float(values.max())
    with np.errstate(over="ignore"):
        if readout:
            shift, divisor = float(values.mean()), float(values.std())
            reason = "the mean and the standard deviation of the training part"
        elif nonlinearity == "tanh":
            shift, divisor = low / 2 + high / 2, (high / 2 - low / 2) / _LARGEST_OUTPUT
            reason = "so that the training part lies between -0.8 and 0.8, where tanh can follow"
        else:
            shift, divisor = 0.0, max(abs(low), abs(high))
            reason = "the largest number of the training part; not shifted, so that 0 stays 0"
    if not np.isfinite([shift, divisor]).all():
        raise CorpusError(
            f"the numbers go from {low:g} to {high:g}, too far for their squares to be computed; "
            "divide them by a power of ten"
        )
    # A series of equal numbers has no spread to divide by.
    if divisor <= 1e-12 * max(abs(low), abs(high)):
        divisor, reason = abs(shift) or 1.0, "all numbers of the training part are equal"
    return Scaling(shift, divisor, reason)
