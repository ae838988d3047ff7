"""What reads windows of many streams: the native engine where it is there, else NumPy.

Shape suffixes: `T` time, `B` streams, `H` hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.model.config import ModelConfig
from textgen.model.edit import Edits, StateName, for_all
from textgen.model.numpy_network import NumpyNetwork
from textgen.probing.statistics import Bools, Ints

if TYPE_CHECKING:
    from textgen.model.native_network import NativeNetwork

Floats = NDArray[np.float32]
State = list[dict[str, Floats]]


class Machine(Protocol):
    """What reads windows of many streams."""

    config: ModelConfig

    def zero_state(self, batch_size: int) -> State:
        """The state before a text."""
        ...

    def states(
        self, ids_TB: Ints, state: State, name: StateName, edits: Edits
    ) -> tuple[list[Floats], State]:
        """One state of every layer after every token, each `(T, B, H)`, and the state after all."""
        ...

    def costs(
        self, ids_TB: Ints, targets_TB: Ints, state: State, edits: Edits
    ) -> tuple[NDArray[np.floating], State]:
        """Nats of each target `(T, B)`, and the state after the window."""
        ...


def open_machine(config: ModelConfig, weights: Mapping[str, Floats], threads: int) -> Machine:
    """The fastest reader there is on this machine for a model of that shape."""
    from textgen.native.library import supported_isas
    from textgen.ops.select import select

    if supported_isas():
        path = select(config.cell_spec, "cpu", threads=threads)
        if path.name == "native":
            from textgen.model.native_network import NativeNetwork
            from textgen.model.opening import open_network

            network = open_network(config, path, weights)
            assert isinstance(network, NativeNetwork)
            return _Native(network)
    return _Numpy(NumpyNetwork(config, weights))


class _Numpy:
    def __init__(self, network: NumpyNetwork) -> None:
        self.config = network.config
        self._network = network

    def zero_state(self, batch_size: int) -> State:
        return self._network.initial_state(batch_size)

    def states(
        self, ids_TB: Ints, state: State, name: StateName, edits: Edits
    ) -> tuple[list[Floats], State]:
        config = self.config
        shape = (*ids_TB.shape, config.hidden_size)
        kept = [np.empty(shape, np.float32) for _ in range(config.num_layers)]
        for t, ids_B in enumerate(ids_TB):
            records = self._step(ids_B, state, edits)
            state = records
            for layer, record in enumerate(records):
                kept[layer][t] = record[name]
        return kept, state

    def costs(
        self, ids_TB: Ints, targets_TB: Ints, state: State, edits: Edits
    ) -> tuple[NDArray[np.floating], State]:
        nats = np.empty(ids_TB.shape)
        for t, ids_B in enumerate(ids_TB):
            state = self._step(ids_B, state, edits)
            logits = self._network.logits(self._network.output(state)).astype(np.float64)
            logits -= logits.max(axis=1, keepdims=True)
            logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
            nats[t] = -logits[np.arange(len(ids_B)), targets_TB[t]]
        return nats, state

    def _step(self, ids_B: Ints, state: State, edits: Edits) -> State:
        for layer in state:
            for array in layer.values():
                array[ids_B == END_ID] = 0.0
        records = self._network.step_traced(ids_B, state, for_all(edits, len(ids_B)))
        return [record.state for record in records]


class _Native:
    def __init__(self, network: NativeNetwork) -> None:
        self.config = network.config
        self._network = network

    def zero_state(self, batch_size: int) -> State:
        return self._network.zero_state(batch_size)

    def states(
        self, ids_TB: Ints, state: State, name: StateName, edits: Edits
    ) -> tuple[list[Floats], State]:
        records, after = self._network.trace(
            ids_TB,
            state,
            _resets(ids_TB),
            names=(name,),
            edits_B=for_all(edits, ids_TB.shape[1]),
        )
        return [record[name] for record in records], after

    def costs(
        self, ids_TB: Ints, targets_TB: Ints, state: State, edits: Edits
    ) -> tuple[NDArray[np.floating], State]:
        return self._network.costs(
            ids_TB, targets_TB, state, _resets(ids_TB), edits_B=for_all(edits, ids_TB.shape[1])
        )


def _resets(ids_TB: Ints) -> Bools | None:
    resets_TB: Bools = ids_TB == END_ID
    return resets_TB if resets_TB.any() else None
