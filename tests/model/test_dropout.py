"""The masks of a window: what they are, and what they depend on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from textgen.model.config import ModelConfig
from textgen.model.initialise import Floats, draw_masks


def config(dropout: float = 0.5) -> ModelConfig:
    return ModelConfig(
        vocab_size=9, embedding_size=400, hidden_size=50, num_layers=2, dropout=dropout
    )


def drawn(
    dropout: float = 0.5, batch_size: int = 40, seed: int = 1, recurrent: float = 0.0
) -> tuple[Floats, Floats]:
    """The masks on the embedding and on the outputs of the layers."""
    masks = draw_masks(config(dropout), batch_size, seed, recurrent)
    assert masks is not None
    assert masks.embedding_E is not None and masks.layers_LBH is not None
    return masks.embedding_E, masks.layers_LBH


def drawn_weights(config: ModelConfig, seed: int, recurrent: float) -> Mapping[str, Floats]:
    """The masks on the recurrent weights."""
    masks = draw_masks(config, 40, seed, recurrent)
    assert masks is not None
    return masks.recurrent


def test_without_dropout_there_are_none() -> None:
    assert draw_masks(config(0.0), 3, 1) is None


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_factors_keep_the_mean(rate: float) -> None:
    embedding_E, layers_LBH = drawn(rate)
    assert embedding_E.shape == (400,)
    assert layers_LBH.shape == (2, 40, 50)
    for mask in (embedding_E, layers_LBH):
        assert mask.dtype == np.float32
        assert set(np.unique(mask)) == {np.float32(0.0), np.float32(1.0 / (1.0 - rate))}
        # The mean's standard deviation is sqrt(rate / (1 - rate) / draws); five of them.
        bound = 5 * math.sqrt(rate / (1 - rate) / mask.size)
        assert abs(mask.mean(dtype=np.float64) - 1.0) < bound


def test_recurrent_weights_are_dropped_one_by_one() -> None:
    """Every weight that multiplies a state has a factor of its own, of mean 1."""
    mlstm = replace(config(0.0), cell="mlstm")
    masks = draw_masks(mlstm, 3, 1, recurrent=0.3)
    assert masks is not None
    assert masks.embedding_E is None and masks.layers_LBH is None
    assert set(masks.recurrent) == {
        f"layers.{layer}.{name}" for layer in (0, 1) for name in ("weight_mh", "weight_hm")
    }
    kept = 256 / (256 - 77)  # 0.3 in 256ths
    for name, mask in masks.recurrent.items():
        assert mask.dtype == np.float32
        assert mask.shape == mlstm.tensor_shapes()[name]
        assert set(np.unique(mask)) == {np.float32(0.0), np.float32(kept)}
        # The mean's standard deviation is sqrt(rate / (1 - rate) / draws); five of them.
        assert abs(mask.mean(dtype=np.float64) - 1.0) < 5 * math.sqrt(0.43 / mask.size)
        assert len({row.tobytes() for row in mask}) == len(mask), "rows of their own"
    assert len({mask[:50].tobytes() for mask in masks.recurrent.values()}) == 4


def test_the_recurrent_masks_leave_the_others_as_they_are() -> None:
    """A run with both draws the neurons that it would draw without the weights."""
    for mask, alone in zip(drawn(recurrent=0.2), drawn(), strict=True):
        np.testing.assert_array_equal(mask, alone)
    masks, again, other = (drawn_weights(config(), seed, 0.2) for seed in (1, 1, 2))
    assert masks.keys() == {"layers.0.weight_hh", "layers.1.weight_hh"}
    for name, mask in masks.items():
        np.testing.assert_array_equal(mask, again[name])
        assert not np.array_equal(mask, other[name])
    assert drawn_weights(config(), 1, 0.0) == {}


def test_layers_and_streams_have_masks_of_their_own() -> None:
    _, layers = drawn()
    assert not np.array_equal(layers[0], layers[1])
    assert len({stream.tobytes() for stream in layers[0]}) == 40


def test_masks_follow_their_arguments_alone() -> None:
    first = drawn(seed=2**64 - 1)
    np.random.seed(3)
    again, other = drawn(seed=2**64 - 1), drawn(seed=2)
    for mask, same, another in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(mask, same)
        assert not np.array_equal(mask, another)


def test_the_draws_are_what_they_were() -> None:
    """A run that is resumed under another version of NumPy must draw the same masks."""
    embedding_E, layers_LBH = drawn(seed=7)
    kept = np.flatnonzero(embedding_E[:16])
    assert kept.tolist() == [0, 3, 7, 9, 10, 13]
    assert np.flatnonzero(layers_LBH[1, 39, :16]).tolist() == [
        0,
        1,
        2,
        3,
        5,
        6,
        9,
        11,
        14,
        15,
    ]
    weights = drawn_weights(config(), 7, 0.25)
    assert np.flatnonzero(weights["layers.1.weight_hh"][-1, :16] == 0.0).tolist() == [2, 10, 15]
