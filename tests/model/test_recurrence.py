"""Every way to compute the recurrence agrees with the reference by name, for every cell.

The comparison is with the reference in float64, from the same float32 numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch
from support.layer_case import ALL_CELLS, LayerCase, assert_matches_reference

from textgen.cells import Cell, RNNCell, get_cell
from textgen.model import recurrence
from textgen.model.network import Engine
from textgen.model.recurrence import (
    Recurrence,
    Resets,
    bf16_works,
    kernel_of,
    make_resets,
    recurrence_for,
    run_kernel,
    run_reference,
    segments,
)

CPU = torch.device("cpu")
REFERENCE = Engine("reference", "fp32", "the specification")
FP32 = Engine("torch", "fp32", "asked for")
BF16 = Engine("torch", "bf16", "asked for")


def paths() -> Iterator[object]:
    """Each path with each cell that it computes."""
    for name, cell in ALL_CELLS.items():
        yield pytest.param(cell, REFERENCE, id=f"{name}-reference-fp32")
        if kernel := kernel_of(cell):
            yield pytest.param(cell, FP32, id=f"{name}-torch-fp32")
            needs_bf16 = pytest.mark.skipif(
                not bf16_works(kernel, CPU), reason=f"torch cannot run its {kernel} in bf16 here"
            )
            yield pytest.param(cell, BF16, id=f"{name}-torch-bf16", marks=needs_bf16)


EACH_PATH = pytest.mark.parametrize(("cell", "path"), list(paths()))

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
    torch's loops of GRU and RNN also round what is between the products, and the sum over time
    of a weight's gradient: T roundings, and where a unit stays saturated they all err alike.
    """
    if precision == "bf16":
        return 2.0**-8 * (8 + 2 * T**0.5)
    return torch.finfo(torch.float32).eps * (8 + 0.25 * T + 2 * (T * B) ** 0.5)


class MeasuringRNNCell(RNNCell):
    """Remembers how near to its kink a rectified unit ever came."""

    nearest = float("inf")

    def step(self, xp, pre_BGH, state, products, vectors, below):
        a = pre_BGH + products[0](state["h"])
        self.nearest = min(self.nearest, a.abs().min().item())
        return super().step(xp, pre_BGH, state, products, vectors, below)


def drawn(cell: Cell, case: tuple, precision: str) -> LayerCase:
    """Numbers for which the comparison means something.

    At its kink a rectifier's derivative jumps, and a rounding decides on which side a unit stands.
    In float32 roundings are small enough to draw numbers that stay clear of it.
    """
    T, B, input_size, H, reset_at = case
    for seed in range(T * B + H, 10**6):
        result = LayerCase.draw(cell, T, B, input_size, H, reset_at, seed=seed)
        if getattr(cell, "nonlinearity", "") != "relu" or precision == "bf16":
            return result
        measuring = MeasuringRNNCell("relu")
        result.cell = measuring
        result.results(run_reference, torch.float64)
        result.cell = cell
        if measuring.nearest > 3e-6:  # A dozen roundings of 2e-7 in a sum of order one.
            return result
    raise AssertionError("no numbers stay clear of the kink")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@EACH_PATH
def test_path_agrees_with_the_reference(cell: Cell, path: Engine, case: tuple) -> None:
    numbers = drawn(cell, case, path.precision)
    tolerance, root_mean_square = tolerance_of(path.precision, *case[:2]), False
    if cell.below_names:
        # Its gates look at the cell state, which gathers up what the layer below adds: a rounding
        # of a state of several in size is as many roundings of a gate's pre-activation. How the
        # sums fall depends on the CPU: 0.7 of the plain bound on one, 1.5 of it on another.
        tolerance *= 2
    if path.precision == "bf16" and getattr(cell, "nonlinearity", "") == "relu":
        # One unit in a hundred lies so near to the kink that bf16 puts it on the other side, where
        # its gradient is all wrong: the square root of a hundredth, of the root mean square.
        tolerance, root_mean_square = 0.1 + tolerance, True
    run = recurrence_for(path, cell)
    assert_matches_reference(run, numbers, tolerance, root_mean_square=root_mean_square)


@EACH_PATH
def test_a_reset_hides_everything_before_it(cell: Cell, path: Engine) -> None:
    """Exactly, even a NaN: the later part equals a call that begins there with zeros."""
    T, B, H, cut = 9, 3, 5, 4
    case = LayerCase.draw(cell, T, B, 4, H, [(cut, b) for b in range(B)])
    run = recurrence_for(path, cell)
    below = {name: case.inputs[f"below {name}"] for name in cell.below_names}
    with torch.no_grad():
        x_TBI = case.inputs["x"]
        x_TBI[:cut] = torch.nan
        sequences, last = run(cell, x_TBI, case.state, case.weights, case.resets, below)
        zeros = {name: torch.zeros(B, H) for name in cell.state_names}
        later = {name: value[cut:] for name, value in below.items()}
        alone, last_alone = run(cell, x_TBI[cut:], zeros, case.weights, None, later)
    assert sequences["h"][:cut].isnan().all()
    for name, value in sequences.items():
        torch.testing.assert_close(value[cut:], alone[name], rtol=0, atol=0)
    torch.testing.assert_close(last, last_alone, rtol=0, atol=0)


@EACH_PATH
def test_a_reset_of_one_stream_leaves_the_others_alone(cell: Cell, path: Engine) -> None:
    case = LayerCase.draw(cell, 8, 3, 4, 5, [(3, 1)])
    run = recurrence_for(path, cell)
    with torch.no_grad():
        results = case.call(run, case.inputs)
        case.resets = None
        free = case.call(run, case.inputs)
    # Cutting the window at the reset may change the last bit of a sum (8 bits in bf16).
    share = 2.0**-7 if path.precision == "bf16" else 1e-6
    eps = share * max(1.0, free["y"].abs().max().item())
    for stream in (0, 2):
        close = {"rtol": 0, "atol": 4 * eps}
        torch.testing.assert_close(results["y"][:, stream], free["y"][:, stream], **close)
        for name in cell.state_names:
            torch.testing.assert_close(results[name][stream], free[name][stream], **close)
    assert (results["y"][3:, 1] - free["y"][3:, 1]).abs().max() > 0.01


@EACH_PATH
@pytest.mark.parametrize("input_dtype", [torch.float32, torch.bfloat16])
def test_the_carried_state_keeps_its_type(
    cell: Cell, path: Engine, input_dtype: torch.dtype
) -> None:
    """The layers above the first read bf16 under autocast, and their state is float32 still."""
    if path.precision == "fp32" and input_dtype == torch.bfloat16:
        input_dtype = torch.float32
    case = LayerCase.draw(cell, 5, 2, 3, 4, [(2, 0)])
    case.inputs["x"] = case.inputs["x"].to(input_dtype)
    results = case.call(recurrence_for(path, cell), case.inputs)
    assert {results[name].dtype for name in cell.state_names} == {torch.float32}


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


@EACH_PATH
def test_nothing_unwritten_is_read(cell: Cell, path: Engine, poisoned: None) -> None:
    assert torch.empty(3).isnan().all()
    case = LayerCase.draw(cell, 9, 3, 7, 33, [(0, 1), (4, 0), (4, 2)])
    results = case.results(recurrence_for(path, cell))
    assert all(value.isfinite().all() for value in results.values())


def test_all_paths_have_one_signature() -> None:
    expected = list(inspect.signature(Recurrence.__call__).parameters.values())[1:]
    assert list(inspect.signature(run_reference).parameters.values()) == expected
    assert (
        list(inspect.signature(partial(run_kernel, "lstm", None)).parameters.values()) == expected
    )


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_where_torch_casts_to_another_type_all_is_cast_here(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, played on the CPU with a type that it has: float64."""
    case = LayerCase.draw(get_cell(name), 5, 3, 4, 6, [(2, 1)])
    numbers = case.inputs["x"], case.state, case.weights, case.resets
    kernel = kernel_of(case.cell)
    expected, last = run_kernel(kernel, None, case.cell, *numbers)
    monkeypatch.setattr(recurrence, "CAST_HERE", {"cpu"})
    own, state = run_kernel(kernel, torch.float64, case.cell, *numbers)
    assert own["h"].dtype == torch.float64
    torch.testing.assert_close(own["h"].float(), expected["h"])
    for key, value in state.items():
        assert value.dtype == torch.float32  # What is carried on keeps its type.
        torch.testing.assert_close(value, last[key])


def test_torchs_kernels_refuse_another_cell() -> None:
    case = LayerCase.draw(get_cell("gru"), 1, 1, 1, 1)
    with pytest.raises(ValueError, match="kernel 'lstm' does not compute 'gru'"):
        run_kernel("lstm", None, case.cell, case.inputs["x"], case.state, case.weights)


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("torch", get_cell("rnn", "identity")),
        ("torch", ALL_CELLS["mlstm"]),
        ("native", get_cell("lstm")),
    ],
)
def test_a_path_without_a_recurrence_is_refused(name: str, cell: Cell) -> None:
    with pytest.raises(ValueError, match=f"engine '{name}' has no recurrence for .*'{cell.name}'"):
        recurrence_for(Engine(name, "fp32", ""), cell)


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
    resets = Resets(times, torch.zeros(len(times), 1, 1, dtype=torch.bool))
    assert list(segments(6, resets)) == expected
    assert list(segments(6, None)) == [(0, 6, None)]


def test_resets_are_gathered_by_time() -> None:
    resets_TB = np.zeros((5, 2), dtype=bool)
    resets_TB[[1, 4, 4], [1, 0, 1]] = True
    resets = make_resets(resets_TB, CPU)
    assert resets is not None and resets.times == (1, 4)
    assert resets.reset_RB1[:, :, 0].tolist() == [[False, True], [True, True]]


def test_a_reset_zeroes_a_nan_and_passes_no_gradient() -> None:
    resets = Resets((0,), torch.tensor([[[True], [False]]]))
    value = torch.tensor([[torch.nan], [2.0]], requires_grad=True)
    kept = resets.apply(0, {"h": value})["h"]
    np.testing.assert_array_equal(kept.detach().numpy(), [[0.0], [2.0]])
    kept.sum().backward()
    assert value.grad is not None
    np.testing.assert_array_equal(value.grad.numpy(), [[0.0], [1.0]])
