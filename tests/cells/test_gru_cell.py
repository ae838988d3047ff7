"""The specification of the GRU: torch's equations and torch's cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.models import logistic

from textgen.cells import GRUCell

BATCH, INPUT, HIDDEN = 3, 5, 4


def drawn() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    shapes = {
        "x": (BATCH, INPUT),
        "h": (BATCH, HIDDEN),
        "W": (3 * HIDDEN, INPUT),
        "U": (3 * HIDDEN, HIDDEN),
        "b": (3 * HIDDEN,),
        "b_hn": (HIDDEN,),
    }
    return {name: rng.normal(0.0, 1.0, shape) for name, shape in shapes.items()}


def step(xp, v, cast):
    pre = cast(v["x"]) @ cast(v["W"]).T + cast(v["b"])
    product = lambda h: h @ cast(v["U"]).T  # noqa: E731
    vectors = {"bias_hn": cast(v["b_hn"])}
    return GRUCell().step(xp, pre, {"h": cast(v["h"])}, (product,), vectors, {})


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_step_is_the_equations_of_torchs_manual(library: str) -> None:
    v = drawn()
    x, h = v["x"], v["h"]
    W_r, W_z, W_n = np.split(v["W"], 3)
    U_r, U_z, U_n = np.split(v["U"], 3)
    b_r, b_z, b_n = np.split(v["b"], 3)
    r = logistic(x @ W_r.T + h @ U_r.T + b_r)
    z = logistic(x @ W_z.T + h @ U_z.T + b_z)
    n = np.tanh(x @ W_n.T + b_n + r * (h @ U_n.T + v["b_hn"]))
    new = n + z * (h - n)
    if library == "numpy":
        state, gates = step(np, v, np.asarray)
    else:
        state, gates = step(torch, v, torch.from_numpy)
    for name, expected in {"reset": r, "update": z, "candidate": n}.items():
        # Both compute in float64; only the order of a few roundings differs.
        np.testing.assert_allclose(np.asarray(gates[name]), expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(np.asarray(state["h"]), new, rtol=1e-13, atol=1e-14)


def test_step_equals_torchs_cell() -> None:
    v = {name: torch.from_numpy(array) for name, array in drawn().items()}
    cell = torch.nn.GRUCell(INPUT, HIDDEN, dtype=torch.float64)
    with torch.no_grad():
        cell.weight_ih.copy_(v["W"])
        cell.weight_hh.copy_(v["U"])
        cell.bias_ih.copy_(v["b"])
        cell.bias_hh.zero_()
        cell.bias_hh[2 * HIDDEN :] = v["b_hn"]
        # Of the reset and update gates' two biases only the sum counts.
        cell.bias_ih[: 2 * HIDDEN] -= 0.25
        cell.bias_hh[: 2 * HIDDEN] += 0.25
        expected = cell(v["x"], v["h"])
    state, _ = step(torch, drawn(), torch.from_numpy)
    torch.testing.assert_close(state["h"], expected, rtol=1e-13, atol=1e-14)
