"""The specification: a cell looped over time, differentiated by autograd. Slow and plain."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from textgen.cells import Cell
from textgen.ops.recurrence import LayerWeights, Resets, TorchState


def run_reference(
    cell: Cell,
    x_TBI: Tensor,
    state: TorchState,
    weights: LayerWeights,
    resets: Resets | None = None,
) -> tuple[Tensor, TorchState]:
    """Run one layer step by step; any float type. See `Recurrence` for shapes."""
    products = tuple(partial(_multiply, weight) for weight in weights.recurrent)
    reset_at = {time: index for index, time in enumerate(resets.times)} if resets else {}
    outputs = []
    for t, x_BI in enumerate(x_TBI):
        if resets is not None and t in reset_at:
            state = resets.apply(reset_at[t], state)
        pre_BGH = x_BI @ weights.weight_ih.T + weights.bias
        state, _gates = cell.step(torch, pre_BGH, state, products)
        outputs.append(state["h"])
    return torch.stack(outputs), state


def _multiply(weight: Tensor, h_BH: Tensor) -> Tensor:
    return h_BH @ weight.T
