"""Models packed for the live page: what a weight may lose, and what the page cannot show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from support.every_kind import model_of
from support.models import random_weights

from textgen.cells import CELLS, Cell
from textgen.checkpoint import SavedModel
from textgen.errors import ConfigError
from textgen.export.packed import GROUP, pack


def kinds(saved: SavedModel, bits: int) -> set[str]:
    """How the matrices of a packed model are kept."""
    return {told["kind"] for told in pack(saved, bits).description["tensors"] if "matrix" in told}


def test_a_weight_of_16_bits_is_the_nearer_of_two() -> None:
    """Whole numbers with a scale for each row; or half precision, where the model was saved so."""
    saved = model_of("lstm")
    weights = random_weights(saved.config)
    saved = replace(saved, weights=weights)
    packed = pack(saved, 16)
    assert kinds(saved, 16) == {"int16"}
    for name, weight in weights.items():
        error = np.abs(packed.weights[name] - weight)
        if weight.ndim == 1:
            assert not error.any()
        else:
            steps = np.abs(weight).max(axis=1, keepdims=True) / 32767
            assert (error <= 0.51 * steps).all()
    half = {name: weight.astype(np.float16).astype(np.float32) for name, weight in weights.items()}
    saved = replace(saved, weights=half)
    assert kinds(saved, 16) == {"half"}
    packed = pack(saved, 16)
    assert all(np.array_equal(packed.weights[name], weight) for name, weight in half.items())
    # Half precision ends at 65,504.
    half["head.weight"][0, 0] = 1e6
    assert "int16" in kinds(saved, 16)


def test_a_weight_of_8_bits_has_a_scale_for_each_group() -> None:
    saved = model_of("lstm")
    config = replace(saved.config, hidden_size=48)
    weights = random_weights(config)
    weights["layers.0.weight_hh"][0] = 0.0
    saved = replace(saved, config=config, weights=weights)
    packed = pack(saved, 8)
    weight, rounded = weights["layers.0.weight_hh"], packed.weights["layers.0.weight_hh"]
    for first in range(0, weight.shape[1], GROUP):
        part = weight[:, first : first + GROUP]
        steps = np.abs(part).max(axis=1, keepdims=True) / 127
        assert (np.abs(rounded[:, first : first + GROUP] - part) <= 0.51 * steps).all()
    assert not rounded[0].any()
    own = {told["name"]: told["kind"] for told in packed.description["tensors"]}
    assert own["layers.0.weight_hh"] == "int8" and own["embedding.weight"] == "int16"
    assert len(packed.data) < 0.75 * len(pack(saved, 16).data)


@pytest.fixture
def own_cell() -> Iterator[None]:
    """A cell that only this test knows."""

    class Own(Cell):
        name = "own"
        gate_names = ()
        input_names = ("hidden",)
        state_names = ("h",)

    CELLS["own"] = Own()
    yield
    del CELLS["own"]


@pytest.mark.usefixtures("own_cell")
def test_what_the_page_cannot_show_is_refused_with_the_reason() -> None:
    saved = model_of("rnn")
    config = replace(saved.config, cell="own")
    shapes = config.tensor_shapes()
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    with pytest.raises(ConfigError, match=r"'own' is one of your own, .* export onnx FILE"):
        pack(replace(saved, config=config, weights=weights), 16)
    with pytest.raises(ConfigError, match=r"output of this model is a vector .*cosine"):
        pack(model_of("cosine"), 16)
