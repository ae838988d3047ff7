"""What training and evaluation ask of a network, whichever library computes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from textgen.model.config import ModelConfig
from textgen.ops.path import Path

#: A network's carried state: handed from window to window, opaque to whoever carries it.
State = Any


class Network(Protocol):
    """A language model on some path."""

    config: ModelConfig
    path: Path

    def zero_state(self, batch_size: int) -> State:
        """The state at the start of a document, for `batch_size` streams."""
        ...

    def costs(
        self,
        inputs_TB: NDArray[np.integer],
        targets_TB: NDArray[np.integer],
        state: State,
        resets_TB: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.float32], State]:
        """Read a window.

        Args:
            inputs_TB: Token ids, `(T, B)`.
            targets_TB: The tokens that follow them, `(T, B)`.
            state: The state before the window; not modified.
            resets_TB: Where a document begins: the state is zeroed before that token is read.
        Returns:
            The cost of each target in nats `(T, B)`, and the state after the window.
        """
        ...

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """A copy of every weight, named as `ModelConfig.tensor_shapes` does."""
        ...

    def load_arrays(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Take over weights named as `ModelConfig.tensor_shapes` does."""
        ...


@runtime_checkable
class OpenNetwork(Network, Protocol):
    """A network that shows what its head reads, and whose head may be a distance."""

    def outputs(
        self,
        inputs_TB: NDArray[np.integer],
        state: State,
        resets_TB: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.float32], State]:
        """As `costs`, but what the head reads: the last layer's outputs `(T, B, H)`."""
        ...

    def set_scale(self, scale: float) -> None:
        """Set `head.scale`, of a model whose output is a vector."""
        ...
