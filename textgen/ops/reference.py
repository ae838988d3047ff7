"""The specification: a cell looped over time, differentiated by autograd. Slow and plain."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from textgen.cells import Cell
from textgen.ops.recurrence import LayerWeights, Resets, Sequences, TorchState


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
