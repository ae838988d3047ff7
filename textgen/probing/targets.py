"""What was found, as something that can be named, kept and steered."""

from __future__ import annotations

from typing import Any

from textgen.errors import InspectionError
from textgen.probing.reading import STATES
from textgen.probing.report import FindReport
from textgen.steering.target import Target, check_name


def neuron_target(report: FindReport, name: str, *, model: str = "") -> Target:
    """The neuron `report.kept` under a name; a dose is positive towards the positive kind.

    Args:
        report: What was found.
        name: The name to keep it by.
        model: Sum over the model's weights.
    Raises:
        InspectionError: No neuron was found.
        ConfigError: That is no name.
    """
    neuron = report.kept
    if neuron is None:
        raise InspectionError(
            "no neuron was found, so there is none to save; a direction of many units may do: "
            f"--save {check_name(name)} --direction difference"
        )
    return Target(
        name=check_name(name),
        layer=neuron.layer,
        state=STATES[neuron.quantity],
        unit=neuron.unit,
        mean=neuron.mean,
        sd=neuron.sd,
        sign=neuron.sign,
        model=model,
        info={
            **_info(report),
            "kind": "neuron",
            "threshold": neuron.threshold,
            "accuracy": neuron.accuracy,
            "auc": neuron.auc,
        },
    )


def direction_target(report: FindReport, name: str, *, model: str = "") -> Target:
    """The direction under a name.

    Args:
        report: Made with `FindOptions.direction`.
        name: The name to keep it by.
        model: Sum over the model's weights.
    Raises:
        ConfigError: That is no name.
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
            "accuracy": direction.score.accuracy,
            "auc": direction.score.auc,
        },
    )


def _info(report: FindReport) -> dict[str, Any]:
    data = report.data
    keys = ("source", "positive", "negative", "protocol", "tokens")
    return {key: data[key] for key in keys}
