"""Mean and spread of every unit's states over a text: what a dose of steering is measured in."""

from __future__ import annotations

from collections.abc import Iterable

from textgen.inspection.moments import Moments
from textgen.inspection.trace import Trace
from textgen.steering import Calibration
from textgen.steering.target import QUANTITY_OF


def calibrate(chunks: Iterable[Trace], *, model: str, source: str) -> Calibration:
    """Measure what is traced.

    Args:
        chunks: Of a text that is not empty, in any order; with the quantities `hidden` and, where
            the cell has one, `cell`, of all units. Each is dropped before the next is asked for.
        model: Sum over the model's weights.
        source: What text it is, for people.
    """
    moments: dict[str, Moments] = {}
    tokens = 0
    for chunk in chunks:
        tokens += len(chunk)
        for name, values in chunk.arrays.items():
            moments.setdefault(name, Moments(values.shape[1])).add(values)
    figures = {
        (layer, state): moments[name].summary()
        for name in moments
        for layer in [int(name.split(".")[1])]
        for state, quantity in QUANTITY_OF.items()
        if name.endswith(f".{quantity}")
    }
    return Calibration(
        mean={place: mean for place, (mean, _, _, _) in figures.items()},
        sd={place: sd for place, (_, sd, _, _) in figures.items()},
        model=model,
        source=source,
        tokens=tokens,
    )
