"""A window computed by the cells' specification in float64, differentiated by torch."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from support.native_windows import Arrays, Case, Outcome
from textgen.cells import get_cell

#: States of a layer over a window by name, `(T, B, H)`.
Sequences = dict[str, torch.Tensor]


def differentiated(case: Case) -> Outcome:
    """What a window gives, by the cell's own equations."""
    cell = get_cell(case.cell, case.nonlinearity)
    own = {
        name: torch.tensor(array, dtype=torch.float64, requires_grad=True)
        for name, array in case.weights.items()
    }
    vectors_VE = own["embedding.weight"]
    if case.mask_E is not None:
        vectors_VE = vectors_VE * torch.tensor(case.mask_E, dtype=torch.float64)
    x_TBI = vectors_VE[torch.tensor(case.ids, dtype=torch.int64)]
    values: Arrays = {}
    below: Sequences = {}
    for layer in range(case.L):
        state = {n: torch.tensor(a, dtype=torch.float64) for n, a in case.state[layer].items()}
        prefix = f"layers.{layer}."
        products = tuple(partial(_multiply, own[prefix + p.name]) for p in cell.products)
        extra = {name: own[prefix + name] for name in cell.vector_names}
        outputs = []
        read_above: dict[str, list[torch.Tensor]] = {name: [] for name in cell.below_names}
        for t in range(case.T):
            if case.resets_TB is not None:
                reset = torch.tensor(case.resets_TB[t])[:, None]
                state = {name: value.masked_fill(reset, 0.0) for name, value in state.items()}
            pre = x_TBI[t] @ own[prefix + "weight_ih"].T + own[prefix + "bias"]
            zeros = torch.zeros_like(state["h"])
            read = {n: below[n][t] if layer else zeros for n in cell.below_names}
            state, gates = cell.step(torch, pre, state, products, extra, read)
            outputs.append(state["h"])
            for name, steps in read_above.items():
                steps.append(state[name])
            for name, value in (*state.items(), *gates.items()):
                values[f"{name}{layer} at {t}"] = value.detach().numpy()
        for name, value in state.items():
            values[f"last {name}{layer}"] = value.detach().numpy()
        below = {name: torch.stack(steps) for name, steps in read_above.items()}
        own_TBH = torch.stack(outputs)
        if case.mask_LBH is not None:
            own_TBH = own_TBH * torch.tensor(case.mask_LBH[layer], dtype=torch.float64)
        x_TBI = own_TBH + x_TBI if case.residual and layer else own_TBH
        for t in range(case.T):
            values[f"above{layer} at {t}"] = x_TBI[t].detach().numpy()
    head = own["embedding.weight" if case.tie else "head.weight"]
    logits_TBV = x_TBI @ head.T + own["head.bias"]
    targets = torch.tensor(case.targets, dtype=torch.int64)
    nats = F.cross_entropy(
        logits_TBV.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=-1
    )
    (nats.sum() / (targets >= 0).sum()).backward()
    values["nats"] = nats.detach().view(case.T, case.B).numpy()
    values["logits"] = logits_TBV.detach().numpy()[-1]
    return Outcome(values, {name: _gradient(tensor) for name, tensor in own.items()})


def _multiply(weight: torch.Tensor, h_BH: torch.Tensor) -> torch.Tensor:
    return h_BH @ weight.T


def _gradient(tensor: torch.Tensor) -> NDArray[np.float64]:
    assert tensor.grad is not None
    result: NDArray[np.float64] = tensor.grad.numpy()
    return result
