"""The masks of a window: what they are, and what they depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from textgen.model.config import ModelConfig
from textgen.model.initialise import Masks, draw_masks


def config(dropout: float = 0.5) -> ModelConfig:
    return ModelConfig(
        vocab_size=9, embedding_size=400, hidden_size=50, num_layers=2, dropout=dropout
    )


def drawn(dropout: float = 0.5, batch_size: int = 40, seed: int = 1) -> Masks:
    masks = draw_masks(config(dropout), batch_size, seed)
    assert masks is not None
    return masks


def test_without_dropout_there_are_none() -> None:
    assert draw_masks(config(0.0), 3, 1) is None


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_factors_keep_the_mean(rate: float) -> None:
    masks = drawn(rate)
    assert masks.embedding_E.shape == (400,)
    assert masks.layers_LBH.shape == (2, 40, 50)
    for mask in (masks.embedding_E, masks.layers_LBH):
        assert mask.dtype == np.float32
        assert set(np.unique(mask)) == {np.float32(0.0), np.float32(1.0 / (1.0 - rate))}
        # The mean's standard deviation is sqrt(rate / (1 - rate) / draws); five of them.
        bound = 5 * math.sqrt(rate / (1 - rate) / mask.size)
        assert abs(mask.mean(dtype=np.float64) - 1.0) < bound


def test_layers_and_streams_have_masks_of_their_own() -> None:
    layers = drawn().layers_LBH
    assert not np.array_equal(layers[0], layers[1])
    assert len({stream.tobytes() for stream in layers[0]}) == 40


def test_masks_follow_their_arguments_alone() -> None:
    first = drawn(seed=2**64 - 1)
    np.random.seed(3)
    again, other = drawn(seed=2**64 - 1), drawn(seed=2)
    np.testing.assert_array_equal(first.embedding_E, again.embedding_E)
    np.testing.assert_array_equal(first.layers_LBH, again.layers_LBH)
    assert not np.array_equal(first.embedding_E, other.embedding_E)
    assert not np.array_equal(first.layers_LBH, other.layers_LBH)


def test_the_draws_are_what_they_were() -> None:
    """A run that is resumed under another version of NumPy must draw the same masks."""
    masks = drawn(seed=7)
    kept = np.flatnonzero(masks.embedding_E[:16])
    assert kept.tolist() == [0, 3, 7, 9, 10, 13]
    assert np.flatnonzero(masks.layers_LBH[1, 39, :16]).tolist() == [
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
