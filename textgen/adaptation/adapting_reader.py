"""A network that reads a text and learns from it: each stretch is predicted first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.adaptation.adaptation_rule import AdaptationRule
from textgen.corpus.vocabulary import END_ID
from textgen.model.head import open_head
from textgen.model.native_network import NativeNetwork
from textgen.model.network import Floats, Ids, State, reset
from textgen.native.net import Descent

Tokens = NDArray[np.integer[Any]]


class AdaptingReader:
    """Reads one text from its beginning, and changes the weights of its network on the way.

    A stretch is read in pieces of `rule.reach` tokens. For the gradient the pieces are so many
    streams, each from the state in which it was predicted, so the way back through time is short,
    one product does the work of several, and the stretch is read only once.

    Args:
        network: A network of its own; its weights are those that it is pulled back to.
        rule: How far a step goes.
    """

    def __init__(self, network: NativeNetwork, rule: AdaptationRule) -> None:
        self.network = network
        self.rule = rule
        size = network.num_trained
        stops, rates = _parts(network, rule)
        self._descent = Descent(
            network.parameters[:size],
            network.gradient[:size],
            stops,
            rates,
            pull=rule.pull,
            most=rule.most,
            isa=network.engine.isa,
            threads=network.engine.threads,
        )

    def still(self) -> AdaptingReader:
        """One with the weights as they are now, which learns nothing."""
        network = NativeNetwork(self.network.config, self.network.engine)
        network.load_arrays(self.network.weights)
        return AdaptingReader(network, replace(self.rule, rate=0.0))

    def read(self, tokens: Tokens) -> Iterator[tuple[Ids, Floats]]:
        """Read a text.

        Yields:
            The tokens of a stretch `(N,)` and the logits before each of them `(N, V)`, by the
            weights as they were before the stretch.
        """
        network, rule = self.network, self.rule
        state, previous = network.zero_state(1), END_ID
        for first in range(0, len(tokens), rule.stretch):
            part = np.asarray(tokens[first : first + rule.stretch], np.int64)
            inputs = np.concatenate(([previous], part[:-1]))
            outputs_NH, state, loss = read_stretch(
                network, inputs, state, rule.reach, part if rule.rate else None
            )
            logits_NV = open_head(network.config, network.weights).logits(outputs_NH)
            yield part, np.ascontiguousarray(logits_NV, np.float32)
            previous = int(part[-1])
            if rule.rate and np.isfinite(loss):
                self.learn(len(part))

    def learn(self, count: int) -> None:
        """One step on a stretch of so many tokens, whose gradient is there."""
        if count < self.rule.stretch:
            # A token weighs the same, wherever the text ends.
            self.network.gradient *= np.float32(count / self.rule.stretch)
        self.network.descend(self._descent)


class AdaptingTokenReader:
    """Reads as `AdaptingReader` does, but token by token: for whom the next one is not known yet.

    The tokens of a stretch are read one after the other, and once more together when all of them
    are known.

    Args:
        reader: The network, with the weights that it begins with, and its rule.
    """

    def __init__(self, reader: AdaptingReader) -> None:
        self._reader = reader
        self._before = self._state = reader.network.zero_state(1)
        self._inputs: list[int] = []

    def read(self, token: int) -> Floats:
        """Read one token; see `TokenReader.read`."""
        network, rule = self._reader.network, self._reader.rule
        if len(self._inputs) == rule.stretch:
            known = np.array([*self._inputs, token], np.int64)
            _, self._state, loss = read_stretch(
                network, known[:-1], self._before, rule.reach, known[1:]
            )
            if np.isfinite(loss):
                self._reader.learn(rule.stretch)
            self._before = self._state
            self._inputs = []
        self._inputs.append(token)
        tokens_1 = np.array([token])
        logits_1V, self._state = network.step(tokens_1, reset(self._state, tokens_1 == END_ID))
        logits_V: Floats = logits_1V[0]
        return logits_V


def read_stretch(
    network: NativeNetwork, inputs: Ids, state: State, reach: int, targets: Ids | None = None
) -> tuple[Floats, State, float]:
    """Read a stretch of one text in pieces.

    With targets, `network.gradient` is then that of their mean cost, in which no piece reaches back
    into the one before it.

    Args:
        network: The model.
        inputs: The tokens that are read, `(N,)`.
        state: Before them.
        reach: Tokens of a piece.
        targets: Those that follow them, `(N,)`; None: no gradient.
    Returns:
        What the head reads `(N, H)`; the state after the stretch, if it is of whole pieces; and
        the mean cost in nats.
    """
    inputs_TB, targets_TB = pieces(inputs, inputs if targets is None else targets, reach)
    resets_TB = inputs_TB == END_ID
    outputs_TBH, state, loss = network.outputs_of_pieces(
        *(inputs_TB, state, resets_TB if resets_TB.any() else None),
        targets_TB=None if targets is None else targets_TB,
    )
    outputs_NH = outputs_TBH.swapaxes(0, 1).reshape(-1, outputs_TBH.shape[2])[: len(inputs)]
    return outputs_NH, state, loss


def pieces(inputs: Ids, targets: Ids, reach: int) -> tuple[Ids, Ids]:
    """A stretch cut into streams of `reach` tokens: inputs and targets, `(reach, B)`.

    The last stream is filled up with end marks, whose targets of -1 do not count.
    """
    count = -(-len(inputs) // reach)
    filled = np.full((2, count * reach), END_ID, np.int64)
    filled[1] = -1
    filled[0, : len(inputs)], filled[1, : len(targets)] = inputs, targets
    inputs_TB, targets_TB = filled.reshape(2, count, reach).swapaxes(1, 2)
    return inputs_TB, targets_TB


def _parts(network: NativeNetwork, rule: AdaptationRule) -> tuple[list[int], list[float]]:
    """Where each row of the trained weights ends in the flat array, and its learning rate."""
    stops: list[int] = []
    rates: list[float] = []
    stop = 0
    divisors = rule.divisors()
    for name, weight in network.weights.items():
        if name not in divisors:
            continue
        divisor = divisors[name]
        width = weight.size // divisor.size
        stops += [stop + width * (row + 1) for row in range(divisor.size)]
        rates += (np.float32(rule.rate) / divisor).tolist()
        stop += weight.size
    return stops, rates
