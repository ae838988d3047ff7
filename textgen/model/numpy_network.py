"""A language model run one step at a time with NumPy: for sampling and tracing, without torch.

The cell's own specification (`textgen.cells`) does the gate arithmetic, so there is no second one
to keep in agreement. Weights are float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.cells import Cell
from textgen.model.config import ModelConfig
from textgen.model.edit import Edits, editor
from textgen.model.head import open_head

Floats = NDArray[np.float32]
#: Per layer, each of the cell's states by name, `(B, H)`.
State = list[dict[str, Floats]]

#: The first layer's input weights are folded into a table of one row a symbol up to this size.
TABLE_LIMIT_BYTES = 64 * 2**20


@dataclass(frozen=True)
class LayerRecord:
    """What one layer did in one step, each `(B, H)`.

    Args:
        state: Its new state.
        gates: Its activated gates.
        output: What the layer above or the head reads: `h`, with the layer's input added to it
            where the model is residual.
    """

    state: dict[str, Floats]
    gates: dict[str, Floats]
    output: Floats


class NumpyNetwork:
    """A trained model as a step function.

    Args:
        config: The model's shape.
        weights: Float32 arrays as `config.tensor_shapes()` names them.
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Floats]) -> None:
        self.config = config
        self.cell = config.cell_spec
        self._embedding = weights["embedding.weight"]
        self._layers = [_Layer(self.cell, weights, index) for index in range(config.num_layers)]
        self._head = open_head(config, weights)
        first = self._layers[0]
        self._table: Floats | None = None
        if config.vocab_size * len(first.bias) * 4 <= TABLE_LIMIT_BYTES:
            # Of a diverged model's overflow the logits tell; numpy's warning tells nobody.
            with np.errstate(over="ignore", invalid="ignore"):
                self._table = first.project(self._embedding)

    def initial_state(self, batch_size: int = 1) -> State:
        """Zeros: the state at the start of a document, for `batch_size` streams."""
        shape = (batch_size, self.config.hidden_size)
        return [
            {name: np.zeros(shape, np.float32) for name in self.cell.state_names}
            for _ in range(self.config.num_layers)
        ]

    def step(
        self, ids_B: NDArray[np.integer], state: State, edits_B: Sequence[Edits] | None = None
    ) -> tuple[Floats, State]:
        """Read one token a stream.

        Args:
            ids_B: Token ids, `(B,)`.
            state: The state before it; not modified.
            edits_B: What happens to the new states of each stream; None: nothing.
        Returns:
            Logits of the next token `(B, V)`, and the state after it.
        """
        records = self.step_traced(ids_B, state, edits_B)
        return self.logits(records[-1].output), [record.state for record in records]

    def step_traced(
        self, ids_B: NDArray[np.integer], state: State, edits_B: Sequence[Edits] | None = None
    ) -> list[LayerRecord]:
        """As `step`, but returns what every layer did instead of the logits."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._step_layers(ids_B, state, edits_B)

    def _step_layers(
        self, ids_B: NDArray[np.integer], state: State, edits_B: Sequence[Edits] | None
    ) -> list[LayerRecord]:
        config, records = self.config, []
        for edit in {id(edit): edit for edits in edits_B or () for edit in edits}.values():
            edit.check(self.cell.state_names, config.num_layers, config.hidden_size)
        zeros = np.zeros((len(ids_B), config.hidden_size), np.float32)
        below = dict.fromkeys(self.cell.below_names, zeros)
        x_BI: Floats | None = None
        for index, layer in enumerate(self._layers):
            if index == 0 and self._table is not None:
                pre_BGH = self._table[ids_B]
            else:
                pre_BGH = layer.project(self._embedding[ids_B] if x_BI is None else x_BI)
            new, gates = self.cell.step(
                np,
                pre_BGH,
                state[index],
                layer.products,
                layer.vectors,
                below,
                editor(edits_B, index),
            )
            output = new["h"] if x_BI is None or not config.residual else new["h"] + x_BI
            records.append(LayerRecord(new, gates, output))
            x_BI = output
            below = {name: new[name] for name in self.cell.below_names}
        return records

    def output(self, state: State) -> Floats:
        """What the head reads in a state, `(B, H)`: the last layer's h, or that of all layers
        added up where the model is residual."""
        if not self.config.residual:
            return state[-1]["h"]
        total = state[0]["h"]
        for layer in state[1:]:
            total = layer["h"] + total
        return total

    def logits(self, h_BH: Floats) -> Floats:
        """Logits of the next token `(B, V)` from the last layer's output `(B, H)`."""
        return self._head.logits(h_BH)


class _Layer:
    """One layer's weights, as its cell takes them."""

    def __init__(self, cell: Cell, weights: Mapping[str, Floats], index: int) -> None:
        def own(name: str) -> Floats:
            return weights[f"layers.{index}.{name}"]

        self._weight_ih = own("weight_ih")
        self.bias = own("bias")
        # A product with the transposed weight kept contiguous is what BLAS does fastest.
        self.products = tuple(
            _Product(np.ascontiguousarray(own(product.name).T)) for product in cell.products
        )
        self.vectors = {name: own(name) for name in cell.vector_names}

    def project(self, x_BI: Floats) -> Floats:
        """The input's share of the pre-activations, `(B, G * H)`."""
        result: Floats = x_BI @ self._weight_ih.T + self.bias
        return result


class _Product:
    """`h_BH -> h_BH @ weight.T` for a weight already transposed."""

    def __init__(self, weight_HG: Floats) -> None:
        self._weight_HG = weight_HG

    def __call__(self, h_BH: Floats) -> Floats:
        result: Floats = h_BH @ self._weight_HG
        return result
