"""The step function without torch: the same logits as the module that was trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.layer_case import ALL_CELLS
from support.models import make_model, random_weights

from textgen.model import numpy_network
from textgen.model.config import ModelConfig
from textgen.model.edit import Edit
from textgen.model.network import Engine
from textgen.model.numpy_network import NumpyNetwork

CONFIGS = {
    "one-layer": ModelConfig(vocab_size=23, embedding_size=8, hidden_size=16),
    "two-layers": ModelConfig(vocab_size=23, embedding_size=8, hidden_size=16, num_layers=2),
    "tied": ModelConfig(vocab_size=23, embedding_size=16, hidden_size=16, num_layers=2, tie=True),
    "residual": ModelConfig(
        vocab_size=23, embedding_size=8, hidden_size=16, num_layers=3, residual=True
    ),
}
#: Every cell there is, and those of the contract, in two layers.
OF_CELLS = {
    name: (cell.name, getattr(cell, "nonlinearity", "tanh")) for name, cell in ALL_CELLS.items()
}
T, B = 40, 3


def ids_of(config: ModelConfig) -> np.ndarray:
    return np.random.default_rng(3).integers(0, config.vocab_size, (T, B))


def run(network: NumpyNetwork, ids_TB: np.ndarray) -> tuple[np.ndarray, list]:
    state = network.zero_state(ids_TB.shape[1])
    logits = []
    for ids_B in ids_TB:
        logits_BV, state = network.step(ids_B, state)
        logits.append(logits_BV)
    return np.stack(logits), state


@pytest.mark.parametrize("table", [True, False], ids=["table", "product"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_logits_and_states_are_the_modules(
    config: ModelConfig, table: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not table:
        monkeypatch.setattr(numpy_network, "TABLE_LIMIT_BYTES", 0)
    model = make_model(config)
    network = NumpyNetwork(config, model.arrays())
    assert (network._table is not None) == table
    ids_TB = ids_of(config)
    ours, state = run(network, ids_TB)
    with torch.no_grad():
        theirs, last = model(torch.from_numpy(ids_TB), model.zero_state(B))
    assert ours.dtype == np.float32
    # The agreement that is promised for traces.
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-5)
    for layer, expected in zip(state, last, strict=True):
        for name, value in expected.items():
            np.testing.assert_allclose(layer[name], value.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("table", [True, False], ids=["table", "product"])
@pytest.mark.parametrize(("cell", "nonlinearity"), OF_CELLS.values(), ids=OF_CELLS)
def test_every_cell_steps_as_the_reference_does(
    cell: str, nonlinearity: str, table: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not table:
        monkeypatch.setattr(numpy_network, "TABLE_LIMIT_BYTES", 0)
    config = replace(CONFIGS["two-layers"], cell=cell, nonlinearity=nonlinearity)
    # Weights that let a linear network neither explode nor vanish.
    weights = {name: 0.3 * array for name, array in random_weights(config).items()}
    model = make_model(config)
    model.load_arrays(weights)
    ids_TB = ids_of(config)
    ours, state = run(NumpyNetwork(config, weights), ids_TB)
    with torch.no_grad():
        theirs, last = model(torch.from_numpy(ids_TB), model.zero_state(B))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-5)
    assert [list(layer) for layer in state] == [list(layer) for layer in last]
    for layer, expected in zip(state, last, strict=True):
        for name, value in expected.items():
            assert value.abs().max() > 0.01
            np.testing.assert_allclose(layer[name], value.numpy(), rtol=0, atol=1e-5)


def test_the_table_is_used_up_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    config = CONFIGS["one-layer"]
    size = config.vocab_size * 4 * config.hidden_size * 4
    for limit, expected in ((size, True), (size - 1, False)):
        monkeypatch.setattr(numpy_network, "TABLE_LIMIT_BYTES", limit)
        network = NumpyNetwork(config, random_weights(config))
        assert (network._table is not None) == expected


def test_a_step_changes_nothing_it_was_given() -> None:
    config = CONFIGS["two-layers"]
    network = NumpyNetwork(config, random_weights(config))
    _, state = network.step(np.array([5, 6]), network.zero_state(2))
    before = [{name: value.copy() for name, value in layer.items()} for layer in state]
    network.step(np.array([7, 8]), state)
    for layer, expected in zip(state, before, strict=True):
        for name, value in expected.items():
            np.testing.assert_array_equal(layer[name], value)


def test_streams_do_not_touch_each_other() -> None:
    config = CONFIGS["two-layers"]
    network = NumpyNetwork(config, random_weights(config))
    ids_TB = ids_of(config)
    together, _ = run(network, ids_TB)
    for stream in range(B):
        alone, _ = run(network, ids_TB[:, stream : stream + 1])
        # A product of one row may be summed in another order than one of three.
        np.testing.assert_allclose(alone[:, 0], together[:, stream], rtol=0, atol=1e-5)


def test_a_traced_step_tells_what_the_step_did() -> None:
    config = CONFIGS["two-layers"]
    network = NumpyNetwork(config, random_weights(config))
    ids = np.array([5, 6, 7])
    logits, state = network.step(ids, network.zero_state(3))
    records = network.step_traced(ids, network.zero_state(3))
    np.testing.assert_array_equal(network.logits(records[-1].state["h"]), logits)
    for record, layer in zip(records, state, strict=True):
        assert tuple(record.gates) == config.cell_spec.gate_names
        for name, value in record.state.items():
            np.testing.assert_array_equal(value, layer[name])
        # From zeros: c = i * g, h = o * tanh(c).
        gates = record.gates
        np.testing.assert_allclose(layer["c"], gates["input"] * gates["candidate"], atol=1e-7)
        np.testing.assert_allclose(layer["h"], gates["output"] * np.tanh(layer["c"]), atol=1e-7)


def test_the_first_state_is_zero() -> None:
    config = CONFIGS["two-layers"]
    state = NumpyNetwork(config, random_weights(config)).zero_state(4)
    assert [sorted(layer) for layer in state] == [["c", "h"], ["c", "h"]]
    for layer in state:
        for value in layer.values():
            assert value.shape == (4, 16) and value.dtype == np.float32 and not value.any()


@pytest.mark.parametrize("name", ["one-layer", "two-layers", "residual"])
def test_what_the_head_reads_is_in_the_state(name: str) -> None:
    """The last layer's output; where layers add their input to it, the sum of all of them."""
    config = CONFIGS[name]
    network = NumpyNetwork(config, random_weights(config))
    logits, state = network.step(np.array([5, 6]), network.zero_state(2))
    np.testing.assert_array_equal(network.logits(network.output(state)), logits)
    total = sum(layer["h"] for layer in state) if config.residual else state[-1]["h"]
    np.testing.assert_allclose(network.output(state), total, rtol=1e-6)


def test_a_window_is_traced_and_read_as_its_steps_are() -> None:
    """With documents that begin in it, and with edits."""
    config = CONFIGS["residual"]
    network = NumpyNetwork(config, random_weights(config))
    ids_TB = ids_of(config)[:6]
    resets_TB = np.zeros((6, B), np.bool_)
    resets_TB[[2, 4], [1, 0]] = True
    edit = Edit(layer=1, state="c", unit=3, scale=0.0, shift=0.5)
    for edits_B in (None, [(edit,), (), ()]):
        state = network.zero_state(B)
        traced, last = network.trace(ids_TB, state, resets_TB, edits_B=edits_B)
        outputs_TBH, after = network.outputs(ids_TB, state, resets_TB)
        assert [tuple(layer) for layer in traced] == [("h", "c", *config.cell_spec.gate_names)] * 3
        for t, ids_B in enumerate(ids_TB):
            for layer in state:
                for value in layer.values():
                    value[resets_TB[t]] = 0.0
            records = network.step_traced(ids_B, state, edits_B)
            state = [record.state for record in records]
            for record, arrays in zip(records, traced, strict=True):
                for name, value in {**record.state, **record.gates}.items():
                    np.testing.assert_array_equal(arrays[name][t], value)
            if edits_B is None:
                np.testing.assert_array_equal(outputs_TBH[t], records[-1].output)
        for layer, expected in zip(last, state, strict=True):
            for name, value in expected.items():
                np.testing.assert_array_equal(layer[name], value)
        if edits_B is None:
            assert all(
                (a[name] == b[name]).all() for a, b in zip(after, last, strict=True) for name in a
            )
    some, _ = network.trace(ids_TB, network.zero_state(B), names=["c", "forget", "unknown"])
    assert [tuple(layer) for layer in some] == [("c", "forget")] * 3
    whole, _ = network.trace(ids_TB, network.zero_state(B))
    np.testing.assert_array_equal(some[2]["c"], whole[2]["c"])


def test_it_says_why_numpy_computes() -> None:
    config = CONFIGS["one-layer"]
    assert NumpyNetwork(config, random_weights(config)).engine.name == "numpy"
    engine = Engine("numpy", "fp32", "the engine is not built")
    assert NumpyNetwork(config, random_weights(config), engine).engine is engine


def test_weights_are_given_out_as_copies() -> None:
    config = CONFIGS["tied"]
    weights = random_weights(config)
    network = NumpyNetwork(config, weights)
    given = network.arrays()
    assert list(given) == list(config.tensor_shapes())
    for name, array in given.items():
        np.testing.assert_array_equal(array, weights[name])
        assert not np.shares_memory(array, weights[name])
