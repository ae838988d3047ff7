"""The first weights: their distribution, and what they depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.models import REFERENCE

from textgen.cells import CELLS
from textgen.model.config import ModelConfig
from textgen.model.initialise import RARE_SCALE, initial_weights, start_from_counts
from textgen.model.torch_network import LanguageModel


def config(**settings: object) -> ModelConfig:
    shape = {"vocab_size": 300, "embedding_size": 64, "hidden_size": 96, "num_layers": 2}
    return ModelConfig(**{**shape, **settings})


def test_every_tensor_is_there() -> None:
    for cell in CELLS:
        shape = config(cell=cell)
        weights = initial_weights(shape, 1)
        assert {name: array.shape for name, array in weights.items()} == shape.tensor_shapes()
        assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("tie", [False, True])
def test_weights_of_an_lstm(tie: bool) -> None:
    weights = initial_weights(config(tie=tie, embedding_size=96 if tie else 64), 1)
    H = 96
    symbols = weights["embedding.weight"]
    scale = 1.0 / math.sqrt(H) if tie else 1.0
    # 19,000 draws: their standard deviation is known to half a per cent; five times that.
    assert np.std(symbols[2:]) == pytest.approx(scale, rel=0.025)
    assert not symbols[:2].any(), "nothing trains the marks in a corpus of one document"
    assert not weights["head.bias"].any()
    for k in range(2):
        hh = weights[f"layers.{k}.weight_hh"]
        assert np.abs(hh).max() <= H**-0.5
        # A uniform distribution's: width / sqrt(12); 37,000 draws.
        assert np.std(hh) == pytest.approx(2 * H**-0.5 / math.sqrt(12), rel=0.02)
        i, f, g, o = np.split(weights[f"layers.{k}.bias"], 4)
        assert (f == 1.0).all() and not np.concatenate([i, g, o]).any()
    pre_BG = symbols[2:] @ weights["layers.0.weight_ih"].T
    assert np.std(pre_BG) == pytest.approx(1.0, rel=0.05)
    assert np.std(weights["layers.1.weight_ih"]) == pytest.approx(H**-0.5, rel=0.02)


@pytest.mark.parametrize("shorten", [False, True])
def test_a_start_from_counts_predicts_the_frequencies(shorten: bool) -> None:
    drawn = initial_weights(config(), 1)
    before = {name: array.copy() for name, array in drawn.items()}
    counts = np.random.default_rng(2).integers(0, 50, 300)
    started = start_from_counts(drawn, counts, shorten=shorten)
    assert all((drawn[name] == before[name]).all() for name in before), "not modified"
    bias = started.pop("head.bias")
    assert bias.dtype == np.float32 and np.isfinite(bias).all()
    shares = np.exp(bias) / np.exp(bias).sum()
    assert shares == pytest.approx((counts + 0.5) / (counts + 0.5).sum(), rel=1e-5)
    embedding = started.pop("embedding.weight")
    scale = np.float32(RARE_SCALE if shorten else 1.0)
    assert (embedding == scale * drawn["embedding.weight"]).all()
    assert all(started[name] is drawn[name] for name in started)


def test_weights_of_a_gru() -> None:
    weights = initial_weights(config(cell="gru"), 1)
    for k in range(2):
        hh = weights[f"layers.{k}.weight_hh"]
        assert np.abs(hh).max() <= 96**-0.5
        # A uniform distribution's: width / sqrt(12); 28,000 draws.
        assert np.std(hh) == pytest.approx(2 * 96**-0.5 / math.sqrt(12), rel=0.025)
        assert not weights[f"layers.{k}.bias"].any()
        assert not weights[f"layers.{k}.bias_hn"].any()


def test_weights_of_a_plain_network() -> None:
    hh = initial_weights(config(cell="rnn"), 1)["layers.1.weight_hh"]
    assert np.abs(hh).max() <= 96**-0.5 and np.abs(hh).min() < 1e-3
    for nonlinearity in ("relu", "identity"):
        weights = initial_weights(config(cell="rnn", nonlinearity=nonlinearity), 1)
        for k in range(2):
            hh = weights[f"layers.{k}.weight_hh"]
            np.testing.assert_array_equal(hh, np.float32(0.9) * np.eye(96, dtype=np.float32))


@pytest.mark.parametrize("name", ["peephole", "coupled", "depth-gated", "mlstm"])
def test_forget_gates_of_other_cells_start_open(name: str) -> None:
    cell = CELLS[name]
    weights = initial_weights(config(cell=name), 1)
    blocks = np.split(weights["layers.0.bias"], len(cell.input_names))
    # Coupled, a gate that forgets little takes in little.
    open_ = {"input": -1.0} if name == "coupled" else {"forget": 1.0}
    for block, values in zip(cell.input_names, blocks, strict=True):
        assert (values == open_.get(block, 0.0)).all(), (name, block)
    assert weights[f"layers.0.{cell.products[-1].name}"].any()


def test_the_first_prediction_is_uniform() -> None:
    shape = config()
    model = LanguageModel(shape, REFERENCE)
    model.load_arrays(initial_weights(shape, 1))
    with torch.no_grad():
        logits, _ = model(torch.randint(0, 300, (7, 3)), model.zero_state(3))
    assert not logits.any()


def test_the_first_weights_follow_their_seed_alone() -> None:
    np.random.seed(5)
    first = initial_weights(config(), 2**64 - 1)
    np.random.seed(6)
    again, other = initial_weights(config(), 2**64 - 1), initial_weights(config(), 2)
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name], err_msg=name)
    assert not np.array_equal(first["layers.0.weight_hh"], other["layers.0.weight_hh"])


def test_the_smallest_vocabulary_has_first_weights_too() -> None:
    assert not initial_weights(config(vocab_size=1), 1)["embedding.weight"].any()
