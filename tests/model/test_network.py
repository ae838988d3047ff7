"""A network is opened on the path that was chosen, and keeps the promises of `Network`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.models import REFERENCE, random_weights
from torch.nn import functional as F

from textgen.errors import ConfigError
from textgen.model.config import ModelConfig
from textgen.model.engine import open_network
from textgen.model.native_network import NativeStep
from textgen.model.network import Engine, StepNetwork
from textgen.model.numpy_network import NumpyNetwork
from textgen.model.torch_network import TorchNetwork
from textgen.native.library import BF16_ISAS, missing_reason, supported_isas

CONFIG = ModelConfig(vocab_size=9, embedding_size=4, hidden_size=6, num_layers=2)
KINDS = ("reference", "torch", "native")


def path_of(kind: str) -> Engine:
    if kind != "native":
        return Engine(kind, "fp32", "asked for")
    isas = [isa for isa in supported_isas() if isa not in BF16_ISAS]
    if not isas:
        pytest.skip(missing_reason())
    return Engine("native", "fp32", "asked for", isa=isas[0])


def window(T: int = 7, B: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    ids = rng.integers(0, CONFIG.vocab_size, (T + 1, B))
    resets = np.zeros((T, B), dtype=bool)
    resets[[0, 3], [1, 2]] = True
    return ids[:-1], ids[1:], resets


def test_torch_paths_open_a_torch_network() -> None:
    for kind in ("reference", "torch"):
        network = open_network(CONFIG, path_of(kind), None)
        assert isinstance(network, TorchNetwork)
        assert network.engine == path_of(kind) and network.config == CONFIG


def test_the_native_path_opens_a_native_network() -> None:
    assert type(open_network(CONFIG, path_of("native"), None)).__name__ == "NativeNetwork"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ids_type", [np.int64, np.int32, np.uint8])
def test_costs_are_the_cross_entropy_of_each_target(kind: str, ids_type: type) -> None:
    weights = random_weights(CONFIG)
    network = open_network(CONFIG, path_of(kind), weights)
    inputs, targets, resets = window()
    first = network.zero_state(3)
    nats, _ = network.nll(inputs.astype(ids_type), targets.astype(ids_type), first, resets)
    reference = TorchNetwork(CONFIG, REFERENCE)
    reference.load_arrays(weights)
    state, expected = reference.model.zero_state(3), []
    with torch.no_grad():
        for ids_B, targets_B, resets_B in zip(inputs, targets, resets, strict=True):
            keep = torch.from_numpy(~resets_B)[:, None]
            state = [{n: torch.where(keep, v, 0.0) for n, v in layer.items()} for layer in state]
            logits, state = reference.model(torch.from_numpy(ids_B)[None], state)
            expected.append(
                F.cross_entropy(logits[0], torch.from_numpy(targets_B), reduction="none").numpy()
            )
    assert nats.dtype == np.float32 and nats.shape == (7, 3)
    # Costs of a few nats, a hundred float32 roundings (6e-8 each) deep.
    np.testing.assert_allclose(nats, np.stack(expected), rtol=0, atol=5e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_is_carried_on_and_not_modified(kind: str) -> None:
    network = open_network(CONFIG, path_of(kind), random_weights(CONFIG))
    inputs, targets, resets = window()
    first = network.zero_state(3)
    whole, _ = network.nll(inputs, targets, first, resets)
    early, state = network.nll(inputs[:4], targets[:4], first, resets[:4])
    late, _ = network.nll(inputs[4:], targets[4:], state, resets[4:])
    again, _ = network.nll(inputs[4:], targets[4:], state, resets[4:])
    # A product over a shorter window may round its last bit otherwise.
    np.testing.assert_allclose(np.concatenate([early, late]), whole, rtol=0, atol=5e-6)
    np.testing.assert_array_equal(again, late)
    unreset, _ = network.nll(inputs, targets, first)
    assert np.abs(unreset - whole).max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_arrays_are_copies_and_come_back(kind: str, cell: str) -> None:
    config = replace(CONFIG, cell=cell)
    weights = random_weights(config)
    network = open_network(config, path_of(kind), weights)
    inputs, targets, _ = window()
    before, _ = network.nll(inputs, targets, network.zero_state(3))
    arrays = network.arrays()
    assert list(arrays) == list(config.tensor_shapes())
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, weights[name])
        array[...] = weights[name][...] = 7.0
    unmoved, _ = network.nll(inputs, targets, network.zero_state(3))
    np.testing.assert_array_equal(unmoved, before)
    network.load_arrays({name: np.zeros_like(array) for name, array in arrays.items()})
    uniform, _ = network.nll(inputs, targets, network.zero_state(3))
    np.testing.assert_allclose(uniform, np.log(9.0), rtol=1e-6)


def test_evaluation_keeps_no_graph() -> None:
    network = open_network(CONFIG, path_of("torch"), random_weights(CONFIG))
    inputs, targets, _ = window()
    _, state = network.nll(inputs, targets, network.zero_state(3))
    assert not any(value.requires_grad for layer in state for value in layer.values())


@pytest.mark.parametrize("path", [*KINDS, "numpy", "writer"])
def test_a_step_takes_one_token_a_stream(path: str) -> None:
    """A whole number is that of one stream; what else is no row of ids is refused in words."""
    config = replace(CONFIG, num_layers=1)
    weights = random_weights(config)
    if path == "numpy":
        network: StepNetwork = NumpyNetwork(config, weights)
    elif path == "writer":
        network = NativeStep(config, weights, path_of("native"))
    else:
        network = open_network(config, path_of(path), weights)
    state = network.zero_state()
    expected, after = network.step(np.array([3]), state)
    for token in (3, np.int64(3), [3], (3,)):
        logits, new = network.step(token, network.zero_state())  # type: ignore[arg-type]
        np.testing.assert_array_equal(logits, expected)
        np.testing.assert_array_equal(new[0]["h"], after[0]["h"])
    for wrong in (3.0, "3", [[3]], [], [3, 4], None):
        with pytest.raises(ConfigError, match="step was given"):
            network.step(wrong, network.zero_state())  # type: ignore[arg-type]
