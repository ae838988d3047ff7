"""Gate saturation: how often each gate of each neuron is open or closed on a text.

A gate below 0.1 is left-saturated (closed), above 0.9 right-saturated (open). A neuron whose forget
gate is open nearly always keeps for long what it has read; one whose forget gate is closed nearly
always reads the current token alone.
Source: Karpathy, Johnson and Li 2015, arXiv:1506.02078.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.cells import Cell
from textgen.errors import InspectionError
from textgen.inspection.trace import Trace, as_chunks, quantities
from textgen.messages import call, named
from textgen.notebook import Part, Shown
from textgen.table import Column, Table
from textgen.terminal.humanize import percent, plural

#: A gate is left-saturated below the one and right-saturated above the other.
LEFT, RIGHT = 0.1, 0.9
#: A neuron is saturated almost always where it is for more than this share of the time.
ALMOST_ALWAYS = 0.9

Shares = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class GateSaturation:
    """One gate of one layer, neuron by neuron.

    Args:
        layer: The layer, from 0.
        gate: Its name as a quantity, such as `forget-gate`.
        left: Share of the time below `LEFT`, `(U,)`, each from 0 to 1.
        right: Share of the time above `RIGHT`, `(U,)`.
    """

    layer: int
    gate: str
    left: Shares
    right: Shares

    @property
    def mean_left(self) -> float:
        """Mean of `left` over the neurons."""
        return float(self.left.mean())

    @property
    def mean_right(self) -> float:
        """Mean of `right` over the neurons."""
        return float(self.right.mean())

    @property
    def almost_always_left(self) -> int:
        """How many neurons are left-saturated for more than `ALMOST_ALWAYS` of the time."""
        return int(np.count_nonzero(self.left > ALMOST_ALWAYS))

    @property
    def almost_always_right(self) -> int:
        """How many neurons are right-saturated for more than `ALMOST_ALWAYS` of the time."""
        return int(np.count_nonzero(self.right > ALMOST_ALWAYS))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class GateReport(Shown):
    """The gates of a model over a text.

    Args:
        tokens: How many tokens were read.
        gates: Layer by layer, the gates in the order of the cell's equations.
    """

    tokens: int
    gates: tuple[GateSaturation, ...]

    @property
    def headline(self) -> str:
        """How many gates of how many neurons over how much text."""
        layers = plural(len({gate.layer for gate in self.gates}), "layer")
        names = ", ".join(dict.fromkeys(gate.gate for gate in self.gates))
        units = plural(len(self.gates[0].left), "neuron")
        return f"{names} of {layers} of {units}, over {plural(self.tokens, 'token')}"

    def parts(self) -> Iterable[Part]:
        """The chart of Karpathy, Johnson and Li, a row for each layer, and the means."""
        from textgen.terminal.chart import Chart, Series

        for layer, gates in groupby(self.gates, key=lambda gate: gate.layer):
            yield tuple(
                Chart(
                    series=(
                        Series(
                            name="",
                            points=tuple(zip(gate.left.tolist(), gate.right.tolist(), strict=True)),
                            joined=False,
                            marked=False,
                        ),
                    ),
                    x_label=f"share below {LEFT}",
                    y_label=f"share above {RIGHT}",
                    x_limits=(0.0, 1.0),
                    y_limits=(0.0, 1.0),
                    title=f"layer {layer}, {gate.gate}",
                )
                for gate in gates
            )
        yield "in the charts, each point is a neuron"
        yield self.means()

    def to_json(self) -> dict[str, Any]:
        """The report as plain data, ready for `json.dumps`."""
        return {
            "tokens": self.tokens,
            "left_below": LEFT,
            "right_above": RIGHT,
            "almost_always_above": ALMOST_ALWAYS,
            "gates": [
                {**means, "left": gate.left.tolist(), "right": gate.right.tolist()}
                for means, gate in zip(self.means().records(), self.gates, strict=True)
            ],
        }

    def means(self) -> Table:
        """A row for each gate of each layer: the means over its neurons."""
        nearly = "neurons nearly always"
        return Table(
            (
                "layer",
                "gate",
                Column("mean_left", f"time < {LEFT}", percent),
                Column("mean_right", f"time > {RIGHT}", percent),
                Column("almost_always_left", f"{nearly} < {LEFT}"),
                Column("almost_always_right", f"{nearly} > {RIGHT}"),
            ),
            (
                (
                    gate.layer,
                    gate.gate,
                    *(gate.mean_left, gate.mean_right),
                    *(gate.almost_always_left, gate.almost_always_right),
                )
                for gate in self.gates
            ),
            notes=[
                f"of {len(self.gates[0].left):,} neurons in a layer; nearly always means more than "
                f"{ALMOST_ALWAYS:.0%} of the time"
            ],
        )

    def table(self) -> Table:
        """A row for each neuron of each gate."""
        return Table(
            ("layer", "gate", "unit", "left", "right"),
            (
                (gate.layer, gate.gate, unit, float(left), float(right))
                for gate in self.gates
                for unit, (left, right) in enumerate(zip(gate.left, gate.right, strict=True))
            ),
        )

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """`layers.<layer>.<gate>.left` and `.right`, `(U,)`, and `tokens`."""
        arrays: dict[str, NDArray[np.generic]] = {"tokens": np.array(self.tokens)}
        for gate in self.gates:
            arrays[f"layers.{gate.layer}.{gate.gate}.left"] = gate.left
            arrays[f"layers.{gate.layer}.{gate.gate}.right"] = gate.right
        return arrays


def gate_quantities(cell: Cell) -> tuple[str, ...]:
    """The quantities of `cell` that are gates: of an LSTM three, of a GRU two.

    Raises:
        InspectionError: It has none.
    """
    names = tuple(name for name in quantities(cell) if name.endswith("-gate"))
    if not names:
        raise InspectionError(
            f"a model of {cell.name} cells has no gates, only a state "
            f"({call('inspect neurons', show='hidden')}); models trained with "
            f"{named('cell', 'lstm')} or {named('cell', 'gru')} have gates"
        )
    return names


def gate_report(source: Trace | Iterable[Trace]) -> GateReport:
    """Count for each gate of each neuron how often it is saturated.

    Args:
        source: A trace, or the chunks of one or of a survey in any order: each is dropped before
            the next is asked for. Every quantity in it that is a gate is counted.
    Raises:
        InspectionError: No gate was traced, or there is no token.
    """
    tokens = 0
    counts: dict[tuple[int, str], NDArray[np.int64]] = {}
    for chunk in as_chunks(source):
        tokens += len(chunk)
        for layer in chunk.units:
            for name in chunk.quantities:
                if name.endswith("-gate"):
                    values_TU = chunk.arrays[f"layers.{layer}.{name}"]
                    counted = np.stack(
                        [
                            np.count_nonzero(values_TU < LEFT, axis=0),
                            np.count_nonzero(values_TU > RIGHT, axis=0),
                        ]
                    )
                    counts[layer, name] = counts.get((layer, name), 0) + counted
    if not counts:
        raise InspectionError("no gate was traced; ask for those of textgen.inspection.quantities")
    if not tokens:
        raise InspectionError("the text is empty; give at least one character")
    return GateReport(
        tokens=tokens,
        gates=tuple(
            GateSaturation(layer=layer, gate=name, left=left / tokens, right=right / tokens)
            for (layer, name), (left, right) in sorted(counts.items(), key=lambda item: item[0][0])
        ),
    )
