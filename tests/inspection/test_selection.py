"""The choice of neurons, how users name them, and the view made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.models import random_weights

import textgen
from textgen.checkpoint import SavedModel
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import InspectionError
from textgen.inspection.neuron_stats import most_varying, neuron_stats, parse_neuron
from textgen.inspection.trace import Trace, acting_layers, join_chunks, trace, trace_chunks
from textgen.inspection.view import neuron_view
from textgen.model.config import ModelConfig

CHARS = Vocabulary.from_characters("абвг ")


def made_up(arrays: dict[str, np.ndarray], units: dict[int, list[int]]) -> Trace:
    """A trace of given values."""
    count = len(next(iter(arrays.values())))
    return Trace(
        ids=np.full(count, 2, np.int64),
        places=np.arange(count),
        pieces=("x",) * count,
        arrays={name: array.astype(np.float32) for name, array in arrays.items()},
        units={layer: np.array(numbers) for layer, numbers in units.items()},
        nats=np.zeros(count),
        next_ids=np.empty((count, 0), np.int64),
        next_probabilities=np.empty((count, 0), np.float32),
        final_state=[],
    )


def test_those_that_vary_most_come_first() -> None:
    wave = np.array([1.0, -1.0, 1.0, -1.0])
    found = made_up(
        {
            "layers.0.cell": np.stack([9.0 + 0 * wave, 2 * wave], axis=1),
            "layers.1.cell": np.stack([3 * wave, 2 * wave], axis=1),
        },
        {0: [4, 7], 1: [0, 1]},
    )
    best = most_varying(found, 3)
    assert [s.neuron for s in best] == [(1, 0), (0, 7), (1, 1)]
    assert (best[0].mean, best[0].sd, best[0].minimum, best[0].maximum) == (0.0, 3.0, -3.0, 3.0)
    assert best[0].name == "layers.1.cell[0]"
    assert [s.neuron for s in most_varying(found, 99)] == [(1, 0), (0, 7), (1, 1), (0, 4)]


def test_statistics_from_chunks_are_those_of_the_whole(make_network: Any) -> None:
    network = make_network()
    ids = np.random.default_rng(3).integers(0, 11, 200)
    whole = trace(network, ids).arrays["layers.1.cell"].astype(np.float64)
    stats = [s for s in neuron_stats(trace_chunks(network, ids, chunk=7)) if s.layer == 1]
    # What differs from the mean is rounded to float32, 6e-8 of it; means of it are nearer.
    np.testing.assert_allclose([s.mean for s in stats], whole.mean(axis=0), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose([s.sd for s in stats], whole.std(axis=0), rtol=1e-7)
    np.testing.assert_array_equal([s.minimum for s in stats], whole.min(axis=0))
    np.testing.assert_array_equal([s.maximum for s in stats], whole.max(axis=0))


def test_spread_survives_a_large_mean() -> None:
    values = 1000.0 + np.tile([0.0, 0.25], 500)[:, None]
    halves = [made_up({"layers.0.cell": part}, {0: [0]}) for part in np.split(values, 10)]
    assert neuron_stats(halves)[0].sd == pytest.approx(0.125, rel=1e-9)


def test_nothing_to_speak_of_is_an_error(make_network: Any) -> None:
    with pytest.raises(InspectionError, match="empty"):
        most_varying(trace(make_network(), []), 1)
    with pytest.raises(InspectionError, match=r"^top is 0"):
        most_varying(trace(make_network(), [3]), 0)
    two = trace(make_network(), [3], quantities=("cell", "hidden"))
    with pytest.raises(InspectionError, match="cell, hidden"):
        most_varying(two, 1)
    assert most_varying(two, 1, quantity="hidden")[0].quantity == "hidden"


def test_a_neuron_as_it_is_typed() -> None:
    assert parse_neuron("0:137", num_layers=1, hidden_size=512) == (0, 137)
    assert parse_neuron(" 1 : 0 ", num_layers=2, hidden_size=1) == (1, 0)


@pytest.mark.parametrize("text", ["", "5", "0:", ":3", "0:-1", "a:b", "0:1:2", "0.5:1", "²:1"])
def test_what_is_no_neuron(text: str) -> None:
    with pytest.raises(InspectionError, match=r"LAYER:UNIT with layer 0\.\.1 and unit 0\.\.511"):
        parse_neuron(text, num_layers=2, hidden_size=512)


@pytest.mark.parametrize("text", ["2:0", "0:512", "999999999:0"])
def test_a_neuron_out_of_range(text: str) -> None:
    with pytest.raises(InspectionError, match=r"layers 0\.\.1 and units 0\.\.511"):
        parse_neuron(text, num_layers=2, hidden_size=512)


def test_view_of_neurons(make_network: Any) -> None:
    vocabulary = Vocabulary.from_characters("абвгдежзи")
    found = trace(
        make_network(),
        vocabulary.encode("абвгд"),
        vocabulary=vocabulary,
        quantities=("cell", "forget-gate", "candidate"),
    )
    view = neuron_view(found, [(1, 3), (0, 2)], quantity="cell")
    assert [row.name for row in view.rows] == ["layers.1.cell[3]", "layers.0.cell[2]"]
    row = view.rows[0]
    np.testing.assert_array_equal(row.values, found.values(1, 3, "cell"))
    assert row.low == -row.high
    assert (row.minimum, row.maximum) == (min(row.values), max(row.values))
    data = json.loads(json.dumps(view.to_json(), allow_nan=False))
    assert data["tokens"] == list("абвгд")
    assert data["rows"][0]["layer"] == 1 and data["rows"][0]["unit"] == 3
    assert data["rows"][0]["values"] == list(row.values)
    gate = neuron_view(found, [(0, 0)], quantity="forget-gate").rows[0]
    assert (gate.low, gate.high) == (0.0, 1.0)
    candidate = neuron_view(found, [(0, 0)], quantity="candidate").rows[0]
    assert (candidate.low, candidate.high) == (-1.0, 1.0)


def test_one_outlier_does_not_pale_the_scale() -> None:
    values = np.tile([0.5, -0.5], 500)
    values[10] = -80.0
    row = neuron_view(made_up({"layers.0.cell": values[:, None]}, {0: [0]}), [(0, 0)]).rows[0]
    assert (row.low, row.high) == (-0.5, 0.5)
    assert row.minimum == -80.0


def test_a_dead_neuron_has_a_scale() -> None:
    found = made_up({"layers.0.cell": np.zeros((4, 1))}, {0: [0]})
    row = neuron_view(found, [(0, 0)]).rows[0]
    assert (row.low, row.high) == (-1.0, 1.0)


def test_a_cell_that_only_counts_does_not_come_first() -> None:
    """A state that drifts far beyond the range of tanh varies much and tells nothing."""
    values = np.zeros((100, 2))
    values[:, 0] = np.arange(1, 101)
    values[::2, 1] = 1.5
    best = most_varying(made_up({"layers.0.cell": values}, {0: [0, 1]}), 2)
    assert [stats.neuron for stats in best] == [(0, 1), (0, 0)]
    assert best[1].sd > 10 * best[0].sd
    hidden = most_varying(made_up({"layers.0.hidden": values}, {0: [0, 1]}), 2)
    assert [stats.neuron for stats in hidden] == [(0, 0), (0, 1)]


def test_a_view_keeps_arrays_and_no_trace() -> None:
    found = made_up({"layers.0.cell": np.arange(40.0).reshape(4, 10)}, {0: list(range(10))})
    values = neuron_view(found, [(0, 3)]).rows[0].values
    assert isinstance(values, np.ndarray) and values.dtype == np.float32
    assert values.base is None


def test_selected_columns_are_those_of_a_trace_of_them(make_network: Any) -> None:
    network = make_network()
    ids = np.random.default_rng(4).integers(0, 11, 30)
    wanted = [(1, 4), (0, 2), (1, 0), (1, 4)]
    names = ("cell", "forget-gate")
    expected = trace(network, ids, quantities=names, units=wanted)
    parts = trace_chunks(network, ids, quantities=names, chunk=7)
    found = join_chunks(part.select(wanted) for part in parts)
    assert list(found.arrays) == list(expected.arrays)
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
    assert {layer: units.tolist() for layer, units in found.units.items()} == {0: [2], 1: [4, 0]}
    with pytest.raises(InspectionError, match="0:3 is not in this trace"):
        found.select([(0, 3)])


@pytest.mark.parametrize("quantity", ["depth-gate", "forget-gate", "cell"])
def test_a_gate_of_the_layer_below_acts_on_nothing_in_the_first_layer(quantity: str) -> None:
    config = ModelConfig(
        vocab_size=len(CHARS), embedding_size=4, hidden_size=6, num_layers=2, cell="depth-gated"
    )
    weights = random_weights(config)
    for name in ("weight_ih", "bias"):
        weights[f"layers.0.{name}"] *= np.float32(30.0)  # the first layer varies most
    saved = SavedModel(
        config=config, vocabulary=CHARS, normalization=Normalization(), info={}, weights=weights
    )
    model = textgen.Model(saved, Path("none"))
    layers = [1] if quantity == "depth-gate" else [0, 1]
    assert list(acting_layers(config, quantity)) == layers
    text = "абвг вбаг " * 8
    shown = {row.layer for row in model.view(text, show=quantity, top=4).rows}
    listed = model.neurons(text, show=quantity, top=0).table().records()
    report = {record["layer"] for record in listed}
    assert report == set(layers) and shown <= report
    assert quantity == "depth-gate" or 0 in shown
    # Whoever names a neuron or a layer sees it.
    assert model.view(text, show=quantity, neurons=["0:2"]).rows[0].layer == 0
    first = model.neurons(text, show=quantity, layers=[0]).table().records()
    assert {record["layer"] for record in first} == {0}


def test_the_gate_of_an_only_layer_is_shown() -> None:
    config = ModelConfig(vocab_size=9, embedding_size=4, hidden_size=6, cell="depth-gated")
    assert list(acting_layers(config, "depth-gate")) == [0]
