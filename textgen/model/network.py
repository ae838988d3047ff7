"""The language model as a torch module: what torch trains and evaluates.

Shape suffixes: `T` time, `B` streams, `V` vocabulary, `E` embedding, `I` input, `H` hidden,
`L` layers.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import skip_init

from textgen.model.config import ModelConfig
from textgen.model.dropout import Masks
from textgen.ops.path import Path
from textgen.ops.recurrence import (
    LayerWeights,
    Resets,
    Sequences,
    TorchState,
    to_device,
    zero_state,
)
from textgen.ops.recurrences import autocast_type, recurrence_for


class RecurrentLayer(nn.Module):
    """The weights of one layer, by the field's names."""

    def __init__(self, config: ModelConfig, index: int, device: torch.device) -> None:
        super().__init__()
        cell = config.cell_spec
        self._recurrent_names = tuple(product.name for product in cell.products)
        self._vector_names = cell.vector_names
        prefix = f"layers.{index}."
        for name, shape in config.tensor_shapes().items():
            if name.startswith(prefix):
                parameter = nn.Parameter(torch.empty(shape, device=device))
                self.register_parameter(name.removeprefix(prefix), parameter)

    def weights(self) -> LayerWeights:
        """As the recurrence takes them."""
        return LayerWeights(
            self.get_parameter("weight_ih"),
            tuple(self.get_parameter(name) for name in self._recurrent_names),
            self.get_parameter("bias"),
            {name: self.get_parameter(name) for name in self._vector_names},
        )


class LanguageModel(nn.Module):
    """Embedding, recurrent layers, and a linear output over the vocabulary.

    The weights lie on the path's device and are for `load_arrays` to fill.

    Args:
        config: The model's shape.
        path: What computes, `torch` or `reference`.
    """

    def __init__(self, config: ModelConfig, path: Path) -> None:
        super().__init__()
        self.config = config
        self.path = path
        self.cell = config.cell_spec
        self._run = recurrence_for(path, self.cell)
        self._autocast = autocast_type(path)
        device = torch.device(path.device)
        # Of themselves these two draw numbers, from the generator that the whole process shares.
        self.embedding: nn.Embedding = skip_init(  # type: ignore[no-untyped-call]
            nn.Embedding, config.vocab_size, config.embedding_size, device=device
        )
        self.layers = nn.ModuleList(
            RecurrentLayer(config, index, device) for index in range(config.num_layers)
        )
        self.head: nn.Linear = skip_init(  # type: ignore[no-untyped-call]
            nn.Linear, config.hidden_size, config.vocab_size, device=device
        )
        if config.tie:
            self.head.weight = self.embedding.weight

    def zero_state(self, batch_size: int) -> list[TorchState]:
        """The state at the start of a document, per layer, each `(B, H)`."""
        device = self.embedding.weight.device
        return [
            zero_state(self.cell, batch_size, self.config.hidden_size, device) for _ in self.layers
        ]

    def forward(
        self,
        ids_TB: Tensor,
        state: list[TorchState],
        resets: Resets | None = None,
        masks: Masks | None = None,
    ) -> tuple[Tensor, list[TorchState]]:
        """Read a window.

        Args:
            ids_TB: Token ids, `(T, B)`.
            state: The state before the window, per layer.
            resets: Where documents begin inside the window.
            masks: What dropout leaves of the embedding and of the layers' outputs; None is all.
        Returns:
            Logits of each next token `(T, B, V)`, float32, and the state after the window.
        """
        x_TBI = self.embedding(ids_TB)
        mask_LBH: Tensor | None = None
        if masks is not None:
            x_TBI = x_TBI * self._on_device(masks.embedding_E)
            mask_LBH = self._on_device(masks.layers_LBH)
        below: Sequences | None = self._below_the_first(ids_TB)
        final = []
        for index, (layer, first) in enumerate(zip(self.layers, state, strict=True)):
            assert isinstance(layer, RecurrentLayer)
            below, last = self._run(self.cell, x_TBI, first, layer.weights(), resets, below)
            final.append(last)
            x_TBI = below["h"]
            if mask_LBH is not None:
                x_TBI = x_TBI * mask_LBH[index].to(x_TBI.dtype)
        autocast = self._autocast
        with torch.autocast(ids_TB.device.type, dtype=autocast, enabled=autocast is not None):
            logits_TBV = self.head(x_TBI)
        return logits_TBV.float(), final

    def _on_device(self, mask: NDArray[np.float32]) -> Tensor:
        return to_device(torch.from_numpy(mask), self.embedding.weight.device)

    def _below_the_first(self, ids_TB: Tensor) -> Sequences | None:
        """Zeros for what a cell reads of the layer below, in the layer that has none."""
        weight = self.embedding.weight
        shape = (*ids_TB.shape, self.config.hidden_size)
        zeros = torch.zeros((), device=weight.device, dtype=weight.dtype).expand(shape)
        return dict.fromkeys(self.cell.below_names, zeros) or None

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """A copy of every weight, named as `ModelConfig.tensor_shapes` does."""
        own = dict(self.named_parameters())
        return {
            name: own[name].detach().to("cpu", torch.float32, copy=True).numpy()
            for name in self.config.tensor_shapes()
        }

    @torch.no_grad()
    def load_arrays(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Take over weights named as `ModelConfig.tensor_shapes` does."""
        own = dict(self.named_parameters())
        for name in self.config.tensor_shapes():
            own[name].copy_(torch.from_numpy(np.array(arrays[name])))
