"""Every way to compute the recurrence agrees with the reference by name.

The comparison is with the reference in float64, from the same float32 numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from helpers import LayerCase, assert_matches_reference

from textgen.cells import LSTMCell
from textgen.ops import LayerWeights, Recurrence, Resets
from textgen.ops.recurrence import segments, zero_state
from textgen.ops.reference import run_reference
from textgen.ops.select import _bf16_works
from textgen.ops.torch_lstm import TorchLSTM

needs_bf16 = pytest.mark.skipif(
    not _bf16_works(torch.device("cpu")), reason="torch cannot run its LSTM in bf16 on this CPU"
)
PATHS = [
    pytest.param(run_reference, "fp32", id="reference-fp32"),
    pytest.param(TorchLSTM(), "fp32", id="torch-fp32"),
    pytest.param(TorchLSTM(torch.bfloat16), "bf16", id="torch-bf16", marks=needs_bf16),
]

#: T, B, I, H, and (time, stream) of each reset.
CASES = {
    "one": (1, 1, 1, 1, []),
    "one-reset": (1, 1, 1, 1, [(0, 0)]),
    "T1": (1, 5, 7, 33, []),
    "B1": (33, 1, 8, 65, [(0, 0), (17, 0)]),
    "H1": (65, 3, 5, 1, [(1, 1)]),
    "T33-H65-start": (33, 3, 33, 65, [(0, 0), (0, 1), (0, 2)]),
    "T65-H33-middle": (65, 33, 3, 33, [(40, 7)]),
    "T33-H33-many": (33, 4, 9, 33, [(0, 1), (1, 1), (5, 0), (5, 3), (20, 2), (32, 0)]),
    "T65-H65-all": (65, 2, 65, 65, [(31, 0), (31, 1), (64, 0), (64, 1)]),
}


def tolerance_of(precision: str, T: int, B: int) -> float:
    """The largest deviation to accept, as a share of a tensor's largest magnitude.

    fp32: a gate is wrong by a few `eps`; every step adds as much, which forgetting lets grow no
    faster than linearly with T; a weight's gradient is a sum of T * B terms, whose roundings add
    up like a random walk. bf16: products of numbers rounded to 8 bits, each wrong by up to 2^-9,
    two of them a product, in the forward and the backward pass; a factor of 8 covers the tails.
    """
    if precision == "bf16":
        return 8 * 2.0**-8
    return torch.finfo(torch.float32).eps * (8 + 0.25 * T + 2 * (T * B) ** 0.5)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize(("run", "precision"), PATHS)
def test_path_agrees_with_the_reference(run: Recurrence, precision: str, case: tuple) -> None:
    T, B, input_size, H, reset_at = case
    drawn = LayerCase.draw(T, B, input_size, H, reset_at, seed=T * B + H)
    assert_matches_reference(run, drawn, tolerance_of(precision, T, B))


@pytest.mark.parametrize(("run", "precision"), PATHS)
def test_a_reset_hides_everything_before_it(run: Recurrence, precision: str) -> None:
    """Exactly, even a NaN: the later part equals a call that begins there with zeros."""
    T, B, H, cut = 9, 3, 5, 4
    case = LayerCase.draw(T, B, 4, H, [(cut, b) for b in range(B)])
    weights = LayerWeights(case.weight_ih, (case.weight_hh,), case.bias)
    cell = LSTMCell()
    with torch.no_grad():
        case.x_TBI[:cut] = torch.nan
        y, last = run(cell, case.x_TBI, case.state, weights, case.resets)
        zeros = zero_state(cell, B, H, torch.device("cpu"))
        y_alone, last_alone = run(cell, case.x_TBI[cut:], zeros, weights, None)
    assert y[:cut].isnan().all()
    torch.testing.assert_close(y[cut:], y_alone, rtol=0, atol=0)
    torch.testing.assert_close(last, last_alone, rtol=0, atol=0)


@pytest.mark.parametrize(("run", "precision"), PATHS)
def test_a_reset_of_one_stream_leaves_the_others_alone(run: Recurrence, precision: str) -> None:
    case = LayerCase.draw(8, 3, 4, 5, [(3, 1)])
    weights = LayerWeights(case.weight_ih, (case.weight_hh,), case.bias)
    with torch.no_grad():
        y, last = run(LSTMCell(), case.x_TBI, case.state, weights, case.resets)
        y_free, last_free = run(LSTMCell(), case.x_TBI, case.state, weights, None)
    # Cutting the window at the reset may change the last bit of a sum (8 bits in bf16).
    eps = 2.0**-7 if precision == "bf16" else 1e-6
    for stream in (0, 2):
        torch.testing.assert_close(y[:, stream], y_free[:, stream], rtol=0, atol=eps)
        torch.testing.assert_close(last["c"][stream], last_free["c"][stream], rtol=0, atol=4 * eps)
    assert (y[3:, 1] - y_free[3:, 1]).abs().max() > 0.01


@pytest.mark.parametrize(("run", "precision"), PATHS)
@pytest.mark.parametrize("input_dtype", [torch.float32, torch.bfloat16])
def test_the_carried_state_keeps_its_type(
    run: Recurrence, precision: str, input_dtype: torch.dtype
) -> None:
    """The layers above the first read bf16 under autocast, and their state is float32 still."""
    if precision == "fp32" and input_dtype == torch.bfloat16:
        input_dtype = torch.float32
    case = LayerCase.draw(5, 2, 3, 4, [(2, 0)])
    weights = LayerWeights(case.weight_ih, (case.weight_hh,), case.bias)
    _, last = run(LSTMCell(), case.x_TBI.to(input_dtype), case.state, weights, case.resets)
    assert {name: value.dtype for name, value in last.items()} == {
        "h": torch.float32,
        "c": torch.float32,
    }


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Memory that was not written reads as NaN: inside torch's kernels and from Python."""
    empty, empty_like = torch.empty, torch.empty_like

    def fill(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.fill_(torch.nan) if tensor.is_floating_point() else tensor

    monkeypatch.setattr(torch, "empty", lambda *a, **k: fill(empty(*a, **k)))
    monkeypatch.setattr(torch, "empty_like", lambda *a, **k: fill(empty_like(*a, **k)))
    before = torch.are_deterministic_algorithms_enabled()
    # With deterministic algorithms torch fills fresh memory with NaN, in C++ too.
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize(("run", "precision"), PATHS)
def test_nothing_unwritten_is_read(run: Recurrence, precision: str, poisoned: None) -> None:
    assert torch.empty(3).isnan().all()
    case = LayerCase.draw(9, 3, 7, 33, [(0, 1), (4, 0), (4, 2)])
    assert_matches_reference(run, case, tolerance_of(precision, 9, 3))


def test_all_paths_have_one_signature() -> None:
    expected = list(inspect.signature(Recurrence.__call__).parameters.values())[1:]
    assert list(inspect.signature(run_reference).parameters.values()) == expected
    assert list(inspect.signature(TorchLSTM()).parameters.values()) == expected


def test_torchs_kernel_refuses_another_cell() -> None:
    class Other(LSTMCell):
        name = "other"

    case = LayerCase.draw(1, 1, 1, 1)
    weights = LayerWeights(case.weight_ih, (case.weight_hh,), case.bias)
    with pytest.raises(ValueError, match="computes the cell 'lstm', not 'other'"):
        TorchLSTM()(Other(), case.x_TBI, case.state, weights)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((), [(0, 6, None)]),
        ((0,), [(0, 6, 0)]),
        ((2,), [(0, 2, None), (2, 6, 0)]),
        ((0, 3, 5), [(0, 3, 0), (3, 5, 1), (5, 6, 2)]),
    ],
)
def test_segments_cut_a_window_where_documents_begin(times: tuple, expected: list) -> None:
    resets = Resets(times, torch.zeros(len(times), 1, 1))
    assert list(segments(6, resets)) == expected
    assert list(segments(6, None)) == [(0, 6, None)]


def test_a_reset_zeroes_a_nan_and_passes_no_gradient() -> None:
    resets = Resets((0,), torch.tensor([[[0.0], [1.0]]]))
    value = torch.tensor([[torch.nan], [2.0]], requires_grad=True)
    kept = resets.apply(0, {"h": value})["h"]
    np.testing.assert_array_equal(kept.detach().numpy(), [[0.0], [2.0]])
    kept.sum().backward()
    np.testing.assert_array_equal(value.grad.numpy(), [[0.0], [1.0]])
