"""A network whose states are changed at every step, for evaluating it under an intervention."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from textgen.errors import BackendError
from textgen.model.base import Network, State
from textgen.model.edit import Edits, for_all
from textgen.model.native_network import NativeNetwork


class EditedNetwork:
    """A `Network` under the same edits in every stream.

    Args:
        network: The model, on the native engine.
        edits: Changes of the states at every step.
    Raises:
        BackendError: The network is on another path: torch's kernels show no state on the way.
    """

    def __init__(self, network: Network, edits: Edits) -> None:
        if not isinstance(network, NativeNetwork):
            raise BackendError(
                f"a text is read under interventions by the native engine alone, not on the path "
                f"'{network.path.name}'; compile it: python -m textgen.native.build"
            )
        self.config = network.config
        self.path = network.path
        self._network = network
        self._edits = edits

    def zero_state(self, batch_size: int) -> State:
        """As the network's."""
        return self._network.zero_state(batch_size)

    def costs(
        self,
        inputs_TB: NDArray[np.integer],
        targets_TB: NDArray[np.integer],
        state: State,
        resets_TB: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.float32], State]:
        """Read a window under the edits."""
        edits_B = for_all(self._edits, np.shape(inputs_TB)[1])
        return self._network.costs(inputs_TB, targets_TB, state, resets_TB, edits_B)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """As the network's."""
        return self._network.arrays()

    def load_arrays(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """As the network's."""
        self._network.load_arrays(arrays)
