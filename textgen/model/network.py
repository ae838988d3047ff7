"""The language model as a torch module: what is trained and evaluated.

Shape suffixes: `T` time, `B` streams, `V` vocabulary, `I` input, `H` hidden, `G` gates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from textgen.model.config import ModelConfig
from textgen.ops import LayerWeights, Path, Resets, TorchState
from textgen.ops.recurrence import zero_state


class RecurrentLayer(nn.Module):
    """The weights of one layer, by the field's names."""

    def __init__(self, rows: int, input_size: int, config: ModelConfig) -> None:
        super().__init__()
        self._recurrent_names = config.cell_spec.recurrent_names
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        for name in self._recurrent_names:
            self.register_parameter(name, nn.Parameter(torch.empty(rows, config.hidden_size)))
        self.bias = nn.Parameter(torch.empty(rows))

    def weights(self) -> LayerWeights:
        """As the recurrence takes them."""
        recurrent = tuple(self.get_parameter(name) for name in self._recurrent_names)
        return LayerWeights(self.weight_ih, recurrent, self.bias)


class LanguageModel(nn.Module):
    """Embedding, recurrent layers, and a linear output over the vocabulary.

    Args:
        config: The model's shape.
        path: What computes the recurrence, from `textgen.ops.select`.
        generator: Draws the first weights; None leaves them for `load_arrays` to fill.
    """

    def __init__(
        self, config: ModelConfig, path: Path, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.path = path
        self.cell = config.cell_spec
        rows = len(self.cell.gate_names) * config.hidden_size
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        self.layers = nn.ModuleList(
            RecurrentLayer(
                rows, config.embedding_size if layer == 0 else config.hidden_size, config
            )
            for layer in range(config.num_layers)
        )
        self.head = nn.Linear(config.hidden_size, config.vocab_size)
        if config.tie:
            self.head.weight = self.embedding.weight
        if generator is not None:
            initialise(self, generator)

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
        dropout_generator: torch.Generator | None = None,
    ) -> tuple[Tensor, list[TorchState]]:
        """Read a window.

        Args:
            ids_TB: Token ids, `(T, B)`.
            state: The state before the window, per layer.
            resets: Where documents begin inside the window.
            dropout_generator: Draws the dropped units; None is no dropout.
        Returns:
            Logits of each next token `(T, B, V)`, float32, and the state after the window.
        """
        rate = self.config.dropout if dropout_generator is not None else 0.0
        x_TBI = self._drop(self.embedding(ids_TB), rate, dropout_generator)
        final = []
        for layer, first in zip(self.layers, state, strict=True):
            assert isinstance(layer, RecurrentLayer)
            x_TBI, last = self.path.run(self.cell, x_TBI, first, layer.weights(), resets)
            final.append(last)
            x_TBI = self._drop(x_TBI, rate, dropout_generator)
        autocast = self.path.autocast
        with torch.autocast(ids_TB.device.type, dtype=autocast, enabled=autocast is not None):
            logits_TBV = self.head(x_TBI)
        return logits_TBV.float(), final

    @staticmethod
    def _drop(x_TBI: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
        """Drop units of a stream for the whole window: one mask `(1, B, I)`, shared over time.

        Source: Gal and Ghahramani 2016, arXiv:1512.05287, section 4.
        """
        if rate == 0.0 or generator is None:
            return x_TBI
        shape = (1, *x_TBI.shape[1:])
        mask = torch.empty(shape, device=x_TBI.device, dtype=x_TBI.dtype)
        mask.bernoulli_(1.0 - rate, generator=generator).div_(1.0 - rate)
        return x_TBI * mask

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


@torch.no_grad()
def initialise(model: LanguageModel, generator: torch.Generator) -> None:
    """Draw the first weights.

    Symbol vectors are standard normal; the input weights keep the pre-activations at unit
    variance; the recurrent weights are uniform within `1 / sqrt(H)`, torch's own choice; the
    forget gate starts open (bias 1: Jozefowicz, Zaremba and Sutskever 2015, section 3.2). The
    output starts at zero, so that the first prediction is uniform. The vectors of the two marks
    start at zero: in a corpus of one document nothing trains them, and zero adds nothing.
    """
    config = model.config
    size = config.hidden_size
    # A tied embedding is also the output's weight, which must start small.
    scale = 1.0 if not config.tie else 1.0 / math.sqrt(size)
    model.embedding.weight.normal_(0.0, scale, generator=generator)
    model.embedding.weight[:2] = 0.0
    for layer in model.layers:
        assert isinstance(layer, RecurrentLayer)
        weights = layer.weights()
        fan_in = weights.weight_ih.shape[1]
        gain = 1.0 / (scale * math.sqrt(fan_in)) if layer is model.layers[0] else fan_in**-0.5
        weights.weight_ih.normal_(0.0, gain, generator=generator)
        for weight in weights.recurrent:
            weight.uniform_(-(size**-0.5), size**-0.5, generator=generator)
        weights.bias.zero_()
        if "forget" in model.cell.gate_names:
            start = model.cell.gate_names.index("forget") * size
            weights.bias[start : start + size] = 1.0
    if not config.tie:
        model.head.weight.zero_()
    model.head.bias.zero_()
