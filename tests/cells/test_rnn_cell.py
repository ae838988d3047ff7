"""The specification of the plain RNN, for each nonlinearity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from textgen.cells import NONLINEARITIES, RNNCell

FUNCTIONS: dict[str, Callable] = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0.0),
    "identity": lambda a: a,
}


def test_there_is_a_function_for_each_nonlinearity() -> None:
    assert tuple(FUNCTIONS) == NONLINEARITIES
    assert RNNCell().nonlinearity == "tanh"


def drawn() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    shapes = {"x": (3, 5), "h": (3, 4), "W": (4, 5), "U": (4, 4), "b": (4,)}
    return {name: rng.normal(0.0, 1.0, shape) for name, shape in shapes.items()}


def step(nonlinearity: str, xp, v, cast):
    pre = cast(v["x"]) @ cast(v["W"]).T + cast(v["b"])
    product = lambda h: h @ cast(v["U"]).T  # noqa: E731
    state, gates = RNNCell(nonlinearity).step(xp, pre, {"h": cast(v["h"])}, (product,), {}, {})
    assert gates == {}
    return state["h"]


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_step_is_its_equation(nonlinearity: str) -> None:
    v = drawn()
    expected = FUNCTIONS[nonlinearity](v["x"] @ v["W"].T + v["h"] @ v["U"].T + v["b"])
    # Both compute in float64; only the order of a few roundings differs.
    close = {"rtol": 1e-13, "atol": 1e-14}
    np.testing.assert_allclose(step(nonlinearity, np, v, np.asarray), expected, **close)
    np.testing.assert_allclose(step(nonlinearity, torch, v, torch.from_numpy), expected, **close)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_step_equals_torchs_cell(nonlinearity: str) -> None:
    v = {name: torch.from_numpy(array) for name, array in drawn().items()}
    cell = torch.nn.RNNCell(5, 4, nonlinearity=nonlinearity, dtype=torch.float64)
    with torch.no_grad():
        cell.weight_ih.copy_(v["W"])
        cell.weight_hh.copy_(v["U"])
        cell.bias_ih.copy_(v["b"] - 0.25)
        cell.bias_hh.fill_(0.25)
        expected = cell(v["x"], v["h"])
    ours = step(nonlinearity, torch, drawn(), torch.from_numpy)
    torch.testing.assert_close(ours, expected, rtol=1e-13, atol=1e-14)


def test_at_zero_the_rectifier_passes_no_gradient() -> None:
    """As torch's: every unit stands there at the start of a document."""
    a = torch.tensor([[-1.0, 0.0, 2.0]], requires_grad=True)
    zeros = torch.zeros(1, 3)
    state, _ = RNNCell("relu").step(torch, a, {"h": zeros}, (lambda h: h,), {}, {})
    state["h"].sum().backward()
    assert a.grad is not None and a.grad.tolist() == [[0.0, 0.0, 1.0]]


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_a_nan_stays_one(nonlinearity: str) -> None:
    v = drawn()
    v["b"][2] = np.nan
    assert np.isnan(step(nonlinearity, np, v, np.asarray)[:, 2]).all()
