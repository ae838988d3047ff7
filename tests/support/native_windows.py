"""A window computed by the cells' specification in float64, and the same by the native engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from textgen.cells import BUILT_IN, NONLINEARITIES, get_cell
from textgen.model.config import ModelConfig
from textgen.model.native_network import native_shape
from textgen.model.network import Engine
from textgen.native.net import Net, weights_of

Arrays = dict[str, NDArray[Any]]
#: States of a layer over a window by name, `(T, B, H)`.
Sequences = dict[str, torch.Tensor]

#: Every cell with each nonlinearity that it has.
CELLS = tuple(
    (cell, nonlinearity)
    for cell in BUILT_IN
    for nonlinearity in (NONLINEARITIES if cell == "rnn" else ("tanh",))
)


@dataclass
class Case:
    """A network with random weights and a window of random tokens."""

    cell: str
    nonlinearity: str = "tanh"
    V: int = 17
    E: int = 12
    H: int = 33
    L: int = 1
    T: int = 5
    B: int = 3
    tie: bool = False
    residual: bool = False
    uncounted: float = 0.0
    resets: bool = True
    masks: bool = True
    seed: int = 0
    config: ModelConfig = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.config = ModelConfig(
            vocab_size=self.V,
            embedding_size=self.E,
            hidden_size=self.H,
            num_layers=self.L,
            cell=self.cell,
            nonlinearity=self.nonlinearity,
            tie=self.tie,
            residual=self.residual,
        )
        self.weights: Arrays = {}
        for name, shape in self.config.tensor_shapes().items():
            spread = 1.0 if name.startswith("embedding") and not self.tie else 0.3
            if len(shape) > 1 and not name.startswith("embedding"):
                spread = shape[1] ** -0.5
            self.weights[name] = (spread * rng.standard_normal(shape)).astype(np.float32)
        self.ids = rng.integers(0, self.V, (self.T, self.B)).astype(np.int32)
        self.targets = rng.integers(0, self.V, (self.T, self.B)).astype(np.int32)
        if self.uncounted:
            self.targets[rng.random(self.targets.shape) < self.uncounted] = -1
            self.targets[-1, -1] = 0
        names = get_cell(self.cell, self.nonlinearity).state_names
        self.state: list[Arrays] = [
            {
                name: (0.5 * rng.standard_normal((self.B, self.H))).astype(np.float32)
                for name in names
            }
            for _ in range(self.L)
        ]
        self.resets_TB = rng.random((self.T, self.B)) < 0.2 if self.resets else None
        self.mask_E = self.mask_LBH = None
        if self.masks:
            self.mask_E = ((rng.random(self.E) < 0.8) / 0.8).astype(np.float32)
            self.mask_LBH = ((rng.random((self.L, self.B, self.H)) < 0.8) / 0.8).astype(np.float32)


@dataclass
class Outcome:
    """What a window gives: each by a name that says what it is."""

    values: Arrays
    gradients: Arrays


def specified(case: Case) -> Outcome:
    """By the cell's own equations, looped over time in float64, differentiated by torch."""
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


def open_net(case: Case, isa: str, threads: int) -> Net:
    """The native network of a case's shape."""
    path = Engine("native", "", "", "cpu", isa, threads)
    return Net(native_shape(case.config, path))


def computed(case: Case, isa: str, threads: int = 1, net: Net | None = None) -> Outcome:
    """By the native engine; what it must overwrite is NaN before."""
    net = net or open_net(case, isa, threads)
    gradients = {name: np.full_like(array, np.nan) for name, array in case.weights.items()}
    into = weights_of(gradients, case.L)
    net.pack(weights_of(case.weights, case.L), backward=True)
    state = [{name: array.copy() for name, array in layer.items()} for layer in case.state]
    net.forward(
        case.ids,
        [layer["h"] for layer in state],
        [layer["c"] for layer in state if "c" in layer],
        resets_TB=None if case.resets_TB is None else case.resets_TB.view(np.uint8),
        mask_E=case.mask_E,
        mask_LBH=case.mask_LBH,
        save=True,
    )
    values: Arrays = {"logits": net.logits(case.T - 1), "nats": net.loss(case.targets, into)}
    net.backward(into)
    for layer, last in enumerate(state):
        values |= {f"last {name}{layer}": array for name, array in last.items()}
    return Outcome(values, gradients)


def _multiply(weight: torch.Tensor, h_BH: torch.Tensor) -> torch.Tensor:
    return h_BH @ weight.T


def _gradient(tensor: torch.Tensor) -> NDArray[np.float64]:
    assert tensor.grad is not None
    result: NDArray[np.float64] = tensor.grad.numpy()
    return result


def error(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest deviation, relative to the largest number expected; NaN is infinitely wrong."""
    if not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12))
