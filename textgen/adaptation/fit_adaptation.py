"""The rule by which a model learns while it reads, fitted on its own text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.adaptation.adaptation_rule import AdaptationRule, Floats, scale_shapes
from textgen.adaptation.adapting_reader import AdaptingReader, read_stretch
from textgen.corpus.vocabulary import END_ID
from textgen.model.head import nats_of
from textgen.model.native_network import NativeNetwork
from textgen.progress import Task, task

Tokens = NDArray[np.integer[Any]]

#: Validation tokens to fit on at most.
FIT_TOKENS = 10_000
#: Tokens from one step to the next, and how far back gradients reach in them. Longer stretches are
#: tried with so much of the rate: reading is half again as fast then.
STRETCH, REACH = 64, 16
LONG_STRETCH, LONG_RATE = 128, 1.5
#: Stretches of the training text whose gradients are measured, each after so many other tokens.
GRADIENTS, WARM_UP = 96, 64
#: The rate that is tried first, the factor to the next one, and between which it may lie.
FIRST_RATE, FACTOR, LEAST_RATE, MOST_RATE = 1e-3, 2.0, 6e-5, 4.1e-3
#: The pull that rates are tried with, and the others that are tried then.
FIRST_PULL, OTHER_PULLS = 0.002, (0.008,)
#: The share of the best gain that a smaller rate, or the longer stretch, must have to be preferred.
NEARLY = 0.95
#: Nats a token that must be gained; with less the model stays as it is. 0.004 bits: what helps so
#: little on one text can cost as much on another.
LEAST_GAIN = 0.003


def fit_adaptation(
    network: NativeNetwork,
    train: Tokens,
    val: Tokens,
    *,
    poll: Callable[[], object] = lambda: None,
) -> AdaptationRule:
    """Fit how far a model steps while it reads.

    The gradients are measured on stretches of the training text. Rate and pull are those that made
    the validation text cheapest, of rates that double from one to the next; the rate is 0 where
    none helped.

    Args:
        network: The trained model; it has its weights again afterwards.
        train: The tokens that it was trained on.
        val: Tokens of other text of the same kind; all of them are read several times.
        poll: Called after each stretch that was read; what it raises ends the fit.
    """
    weights = network.arrays()
    with task("fitting how it learns while it reads") as fitting:
        try:
            return _fitted(network, weights, train, val, fitting, poll)
        finally:
            network.load_arrays(weights)


def _fitted(
    network: NativeNetwork,
    weights: dict[str, Floats],
    train: Tokens,
    val: Tokens,
    fitting: Task,
    poll: Callable[[], object],
) -> AdaptationRule:
    scales = gradient_scales(network, train, poll=poll)
    fitting.advance()

    def cost_at(rate: float, pull: float = FIRST_PULL, stretch: int = STRETCH) -> float:
        """Nats a token of the validation text."""
        network.load_arrays(weights)
        rule = AdaptationRule(rate, pull, stretch, REACH, scales)
        total = 0.0
        for part, logits_NV in AdaptingReader(network, rule).read(val):
            total += float(nats_of(logits_NV, part).sum(dtype=np.float64))
            poll()
        fitting.advance()
        return total / len(val) if math.isfinite(total) else math.inf

    costs = {0.0: cost_at(0.0, 0.0), FIRST_RATE: cost_at(FIRST_RATE)}
    # Downhill along the rates, from the first one to the first that is worse than the one before.
    for factor in (FACTOR, 1 / FACTOR):
        rate = FIRST_RATE
        while costs[rate] == min(costs.values()) or rate == FIRST_RATE:
            rate *= factor
            if not LEAST_RATE <= rate <= MOST_RATE:
                break
            costs[rate] = cost_at(rate)
        if min(costs, key=costs.__getitem__) > FIRST_RATE:
            break
    gains = {rate: costs[0.0] - cost for rate, cost in costs.items()}
    # The smallest that is nearly best: too small a step loses little on another text, too large a
    # one more.
    best = min(rate for rate, gain in gains.items() if gain >= NEARLY * max(gains.values()))
    gain, pull = gains[best], FIRST_PULL
    if not gain >= LEAST_GAIN:  # Also where every cost is infinite.
        return AdaptationRule(0.0, 0.0, STRETCH, REACH, scales, len(val), 0.0)
    for other in OTHER_PULLS:
        if (found := costs[0.0] - cost_at(best, other)) > gain:
            gain, pull = found, other
    stretch, rate = STRETCH, best
    found = costs[0.0] - cost_at(LONG_RATE * best, pull, LONG_STRETCH)
    if found >= NEARLY * gain:
        stretch, rate, gain = LONG_STRETCH, LONG_RATE * best, found
    return AdaptationRule(rate, pull, stretch, REACH, scales, len(val), gain)


def gradient_scales(
    network: NativeNetwork, train: Tokens, *, poll: Callable[[], object] = lambda: None
) -> dict[str, Floats]:
    """The RMS of the gradients of stretches of a text, as `AdaptationRule.scales` has them.

    `poll` is as for `fit_adaptation`.
    """
    size = network.num_trained
    squares = np.zeros(size, np.float64)
    stretches = 0
    for inputs, targets in _stretches(train):
        state, before = network.zero_state(1), inputs[:-STRETCH]
        if len(before):
            _, state, _ = read_stretch(network, before, state, len(before))
        read_stretch(network, inputs[-STRETCH:], state, REACH, targets[-STRETCH:])
        squares += np.square(network.gradient[:size], dtype=np.float64)
        stretches += 1
        poll()
    scales = {}
    start = 0
    rows = scale_shapes(network.config)
    for name, weight in network.weights.items():
        if name not in rows:
            continue
        own = squares[start : start + weight.size].reshape(rows[name], -1)
        scales[name] = np.sqrt(own.mean(axis=1) / stretches).astype(np.float32)
        start += weight.size
    return {name: scales[name] for name in rows}


def _stretches(train: Tokens) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Inputs and targets of stretches spread over a text, with the tokens before each."""
    size = min(WARM_UP + STRETCH, len(train))
    count = max(1, min(GRADIENTS, len(train) // size))
    for start in np.linspace(0, len(train) - size, count).astype(np.int64).tolist():
        targets = np.asarray(train[start : start + size], np.int64)
        before = END_ID if start == 0 else int(train[start - 1])
        yield np.concatenate(([before], targets[:-1])), targets
