"""Values that colour a text, and the scale on which they do, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Share of the values that a robust scale covers; the rest are drawn in its last colour.
ROBUST_SHARE = 0.99


#: The quantity whose units are latents of a dictionary instead of neurons.
LATENT = "latent"


def neuron_place(layer: int, unit: int, quantity: str) -> str:
    """A neuron as it is typed, `0:75`; a latent of a dictionary, `latent:75`."""
    return f"{LATENT}:{unit}" if quantity == LATENT else f"{layer}:{unit}"


def neuron_title(layer: int, unit: int, quantity: str) -> str:
    """One quantity of one neuron as every view shows it: `neuron 0:75 cell`, `latent:75`."""
    place = neuron_place(layer, unit, quantity)
    return place if quantity == LATENT else f"neuron {place} {quantity}"


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatRow:
    """One number for each piece of a text, and the scale on which the numbers become colours.

    Args:
        name: Such as `layers.0.cell[137]`, or `surprise`; a key of JSON, CSV and NumPy files.
        values: One number for each piece of the view, `(len(pieces),)`, in float32.
        mean: Mean of the values.
        sd: Their standard deviation.
        minimum: The lowest.
        maximum: The highest.
        low: Value at the lower end of the colour scale; `-high` where the sign matters.
        high: Value at its upper end. Values beyond an end take its colour.
        layer: Layer of the neuron; None if it is none.
        unit: Its unit; None if it is none.
        quantity: What is shown of the neuron, such as `cell`.
        measure: Unit of the values, such as "bits"; "" for a pure number.
        note: One more line to print with it; "" for none.
    """

    name: str
    values: NDArray[np.float32]
    mean: float
    sd: float
    minimum: float
    maximum: float
    low: float
    high: float
    layer: int | None = None
    unit: int | None = None
    quantity: str = ""
    measure: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The row as plain data, without what it does not have."""
        record = {
            "name": self.name,
            "layer": self.layer,
            "unit": self.unit,
            "measure": self.measure or None,
            "mean": self.mean,
            "sd": self.sd,
            "min": self.minimum,
            "max": self.maximum,
            "low": self.low,
            "high": self.high,
            "values": self.values.tolist(),
        }
        return {key: value for key, value in record.items() if value is not None}

    @property
    def title(self) -> str:
        """What stands above it: `neuron 0:137 cell`, or its name where it is no neuron."""
        if self.layer is None or self.unit is None:
            return self.name
        return neuron_title(self.layer, self.unit, self.quantity)


def scale_limits(values: NDArray[np.floating], quantity: str) -> tuple[float, float]:
    """The ends of the colour scale.

    Gates: 0 and 1. The candidate: -1 and 1. Surprise and influence: from 0 to the 99th percentile.
    States and changes: symmetric about 0, reaching the 99th percentile of the absolute value, so
    that one outlier does not pale the rest.
    """
    if quantity.endswith("-gate"):
        return 0.0, 1.0
    if quantity == "candidate":
        return -1.0, 1.0
    sizes = np.abs(values)
    high = float(np.quantile(sizes, ROBUST_SHARE)) if sizes.size else 0.0
    # All zero, or so small that dividing by it would overflow: any scale will do.
    high = high if high > 1e-30 else 1.0
    return (0.0 if quantity in ("surprise", "influence") else -high), high


def heat_row(name: str, values: NDArray[np.floating], shown: str, **about: Any) -> HeatRow:
    """A row with the figures of its values, and the colour scale of what is `shown`.

    `about` are the fields of `HeatRow` from `layer` on.
    """
    low, high = scale_limits(values, shown)
    # The figures are sums over the whole text, so they are made in float64.
    wide = values.astype(np.float64) if values.size else np.zeros(1)
    return HeatRow(
        name=name,
        # A copy of its own: a column would keep the whole trace alive.
        values=values.astype(np.float32),
        mean=float(wide.mean()),
        sd=float(wide.std()),
        minimum=float(wide.min()),
        maximum=float(wide.max()),
        low=low,
        high=high,
        **about,
    )
