"""Edits on the native engine against NumPy's: every cell, instruction set and awkward shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.native_windows import CELLS
from support.pairwise import each_two

from textgen.model.config import ModelConfig
from textgen.model.edit import Edit, Edits
from textgen.model.native_network import NativeNetwork, NativeStep
from textgen.model.network import Engine
from textgen.model.numpy_network import NumpyNetwork
from textgen.native.library import BF16_ISAS, supported_isas
from textgen.sampling import SampleOptions
from textgen.sampling.choice import choice_settings

ISAS = supported_isas() or ["missing"]
#: Without relu and identity, whose states have no bound.
BOUNDED = [cell for cell in CELLS if cell[1] == "tanh"]
#: Units, streams, layers, threads: one of everything, widths that fill no block, streams that no
#: number of threads divides, few units (streams are shared out) and many (units are).
SHAPES = [(1, 1, 1, 1), (33, 3, 2, 1), (65, 7, 1, 2), (64, 5, 2, 3), (20, 5, 2, 2)]


@pytest.fixture(autouse=True)
def _needs_library() -> None:
    if not supported_isas():
        pytest.skip("the native library is not built")


def bound(isa: str) -> float:
    """Of a state that has passed through a few steps: see `tests/native/test_net.py`."""
    return 0.03 if isa in BF16_ISAS else 2e-5


def networks(
    cell: tuple[str, str], shape: tuple[int, int, int, int], isa: str, residual: bool = False
) -> tuple[NumpyNetwork, NativeNetwork, dict[str, Any]]:
    size, _, layers, threads = shape
    config = ModelConfig(
        vocab_size=11,
        embedding_size=6,
        hidden_size=size,
        num_layers=layers,
        cell=cell[0],
        nonlinearity=cell[1],
        residual=residual and layers > 1,
    )
    rng = np.random.default_rng(0)
    weights = {
        name: (rng.standard_normal(s) * (s[-1] ** -0.5)).astype(np.float32)
        for name, s in config.tensor_shapes().items()
    }
    native = NativeNetwork(config, Engine("native", "", "", "cpu", isa, threads))
    native.load_arrays(weights)
    return NumpyNetwork(config, weights), native, weights


def some_edits(config: ModelConfig, streams: int) -> list[Edits]:
    """Every kind of edit, other ones for each stream, some for none."""
    rng = np.random.default_rng(1)
    size, states = config.hidden_size, config.cell_spec.state_names
    made = []
    for number in range(6):
        state = states[number % len(states)]
        layer = number % config.num_layers
        scale, shift = [(0.0, 0.7), (1.0, -0.4), (0.5, 0.0)][number % 3]
        if number % 2:
            # Of length 1, and not orthogonal: what is moved stays of the state's own size.
            read = rng.standard_normal(size).astype(np.float32)
            read /= np.linalg.norm(read)
            write = read + (0.3 * size**-0.5 * rng.standard_normal(size)).astype(np.float32)
            write /= read @ write
            made.append(
                Edit(layer=layer, state=state, scale=scale, shift=shift, read=read, write=write)
            )
        else:
            unit = number % size
            made.append(Edit(layer=layer, state=state, scale=scale, shift=shift, unit=unit))
    edits = [tuple(made[b % 6 : b % 6 + 3]) for b in range(streams)]
    if streams > 2:
        edits[1] = ()
    return edits


def stepped(
    network: NumpyNetwork, ids_TB: np.ndarray, edits: list[Edits], resets_TB: np.ndarray | None
) -> tuple[dict[str, list[np.ndarray]], list[dict[str, np.ndarray]]]:
    """By the cells' specification, one step after the other."""
    state = network.zero_state(ids_TB.shape[1])
    seen: dict[str, list[np.ndarray]] = {}
    for t, ids_B in enumerate(ids_TB):
        if resets_TB is not None:
            for layer in state:
                for name in layer:
                    layer[name] = np.where(resets_TB[t][:, None], np.float32(0), layer[name])
        records = network.step_traced(ids_B, state, edits)
        state = [dict(record.state) for record in records]
        # Gates too: with peepholes an edited c changes the output gate.
        for name, values in (state[-1] | records[-1].gates).items():
            seen.setdefault(name, []).append(values)
    return seen, state


@each_two(
    *("isa", "cell", "shape, residual", "has_resets"),
    of=(
        ISAS,
        CELLS,
        # One layer has nothing to add its input to.
        [(shape, False) for shape in SHAPES] + [(shape, True) for shape in SHAPES if shape[2] > 1],
        [False, True],
    ),
)
def test_a_window_is_edited_as_the_specification_says(
    isa: str,
    cell: tuple[str, str],
    shape: tuple[int, int, int, int],
    residual: bool,
    has_resets: bool,
) -> None:
    numpy, native, _ = networks(cell, shape, isa, residual)
    streams, steps = shape[1], 4
    rng = np.random.default_rng(2)
    ids_TB = rng.integers(0, 11, (steps, streams))
    resets_TB = rng.random((steps, streams)) < 0.3 if has_resets else None
    edits = some_edits(numpy.config, streams)
    seen, last = stepped(numpy, ids_TB, edits, resets_TB)
    records, after = native.trace(ids_TB, native.zero_state(streams), resets_TB, edits_B=edits)
    _, unsaved = native.nll(ids_TB, ids_TB, native.zero_state(streams), resets_TB, edits)
    for name, values in seen.items():
        wanted = np.stack(values)
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(records[-1][name], wanted, atol=bound(isa) * scale, rtol=0)
    for own, theirs, again in zip(after, last, unsaved, strict=True):
        for name, value in theirs.items():
            scale = max(1.0, float(np.abs(value).max()))
            np.testing.assert_allclose(own[name], value, atol=bound(isa) * scale, rtol=0)
            assert (again[name] == own[name]).all(), "kept for a gradient or not"


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("cell", BOUNDED, ids="-".join)
def test_a_clamped_unit_has_its_value_and_the_costs_feel_it(
    isa: str, cell: tuple[str, str]
) -> None:
    _, native, _ = networks(cell, (33, 3, 2, 1), isa)
    state = native.config.cell_spec.state_names[-1]
    clamp = (Edit(layer=0, state=state, unit=5, scale=0.0, shift=0.625),)
    ids_TB = np.arange(18).reshape(6, 3) % 11
    plain, _ = native.nll(ids_TB, ids_TB, native.zero_state(3))
    only_last, after = native.nll(ids_TB, ids_TB, native.zero_state(3), None, [(), (), clamp])
    assert after[0][state][2, 5] == 0.625  # a number that bf16 holds exactly
    assert (only_last[:, :2] == plain[:, :2]).all(), "streams without edits are left alone"
    assert (only_last[:, 2] != plain[:, 2]).all(), "from the first prediction on"


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("cell", BOUNDED, ids="-".join)
def test_an_edit_that_says_nothing_changes_no_bit(isa: str, cell: tuple[str, str]) -> None:
    _, native, weights = networks(cell, (65, 7, 2, 2), isa)
    size, states = 65, native.config.cell_spec.state_names
    ones = np.full(size, size**-0.5, np.float32)
    nothing = tuple(
        Edit(layer=layer, state=state, scale=1.0, shift=0.0, **what)
        for layer in (0, 1)
        for state in states
        for what in ({"unit": 3}, {"read": ones, "write": ones})
    )
    ids_TB = np.arange(35).reshape(5, 7) % 11
    plain, _ = native.nll(ids_TB, ids_TB, native.zero_state(7))
    edited, _ = native.nll(ids_TB, ids_TB, native.zero_state(7), None, [nothing] * 7)
    assert (plain == edited).all()
    one = NativeStep(native.config, weights, native.engine)
    assert (
        one.read([2, 3, 4], one.zero_state())[0]
        == one.read([2, 3, 4], one.zero_state(), nothing)[0]
    ).all()


@each_two("isa", "cell", "threads", of=(ISAS, CELLS, [1, 2]))
def test_one_stream_is_read_and_written_under_edits(
    isa: str, cell: tuple[str, str], threads: int
) -> None:
    shape = (520, 1, 2, threads)  # wide enough to pay for a second thread
    numpy, native, weights = networks(cell, shape, isa)
    one = NativeStep(numpy.config, weights, native.engine)
    edits = some_edits(numpy.config, 1)
    ids = [2, 3, 4, 5, 2]
    _, last = stepped(numpy, np.array(ids)[:, None], edits, None)
    logits, state = one.read(ids, one.zero_state(), edits[0])
    for own, theirs in zip(state, last, strict=True):
        for name, value in theirs.items():
            scale = max(1.0, float(np.abs(value).max()))
            np.testing.assert_allclose(own[name], value, atol=bound(isa) * scale, rtol=0)
    # What it writes does not depend on how it is asked.
    settings = choice_settings(SampleOptions(rng=3, temperature=1.0))
    written = one.write(12, logits, state, settings, 0, [], -1, edits[0])
    by_one_logits, by_one_state, symbols = logits, state, []
    for draw in range(12):
        step = one.write(1, by_one_logits, by_one_state, settings, draw, [], -1, edits[0])
        by_one_logits, by_one_state = step.logits_BV, step.state
        symbols += step.chosen.ids.tolist()
    assert written.chosen.ids.tolist() == symbols
    assert (written.logits_BV == by_one_logits).all()
    again, _ = one.read(written.chosen.ids.tolist(), state, edits[0])
    assert (again == written.logits_BV).all()
    plain = one.write(12, logits, state, settings, 0, [], -1)
    assert (plain.logits_BV != written.logits_BV).any()


@pytest.mark.parametrize("isa", ISAS)
def test_the_last_edits_are_forgotten_with_the_call(isa: str) -> None:
    _, native, weights = networks(("lstm", "tanh"), (33, 3, 1, 1), isa)
    clamp = (Edit(layer=0, state="c", unit=0, scale=0.0, shift=2.0),)
    ids_B = np.array([2, 3, 4])
    before, _ = native.step(ids_B, native.zero_state(3))
    steered, _ = native.step(ids_B, native.zero_state(3), [clamp] * 3)
    after, _ = native.step(ids_B, native.zero_state(3))
    assert (before == after).all() and (steered != before).any()
    one = NativeStep(native.config, weights, native.engine)
    first, _ = one.read([2, 3], one.zero_state())
    one.read([2, 3], one.zero_state(), clamp)
    assert (one.read([2, 3], one.zero_state())[0] == first).all()


def test_there_is_no_gradient_under_edits() -> None:
    """It would be that of another function."""
    _, native, _ = networks(("lstm", "tanh"), (33, 3, 1, 1), supported_isas()[-1])
    clamp = [(Edit(layer=0, state="c", unit=0, scale=0.0, shift=2.0),)] * 3
    ids_TB = np.zeros((2, 3), np.int64)
    native._read(ids_TB, native.zero_state(3), None, None, save=True, edits_B=clamp)
    with pytest.raises(AssertionError, match="out of order"):
        native._net.loss(np.zeros((2, 3), np.int32), native._gradient_pointers)
    with pytest.raises(AssertionError, match="out of order"):
        native._net.seed(np.zeros((2, 3, 33), np.float32))
