"""A language model run one step at a time with NumPy: for sampling and tracing, without torch.

The cell's own specification (`textgen.cells`) does the gate arithmetic, so there is no second one
to keep in agreement. Weights are float32.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from textgen.cells import Cell
from textgen.cells.cell import Editor
from textgen.model.config import ModelConfig
from textgen.model.edit import Edits, check_edits, editor
from textgen.model.head import open_head
from textgen.model.label_vectors import label_rows
from textgen.model.network import Bools, Engine, Floats, Ids, Network, State, one_a_stream, reset

#: The first layer's input weights are folded into a table of one row a symbol up to this size.
TABLE_LIMIT_BYTES = 64 * 2**20
NUMPY = Engine("numpy", "fp32", "asked for")


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


class NumpyNetwork(Network):
    """A trained model as a step function.

    Args:
        config: The model's shape.
        weights: Float32 arrays as `config.tensor_shapes()` names them.
        engine: Why NumPy computes.
    """

    def __init__(
        self, config: ModelConfig, weights: Mapping[str, Floats], engine: Engine = NUMPY
    ) -> None:
        self.config = config
        self.engine = engine
        self.cell = config.cell_spec
        self.load_arrays(weights)

    def load_arrays(self, arrays: Mapping[str, Floats]) -> None:
        """Take over weights named as `ModelConfig.tensor_shapes` does; they are not copied."""
        config, weights = self.config, dict(arrays)
        self._weights = weights
        self._embedding = weights["embedding.weight"]
        self._layers = [_Layer(self.cell, weights, index) for index in range(config.num_layers)]
        self._head = open_head(config, weights)
        first = self._layers[0]
        #: What a label adds to the first layer's input, a row for each and none at all.
        self._label_rows = label_rows(config, weights)
        self._table: Floats | None = None
        if config.vocab_size * len(first.bias) * 4 <= TABLE_LIMIT_BYTES:
            # Of a diverged model's overflow the logits tell; numpy's warning tells nobody.
            with np.errstate(over="ignore", invalid="ignore"):
                self._table = first.project(self._embedding)

    def arrays(self) -> dict[str, Floats]:
        """Return a copy of every weight, named as `ModelConfig.tensor_shapes` does."""
        return {name: self._weights[name].copy() for name in self.config.tensor_shapes()}

    def step(
        self,
        ids_B: Ids | int,
        state: State,
        edits_B: Sequence[Edits] | None = None,
        labels_B: Ids | None = None,
    ) -> tuple[Floats, State]:
        """Read one token a stream; see `StepNetwork.step`."""
        records = self.step_traced(ids_B, state, edits_B, labels_B)
        return self.logits(records[-1].output), [record.state for record in records]

    @np.errstate(over="ignore", invalid="ignore")
    def step_traced(
        self,
        ids_B: Ids | int,
        state: State,
        edits_B: Sequence[Edits] | None = None,
        labels_B: Ids | None = None,
        editors: Sequence[Editor] = (),
    ) -> list[LayerRecord]:
        """Read one token a stream, and return what every layer did instead of the logits.

        Args:
            ids_B: As for `step`, and so are the next three.
            state: The state before it.
            edits_B: Changes of the new states.
            labels_B: What each stream is said to be.
            editors: What each layer hands its new states and its gates, one a layer, instead of
                `edits_B`; only the cells of textgen hand over gates.
        """
        config, records = self.config, []
        ids_B = one_a_stream(ids_B, state)
        check_edits(edits_B or (), config)
        zeros = np.zeros((len(ids_B), config.hidden_size), np.float32)
        below = dict.fromkeys(self.cell.below_names, zeros)
        x_BI: Floats | None = None
        for index, layer in enumerate(self._layers):
            if index == 0 and self._table is not None:
                pre_BGH = self._table[ids_B]
            else:
                pre_BGH = layer.project(self._embedding[ids_B] if x_BI is None else x_BI)
            if index == 0 and labels_B is not None:
                pre_BGH = pre_BGH + self._label_rows[labels_B]
            new, gates = self.cell.step(
                np,
                pre_BGH,
                state[index],
                layer.products,
                layer.vectors,
                below,
                editors[index] if editors else editor(edits_B, index),
            )
            output = new["h"] if x_BI is None or not config.residual else new["h"] + x_BI
            records.append(LayerRecord(new, gates, output))
            x_BI = output
            below = {name: new[name] for name in self.cell.below_names}
        return records

    def trace(
        self,
        ids_TB: Ids,
        state: State,
        resets_TB: Bools | None = None,
        *,
        names: Collection[str] | None = None,
        edits_B: Sequence[Edits] | None = None,
    ) -> tuple[list[dict[str, Floats]], State]:
        """Read a window and keep what the layers did; see `Network.trace`."""
        known = (*self.cell.state_names, *self.cell.gate_names)
        kept = known if names is None else [name for name in known if name in names]
        shape = (*np.shape(ids_TB), self.config.hidden_size)
        traced: list[dict[str, Floats]] = [
            {name: np.empty(shape, np.float32) for name in kept}
            for _ in range(self.config.num_layers)
        ]
        for t, ids_B in enumerate(ids_TB):
            state = reset(state, None if resets_TB is None else resets_TB[t])
            records = self.step_traced(ids_B, state, edits_B)
            state = [record.state for record in records]
            for record, arrays in zip(records, traced, strict=True):
                for name, values in arrays.items():
                    values[t] = record.gates[name] if name in record.gates else record.state[name]
        return traced, state

    def outputs(
        self, inputs_TB: Ids, state: State, resets_TB: Bools | None = None
    ) -> tuple[Floats, State]:
        """Read a window: what the head reads `(T, B, H)`, and the state after the window."""
        outputs_TBH = np.empty((*np.shape(inputs_TB), self.config.hidden_size), np.float32)
        for t, ids_B in enumerate(inputs_TB):
            state = reset(state, None if resets_TB is None else resets_TB[t])
            records = self.step_traced(ids_B, state)
            state, outputs_TBH[t] = [record.state for record in records], records[-1].output
        return outputs_TBH, state

    def output(self, state: State) -> Floats:
        """Return what the head reads in a state, `(B, H)`.

        It is the last layer's h, or the sum of all layers' where the model is residual.
        """
        total: Floats = state[-1]["h"]
        if self.config.residual:
            total = state[0]["h"]
            for layer in state[1:]:
                total = layer["h"] + total
        return total

    def logits(self, h_BH: Floats) -> Floats:
        """Return the logits of the next token `(B, V)` from the last layer's output `(B, H)`."""
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
            partial(_multiply, np.ascontiguousarray(own(product.name).T))
            for product in cell.products
        )
        self.vectors = {name: own(name) for name in cell.vector_names}

    def project(self, x_BI: Floats) -> Floats:
        """The input's share of the pre-activations, `(B, G * H)`."""
        result: Floats = x_BI @ self._weight_ih.T + self.bias
        return result


def _multiply(weight_HG: Floats, h_BH: Floats) -> Floats:
    """The product with a weight already transposed."""
    result: Floats = h_BH @ weight_HG
    return result
