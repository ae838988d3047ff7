"""What a recurrence is given and what it returns, whichever path computes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from textgen.cells import Cell

#: One layer's state: each of the cell's states by name, `(B, H)`.
TorchState = dict[str, Tensor]


@dataclass(frozen=True)
class LayerWeights:
    """One layer's weights, gate blocks in the order of `cell.gate_names`.

    Args:
        weight_ih: `(G * H, I)`.
        recurrent: One `(G * H, H)` for each of `cell.recurrent_names`.
        bias: `(G * H,)`.
    """

    weight_ih: Tensor
    recurrent: tuple[Tensor, ...]
    bias: Tensor


@dataclass(frozen=True)
class Resets:
    """Where within a window a document begins: the state is zeroed before that token is read.

    Args:
        times: The time steps at which at least one stream is reset, rising; known on the host, so
            that no path has to ask a device.
        keep_RB1: For each of `times` a factor a stream, 0 where it is reset and 1 elsewhere,
            `(len(times), B, 1)`.
    """

    times: tuple[int, ...]
    keep_RB1: Tensor

    def apply(self, index: int, state: TorchState) -> TorchState:
        """The state with the streams reset at `times[index]` set to zero."""
        keep_B1 = self.keep_RB1[index]
        # A product would keep a NaN alive; a masked fill does not.
        return {name: value.masked_fill(keep_B1 == 0, 0.0) for name, value in state.items()}


class Recurrence(Protocol):
    """Run one layer over `T` steps."""

    def __call__(
        self,
        cell: Cell,
        x_TBI: Tensor,
        state: TorchState,
        weights: LayerWeights,
        resets: Resets | None = None,
    ) -> tuple[Tensor, TorchState]:
        """Outputs `(T, B, H)` and the final state, given inputs `(T, B, I)` and the first state."""


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
