"""What was found, and the controls beside it, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.model.edit import StateName
from textgen.probing.examples import PROTOCOLS
from textgen.probing.probe import Probe, Score
from textgen.probing.reading import STATES, unseen
from textgen.probing.selection import UnitTable
from textgen.table import Table


@dataclass(frozen=True, kw_only=True)
class FoundNeuron:
    """A unit and its figures; those without `train` are of the held-out part.

    Args:
        layer: Layer, from 0.
        unit: Unit, from 0.
        quantity: `cell` or `hidden`.
        sign: 1 where the positive kind lies above the threshold, -1 where below.
        threshold: In units of the quantity. With the protocol `mean` and the cell state, the value
            of which the mean of tanh is what it is compared with.
        auc: Chance that a positive example lies further in the direction of the sign.
        accuracy: Mean of the two kinds' accuracies.
        p_value: Two-sided Mann-Whitney, of independent examples.
        p_corrected: The same, corrected for all units of the network (Holm).
        train_auc: As `auc`, on the part it was chosen on.
        mean: Mean of the quantity over all tokens read.
        sd: Its standard deviation there.
        chosen: Whether it is the best on the training part, which the controls are of.
    """

    layer: int
    unit: int
    quantity: str
    sign: int
    threshold: float
    auc: float
    accuracy: float
    p_value: float
    p_corrected: float
    train_auc: float
    mean: float
    sd: float
    chosen: bool

    @property
    def name(self) -> str:
        """As it is typed: `0:137`."""
        return f"{self.layer}:{self.unit}"

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class Control:
    """One control and what it says of the claim that the chosen neuron carries the property.

    Args:
        name: Its key in the JSON.
        figures: What was measured.
        shown: The figure to set beside the neuron's, as it is printed.
        holds: Whether the claim survives it; None where it only sets a scale.
        meaning: A plain sentence.
    """

    name: str
    figures: Mapping[str, Any]
    shown: str
    holds: bool | None
    meaning: str

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**self.figures, "holds": self.holds, "meaning": self.meaning}


@dataclass(frozen=True, kw_only=True, eq=False)
class Direction:
    """A direction in one layer's state that tells the kinds apart.

    Args:
        kind: `probe` or `difference`.
        layer: The layer.
        state: `c` or `h`.
        read_H: What the state is projected on.
        write_H: What it is moved along; `read . write` is 1.
        mean: Mean of the projection over all tokens read.
        sd: Its standard deviation there.
        score: Of the projection on the held-out part, its cut from the training part.
    """

    kind: str
    layer: int
    state: StateName
    read_H: NDArray[np.float32]
    write_H: NDArray[np.float32]
    mean: float
    sd: float
    score: Score


@dataclass(frozen=True, kw_only=True, eq=False)
class FindReport:
    """The answer to which neurons carry a property.

    Args:
        neurons: Those found, the best on held-out text first; empty where nothing was found.
        chosen: The unit that was best on the training part, found or not, by no held-out figure:
            the controls are of it.
        probe: The probe on all units.
        probe_score: Its figures on the held-out part.
        controls: All of them.
        data: What was asked, how much of it there was, how it was split.
        alpha: Chance of any finding where there is nothing.
        units: Every unit's figures, by column.
        mean_U: Mean of every unit over all tokens read.
        sd_U: Their standard deviation.
        hidden_size: Units of a layer.
        quantity: `cell` or `hidden`.
        direction: The direction, where one was asked for.
    """

    neurons: tuple[FoundNeuron, ...]
    chosen: FoundNeuron
    probe: Probe
    probe_score: Score
    controls: tuple[Control, ...]
    data: Mapping[str, Any]
    alpha: float
    units: UnitTable
    mean_U: NDArray[np.float64]
    sd_U: NDArray[np.float64]
    hidden_size: int
    quantity: str
    direction: Direction | None = None

    @property
    def kept(self) -> FoundNeuron | None:
        """The neuron to keep: of those found the best on the training part; None: none was found.

        That is `chosen`, unless held-out text did not confirm it.
        """
        return max(self.neurons, key=lambda neuron: neuron.train_auc, default=None)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        order = np.argsort(-np.abs(self.probe.weight_U), kind="stable")[: self.probe.nonzero]
        record = {
            "neurons": [neuron.to_dict() for neuron in self.neurons],
            "probe": {
                "accuracy": self.probe_score.accuracy,
                "auc": self.probe_score.auc,
                "validation_accuracy": self.probe.validation_accuracy,
                "nonzero": self.probe.nonzero,
                "units": len(self.probe.weight_U),
                "C": self.probe.strength,
                "intercept": self.probe.intercept,
                "weights": [
                    {**self._place(int(column)), "weight": float(self.probe.weight_U[column])}
                    for column in order
                ],
            },
            "controls": {control.name: control.to_dict() for control in self.controls},
            "data": dict(self.data),
            "alpha": self.alpha,
            "best_on_training": self.chosen.to_dict(),
        }
        if self.direction is not None:
            record["direction"] = {
                "kind": self.direction.kind,
                "layer": self.direction.layer,
                "state": self.direction.state,
                "mean": self.direction.mean,
                "sd": self.direction.sd,
                "accuracy": self.direction.score.accuracy,
                "auc": self.direction.score.auc,
            }
        return record

    def table(self) -> Table:
        """Every unit of the network: those found first, then by AUC on held-out text."""
        names = [name for name in vars(self.chosen) if name != "chosen"]
        order = np.lexsort((-self.units.auc_U, ~self.units.found_U)).tolist()
        return Table.from_records(
            [*names, "found", "chosen"],
            (
                {**neuron_at(self, column).to_dict(), "found": bool(self.units.found_U[column])}
                for column in order
            ),
        )

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Figures of every unit, each `(layers, units)`, and the probe's weights."""
        table = self.units
        arrays: dict[str, NDArray[np.generic]] = {
            "auc": table.auc_U,
            "accuracy": table.accuracy_U,
            "sign": table.sign_U,
            "threshold": np.array([unseen(cut, self.quantity) for cut in table.threshold_U]),
            "p_value": table.p_value_U,
            "p_corrected": table.corrected_U,
            "train_auc": np.where(table.sign_U > 0, table.train_auc_U, 1.0 - table.train_auc_U),
            "found": table.found_U,
            "mean": self.mean_U,
            "sd": self.sd_U,
            "probe_weight": self.probe.weight_U,
            "probe_center": self.probe.center_U,
            "probe_scale": self.probe.scale_U,
        }
        shaped = {name: array.reshape(-1, self.hidden_size) for name, array in arrays.items()}
        if self.direction is not None:
            shaped["direction_read"] = self.direction.read_H
            shaped["direction_write"] = self.direction.write_H
        return shaped

    def _place(self, column: int) -> dict[str, int]:
        layer, unit = divmod(column, self.hidden_size)
        return {"layer": layer, "unit": unit}


def neuron_at(report: FindReport, column: int) -> FoundNeuron:
    """The figures of the unit in a column."""
    return make_neuron(
        report.units, column, report.hidden_size, report.quantity, report.mean_U, report.sd_U
    )


def make_neuron(
    table: UnitTable,
    column: int,
    hidden_size: int,
    quantity: str,
    mean_U: NDArray[np.float64],
    sd_U: NDArray[np.float64],
) -> FoundNeuron:
    """The figures of the unit in a column, the threshold in units of the quantity."""
    layer, unit = divmod(column, hidden_size)
    sign = int(table.sign_U[column])
    train_auc = float(table.train_auc_U[column])
    return FoundNeuron(
        layer=layer,
        unit=unit,
        quantity=quantity,
        sign=sign,
        threshold=unseen(float(table.threshold_U[column]), quantity),
        auc=float(table.auc_U[column]),
        accuracy=float(table.accuracy_U[column]),
        p_value=float(table.p_value_U[column]),
        p_corrected=float(table.corrected_U[column]),
        train_auc=train_auc if sign > 0 else 1.0 - train_auc,
        mean=float(mean_U[column]),
        sd=float(sd_U[column]),
        chosen=column == table.chosen,
    )


def describe_protocol(protocol: str, quantity: str) -> str:
    """What an example's features are, in words."""
    what = "tanh of the cell state" if quantity == "cell" else "the hidden state"
    return f"{what}: {PROTOCOLS[protocol]} ({STATES[quantity]}, {protocol})"
