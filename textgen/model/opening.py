"""A network on the path that was chosen; torch is loaded only where that path is torch's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from textgen.model.base import Network
from textgen.model.config import ModelConfig
from textgen.ops.path import Path


def open_network(
    config: ModelConfig, path: Path, weights: Mapping[str, NDArray[np.float32]] | None
) -> Network:
    """A network of that shape.

    Args:
        config: The model's shape.
        path: From `textgen.ops.select.select`.
        weights: Arrays as `config.tensor_shapes()` names them, copied; None leaves the weights for
            `load_arrays` to fill.
    """
    network: Network
    if path.name == "native":
        from textgen.model.native_network import NativeNetwork

        network = NativeNetwork(config, path)
    else:
        from textgen.model.torch_network import TorchNetwork

        network = TorchNetwork(config, path)
    if weights is not None:
        network.load_arrays(weights)
    return network
