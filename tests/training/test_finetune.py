"""Training a model further: the old text costs what it did, new symbols are there."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.models import REFERENCE, random_weights

from textgen.cells import LSTMCell
from textgen.checkpoint import SavedModel
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import ConfigError
from textgen.evaluation.nll import nll_in_one_pass
from textgen.model.config import ModelConfig
from textgen.model.engine import choose_engine, open_network
from textgen.model.network import Network
from textgen.model.torch_network import LanguageModel
from textgen.options import TrainOptions
from textgen.training.start import extended_weights, parent_options

OLD = "а все-таки она вертится. " * 8
NEW = "quod erat demonstrandum; а она - нет. " * 8
FAST = choose_engine(LSTMCell(), "cpu", "fp32")


def make_parent(**shape: Any) -> SavedModel:
    vocabulary = Vocabulary.from_characters(OLD)
    config = ModelConfig(
        **{"embedding_size": 6, "hidden_size": 9, "num_layers": 2}
        | shape
        | {"vocab_size": len(vocabulary)}
    )
    return SavedModel(
        config=config,
        vocabulary=vocabulary,
        normalization=Normalization(),
        weights=random_weights(config),
    )


def extend(parent: SavedModel, text: str) -> tuple[Network, Vocabulary]:
    vocabulary, _ = parent.vocabulary.extend(Vocabulary.from_characters(text))
    config = replace(parent.config, vocab_size=len(vocabulary))
    weights = extended_weights(parent, config, vocabulary, vocabulary.encode(text))
    return open_network(config, FAST, weights), vocabulary


def cost(network: Network, vocabulary: Vocabulary, text: str) -> float:
    """Nats a token."""
    return list(nll_in_one_pass(network, vocabulary.encode(text)))[-1].total / len(text)


SHAPES = pytest.mark.parametrize(
    "shape", [{}, {"embedding_size": 9, "tie": True}], ids=["untied", "tied"]
)


@SHAPES
def test_the_old_text_costs_what_it_did(shape: dict) -> None:
    parent = make_parent(**shape)
    before = open_network(parent.config, FAST, parent.weights)
    model, vocabulary = extend(parent, NEW)
    assert len(vocabulary) > len(parent.vocabulary)
    expected = cost(before, parent.vocabulary, OLD)
    assert cost(model, vocabulary, OLD) == pytest.approx(expected, abs=1e-6)


def test_thousands_of_new_symbols_do_not_show_either() -> None:
    parent = make_parent()
    before = open_network(parent.config, FAST, parent.weights)
    model, vocabulary = extend(parent, "".join(map(chr, range(0x4E00, 0x4E00 + 8000))))
    assert len(vocabulary) == len(parent.vocabulary) + 8000
    expected = cost(before, parent.vocabulary, OLD)
    assert cost(model, vocabulary, OLD) == pytest.approx(expected, abs=1e-6)


@SHAPES
def test_matched_symbols_keep_their_rows(shape: dict) -> None:
    parent = make_parent(**shape)
    model, vocabulary = extend(parent, NEW)
    count = len(parent.vocabulary)
    assert vocabulary.symbols[:count] == parent.vocabulary.symbols
    arrays = model.arrays()
    assert arrays.keys() == parent.weights.keys()
    for name, old in parent.weights.items():
        if name in ("embedding.weight", "head.weight", "head.bias"):
            np.testing.assert_array_equal(arrays[name][:count], old, err_msg=name)
            assert len(arrays[name]) == len(vocabulary)
        else:
            np.testing.assert_array_equal(arrays[name], old, err_msg=name)


def test_new_symbols_are_possible_and_can_be_learned() -> None:
    parent = make_parent()
    network, vocabulary = extend(parent, NEW)
    # Rare, but no impossibility, whose gradient would vanish or overflow.
    per_char = cost(network, vocabulary, NEW)
    assert math.isfinite(per_char) and per_char < 40
    model = LanguageModel(network.config, REFERENCE)
    model.load_arrays(network.arrays())
    ids = torch.from_numpy(vocabulary.encode(NEW).astype(np.int64))[:, None]
    logits, _ = model(ids[:-1], model.zero_state(1))
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[1:].flatten()).backward()
    new = slice(len(parent.vocabulary), None)
    for parameter in (model.head.weight, model.head.bias, model.embedding.weight):
        assert parameter.grad is not None
        assert parameter.grad[new].abs().max() > 1e-4


def test_a_text_without_new_symbols_changes_nothing() -> None:
    parent = make_parent()
    model, vocabulary = extend(parent, OLD[::-1])
    assert vocabulary == parent.vocabulary
    for name, array in model.arrays().items():
        np.testing.assert_array_equal(array, parent.weights[name], err_msg=name)


def test_the_parent_is_not_touched() -> None:
    parent = make_parent()
    before = {name: array.copy() for name, array in parent.weights.items()}
    extend(parent, NEW)
    for name, array in parent.weights.items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_the_options_take_the_parents_shape() -> None:
    parent = make_parent(embedding_size=9, tie=True)
    options = parent_options(TrainOptions(hidden_size=9, steps=5), parent)
    assert (options.hidden_size, options.num_layers, options.embedding_size) == (9, 2, 9)
    assert options.tie and options.cell == "lstm" and options.steps == 5


def test_the_options_take_the_parents_cell() -> None:
    parent = make_parent(cell="rnn", nonlinearity="relu")
    options = parent_options(TrainOptions(steps=5), parent)
    assert (options.cell, options.nonlinearity) == ("rnn", "relu")
    for other in ({"cell": "gru"}, {"nonlinearity": "identity"}):
        with pytest.raises(ConfigError, match=f"{next(iter(other))} .*leave it out"):
            parent_options(TrainOptions(**other), parent)


@pytest.mark.parametrize("name", ["hidden_size", "num_layers", "embedding_size"])
def test_another_shape_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} 33 was asked for, .*from_ has \d+; leave it"):
        parent_options(TrainOptions(**{name: 33}), make_parent())


def test_a_parent_is_trained_further_as_one_network() -> None:
    """Its members, or a share of its weights, would be lost."""
    parent = make_parent(hidden_size=8)
    assert parent_options(TrainOptions(members=1), parent).members == 1
    with pytest.raises(ConfigError, match=r"members=2: .*from_ is trained further as one network"):
        parent_options(TrainOptions(members=2), parent)
