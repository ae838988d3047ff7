"""A direction in a layer's state along which a property can be read, and written."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from textgen.errors import InspectionError
from textgen.probing.examples import Examples
from textgen.probing.machine import Machine
from textgen.probing.probe import Probe, fit_probe, score_of
from textgen.probing.ranks import thresholds
from textgen.probing.reading import STATES, Features, read_projection
from textgen.probing.report import Direction
from textgen.probing.selection import Selector

KINDS = ("probe", "difference")


def find_direction(
    kind: str,
    machine: Machine,
    examples: Examples,
    features: Features,
    quantity: str,
    selector: Selector,
) -> Direction:
    """The direction of the layer whose own probe does best on the validation slice.

    `probe`: the state is read by the weights of an L1 probe on that layer's units alone, in their
    own values; it is moved along the pattern that goes with these weights, the covariance of the
    state times them, because weights also cancel what the units share and are no place to push.
    The covariance is that over tokens, as is the standard deviation in which a dose is measured: a
    token is what is moved. Means over texts vary along other lines and far less, and a pattern
    taken from them would move some units many times further than they ever go.
    Source: Haufe et al. 2014, NeuroImage 87, theorem 1.

    `difference`: the state is moved along the difference of the two kinds' means, and read by that
    difference with each unit divided by its variance, so that cells which count far up do not drown
    the others. Nothing is fitted and no unit is left out, and it often steers better.
    Source: Marks and Tegmark 2023, arXiv:2310.06824 (mass-mean probing, here with the diagonal of
    the covariance alone).

    Args:
        kind: `probe` or `difference`.
        machine: The network.
        examples: The task.
        features: Of it.
        quantity: `cell` or `hidden`.
        selector: Knows the parts.
    Raises:
        InspectionError: No layer tells the kinds apart at all.
    """
    size = machine.config.hidden_size
    probes = [
        fit_probe(
            features.raw_NU[:, layer * size : (layer + 1) * size],
            examples.labels_N,
            examples.part_N,
        )
        for layer in range(machine.config.num_layers)
    ]
    layer = int(np.argmax([probe.validation_accuracy for probe in probes]))
    values_NH = features.raw_NU[:, layer * size : (layer + 1) * size].astype(np.float64)
    labels = examples.labels_N[selector.train]
    train_NH = values_NH[selector.train]
    write_H: NDArray[np.float64] | None = None
    if kind == "probe":
        read_H = _weights(probes[layer])
    else:
        read_H, write_H = _difference(train_NH, labels)
    read = read_H.astype(np.float32)
    spread = read_projection(machine, examples, quantity, layer, read)
    if write_H is None:
        write_H = spread.pattern_H
    if write_H is None:
        raise _nothing()
    projection_N = values_NH @ read_H
    cut = float(thresholds(projection_N[selector.train, None], labels, np.ones(1, np.int64))[0])
    return Direction(
        kind=kind,
        layer=layer,
        state=STATES[quantity],
        read_H=read,
        write_H=write_H.astype(np.float32),
        mean=spread.mean,
        sd=spread.sd,
        score=score_of(projection_N[selector.test], examples.labels_N[selector.test], cut),
    )


def _weights(probe: Probe) -> NDArray[np.float64]:
    """The probe's weights of raw values, at length 1."""
    read_H = probe.weight_U / probe.scale_U
    length = float(np.linalg.norm(read_H))
    if length == 0.0:
        raise _nothing()
    result: NDArray[np.float64] = read_H / length
    return result


def _difference(
    values_NH: NDArray[np.float64], labels_N: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The difference of the means divided by the variances, at length 1, and the difference."""
    ups, downs = values_NH[labels_N], values_NH[~labels_N]
    step_H = ups.mean(axis=0) - downs.mean(axis=0)
    share = labels_N.mean()
    variance_H = share * ups.var(axis=0) + (1.0 - share) * downs.var(axis=0)
    # Neither a unit that hardly varies within a kind nor one of rounding alone may be all of it.
    floor_H = np.maximum(0.01 * values_NH.var(axis=0), 1e-6)
    read_H = step_H / np.maximum(variance_H, floor_H)
    length = float(np.linalg.norm(read_H))
    if length == 0.0:
        raise _nothing()
    read_H = read_H / length
    return read_H, step_H / (step_H @ read_H)


def _nothing() -> InspectionError:
    return InspectionError(
        "the two kinds do not differ in any layer, so there is no direction to keep; look at what "
        "is found without --save first"
    )
