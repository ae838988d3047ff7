"""A window computed by the cells' specification in float64, and the same by the native engine."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.cells import BUILT_IN, NONLINEARITIES, get_cell
from textgen.model.config import ModelConfig
from textgen.model.native_network import native_shape
from textgen.model.network import Engine
from textgen.native.net import Net, weights_of

Arrays = dict[str, NDArray[Any]]

#: An environment variable with a folder of what `specified` finds: for a Python without torch.
RECORDED_VARIABLE = "TEXTGEN_RECORDED_WINDOWS"

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
    """By the cell's own equations, looped over time in float64, differentiated by torch.

    Where `RECORDED_VARIABLE` names a folder, what was found is kept there, and read again without
    torch.
    """
    folder = os.environ.get(RECORDED_VARIABLE)
    file = Path(folder or "", f"{hashlib.sha256(repr(case).encode()).hexdigest()}.npz")
    if folder and file.is_file():
        with np.load(file) as kept:
            parts = [(name.partition(" "), kept[name]) for name in kept.files]
        found = Outcome({}, {})
        for (kind, _, name), array in parts:
            getattr(found, kind)[name] = array
        return found
    from support.specified_windows import differentiated

    found = differentiated(case)
    if folder:
        arrays = {
            f"{kind} {name}": array
            for kind in ("values", "gradients")
            for name, array in getattr(found, kind).items()
        }
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return found


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


def error(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest deviation, relative to the largest number expected; NaN is infinitely wrong."""
    if not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12))
