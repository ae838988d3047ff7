"""Several networks as one."""

from __future__ import annotations

import numpy as np
import pytest
from support.models import REFERENCE, random_weights

from textgen.cells import BUILT_IN
from textgen.errors import ConfigError
from textgen.model.config import ModelConfig
from textgen.model.engine import open_network
from textgen.model.initialise import initial_weights
from textgen.model.members import join, member_config, split


def config_of(cell: str, members: int, num_layers: int = 1) -> ModelConfig:
    return ModelConfig(
        vocab_size=7,
        embedding_size=4 * members,
        hidden_size=6 * members,
        num_layers=max(num_layers, 2 if cell == "depth-gated" else 1),
        cell=cell,
    )


@pytest.mark.parametrize("members", [2, 3])
@pytest.mark.parametrize("cell", BUILT_IN)
def test_joined_logits_are_the_mean_of_the_members(cell: str, members: int) -> None:
    config = config_of(cell, members, num_layers=2)
    own = member_config(config, members)
    apart = [random_weights(own, seed) for seed in range(members)]
    joined = join(apart, config)
    assert {name: weight.shape for name, weight in joined.items()} == config.tensor_shapes()
    ids = np.random.default_rng(1).integers(0, 7, (9, 3))

    def logits(shape: ModelConfig, weights: dict[str, np.ndarray]) -> list[np.ndarray]:
        network = open_network(shape, REFERENCE, weights)
        state, seen = network.zero_state(3), []
        for row in ids:
            scores, state = network.step(row, state)
            seen.append(scores)
        return seen

    expected = np.mean([logits(own, weights) for weights in apart], axis=0)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(logits(config, joined), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", BUILT_IN)
def test_split_undoes_join(cell: str) -> None:
    config = config_of(cell, 3)
    own = member_config(config, 3)
    apart = [random_weights(own, seed) for seed in range(3)]
    bias = np.mean([weights["head.bias"] for weights in apart], axis=0)
    for before, after in zip(apart, split(join(apart, config), config, 3), strict=True):
        assert before.keys() == after.keys()
        for name, weight in before.items():
            expected = bias if name == "head.bias" else weight
            np.testing.assert_allclose(after[name], expected, rtol=1e-6, err_msg=name)


def test_one_member_is_the_model_itself() -> None:
    config = config_of("lstm", 1)
    weights = initial_weights(config, 5)
    assert member_config(config, 1) == config
    for made in (join([weights], config), *split(weights, config, 1)):
        assert all(made[name] is weight for name, weight in weights.items())


def test_the_neurons_must_be_shared_out() -> None:
    config = ModelConfig(vocab_size=7, embedding_size=8, hidden_size=10)
    with pytest.raises(ConfigError, match=r"hidden_size=10 .* 4 networks .*such as 12"):
        member_config(config, 4)
    config = ModelConfig(vocab_size=7, embedding_size=9, hidden_size=12)
    with pytest.raises(ConfigError, match=r"embedding_size=9 .*such as 12"):
        member_config(config, 4)


@pytest.mark.parametrize(
    "other",
    [{"tie": True}, {"frozen_embedding": True}, {"frozen_embedding": True, "head": "cosine"}],
)
def test_members_have_outputs_of_their_own(other: dict[str, object]) -> None:
    config = ModelConfig(vocab_size=7, embedding_size=8, hidden_size=8, **other)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="leave out tie"):
        member_config(config, 2)
