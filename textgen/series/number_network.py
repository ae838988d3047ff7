"""A recurrent network that reads numbers and answers with the next one, in float64.

    F(x_1, ..., x_t): the state is zero, the numbers are read one after another, and the output h
    after the last one gives the prediction, W h + b; or h itself where there is no readout.

Every cell of `textgen.cells` runs in it, by the reference recurrence, which autograd
differentiates.
Shape suffixes: `N` windows, `T` numbers of a window, `H` units.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textgen.model.config import ModelConfig
from textgen.model.initialise import initial_weights
from textgen.model.recurrence import LayerWeights, run_reference
from textgen.series.number_shape import has_readout, weight_shapes

Weights = dict[str, NDArray[np.float64]]


def first_weights(config: ModelConfig, rng: int) -> Weights:
    """The weights before training; those of a language model of this shape."""
    drawn = initial_weights(config, rng)
    return {name: drawn[name].astype(np.float64) for name in weight_shapes(config)}


class NumberNetwork:
    """The network with its weights.

    Args:
        config: The shape, from `number_config`.
        weights: As `weight_shapes` names them; copied.
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, NDArray[np.float64]]) -> None:
        self.config = config
        self.tensors = {
            name: torch.tensor(weights[name], dtype=torch.float64, requires_grad=True)
            for name in weight_shapes(config)
        }
        self._cell = config.cell_spec
        self._layers = [self._layer(index) for index in range(config.num_layers)]

    def predict(self, windows_NT: Tensor) -> Tensor:
        """The number after each window, `(N,)`; both scaled, the state zero before each window."""
        x_TNI = windows_NT.T[:, :, None]
        zeros_NH = x_TNI.new_zeros(x_TNI.shape[1], self.config.hidden_size)
        zeros_TNH = zeros_NH.expand(len(x_TNI), *zeros_NH.shape)
        below: Mapping[str, Tensor] = dict.fromkeys(self._cell.below_names, zeros_TNH)
        for layer in self._layers:
            state = dict.fromkeys(self._cell.state_names, zeros_NH)
            below, _ = run_reference(self._cell, x_TNI, state, layer, below=below)
            x_TNI = below["h"]
        last_NH = x_TNI[-1]
        if not has_readout(self.config):
            return last_NH[:, 0]
        head = self.tensors["head.weight"], self.tensors["head.bias"]
        return torch.nn.functional.linear(last_NH, *head)[:, 0]

    def weights(self) -> Weights:
        """A copy of every weight."""
        return {name: own.detach().numpy().copy() for name, own in self.tensors.items()}

    def load(self, weights: Mapping[str, NDArray[np.float64]]) -> None:
        """Take over other weights; they are copied."""
        with torch.no_grad():
            for name, own in self.tensors.items():
                own.copy_(torch.from_numpy(weights[name]))

    def _layer(self, index: int) -> LayerWeights:
        def own(name: str) -> Tensor:
            return self.tensors[f"layers.{index}.{name}"]

        return LayerWeights(
            own("weight_ih"),
            tuple(own(product.name) for product in self._cell.products),
            own("bias"),
            {name: own(name) for name in self._cell.vector_names},
        )
