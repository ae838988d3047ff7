"""A direction in a layer's state along which a property can be read and written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from textgen.errors import InspectionError, named
from textgen.inspection.trace import STATES
from textgen.model.edit import StateName
from textgen.model.network import Network
from textgen.probing.activations import Features, read_projection
from textgen.probing.examples import Examples
from textgen.probing.probe import Probe, fit_probe
from textgen.probing.statistics import Bools, Doubles, Floats, Score, score_of, thresholds
from textgen.probing.unit_selection import Selector


@dataclass(frozen=True, kw_only=True, eq=False)
class Direction:
    """A direction in one layer's state that separates the two kinds.

    Args:
        kind: `probe` or `difference`.
        layer: The layer.
        state: `c` or `h`.
        read_H: The vector that the state is projected on.
        write_H: The vector that the state is moved along; `read . write` is 1.
        mean: Mean of the projection over all tokens read.
        sd: Its standard deviation there.
        score: Figures of the projection on the held-out part; the threshold is from the training
            part.
    """

    kind: str
    layer: int
    state: StateName
    read_H: Floats
    write_H: Floats
    mean: float
    sd: float
    score: Score


def find_direction(
    kind: str,
    network: Network,
    examples: Examples,
    features: Features,
    quantity: str,
    selector: Selector,
) -> Direction:
    """The direction in the layer whose own probe is best on the validation part.

    `probe`: the state is read by the weights of an L1 probe on the neurons of that layer. It is
    moved along the pattern that belongs to these weights: the covariance of the state times the
    weights. The weights themselves also cancel what the neurons share, so they are not a direction
    to push. The covariance is taken over tokens, and so is the standard deviation in which a dose
    is measured, because steering moves the state at each token. Means over texts vary in other
    directions and far less: a pattern taken from them would move some neurons much further than
    they ever go. Source: Haufe et al. 2014, NeuroImage 87, theorem 1.

    `difference`: the state is moved along the difference between the means of the two kinds. It is
    read by that difference with each neuron divided by its variance, so that neurons with large
    values do not hide the others. Nothing is fitted and no neuron is left out; it often steers
    better. Source: Marks and Tegmark 2023, arXiv:2310.06824 (mass-mean probing, here with only the
    diagonal of the covariance).

    Raises:
        InspectionError: No layer separates the two kinds.
    """
    size = network.config.hidden_size
    probes = [
        fit_probe(
            features.raw_NU[:, layer * size : (layer + 1) * size],
            examples.labels_N,
            examples.part_N,
        )
        for layer in range(network.config.num_layers)
    ]
    layer = int(np.argmax([probe.validation_accuracy for probe in probes]))
    values_NH = features.raw_NU[:, layer * size : (layer + 1) * size].astype(np.float64)
    labels = examples.labels_N[selector.train]
    train_NH = values_NH[selector.train]
    write_H: Doubles | None = None
    if kind == "probe":
        read_H = _weights(probes[layer])
    else:
        read_H, write_H = _difference(train_NH, labels)
    read = read_H.astype(np.float32)
    spread = read_projection(network, examples, quantity, layer, read)
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


def _weights(probe: Probe) -> Doubles:
    """The probe's weights of raw values, at length 1."""
    read_H = probe.weight_U / probe.scale_U
    length = float(np.linalg.norm(read_H))
    if length == 0.0:
        raise _nothing()
    result: Doubles = read_H / length
    return result


def _difference(values_NH: Doubles, labels_N: Bools) -> tuple[Doubles, Doubles]:
    """The difference of the means divided by the variances, at length 1, and the difference."""
    ups, downs = values_NH[labels_N], values_NH[~labels_N]
    step_H = ups.mean(axis=0) - downs.mean(axis=0)
    share = labels_N.mean()
    variance_H = share * ups.var(axis=0) + (1.0 - share) * downs.var(axis=0)
    # A neuron that hardly varies within a kind, or only by rounding, must not dominate.
    floor_H = np.maximum(0.01 * values_NH.var(axis=0), 1e-6)
    read_H = step_H / np.maximum(variance_H, floor_H)
    length = float(np.linalg.norm(read_H))
    if length == 0.0:
        raise _nothing()
    read_H = read_H / length
    return read_H, step_H / (step_H @ read_H)


def _nothing() -> InspectionError:
    return InspectionError(
        "the two kinds do not differ in any layer, so there is no direction to keep; search "
        f"without {named('direction')} first"
    )
