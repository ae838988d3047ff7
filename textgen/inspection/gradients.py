"""The gradient of the cost of one token by the states and tokens before it, by autograd.

The model's own forward pass is differentiated, in torch, which is loaded for it alone. Rows of a
batch know nothing of each other, so the gradient of their summed cost is that of each. It is in
float64, for what has vanished lies below float32's smallest number, and a CPU is slow there.

Shape suffixes: `K` lags, 0 first, `N` positions, `B` positions of a part, `T` time, `E` embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from textgen.cells import Cell
from textgen.cells.cell import Array, Outcome, StepInputs
from textgen.model.config import ModelConfig
from textgen.model.network import Engine, Floats, State
from textgen.progress import task, track
from textgen.runtime import computing_threads, require_torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from textgen.model.torch_network import LanguageModel

Reals = NDArray[np.float64]
#: Whose gradient it is: `input` (the vector with which a token enters the first layer), or one of
#: the cell's states by its letter; and the layer, from 0.
Place = tuple[str, int]
INPUT: Place = ("input", 0)

#: The most memory that the steps of a part keep for the way back, in bytes. More is not faster.
MEMORY_LIMIT = 256 * 2**20
#: Numbers that a neuron of a layer keeps for each step, its gradients included: a cautious guess.
_NUMBERS_A_UNIT = 24


class _NotedCell(Cell):
    """A cell that keeps every new state, so that it can be differentiated by.

    The way back through all steps is one call of torch, which Ctrl-C would have to wait for. So at
    each state it runs a line of Python, where signals are answered.
    """

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self.name = cell.name
        self.gate_names, self.state_names = cell.gate_names, cell.state_names
        self.vector_names, self.below_names = cell.vector_names, cell.below_names
        #: The states after each step, all steps of a layer before those of the next.
        self.noted: list[dict[str, Array]] = []

    def equations(self, inputs: StepInputs) -> Outcome:
        """Compute a step as the cell does, and keep the new state."""
        new, gates = self._cell.step(*inputs)
        self.noted.append(new)
        for array in new.values():
            if getattr(array, "requires_grad", False):
                array.register_hook(_answer_signals)
        return new, gates


def _answer_signals(_gradient: torch.Tensor) -> None:
    """Do nothing, in Python: before it a signal that has come is answered."""


def reference_model(
    config: ModelConfig, weights: Mapping[str, Floats], instead: str = ""
) -> LanguageModel:
    """A model in torch that autograd can differentiate, in float64; no weight has a gradient.

    Raises:
        BackendError: torch is not installed; the message names what to ask for `instead`.
    """
    require_torch(f"a gradient ({instead} does without one)" if instead else "a gradient")
    from textgen.model.torch_network import LanguageModel

    with task("preparing the gradients"):
        model = LanguageModel(config, Engine("reference", "fp32", "its derivative is autograd's"))
        model.load_arrays(weights)
        model.double().requires_grad_(False)
        model.cell = _NotedCell(config.cell_spec)
    return model


def entering_vectors(model: LanguageModel) -> list[torch.Tensor]:
    """The vectors by which tokens enter each pass from now on, `(T, B, E)` of each pass."""
    entered: list[torch.Tensor] = []

    def enter(_module: object, _inputs: object, x_TBE: torch.Tensor) -> torch.Tensor:
        entered.append(x_TBE.requires_grad_())
        return x_TBE

    model.embedding.register_forward_hook(enter)
    return entered


def gradient_norms(
    config: ModelConfig,
    weights: Mapping[str, Floats],
    ids_TN: NDArray[np.integer],
    targets_N: NDArray[np.integer],
    state: State,
    *,
    threads: int = 1,
) -> dict[Place, Reals]:
    """The norm of the gradient of each target's cost, by everything that was there before it.

    Args:
        config: The model's shape.
        weights: Its weights as `ModelConfig.tensor_shapes` names them.
        ids_TN: A window a position, `(T, N)`; the target follows its last token.
        targets_N: The tokens whose cost in nats it is, `(N,)`.
        state: The state before the windows; no gradient goes further back.
    Returns:
        Of each state of each layer, and of the input, the norms `(T, N)` by lag: row `k` is of `k`
        tokens before the last one, row 0 of the last. A state's gradient is the whole one, along
        all ways from it to the target.
    Raises:
        BackendError: torch is not installed.
    """
    model = reference_model(config, weights)
    import torch

    entered = entering_vectors(model)

    def last_only(_module: object, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        # Only the last prediction is asked for; of many words the others would be expensive.
        return (inputs[0][-1:],)

    model.head.register_forward_pre_hook(last_only)
    length, count = ids_TN.shape
    layers, names = config.num_layers, config.cell_spec.state_names
    numbers = config.embedding_size + layers * config.hidden_size * _NUMBERS_A_UNIT
    rows = max(1, MEMORY_LIMIT // (numbers * length * 8))
    parts: list[dict[Place, Reals]] = []
    starts = range(0, count, rows)
    for start in track(starts, "measuring gradients", len(starts)):
        stop = min(start + rows, count)
        entered.clear()
        cell = _NotedCell(config.cell_spec)
        model.cell = cell
        before = [
            {name: torch.from_numpy(value[start:stop]).double() for name, value in layer.items()}
            for layer in state
        ]
        ids_TB = torch.from_numpy(np.asarray(ids_TN[:, start:stop], np.int64))
        targets_B = torch.from_numpy(np.asarray(targets_N[start:stop], np.int64))
        with computing_threads(threads), torch.enable_grad():
            logits_1BV, _ = model(ids_TB, before)
            nats = torch.nn.functional.cross_entropy(logits_1BV[-1], targets_B, reduction="sum")
            steps = [states[name] for name in names for states in cell.noted]
            found = torch.autograd.grad(
                nats, [*entered, *steps], allow_unused=True, materialize_grads=True
            )
        norms = torch.stack([gradient_BH.norm(dim=-1) for gradient_BH in found[1:]]).numpy()
        noted = norms.reshape(len(names), layers, length, stop - start)
        part: dict[Place, Reals] = {
            (name, layer): noted[index, layer]
            for index, name in enumerate(names)
            for layer in range(layers)
        }
        part[INPUT] = found[0].norm(dim=-1).numpy()
        parts.append(part)
    return {
        place: np.concatenate([part[place] for part in parts], axis=1)[::-1] for place in parts[0]
    }
