"""The recurrence of one layer over many time steps, in torch: its types, and its specification.

`run_reference` loops a cell over time and is differentiated by autograd: slow and plain. torch's
own kernels (`textgen.model.torch_recurrence`) agree with it in outputs, final state and every
gradient. The native engine computes whole networks by the same specification.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textgen.cells import Cell

#: One layer's state: each of the cell's states by name, `(B, H)`.
TorchState = dict[str, Tensor]
#: States over a window by name, `(T, B, H)`.
Sequences = Mapping[str, Tensor]


@dataclass(frozen=True)
class LayerWeights:
    """One layer's weights, row blocks in the order of `cell.input_names`.

    Args:
        weight_ih: `(G * H, I)`.
        recurrent: One `(blocks * H, H)` for each of `cell.products`.
        bias: `(G * H,)`.
        vectors: One `(H,)` for each of `cell.vector_names`.
    """

    weight_ih: Tensor
    recurrent: tuple[Tensor, ...]
    bias: Tensor
    vectors: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Resets:
    """Where within a window a document begins: the state is zeroed before that token is read.

    Args:
        times: The time steps at which at least one stream is reset, rising; known on the host, so
            that no path has to ask a device.
        reset_RB1: For each of `times`, which streams are reset, `(len(times), B, 1)`, bool.
    """

    times: tuple[int, ...]
    reset_RB1: Tensor

    def apply(self, index: int, state: TorchState) -> TorchState:
        """The state with the streams reset at `times[index]` set to zero."""
        reset_B1 = self.reset_RB1[index]
        # A product with zero would keep a NaN alive; filling does not.
        return {name: value.masked_fill(reset_B1, 0.0) for name, value in state.items()}


def make_resets(resets_TB: NDArray[np.bool_], device: torch.device) -> Resets | None:
    """Bring the resets of a window to a device, without waiting for it.

    Args:
        resets_TB: True where the state is zeroed before the token is read, `(T, B)`.
        device: Where the state is.
    Returns:
        None where nothing is reset.
    """
    times = np.flatnonzero(resets_TB.any(axis=1))
    if not len(times):
        return None
    reset_RB1 = to_device(torch.from_numpy(resets_TB[times][:, :, None]), device)
    return Resets(tuple(times.tolist()), reset_RB1)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy from the host without waiting for the device."""
    if device.type == "cuda":
        # From pageable memory CUDA would first wait for all that was given to the device.
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


class Recurrence(Protocol):
    """Run one layer over `T` steps."""

    def __call__(
        self,
        cell: Cell,
        x_TBI: Tensor,
        state: TorchState,
        weights: LayerWeights,
        resets: Resets | None = None,
        below: Sequences | None = None,
    ) -> tuple[dict[str, Tensor], TorchState]:
        """Compute a window.

        Args:
            cell: The cell.
            x_TBI: Inputs, `(T, B, I)`.
            state: The state before the window, each `(B, H)`.
            weights: The layer's weights.
            resets: Where documents begin; None is nowhere.
            below: The layer below's states `(T, B, H)` for each of `cell.below_names`; None for a
                cell that reads none.
        Returns:
            States over the window `(T, B, H)`, `h` (the output) and each of `cell.below_names`,
            and the state after it.
        """


def run_reference(
    cell: Cell,
    x_TBI: Tensor,
    state: TorchState,
    weights: LayerWeights,
    resets: Resets | None = None,
    below: Sequences | None = None,
) -> tuple[dict[str, Tensor], TorchState]:
    """Run one layer step by step; any float type. See `Recurrence` for shapes."""
    below = below or {}
    products = tuple(partial(_multiply, weight) for weight in weights.recurrent)
    reset_at = {time: index for index, time in enumerate(resets.times)} if resets else {}
    read_above = ("h", *(name for name in cell.below_names if name != "h"))
    steps: dict[str, list[Tensor]] = {name: [] for name in read_above}
    for t, x_BI in enumerate(x_TBI):
        if resets is not None and t in reset_at:
            state = resets.apply(reset_at[t], state)
        pre_BGH = x_BI @ weights.weight_ih.T + weights.bias
        below_t = {name: below[name][t] for name in cell.below_names}
        state, _gates = cell.step(torch, pre_BGH, state, products, weights.vectors, below_t)
        for name, values in steps.items():
            values.append(state[name])
    return {name: torch.stack(values) for name, values in steps.items()}, state


def _multiply(weight: Tensor, h_BH: Tensor) -> Tensor:
    return h_BH @ weight.T


def segments(num_steps: int, resets: Resets | None) -> Iterator[tuple[int, int, int | None]]:
    """Cut a window where documents begin: `(start, stop, index into resets or None)`."""
    if resets is None or not resets.times:
        yield 0, num_steps, None
        return
    times = resets.times
    if times[0] > 0:
        yield 0, times[0], None
    for index, start in enumerate(times):
        stop = times[index + 1] if index + 1 < len(times) else num_steps
        yield start, stop, index


def zero_state(cell: Cell, batch_size: int, hidden_size: int, device: torch.device) -> TorchState:
    """The state at the start of a document: zeros `(B, H)`, float32."""
    return {
        name: torch.zeros(batch_size, hidden_size, device=device, dtype=torch.float32)
        for name in cell.state_names
    }
