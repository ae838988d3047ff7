"""What reads windows of many streams, each document from its start.

Shape suffixes: `T` time, `B` streams, `H` hidden.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.model.config import ModelConfig
from textgen.model.edit import Edits, StateName, for_all
from textgen.model.engine import choose_engine, open_network
from textgen.model.network import Floats, Network, State
from textgen.probing.statistics import Ints


class Machine:
    """A network that zeroes a stream's state before an end mark."""

    def __init__(self, network: Network) -> None:
        self.config = network.config
        self._network = network

    def zero_state(self, batch_size: int) -> State:
        """Return the state before a text."""
        return self._network.zero_state(batch_size)

    def states(
        self, ids_TB: Ints, state: State, name: StateName, edits: Edits
    ) -> tuple[list[Floats], State]:
        """Return one state of every layer after every token, and the state after all."""
        edits_B = for_all(edits, ids_TB.shape[1])
        records, after = self._network.trace(
            ids_TB, state, ids_TB == END_ID, names=(name,), edits_B=edits_B
        )
        return [record[name] for record in records], after

    def costs(
        self, ids_TB: Ints, targets_TB: Ints, state: State, edits: Edits
    ) -> tuple[NDArray[np.floating], State]:
        """Return the negative log-likelihood of each target, and the state after the window."""
        edits_B = for_all(edits, ids_TB.shape[1])
        return self._network.nll(ids_TB, targets_TB, state, ids_TB == END_ID, edits_B)


def open_machine(config: ModelConfig, weights: Mapping[str, Floats], threads: int) -> Machine:
    """Open a model on the fastest engine here."""
    engine = choose_engine(config.cell_spec, threads=threads, use="read")
    return Machine(open_network(config, engine, weights))
