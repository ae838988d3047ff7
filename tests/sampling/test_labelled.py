"""A label that changes while a text is written: each token is read under its own."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.fake_networks import HashNetwork
from support.models import random_weights

from textgen.api import Model
from textgen.checkpoint import SavedModel
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import ConfigError, SamplingError
from textgen.model.config import ModelConfig
from textgen.model.edit import Edit
from textgen.model.label_vectors import with_label
from textgen.model.numpy_network import NumpyNetwork
from textgen.sampling.labelled import LabelledNetwork
from textgen.steering import LabelEdit

TEXT = "abcdefghij .\n"


@pytest.fixture(scope="module")
def model() -> Model:
    vocabulary = Vocabulary.from_characters(TEXT)
    config = ModelConfig(
        vocab_size=len(vocabulary),
        embedding_size=6,
        hidden_size=12,
        num_layers=2,
        labels=("A", "B"),
    )
    weights = random_weights(config)
    # The mark of an end comes seldom, so that texts are long.
    weights["head.bias"][:2] = -9.0
    saved = SavedModel(
        config=config,
        vocabulary=vocabulary,
        normalization=Normalization(),
        weights=weights,
    )
    return Model(saved, Path("model.safetensors"))


def greedy(model: Model, shares: list[dict[str, float]], seed: str) -> str:
    """Written by the equations: character n is chosen after what was read under `shares[n]`."""
    voices = model._voices
    networks = [NumpyNetwork(*with_label(voices.config, voices.weights, own)) for own in shares]
    state, ids = networks[0].zero_state(1), [0, *model.encode(seed).tolist()]
    for token in ids[:-1]:
        _, state = networks[0].step(np.array([token]), state)
    written, token = [], ids[-1]
    for network in networks:
        logits_BV, state = network.step(np.array([token]), state)
        logits_BV[0, :2] = -np.inf
        token = int(logits_BV[0].argmax())
        written.append(token)
    return model.vocabulary.decode(np.array(written))


@pytest.mark.parametrize("count", [1, 6], ids=["alone", "together"])
@pytest.mark.parametrize(
    ("label", "shares"),
    [
        ("A", [{"A": 1.0}] * 20),
        ("A:0.25,B:0.75", [{"A": 0.25, "B": 0.75}] * 20),
        ("A@0..7,B@7..", [{"A": 1.0}] * 7 + [{"B": 1.0}] * 13),
        ("A:2@3..9", [{}] * 3 + [{"A": 2.0}] * 6 + [{}] * 11),
    ],
)
def test_each_character_is_chosen_under_its_label(
    model: Model, label: str, shares: list[dict[str, float]], count: int
) -> None:
    written = model.generate_many(
        count, "ab", label=label, length=20, temperature=0.0, keep_going=False
    )
    assert {text.text for text in written} == {greedy(model, shares, "ab")}


def label_edit(name: str) -> LabelEdit:
    return LabelEdit(layer=0, state="h", scale=1.0, shift=0.0, unit=0, shares={name: 1.0})


def test_each_row_is_read_under_its_own_label(model: Model) -> None:
    """Texts that are written together may be in different sentences; other edits go their way."""
    voices = model._voices
    opened: list[dict[str, float]] = []

    def open_under(shares: Mapping[str, float]) -> NumpyNetwork:
        opened.append(dict(shares))
        return NumpyNetwork(*with_label(voices.config, voices.weights, shares))

    labels = [label_edit(name) for name in "AB"]
    held = Edit(layer=0, state="h", unit=2, scale=0.0, shift=3.0)
    network = LabelledNetwork(labels[0], open_under)
    alone = [open_under(label.shares) for label in labels]
    del opened[1:]
    assert all(len(array) == 1 for layer in network.zero_state() for array in layer.values())
    ids_B = np.array([3, 4, 5, 6])
    edits_B = [(labels[1],), (labels[0], held), (labels[1], held), ()]
    logits_BV, state = network.step(ids_B, network.zero_state(4), edits_B)
    for row, (own, rest) in enumerate([(1, ()), (0, (held,)), (1, (held,)), (0, ())]):
        by_hand = alone[own].step(ids_B[row : row + 1], alone[own].zero_state(1), [rest])
        np.testing.assert_allclose(logits_BV[row], by_hand[0][0], atol=1e-6)
        for layer, expected in zip(state, by_hand[1], strict=True):
            for name, value in expected.items():
                np.testing.assert_allclose(layer[name][row], value[0], atol=1e-6)
    assert opened == [{"A": 1.0}, {"B": 1.0}]


def test_mixtures_that_are_not_needed_any_more_are_closed() -> None:
    """Of nine the one that was needed least recently; the first is needed again and again."""
    opened: list[str] = []

    def open_under(shares: Mapping[str, float]) -> HashNetwork:
        opened.extend(shares)
        return HashNetwork(9)

    labels = [label_edit(name) for name in "abcdefghi"]
    network = LabelledNetwork(labels[0], open_under)
    state = network.zero_state(1)
    for label in labels:
        network.step(np.array([3]), state, [(label,)])
        network.step(np.array([3]), state)
    assert "".join(opened) == "abcdefghi"
    network.step(np.array([3]), state, [(labels[2],)])
    assert "".join(opened) == "abcdefghi"
    network.step(np.array([3]), state, [(labels[1],)])
    assert "".join(opened) == "abcdefghib"


def test_a_label_is_no_other_models_business(model: Model) -> None:
    """Neither the model nor its texts without a label are changed by one."""
    before = model.generate("ab", length=30, rng=3)
    assert model.generate("ab", length=30, rng=3, label="A") != before
    assert model.labelled("A").generate("ab", length=30, rng=3) != before
    assert model.generate("ab", length=30, rng=3) == before
    assert model.labelled("A") is model.labelled("A")
    assert model.labelled("A").labels == () and model.labels == ("A", "B")
    for under_a in (model.labelled("A"), copy.copy(model.labelled("A"))):
        with pytest.raises(ConfigError, match="this is the model under 'A', and it has no other"):
            under_a.generate("ab", label="B")


def test_a_schedule_goes_with_a_text_that_is_written_in_one_go(model: Model) -> None:
    for call in (
        lambda: model.labelled("A@0..5"),
        lambda: model.writer(label="A@0..5"),
        lambda: model.evaluate(text="abc", label="A@0..5"),
    ):
        with pytest.raises(ConfigError, match="has a schedule"):
            call()
    with pytest.raises(SamplingError, match="changes on the way, and history does not go with"):
        model.generate("ab", label="A@0..5", history=4)
    trained = Model(replace(model._voices, info={"history": 6}), model.path)
    with pytest.raises(SamplingError, match="history of 6 that this model was trained with does"):
        trained.generate("ab", label="A@0..5")
    assert len(trained.generate("ab", label="A@0..5", history=0, length=5)) == 7
    pairs = Model(replace(model._voices, info={"pairs": True}), model.path)
    with pytest.raises(SamplingError, match="a model that writes the targets of pairs does not"):
        pairs.asked_for(None, {"label": "A@0..5"})
