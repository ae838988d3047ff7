"""Labels: every engine reads them as the equations say, and a label that stays is a bias."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.models import REFERENCE, random_weights

from textgen.cells import BUILT_IN
from textgen.errors import BackendError
from textgen.model.config import ModelConfig
from textgen.model.engine import choose_engine, open_network
from textgen.model.initialise import Masks, draw_masks, initial_weights
from textgen.model.label_vectors import with_label
from textgen.model.members import join, split
from textgen.model.native_network import NativeNetwork
from textgen.model.numpy_network import NumpyNetwork
from textgen.model.recurrence import make_resets
from textgen.model.torch_network import TorchNetwork

T, B = 7, 5


def shape(cell: str, **more: Any) -> ModelConfig:
    return ModelConfig(
        **{"vocab_size": 11, "embedding_size": 6, "hidden_size": 9, "cell": cell} | more,
        labels=("A", "B", "C"),
    )


def window(config: ModelConfig) -> tuple[Any, Any, Any, Any]:
    """Tokens, targets of which one does not count, labels that change at resets."""
    rng = np.random.default_rng(5)
    inputs_TB = rng.integers(0, config.vocab_size, (T, B))
    targets_TB = rng.integers(0, config.vocab_size, (T, B))
    targets_TB[3, 1] = -1
    resets_TB = rng.random((T, B)) < 0.3
    labels_TB = (rng.integers(0, 4, B) + np.cumsum(resets_TB, axis=0)) % 4
    return inputs_TB, targets_TB, resets_TB, labels_TB


def native(config: ModelConfig, weights: Any) -> NativeNetwork:
    network = open_network(config, choose_engine(config.cell_spec, "cpu", "fp32"), weights)
    assert isinstance(network, NativeNetwork)
    return network


CASES = pytest.mark.parametrize(
    "more",
    [
        *({"cell": cell} for cell in BUILT_IN),
        {"cell": "lstm", "num_layers": 2, "tie": True, "embedding_size": 9},
        {"cell": "depth-gated", "num_layers": 2, "residual": True, "dropout": 0.3},
        {"cell": "gru", "head": "euclidean", "frozen_embedding": True},
    ],
    ids=str,
)


@CASES
def test_the_engine_agrees_with_the_reference(more: dict[str, Any]) -> None:
    """In costs, states, the loss and every gradient."""
    config = shape(**more)
    weights = random_weights(config)
    inputs_TB, targets_TB, resets_TB, labels_TB = window(config)
    masks: Masks | None = draw_masks(config, B, 3)
    slow, fast = TorchNetwork(config, REFERENCE), native(config, weights)
    slow.load_arrays(weights)
    state = fast.zero_state(B)
    slow_nll, slow_after = slow.nll(
        inputs_TB, targets_TB, slow.zero_state(B), resets_TB, labels_TB=labels_TB
    )
    fast_nll, fast_after = fast.nll(inputs_TB, targets_TB, state, resets_TB, labels_TB=labels_TB)
    np.testing.assert_allclose(fast_nll, slow_nll, atol=2e-5)
    for one, other in zip(slow_after, fast_after, strict=True):
        for name in one:
            np.testing.assert_allclose(other[name], one[name].numpy(), atol=2e-5)
    loss, _ = fast.differentiate(
        inputs_TB, targets_TB, state, resets_TB, masks, labels_TB=labels_TB
    )
    device = torch.device("cpu")
    outputs_TBH, _ = slow.model.read(
        torch.tensor(inputs_TB),
        slow.zero_state(B),
        make_resets(resets_TB, device),
        masks,
        torch.tensor(labels_TB),
    )
    scores = slow.model.project(outputs_TBH)
    targets = torch.tensor(targets_TB)
    if config.has_vector_output:
        expected = slow.model.distance_loss(scores, targets)
    else:
        expected = torch.nn.functional.cross_entropy(
            scores.flatten(0, 1), targets.flatten(), ignore_index=-1
        )
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)
    for name, parameter in slow.model.named_parameters():
        if name not in config.untrained:
            assert parameter.grad is not None, name
            np.testing.assert_allclose(
                fast.gradients[name], parameter.grad.numpy(), atol=2e-6, rtol=2e-4, err_msg=name
            )
    assert fast.gradients["labels.weight"].any(axis=1).all()


@pytest.mark.parametrize("cell", BUILT_IN)
def test_a_label_that_stays_is_a_bias(cell: str) -> None:
    """A mixture too; without one the model is that of no label."""
    config = shape(cell)
    weights = random_weights(config)
    inputs_TB, targets_TB, resets_TB, _ = window(config)
    network = NumpyNetwork(config, weights)

    def cost(shares: dict[str, float]) -> Any:
        folded, own = with_label(config, weights, shares)
        assert folded.labels == () and set(own) == set(folded.tensor_shapes())
        state = network.zero_state(B)
        return native(folded, own).nll(inputs_TB, targets_TB, state, resets_TB)[0]

    for label, shares in enumerate(({}, {"A": 1.0}, {"B": 1.0}, {"C": 1.0})):
        labels_TB = np.full((T, B), label)
        expected, _ = network.nll(
            inputs_TB, targets_TB, network.zero_state(B), resets_TB, labels_TB=labels_TB
        )
        np.testing.assert_allclose(cost(shares), expected, atol=2e-5)
    # A mixture adds the vectors by their shares, and is none of its parts.
    halves = {**weights, "labels.weight": weights["labels.weight"] * 2}
    doubled = with_label(config, halves, {"A": 0.5, "B": 0.5})[1]["layers.0.bias"]
    summed = with_label(config, weights, {"A": 1.0, "B": 1.0})[1]["layers.0.bias"]
    np.testing.assert_allclose(doubled, summed, atol=1e-6)
    assert not np.allclose(cost({"A": 0.5, "B": 0.5}), cost({"A": 1.0}), atol=1e-3)


def test_more_pairs_than_rows_make_room_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window may have more pairs of a symbol and a label than there was room for."""
    monkeypatch.setattr("textgen.model.native_network._FIRST_ROWS", 4)
    config = shape("lstm")
    weights = random_weights(config)
    network = native(config, weights)
    inputs_TB, targets_TB, resets_TB, labels_TB = window(config)
    state = network.zero_state(B)
    found = network.nll(inputs_TB, targets_TB, state, resets_TB, labels_TB=labels_TB)[0]
    expected, _ = NumpyNetwork(config, weights).nll(
        inputs_TB, targets_TB, state, resets_TB, labels_TB=labels_TB
    )
    np.testing.assert_allclose(found, expected, atol=2e-5)
    with pytest.raises(BackendError, match="a token that the model does not know"):
        network.nll(inputs_TB + 11, targets_TB, state)


def test_labels_change_no_other_first_weight() -> None:
    """They begin at zero, so that a run with labels begins as the same run without them."""
    config = shape("coupled")
    plain = replace(config, labels=())
    drawn, expected = initial_weights(config, 7), initial_weights(plain, 7)
    assert not drawn.pop("labels.weight").any()
    assert drawn.keys() == expected.keys()
    assert all((drawn[name] == expected[name]).all() for name in drawn)
    assert "labels" not in plain.to_dict()
    assert ModelConfig.from_dict(config.to_dict()) == config


def test_members_share_out_the_vectors() -> None:
    config = replace(shape("lstm"), embedding_size=8, hidden_size=10)
    parts = split(random_weights(config), config, 2)
    joined = join(parts, config)
    # A gate's neurons are those of the first member, then those of the second.
    own = [part["labels.weight"].reshape(3, 4, 5) for part in parts]
    assert (joined["labels.weight"].reshape(3, 4, 10) == np.concatenate(own, axis=2)).all()
    for one, other in zip(split(joined, config, 2), parts, strict=True):
        assert (one["labels.weight"] == other["labels.weight"]).all()
