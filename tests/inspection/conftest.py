"""A small model with weights drawn at random."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from textgen.model.config import ModelConfig
from textgen.model.numpy_network import NumpyNetwork

MakeNetwork = Callable[..., NumpyNetwork]


@pytest.fixture
def make_network() -> MakeNetwork:
    """Makes a network of a given shape; the same one each time."""

    def make(
        *, vocab_size: int = 11, hidden_size: int = 6, num_layers: int = 2, tie: bool = False
    ) -> NumpyNetwork:
        rng = np.random.default_rng(5)
        config = ModelConfig(
            vocab_size=vocab_size,
            embedding_size=hidden_size if tie else 4,
            hidden_size=hidden_size,
            num_layers=num_layers,
            tie=tie,
        )
        weights = {
            name: rng.normal(0.0, 0.6, shape).astype(np.float32)
            for name, shape in config.tensor_shapes().items()
        }
        network = NumpyNetwork(config, weights)
        network.weights = weights  # type: ignore[attr-defined]
        return network

    return make
