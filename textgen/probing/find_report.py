"""The result of a search: neurons, probe, controls, and what of it can be steered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.errors import InspectionError, named
from textgen.heat import LATENT, neuron_place
from textgen.inspection.trace import STATES
from textgen.messages import Message
from textgen.notebook import Part, Shown
from textgen.probing.activations import Features, unseen
from textgen.probing.direction import Direction
from textgen.probing.examples import PROTOCOLS
from textgen.probing.probe import Probe
from textgen.probing.statistics import Score
from textgen.probing.unit_selection import UnitTable
from textgen.steering.target import Target, check_name
from textgen.table import Column, Entry, Table

#: Of a neuron what is no figure of it, so that it is in no array.
_PLACE = ("layer", "unit", "quantity", "chosen", "saved_as")


@dataclass(frozen=True)
class FoundNeuron:
    """A neuron and its figures, which are of the held-out part where the name has no `train`.

    It may also be what was asked about: a direction, or whatever else can be steered.

    Args:
        layer: Layer, from 0.
        unit: Unit within the layer, from 0; None for what is no single neuron.
        quantity: `cell`, `hidden` or `latent`.
        sign: 1 where the positive kind lies above the threshold, -1 where below.
        threshold: In units of the quantity. With the protocol `mean` and the cell state, the value
            whose tanh is compared with the mean of tanh.
        auc: Chance that a positive example lies further in the direction of the sign.
        accuracy: Mean of the two kinds' accuracies.
        p_value: Two-sided p-value of the Mann-Whitney test on independent examples.
        p_corrected: The same, corrected for all neurons of the network (Holm).
        train_auc: As `auc`, on the part it was chosen on.
        mean: Mean of the quantity over all tokens read.
        sd: Its standard deviation there.
        found: Whether it is reported.
        chosen: Whether it is the best on the training part. The controls are about this neuron,
            unless another was asked about.
        saved_as: The name under which it was saved, where it was asked about by that.
    """

    layer: int
    unit: int | None
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
    found: bool
    chosen: bool
    saved_as: str = ""

    @property
    def name(self) -> str:
        """The name as it is typed: `0:137`, `latent:12`, `sentiment`."""
        if self.saved_as:
            return self.saved_as
        assert self.unit is not None, "what is no single neuron has a name"
        return neuron_place(self.layer, self.unit, self.quantity)

    @property
    def called(self) -> str:
        """What it is called in sentences: `neuron 0:137`, `latent:12`, `'sentiment'`."""
        if self.saved_as:
            return f"'{self.saved_as}'"
        return self.name if self.quantity == LATENT else f"neuron {self.name}"

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain data."""
        left_out = {"found", *(() if self.saved_as else ("saved_as",))}
        return {name: value for name, value in vars(self).items() if name not in left_out}


@dataclass(frozen=True, kw_only=True)
class Control:
    """One control, and what it says about the claim that the chosen neuron carries the property.

    Args:
        name: Its key in the JSON.
        figures: What was measured.
        shown: The figure to compare with the neuron's, as it is printed.
        holds: Whether the claim survives it; None if it only sets a scale.
        meaning: A plain sentence.
    """

    name: str
    figures: Mapping[str, Any]
    shown: str
    holds: bool | None
    meaning: str

    def to_dict(self) -> dict[str, Any]:
        """The control as plain data."""
        return {**self.figures, "holds": self.holds, "meaning": self.meaning}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FindReport(Shown):
    """Which neurons carry a property.

    Args:
        units: Every neuron of the network, by layer and unit.
        probe: The probe on all of them.
        probe_score: Its figures on the held-out part.
        controls: The controls.
        data: The question, the number of examples and how they were split.
        alpha: Chance of finding anything where there is nothing.
        direction: The direction, if one was asked for.
        asked: What the controls are about, where it was asked for by name.
        latent: What is kept as what is steered, where it is a latent.
    """

    units: tuple[FoundNeuron, ...]
    probe: Probe
    probe_score: Score
    controls: tuple[Control, ...]
    data: Mapping[str, Any]
    alpha: float
    direction: Direction | None = None
    asked: FoundNeuron | None = None
    latent: Target | None = None

    @property
    def headline(self) -> str:
        """The question, and how many neurons carry the property."""
        return f"'{self.data['positive']}' or '{self.data['negative']}'? {self.verdict}"

    def parts(self) -> Iterable[Part]:
        """What was asked, what came out, and the controls."""
        yield from self.question()
        yield self.best()
        yield Table(
            ("control", "holds", Column("shown", "accuracy"), "meaning"),
            (
                (
                    control.name.replace("_", " "),
                    {True: "✓", False: "✗", None: "·"}[control.holds],
                    control.shown,
                    str(Message(control.meaning)),
                )
                for control in self.controls
            ),
            title=f"controls of the claim that {self.subject.called} carries it",
        )

    @cached_property
    def neurons(self) -> tuple[FoundNeuron, ...]:
        """The neurons found, the best on held-out text first."""
        found = (neuron for neuron in self.units if neuron.found)
        return tuple(sorted(found, key=lambda neuron: -neuron.auc))

    @cached_property
    def chosen(self) -> FoundNeuron:
        """The neuron that was best on the training part, found or not."""
        return next(neuron for neuron in self.units if neuron.chosen)

    @property
    def kind(self) -> str:
        """What the units are, in sentences: `neuron` or `latent`."""
        return LATENT if self.data["quantity"] == LATENT else "neuron"

    @property
    def subject(self) -> FoundNeuron:
        """What the controls are about: what was asked for, else `chosen`."""
        return self.asked or self.chosen

    @property
    def kept(self) -> FoundNeuron | None:
        """The neuron to save: the best on the training part of those found; None: none was found.

        It is `chosen`, unless held-out text did not confirm that one; where one was asked about,
        it is that, and None for what is neither a neuron nor a latent.
        """
        if self.asked is not None:
            return None if self.asked.unit is None and self.latent is None else self.asked
        return max(self.neurons, key=lambda neuron: neuron.train_auc, default=None)

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        order = np.argsort(-np.abs(self.probe.weight_U), kind="stable")[: self.probe.nonzero]
        record = {
            "neurons": [neuron.to_dict() for neuron in self.neurons],
            "probe": {
                **vars(self.probe_score),
                "validation_accuracy": self.probe.validation_accuracy,
                "nonzero": self.probe.nonzero,
                "units": len(self.probe.weight_U),
                "C": self.probe.strength,
                "intercept": self.probe.intercept,
                "weights": [
                    {"layer": unit.layer, "unit": unit.unit, "weight": float(weight)}
                    for unit, weight in zip(
                        map(self.units.__getitem__, order.tolist()),
                        self.probe.weight_U[order],
                        strict=True,
                    )
                ],
            },
            "controls": {control.name: control.to_dict() for control in self.controls},
            "data": dict(self.data),
            "alpha": self.alpha,
            "best_on_training": self.chosen.to_dict(),
        }
        if self.asked is not None:
            record["asked"] = self.asked.to_dict()
        if self.direction is not None:
            figures = ("kind", "layer", "state", "mean", "sd")
            record["direction"] = {
                **{name: getattr(self.direction, name) for name in figures},
                **vars(self.direction.score),
            }
        return record

    def question(self) -> list[str]:
        """What was asked and how it was measured, in sentences."""
        data = self.data
        held, train = data["counts"]["held_out"], data["counts"]["train"]
        encodings = ", ".join(dict.fromkeys(data["encodings"]))
        source = f"{data['source']} ({encodings})" if encodings else data["source"]
        alone = data["split"]["independent"]
        independent = (
            f"{alone['positive']:,} + and {alone['negative']:,} - of those measured on are "
            "independent of each other; only these count in the tests"
        )
        return [
            f"which {self.kind}s distinguish '{data['positive']}' (+) from "
            f"'{data['negative']}' (-)?",
            f"{source}: {sum(train.values()):,} {data['task']} to choose on, "
            f"{sum(held.values()):,} to measure on ({held['positive']:,} + and "
            f"{held['negative']:,} -), {data['tokens']:,} tokens read",
            *([independent] if alone != held else []),
            f"each {self.kind} is compared by {data['features']}; accuracy is the mean over both "
            "classes; chance gives an accuracy and an AUC of 0.5",
            *data["notes"],
        ]

    @property
    def verdict(self) -> str:
        """How many neurons carry the property, in a sentence."""
        found = f"{len(self.neurons):,}" if self.neurons else "None"
        return (
            f"{found} of {len(self.units):,} {self.kind}s carry it beyond chance at "
            f"{self.alpha:.0%}, corrected for all {self.kind}s."
        )

    def best(self, top: int = 5) -> Table:
        """The best neurons found, the one the controls are about, the probe and the direction."""
        shown, score, direction = self.neurons[:top], self.probe_score, self.direction
        about = [] if self.subject in shown else [self.subject]
        notes = {id(self.chosen): "best on training", id(self.asked): "asked about"}
        rows: list[tuple[Entry, ...]] = [
            (
                f"{neuron.called} {neuron.quantity}".removesuffix(f" {LATENT}"),
                "+" if neuron.sign > 0 else "-",
                *(neuron.accuracy, neuron.auc, neuron.p_corrected),
                notes.get(id(neuron), ""),
            )
            for neuron in (*shown, *about)
        ]
        name = f"L1 probe, {self.probe.nonzero:,} of {len(self.units):,} {self.kind}s"
        rows.append((name, "", score.accuracy, score.auc, None, ""))
        if direction is not None:
            name = f"direction, layer {direction.layer}"
            own = direction.score
            rows.append((name, "", own.accuracy, own.auc, None, direction.kind))
        return Table(
            (
                Column("name", "on held-out examples"),
                "sign",
                Column("accuracy", format=".3f"),
                Column("auc", "AUC", ".3f"),
                Column("p_corrected", "p", ".1e"),
                Column("note", ""),
            ),
            rows,
        )

    def table(self) -> Table:
        """A row for every neuron: those found first, then by AUC on held-out text."""
        ordered = sorted(self.units, key=lambda unit: (not unit.found, -unit.auc))
        columns = [name for name in vars(self.chosen) if name != "saved_as"]
        return Table.from_records(columns, map(vars, ordered))

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """The figures of every neuron, each `(layers, units)`, and the weights of the probe."""
        names = [name for name in vars(self.chosen) if name not in _PLACE]
        figures = {name: np.array([vars(unit)[name] for unit in self.units]) for name in names}
        figures["probe_weight"] = self.probe.weight_U
        figures["probe_center"] = self.probe.center_U
        figures["probe_scale"] = self.probe.scale_U
        layers = self.units[-1].layer - self.units[0].layer + 1
        arrays: dict[str, NDArray[np.generic]] = {
            name: array.reshape(layers, -1) for name, array in figures.items()
        }
        if self.direction is not None:
            arrays["direction_read"] = self.direction.read_H
            arrays["direction_write"] = self.direction.write_H
        return arrays


def all_neurons(
    table: UnitTable, features: Features, width: int, quantity: str, first_layer: int = 0
) -> tuple[FoundNeuron, ...]:
    """The figures of every neuron; the thresholds are in units of the quantity.

    Args:
        table: The figures, column by column.
        features: What they were computed from.
        width: The columns of a layer.
        quantity: `cell`, `hidden` or `latent`.
        first_layer: The layer of the first column.
    """
    columns = (
        table.sign_U,
        np.array([unseen(cut, quantity) for cut in table.threshold_U.tolist()]),
        table.auc_U,
        table.accuracy_U,
        table.p_value_U,
        table.corrected_U,
        np.where(table.sign_U > 0, table.train_auc_U, 1.0 - table.train_auc_U),
        features.mean_U,
        features.sd_U,
        table.found_U,
        np.arange(len(table.auc_U)) == table.chosen,
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return tuple(
        FoundNeuron(first_layer + column // width, column % width, quantity, *row)
        for column, row in enumerate(rows)
    )


def asked_neuron(
    table: UnitTable, features: Features, target: Target, threshold: float
) -> FoundNeuron:
    """The figures of a target that is no single neuron: the only column of both."""
    return FoundNeuron(
        layer=target.layer,
        unit=None,
        quantity=target.quantity,
        sign=int(table.sign_U[0]),
        threshold=threshold,
        auc=float(table.auc_U[0]),
        accuracy=float(table.accuracy_U[0]),
        p_value=float(table.p_value_U[0]),
        p_corrected=float(table.corrected_U[0]),
        train_auc=float(max(table.train_auc_U[0], 1.0 - table.train_auc_U[0])),
        mean=float(features.mean_U[0]),
        sd=float(features.sd_U[0]),
        found=bool(table.found_U[0]),
        chosen=False,
        saved_as=target.name,
    )


def describe_protocol(protocol: str, quantity: str) -> str:
    """What the features of an example are, in words."""
    if quantity == LATENT:
        return f"its activation: {PROTOCOLS[protocol]} ({protocol})"
    what = "tanh of the cell state" if quantity == "cell" else "the hidden state"
    return f"{what}: {PROTOCOLS[protocol]} ({STATES[quantity]}, {protocol})"


def neuron_target(report: FindReport, name: str, *, model: str = "") -> Target:
    """What `report.kept` names as a steering target; a positive dose steers to the positive kind.

    Args:
        name: The name to save it under.
        model: Checksum of the model's weights.
    Raises:
        InspectionError: No neuron was found.
        ConfigError: The name is not valid.
    """
    name, neuron = check_name(name), report.kept
    if neuron is None:
        raise InspectionError(
            f"no {report.kind} was found, so nothing can be saved; a direction of many neurons "
            f"may work: {named('direction', 'difference')}"
        )
    info = {
        **_info(report),
        "kind": "neuron",
        "threshold": neuron.threshold,
        "accuracy": neuron.accuracy,
        "auc": neuron.auc,
    }
    if report.latent is not None:
        info |= report.latent.info
        return replace(report.latent, name=name, sign=neuron.sign, model=model, info=info)
    return Target(
        name=name,
        layer=neuron.layer,
        state=STATES[neuron.quantity],
        unit=neuron.unit,
        mean=neuron.mean,
        sd=neuron.sd,
        sign=neuron.sign,
        model=model,
        info=info,
    )


def direction_target(report: FindReport, name: str, *, model: str = "") -> Target:
    """The direction of a report as a steering target; it was asked for in `FindOptions`.

    Raises:
        ConfigError: The name is not valid.
    """
    direction = report.direction
    assert direction is not None, "a direction has to be asked for"
    return Target(
        name=check_name(name),
        layer=direction.layer,
        state=direction.state,
        read=direction.read_H,
        write=direction.write_H,
        mean=direction.mean,
        sd=direction.sd,
        model=model,
        info={
            **_info(report),
            "kind": direction.kind,
            **vars(direction.score),
        },
    )


def _info(report: FindReport) -> dict[str, Any]:
    data = report.data
    keys = ("source", "positive", "negative", "protocol", "tokens")
    return {key: data[key] for key in keys}
