"""Influence: gradients against finite differences, leaving out against reading again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from textgen.cells import get_cell
from textgen.corpus.vocabulary import END_ID, UTF8_BYTES, Vocabulary
from textgen.errors import BackendError, InspectionError
from textgen.inspection.influence import (
    LONGEST,
    embedding_gradient,
    find_target,
    influence_view,
    omission_effect,
    reach,
)
from textgen.model.config import ModelConfig
from textgen.model.numpy_network import NumpyNetwork

CHARS = Vocabulary.from_characters("абвгд ")
CELLS = ["lstm", "gru", "rnn"]


def make(cell: str, vocab_size: int, *, tie: bool = False) -> tuple[NumpyNetwork, dict]:
    config = ModelConfig(
        vocab_size=vocab_size,
        embedding_size=5 if tie else 4,
        hidden_size=5,
        num_layers=2,
        cell=cell,
        tie=tie,
    )
    rng = np.random.default_rng(7)
    weights = {
        name: rng.normal(0.0, 0.7, shape).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    return NumpyNetwork(config, weights), weights


def log_prediction(config: ModelConfig, weights: dict, vectors_TE: np.ndarray) -> np.ndarray:
    """`log p` after vectors were read, in float64 through the cell's equations."""
    cell = get_cell(config.cell, config.nonlinearity)
    wide = {name: array.astype(np.float64) for name, array in weights.items()}
    zeros = np.zeros((1, config.hidden_size))
    state = [dict.fromkeys(cell.state_names, zeros) for _ in range(config.num_layers)]
    for x in vectors_TE[:, None, :]:
        for layer in range(config.num_layers):
            own = {
                name.split(".")[2]: array
                for name, array in wide.items()
                if name.startswith(f"layers.{layer}.")
            }
            products = tuple(lambda h, w=own[p.name]: h @ w.T for p in cell.products)
            vectors = {name: own[name] for name in cell.vector_names}
            pre = x @ own["weight_ih"].T + own["bias"]
            state[layer], _ = cell.step(np, pre, state[layer], products, vectors, {})
            x = state[layer]["h"]
    head = wide["embedding.weight"] if config.tie else wide["head.weight"]
    logits = (x @ head.T + wide["head.bias"])[0]
    return logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()


@pytest.mark.parametrize("tie", [False, True], ids=["", "tied"])
@pytest.mark.parametrize("cell", CELLS)
def test_gradient_is_that_of_finite_differences(cell: str, tie: bool) -> None:
    network, weights = make(cell, 8, tie=tie)
    ids, target = np.array([3, 5, 5, 2, 7, 4]), 6
    found = embedding_gradient(network.config, weights, ids, target)
    vectors = weights["embedding.weight"].astype(np.float64)[[END_ID, *ids]]
    step = 1e-5
    for t in range(len(ids)):
        for e in range(vectors.shape[1]):
            sides = []
            for sign in (1, -1):
                moved = vectors.copy()
                moved[t + 1, e] += sign * step
                sides.append(log_prediction(network.config, weights, moved)[target])
            difference = (sides[0] - sides[1]) / (2 * step)
            # The logits are rounded to float32 on their way.
            assert found[t, e] == pytest.approx(difference, rel=1e-5, abs=1e-7), (t, e)


def last_prediction(network: NumpyNetwork, ids: Sequence[int]) -> np.ndarray:
    state = network.zero_state()
    for token in (END_ID, *ids):
        logits, state = network.step(np.array([token]), state)
    wide = logits[0].astype(np.float64)
    return np.exp(wide) / np.exp(wide).sum()


@pytest.mark.parametrize("cell", CELLS)
def test_leaving_out_is_reading_the_shorter_text(cell: str) -> None:
    network, _ = make(cell, 8)
    ids = np.array([3, 5, 5, 2, 7, 4])
    # Characters of one, three, one and one tokens.
    for starts in ([0, 1, 2, 3, 4, 5], [0, 1, 4, 5], [0]):
        bounds = [*starts, len(ids)]
        whole = last_prediction(network, ids.tolist())
        shorter = [
            last_prediction(network, [*ids[:a].tolist(), *ids[b:].tolist()])
            for a, b in pairwise(bounds)
        ]
        variation = [0.5 * np.abs(whole - other).sum() for other in shorter]
        change = [whole[6] - other[6] for other in shorter]
        # Products of several rows are summed in another order than those of one.
        close = {"rtol": 1e-4, "atol": 1e-6}
        found = omission_effect(network, ids, np.array(starts))
        np.testing.assert_allclose(found, variation, **close)
        found = omission_effect(network, ids, np.array(starts), 6)
        np.testing.assert_allclose(found, change, **close)
    assert max(variation) > 0.01


def test_predictions_of_many_streams_are_made_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = make("gru", 8)
    ids, starts = np.array([3, 5, 5, 2, 7, 4]), np.arange(6)
    at_once = omission_effect(network, ids, starts)
    monkeypatch.setattr("textgen.inspection.influence.LOGITS_LIMIT", 17)
    np.testing.assert_allclose(omission_effect(network, ids, starts), at_once, rtol=1e-6)


def test_view() -> None:
    network, weights = make("lstm", len(CHARS))
    ids = CHARS.encode("вода да")
    pieces = ["в", "о", "д", "а", " ", "д", "а"]
    view = influence_view(network, weights, ids, pieces, CHARS)
    gradient, omission = view.rows
    assert (gradient.name, omission.name, view.quantity) == ("gradient", "omission", "influence")
    assert view.pieces == tuple(pieces)
    whole = last_prediction(network, ids.tolist())
    assert view.totals["target"] == CHARS.display([int(whole.argmax())])[0]
    assert view.totals["target_probability"] == pytest.approx(whole.max())
    # What the vectors weigh is no matter: the shares add up to one.
    norms = np.linalg.norm(
        embedding_gradient(network.config, weights, ids, int(whole.argmax())), axis=1
    )
    assert gradient.values.sum() == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(gradient.values * view.totals["gradient_norm"], norms, rtol=1e-5)
    np.testing.assert_allclose(omission.values, omission_effect(network, ids, np.arange(7)))
    assert gradient.low == omission.low == 0.0
    assert f"the last {view.totals['omission_reach']} of 7" in omission.note
    table = view.table()
    assert table.keys() == ["place", "text", "gradient", "omission"]
    assert table.rows[2] == (2, "д", float(gradient.values[2]), float(omission.values[2]))
    arrays = view.to_arrays()
    assert arrays["text"].tolist() == pieces
    np.testing.assert_array_equal(arrays["omission"], omission.values)


def test_a_target_that_is_asked_about_has_two_sides() -> None:
    network, weights = make("lstm", len(CHARS))
    ids = CHARS.encode("вада да")
    target = find_target(CHARS, "г")
    (row,) = influence_view(
        network, weights, ids, list("вада да"), CHARS, by=["omission"], target=target
    ).rows
    assert row.low == -row.high
    assert row.minimum < 0 < row.maximum
    assert "p('г')" in row.note


def test_characters_of_several_bytes_are_left_out_whole() -> None:
    vocabulary = Vocabulary.utf8()
    assert len(vocabulary) == len(UTF8_BYTES) + 2
    network, weights = make("gru", len(vocabulary))
    text = "aя€b"
    ids = vocabulary.encode(text)
    view = influence_view(network, weights, ids, vocabulary.pieces(ids), vocabulary)
    assert view.pieces == tuple(text)
    whole = last_prediction(network, ids.tolist())
    without = last_prediction(network, vocabulary.encode("aяb").tolist())
    assert view.rows[1].values[2] == pytest.approx(0.5 * np.abs(whole - without).sum(), rel=1e-4)
    norms = (embedding_gradient(network.config, weights, ids, int(whole.argmax())) ** 2).sum(1)
    total = view.totals["gradient_norm"]
    assert view.rows[0].values[2] * total == pytest.approx(np.sqrt(norms[3:6].sum()), rel=1e-5)


def test_reach() -> None:
    assert reach(np.array([0.0, 0.0, 1.0])) == 1
    assert reach(np.array([1.0, 0.0, 0.0])) == 3
    assert reach(np.array([1.0, 1.0, -1.0, 1.0])) == 2
    assert reach(np.zeros(4)) == 1


def test_targets() -> None:
    assert find_target(CHARS, "а") == CHARS.encode("а")[0]
    with pytest.raises(InspectionError, match="2 tokens"):
        find_target(CHARS, "аб")
    for text in ("", "ж"):
        with pytest.raises(InspectionError, match="not a token"):
            find_target(CHARS, text)
    with pytest.raises(InspectionError, match="4 tokens of this model of bytes"):
        find_target(Vocabulary.utf8(), "яя")


def test_of_a_character_of_several_bytes_the_first_is_asked_about() -> None:
    vocabulary = Vocabulary.utf8()
    network, weights = make("gru", len(vocabulary))
    target = find_target(vocabulary, "е")
    assert target == vocabulary.encode("е")[0] == vocabulary.encode("д")[0]
    ids = vocabulary.encode("мёд")
    settings: dict = {"by": ["omission"], "target": target}
    pieces = vocabulary.pieces(ids)
    view = influence_view(network, weights, ids, pieces, vocabulary, **settings, asked="е")
    assert "byte D0 is the first of 'е'" in view.rows[0].note
    assert view.totals["target_first_of"] == "е"
    plain = influence_view(network, weights, ids, pieces, vocabulary, **settings)
    assert "first of" not in plain.rows[0].note and "target_first_of" not in plain.totals


def test_what_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    network, weights = make("rnn", len(CHARS))

    def ask(count: int, *by: str) -> None:
        ids = np.full(count, 3)
        influence_view(network, weights, ids, ["а"] * count, CHARS, by=by)

    with pytest.raises(InspectionError, match="empty"):
        ask(0, "omission")
    with pytest.raises(InspectionError, match="gradient, omission"):
        ask(1, "magic")
    with pytest.raises(InspectionError, match=r"1,001 tokens.*1,000.*by='gradient'"):
        ask(LONGEST["omission"] + 1, "omission")
    with pytest.raises(InspectionError, match=r"at most 4,000"):
        ask(LONGEST["gradient"] + 1, "gradient")
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "textgen.model.torch_network", raising=False)
    with pytest.raises(BackendError, match="by='omission'"):
        ask(1, "gradient")
    ask(1, "omission")
