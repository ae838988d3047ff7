"""The native engine against the specification: every cell, instruction set and awkward shape."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from support.native_windows import CELLS, Case, Outcome, computed, error, open_net, specified
from support.pairwise import each_two

from textgen.cells import get_cell
from textgen.errors import BackendError
from textgen.model.native_network import NativeNetwork
from textgen.model.network import Engine
from textgen.native.library import BF16_ISAS, supported_isas
from textgen.native.net import READ_CELL, READ_HIDDEN, READ_OUTPUT, Net, weights_of

#: Each is wrong for a different piece of code: one of everything; widths that fill no block of 16
#: columns and no pair of rows; streams that no number of threads divides; several layers; a tied
#: output; more streams than one tile has rows; neither masks nor resets, where the output shares
#: memory with the state; a vocabulary larger than the window.
SHAPES: dict[str, tuple[dict[str, int | bool], int]] = {
    "ones": ({"T": 1, "B": 1, "H": 1, "E": 1, "V": 3}, 1),
    "33": ({}, 1),
    "33, one stream, plain": ({"B": 1, "T": 7, "resets": False, "masks": False}, 2),
    "65, two layers": ({"H": 65, "B": 7, "T": 9, "L": 2}, 1),
    "65, two threads": ({"H": 65, "B": 41, "T": 3, "V": 100}, 2),
    "three layers, three threads": ({"H": 48, "B": 8, "T": 4, "L": 3}, 3),
    "tied": ({"H": 33, "E": 33, "B": 5, "L": 2, "tie": True}, 2),
    "many streams": ({"H": 32, "B": 70, "T": 3, "E": 64, "V": 300}, 4),
    "plain": ({"H": 64, "B": 37, "resets": False, "masks": False}, 2),
    "odd streams, plain": ({"H": 17, "B": 3, "L": 2, "resets": False, "masks": False}, 1),
    "512": ({"H": 512, "B": 4, "T": 2}, 2),
    "residual": ({"H": 40, "B": 6, "T": 5, "L": 3, "residual": True}, 2),
    "residual, plain": (
        {"H": 65, "E": 65, "B": 3, "L": 2, "residual": True, "resets": False, "masks": False},
        1,
    ),
    "uncounted": ({"H": 33, "B": 5, "T": 6, "V": 40, "uncounted": 0.6}, 2),
}

#: Products of a few hundred terms, rounded to 24 bits each, of windows of a few steps.
FP32_BOUND = 2e-5
#: A product's two operands are rounded to 8 bits, each an error of 2**-9 at most: relative to the
#: largest value, some 2**-8 a product, and a gradient has passed through half a dozen of them.
BF16_BOUND = 0.03

ISAS = supported_isas()


@cache
def expected(cell: str, nonlinearity: str, shape: str) -> tuple[Case, Outcome]:
    case = Case(cell, nonlinearity, **SHAPES[shape][0])  # type: ignore[arg-type]
    return case, specified(case)


def bound(isa: str) -> float:
    return BF16_BOUND if isa in BF16_ISAS else FP32_BOUND


@pytest.fixture(autouse=True)
def _needs_library() -> None:
    if not ISAS:
        pytest.skip("the native library is not built")


@each_two("isa", "cell, nonlinearity", "shape", of=(ISAS, CELLS, SHAPES))
def test_window_agrees_with_the_specification(
    isa: str, cell: str, nonlinearity: str, shape: str
) -> None:
    case, wanted = expected(cell, nonlinearity, shape)
    found = computed(case, isa, SHAPES[shape][1])
    for name, value in found.values.items():
        assert error(value, wanted.values[name]) < bound(isa), name
    if nonlinearity == "relu" and isa in BF16_ISAS:
        # A unit whose sign the rounding turns passes its gradient or does not: no bound holds.
        return
    for name, value in found.gradients.items():
        assert error(value, wanted.gradients[name]) < 2 * bound(isa), name


@pytest.mark.parametrize("isa", ISAS)
def test_bf16_gradients_point_where_the_exact_ones_do(isa: str) -> None:
    """The bound on single numbers is wide; over all of them rounding must average out."""
    case = Case("lstm", H=128, B=32, T=12, V=40, E=32, L=2)
    wanted, found = specified(case), computed(case, isa, 2)
    a = np.concatenate([wanted.gradients[name].ravel() for name in wanted.gradients])
    b = np.concatenate([found.gradients[name].ravel() for name in wanted.gradients])
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    # Independent errors of 2**-8 leave a cosine of 1 - 2**-17.
    assert cosine > (0.9999 if isa in BF16_ISAS else 1 - 1e-9)
    assert abs(np.linalg.norm(b) / np.linalg.norm(a) - 1) < 0.01


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("cell", ["lstm", "gru", "depth-gated", "mlstm"])
def test_one_net_takes_windows_of_many_shapes(isa: str, cell: str) -> None:
    """Buffers are used again: nothing of a larger window may be left in a smaller one."""
    shapes = [(9, 40), (2, 3), (5, 7), (1, 1), (9, 1), (9, 40)]
    first = Case(cell, H=33, L=2)
    net = open_net(first, isa, 2)
    for seed, (T, B) in enumerate(shapes):
        for plain in (False, True):
            case = Case(cell, H=33, L=2, T=T, B=B, seed=seed, resets=not plain, masks=not plain)
            wanted, found = specified(case), computed(case, isa, net=net)
            for name, value in found.values.items():
                assert error(value, wanted.values[name]) < bound(isa), name
            for name, value in found.gradients.items():
                assert error(value, wanted.gradients[name]) < 2 * bound(isa), name


@each_two(
    *("isa", "cell", "threads"),
    of=(ISAS, ["lstm", "gru", "rnn", "depth-gated", "mlstm"], [1, 2]),
)
def test_pieces_of_one_text_begin_where_the_one_before_them_ends(
    isa: str, cell: str, threads: int
) -> None:
    """They cost what they cost one after the other; the gradient ends with each piece."""
    case = Case(cell, H=65, L=2, T=5, B=4, masks=False)
    assert case.resets_TB is not None and case.resets_TB[1:].any()
    case.resets_TB[0, 2] = True  # One piece begins a document.
    weights, resets = weights_of(case.weights, case.L), case.resets_TB.view(np.uint8)
    names = list(case.state[0])

    def window(streams: slice, state: list[dict[str, NDArray[np.float32]]], chained: bool) -> Net:
        net = open_net(case, isa, threads)
        net.pack(weights, backward=True)
        by_name = {name: [layer[name] for layer in state] for name in names}
        net.forward(
            np.ascontiguousarray(case.ids[:, streams]),
            by_name["h"],
            by_name.get("c", []),
            resets_TB=np.ascontiguousarray(resets[:, streams]),
            save=True,
            chained=chained,
        )
        return net

    def gradients(net: Net) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        found = {name: np.full_like(array, np.nan) for name, array in case.weights.items()}
        into = weights_of(found, case.L)
        nats = net.loss(case.targets, into)
        net.backward(into)
        return nats, found

    last = [{name: layer[name][:1].copy() for name in names} for layer in case.state]
    nats, found = gradients(window(slice(None), last, chained=True))

    state = [{name: layer[name][:1].copy() for name in names} for layer in case.state]
    before = [{name: np.empty((case.B, case.H), np.float32) for name in names} for _ in state]
    for b in range(case.B):
        for layer, own in zip(before, state, strict=True):
            for name in names:
                layer[name][b] = own[name]
        piece = window(slice(b, b + 1), state, chained=False)
        own_nats = piece.loss(np.ascontiguousarray(case.targets[:, b : b + 1]))
        assert error(nats[:, b : b + 1], own_nats) < bound(isa), b
    for layer, wanted in zip(last, state, strict=True):
        for name in names:
            assert error(layer[name], wanted[name]) < bound(isa), name
    _, wanted_gradients = gradients(window(slice(None), before, chained=False))
    for name, value in found.items():
        assert error(value, wanted_gradients[name]) < 2 * bound(isa), name


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("isa", ISAS)
def test_same_threads_give_the_same_bits(isa: str, threads: int) -> None:
    case = Case("lstm", H=96, B=33, T=6, L=2)
    once, again = computed(case, isa, threads), computed(case, isa, threads)
    for name in once.values:
        assert np.array_equal(once.values[name], again.values[name]), name
    for name in once.gradients:
        assert np.array_equal(once.gradients[name], again.gradients[name]), name


@each_two("isa", "cell, nonlinearity", "residual", of=(ISAS, CELLS, [False, True]))
def test_what_is_read_back_is_what_the_cell_did(
    isa: str, cell: str, nonlinearity: str, residual: bool
) -> None:
    case = Case(cell, nonlinearity, L=2, masks=False, residual=residual)
    wanted = specified(case)
    net = open_net(case, isa, 2)
    computed(case, isa, net=net)
    spec = get_cell(cell, nonlinearity)
    for layer in range(case.L):
        blocks = dict(enumerate(spec.gate_names))
        if "c" in spec.state_names:
            blocks[READ_CELL] = "c"
        blocks |= {READ_HIDDEN: "h", READ_OUTPUT: "above"}
        for what, name in blocks.items():
            found = net.read(layer, what)
            for t in range(case.T):
                exact = wanted.values[f"{name}{layer} at {t}"]
                assert error(found[t], exact) < bound(isa), (name, t)


@pytest.mark.parametrize("isa", ISAS)
def test_a_gradient_from_elsewhere_takes_the_place_of_the_loss(isa: str) -> None:
    """Doubling the output's gradient doubles every other one."""
    case = Case("lstm", masks=False, resets=False)
    net = open_net(case, isa, 1)
    rng = np.random.default_rng(0)
    gradient = rng.standard_normal((case.T, case.B, case.H)).astype(np.float32)
    found = []
    for factor in (1.0, 2.0):
        computed(case, isa, net=net)
        into = {name: np.full_like(array, np.nan) for name, array in case.weights.items()}
        net.seed(np.float32(factor) * gradient)
        net.backward(weights_of(into, case.L))
        found.append(into)
    for name in found[0]:
        if not name.startswith("head"):
            assert error(found[1][name], 2.0 * found[0][name]) < 1e-6, name


@pytest.mark.parametrize("token", [-2, 17, 5_000_000])
@pytest.mark.parametrize("where", ["ids", "targets"])
def test_a_token_that_is_no_symbol_is_refused(where: str, token: int) -> None:
    """It would be read, and written, outside of every array."""
    for isa in ISAS:
        case = Case("lstm")
        getattr(case, where)[2, 1] = token
        with pytest.raises(BackendError, match="a token that the model does not know"):
            computed(case, isa)


def test_threads_of_python_may_share_a_network() -> None:
    """A window is several calls; another caller's must not come between them."""
    case = Case("lstm", H=64, B=8, T=20, masks=False, resets=False)
    network = NativeNetwork(case.config, Engine("native", "", "", "cpu", ISAS[0], 2))
    network.load_arrays(case.weights)
    windows = [np.roll(case.ids, shift, axis=0) for shift in range(4)]

    def costs(ids: NDArray[np.int32]) -> NDArray[np.float32]:
        return network.nll(ids, case.targets, case.state)[0]

    alone = [costs(window) for window in windows]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(25):
            for found, expected in zip(pool.map(costs, windows), alone, strict=True):
                assert np.array_equal(found, expected)


def test_memory_is_given_back() -> None:
    case = Case("lstm", H=64, B=64, T=32)
    net = open_net(case, ISAS[0], 2)
    assert net.nbytes == 0
    computed(case, ISAS[0], net=net)
    first = net.nbytes
    assert first > 64 * 64 * 32 * 4
    computed(case, ISAS[0], net=net)
    assert net.nbytes == first, "the same window again must need no more"
    del net
    gc.collect()


def test_non_finite_weights_give_non_finite_nats() -> None:
    """A diverged model is noticed: no clamp of the activations hides it."""
    for isa in ISAS:
        for name in ("layers.0.weight_hh", "layers.0.bias", "head.weight", "embedding.weight"):
            case = Case("lstm", masks=False)
            case.weights[name][...] = np.nan
            assert np.isnan(computed(case, isa).values["nats"]).all(), (isa, name)
