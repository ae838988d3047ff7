"""The specification of the LSTM: the lecture's equations and torch's cell."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from support.models import lecture_step

from textgen.cells import LSTMCell
from textgen.cells.cell import sigmoid

BATCH, INPUT, HIDDEN = 3, 5, 4


def drawn() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    rows = 4 * HIDDEN
    shapes = {
        "x": (BATCH, INPUT),
        "h": (BATCH, HIDDEN),
        "c": (BATCH, HIDDEN),
        "W": (rows, INPUT),
        "U": (rows, HIDDEN),
        "b": (rows,),
    }
    return {name: rng.normal(0.0, 1.0, shape) for name, shape in shapes.items()}


def step(xp, v, cast):
    pre = cast(v["x"]) @ cast(v["W"]).T + cast(v["b"])
    product = lambda h: h @ cast(v["U"]).T  # noqa: E731
    return LSTMCell().step(xp, pre, {"h": cast(v["h"]), "c": cast(v["c"])}, (product,), {}, {})


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_step_is_the_lectures_equations(library: str) -> None:
    v = drawn()
    h, c, gates = lecture_step(v["x"], v["h"], v["c"], v["W"], v["U"], v["b"])
    if library == "numpy":
        state, activated = step(np, v, np.asarray)
    else:
        state, activated = step(torch, v, torch.from_numpy)
    # Both compute in float64; only the order of a few roundings differs.
    close = partial(np.testing.assert_allclose, rtol=1e-13, atol=1e-14)
    close(np.asarray(state["h"]), h)
    close(np.asarray(state["c"]), c)
    for name, values in gates.items():
        close(np.asarray(activated[name]), values)


def test_step_equals_torchs_cell() -> None:
    v = {name: torch.from_numpy(array) for name, array in drawn().items()}
    cell = torch.nn.LSTMCell(INPUT, HIDDEN, dtype=torch.float64)
    with torch.no_grad():
        cell.weight_ih.copy_(v["W"])
        cell.weight_hh.copy_(v["U"])
        # torch has two biases, of which only the sum counts.
        cell.bias_ih.copy_(v["b"] - 0.25)
        cell.bias_hh.fill_(0.25)
    h, c = cell(v["x"], (v["h"], v["c"]))
    state, _ = step(torch, drawn(), torch.from_numpy)
    torch.testing.assert_close(state["h"], h.detach(), rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(state["c"], c.detach(), rtol=1e-13, atol=1e-14)


def test_sigmoid_is_exact_and_does_not_overflow() -> None:
    a = np.array([-1000.0, -30.0, -1.0, 0.0, 1.0, 1000.0], np.float32)
    with np.errstate(all="raise"):
        values = sigmoid(np, a)
    # Rounding of 0.5 * tanh + 0.5: half a unit in the last place of 0.5, twice.
    expected = [0.0, 9.36e-14, 0.2689414, 0.5, 0.7310586, 1.0]
    np.testing.assert_allclose(values, expected, rtol=0, atol=1.2e-7)
    np.testing.assert_array_equal(sigmoid(torch, torch.from_numpy(a)).numpy(), values)
