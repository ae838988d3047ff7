"""The contract that every cell keeps, and each cell's equations written out once more."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.layer_case import ALL_CELLS, LayerCase

from textgen.cells import CELLS, Cell, RecurrentProduct, get_cell
from textgen.errors import ConfigError
from textgen.model.recurrence import LayerWeights, make_resets, run_reference

EACH_CELL = pytest.mark.parametrize("cell", ALL_CELLS.values(), ids=ALL_CELLS)
B, H = 3, 4


def stepped(cell: Cell, xp, cast) -> tuple[dict, dict]:
    """A step from the numbers that its declarations ask for."""
    rng = np.random.default_rng(5)

    def normal(*shape: int):
        return cast(rng.normal(0.0, 1.0, shape))

    pre = normal(B, len(cell.input_names) * H)
    state = {name: normal(B, H) for name in cell.state_names}
    weights = [normal(product.blocks * H, H) for product in cell.products]
    products = tuple(lambda h, weight=weight: h @ weight.T for weight in weights)
    vectors = {name: normal(H) for name in cell.vector_names}
    below = {name: normal(B, H) for name in cell.below_names}
    before = {name: np.asarray(value).copy() for name, value in state.items()}
    result = cell.step(xp, pre, state, products, vectors, below)
    for name, value in before.items():
        np.testing.assert_array_equal(np.asarray(state[name]), value, err_msg="was modified")
    return result


@EACH_CELL
def test_a_step_returns_what_was_declared(cell: Cell) -> None:
    state, gates = stepped(cell, np, np.asarray)
    assert tuple(state) == cell.state_names
    assert cell.state_names[0] == "h"
    assert tuple(gates) == cell.gate_names
    for value in (*state.values(), *gates.values()):
        assert value.shape == (B, H)


@EACH_CELL
def test_numpy_and_torch_agree_in_float32(cell: Cell) -> None:
    ours, our_gates = stepped(cell, np, lambda a: np.asarray(a, np.float32))
    theirs, their_gates = stepped(cell, torch, lambda a: torch.from_numpy(a).float())
    for name, value in (ours | our_gates).items():
        assert value.dtype == np.float32
        # A few float32 roundings (6e-8 each) of sums of up to ten terms of order one.
        np.testing.assert_allclose(value, (theirs | their_gates)[name].numpy(), atol=3e-6, rtol=0)


@pytest.mark.parametrize("reset_at", [[], [(0, 0), (1, 0), (1, 1), (2, 1)]])
@EACH_CELL
def test_gradients_of_the_reference_are_its_derivatives(
    cell: Cell, reset_at: list[tuple[int, int]]
) -> None:
    """By finite differences in float64: of every input, through every result."""
    case = LayerCase.draw(cell, 3, 2, 2, 2, reset_at)
    names = list(case.inputs)

    def run(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        results = case.call(run_reference, dict(zip(names, values, strict=True)))
        return tuple(results.values())

    doubles = [tensor.double().requires_grad_() for tensor in case.inputs.values()]
    assert torch.autograd.gradcheck(run, doubles)


def test_what_is_read_of_the_layer_below_flows_back_into_it() -> None:
    """Two layers of the depth-gated cell: the upper one's gradient reaches the lower one's c."""
    cell = CELLS["depth-gated"]
    lower = LayerCase.draw(cell, 3, 2, 2, 2, [(1, 0)], seed=1)
    upper = LayerCase.draw(cell, 3, 2, 2, 2, [(1, 0)], seed=2)
    names = [name for name in lower.inputs if not name.startswith("below")]

    def run(*values: torch.Tensor) -> torch.Tensor:
        inputs = dict(zip(names, values, strict=True))
        results = lower.call(run_reference, inputs | {"below c": torch.zeros(3, 2, 2).double()})
        above = {name: tensor.double() for name, tensor in upper.inputs.items()}
        # Only the lower layer's cell state is handed up: its output is not.
        return upper.call(run_reference, above | {"below c": results["y c"]})["y"]

    doubles = [lower.inputs[name].double().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(run, doubles)
    gradient = torch.autograd.grad(run(*doubles).sum(), doubles[names.index("weight_ih")])[0]
    assert gradient.abs().max() > 0.01


def lecture(a: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-a))


def test_the_cells_are_their_papers_equations() -> None:
    """One layer over three steps in float64, weight by weight, resets included."""
    for cell in (CELLS[name] for name in ("peephole", "coupled", "depth-gated", "mlstm")):
        case = LayerCase.draw(cell, 3, 2, 3, 4, [(2, 1)], seed=6)
        v = {name: tensor.double().numpy() for name, tensor in case.inputs.items()}
        h, c = v["h_0"], v["c_0"]
        outputs = []
        for t, x in enumerate(v["x"]):
            if t == 2:
                h, c = h.copy(), c.copy()
                h[1] = c[1] = 0.0
            blocks = len(v["bias"]) // 4
            W = [w.T for w in np.split(v["weight_ih"], blocks)]
            b = np.split(v["bias"], blocks)
            if cell.name == "coupled":
                U = [u.T for u in np.split(v["weight_hh"], 3)]
                i = lecture(x @ W[0] + h @ U[0] + b[0])
                c = (1.0 - i) * c + i * np.tanh(x @ W[1] + h @ U[1] + b[1])
                o = lecture(x @ W[2] + h @ U[2] + b[2])
            elif cell.name == "peephole":
                U = [u.T for u in np.split(v["weight_hh"], 4)]
                i = lecture(x @ W[0] + h @ U[0] + v["weight_ci"] * c + b[0])
                f = lecture(x @ W[1] + h @ U[1] + v["weight_cf"] * c + b[1])
                c = f * c + i * np.tanh(x @ W[2] + h @ U[2] + b[2])
                o = lecture(x @ W[3] + h @ U[3] + v["weight_co"] * c + b[3])
            elif cell.name == "mlstm":
                U = [u.T for u in np.split(v["weight_hm"], 4)]
                m = (x @ W[0] + b[0]) * (h @ v["weight_mh"].T)
                i = lecture(x @ W[1] + m @ U[0] + b[1])
                f = lecture(x @ W[2] + m @ U[1] + b[2])
                g = np.tanh(x @ W[3] + m @ U[2] + b[3])
                o = lecture(x @ W[4] + m @ U[3] + b[4])
                c = f * c + i * g
            else:
                U = [u.T for u in np.split(v["weight_hh"], 4)]
                below = v["below c"][t]
                i = lecture(x @ W[0] + h @ U[0] + v["weight_ci"] * c + b[0])
                f = lecture(x @ W[1] + h @ U[1] + v["weight_cf"] * c + b[1])
                g = np.tanh(x @ W[2] + h @ U[2] + b[2])
                d = lecture(x @ W[4] + v["weight_cd"] * c + v["weight_ld"] * below + b[4])
                c = d * below + f * c + i * g
                o = lecture(x @ W[3] + h @ U[3] + v["weight_co"] * c + b[3])
            h = o * np.tanh(c)
            outputs.append(h)
        results = case.results(run_reference, torch.float64)
        # Both compute in float64; only the order of a few roundings differs.
        np.testing.assert_allclose(results["y"], np.stack(outputs), rtol=0, atol=1e-13)
        np.testing.assert_allclose(results["c"], c, rtol=0, atol=1e-13)


def test_the_first_layer_reads_zeros_below_it() -> None:
    """With nothing below, the depth gate has nothing to let in, and its weights no gradient."""
    cell = CELLS["depth-gated"]
    case = LayerCase.draw(cell, 3, 2, 3, 4)
    case.inputs["below c"].zero_()
    results = case.results(run_reference)
    assert not results["grad of weight_ld"].any()
    assert not results["grad of weight_ih"][4 * 4 :].any()
    assert results["grad of weight_ih"][: 4 * 4].any(dim=1).all()


def test_cells_are_found_by_name() -> None:
    names = ["lstm", "gru", "rnn", "peephole", "coupled", "depth-gated", "mlstm"]
    assert list(CELLS)[: len(names)] == names
    assert all(get_cell(name).name == name for name in CELLS)
    assert get_cell("lstm").products == (RecurrentProduct("weight_hh", 4),)
    with pytest.raises(ConfigError, match=r"cell 'elman' is not known; choose one of: lstm, gru"):
        get_cell("elman")


def test_only_the_plain_network_has_a_choice_of_nonlinearity() -> None:
    assert get_cell("rnn", "relu").nonlinearity == "relu"  # type: ignore[attr-defined]
    assert get_cell("gru", "tanh").name == "gru"
    with pytest.raises(ConfigError, match="cell 'gru' has no choice of nonlinearity, but 'relu'"):
        get_cell("gru", "relu")
    with pytest.raises(ConfigError, match="nonlinearity 'gelu' is not known; choose one of: tanh"):
        get_cell("rnn", "gelu")


def test_resets_that_are_nowhere_are_none() -> None:
    assert make_resets(np.zeros((3, 2), dtype=bool), torch.device("cpu")) is None
    weights = LayerWeights(torch.zeros(1, 1), (), torch.zeros(1))
    assert dict(weights.vectors) == {}
