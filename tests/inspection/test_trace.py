"""The trace against the lecture's equations, and its promises on chunks, resets and memory."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest

from textgen.cells import get_cell
from textgen.cells.cell import Cell
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import InspectionError
from textgen.inspection.trace import Trace, quantities, trace, trace_chunks

LSTM_QUANTITIES = ("cell", "hidden", "input-gate", "forget-gate", "output-gate", "candidate")


def reference(network: Any, ids: list[int]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The five equations of the lecture, one token and one gate at a time, in float64."""
    weights = {name: array.astype(np.float64) for name, array in network.weights.items()}
    size, layers = network.config.hidden_size, network.config.num_layers

    def sigma(a: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-a))

    rows: dict[str, list[np.ndarray]] = {}
    nats = []
    h = [np.zeros(size) for _ in range(layers)]
    c = [np.zeros(size) for _ in range(layers)]
    for position, token in enumerate([END_ID, *ids]):
        if position:
            head = weights["embedding.weight" if network.config.tie else "head.weight"]
            scores = head @ h[-1] + weights["head.bias"]
            nats.append(np.log(np.exp(scores).sum()) - scores[token])
        if token == END_ID:
            h = [np.zeros(size) for _ in range(layers)]
            c = [np.zeros(size) for _ in range(layers)]
        x = weights["embedding.weight"][token]
        for layer in range(layers):
            w = weights[f"layers.{layer}.weight_ih"].reshape(4, size, -1)
            u = weights[f"layers.{layer}.weight_hh"].reshape(4, size, size)
            b = weights[f"layers.{layer}.bias"].reshape(4, size)
            i = sigma(w[0] @ x + u[0] @ h[layer] + b[0])
            f = sigma(w[1] @ x + u[1] @ h[layer] + b[1])
            g = np.tanh(w[2] @ x + u[2] @ h[layer] + b[2])
            o = sigma(w[3] @ x + u[3] @ h[layer] + b[3])
            c[layer] = f * c[layer] + i * g
            h[layer] = o * np.tanh(c[layer])
            x = h[layer]
            if position:
                values = (c[layer], h[layer], i, f, o, g)
                for name, value in zip(LSTM_QUANTITIES, values, strict=True):
                    rows.setdefault(f"layers.{layer}.{name}", []).append(value)
    return {name: np.array(values) for name, values in rows.items()}, np.array(nats)


@pytest.mark.parametrize("tie", [False, True])
def test_agrees_with_the_equations(make_network: Any, tie: bool) -> None:
    network = make_network(tie=tie)
    ids = np.random.default_rng(1).integers(0, 11, 300).tolist()
    assert END_ID in ids
    found = trace(network, ids, quantities=LSTM_QUANTITIES)
    expected, nats = reference(network, ids)
    assert set(found.arrays) == set(expected)
    for name, array in found.arrays.items():
        assert array.dtype == np.float32
        # The promise of the view; float32 steps with gates below 1 do not drift beyond it.
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(found.nats, nats, rtol=0, atol=1e-5)


def test_end_mark_resets_only_where_asked(make_network: Any) -> None:
    network = make_network()
    ids = [3, 4, 5, END_ID, 3, 4, 5]
    found = trace(network, ids)
    np.testing.assert_array_equal(
        found.arrays["layers.1.cell"][:3], found.arrays["layers.1.cell"][4:]
    )
    carried = trace(network, ids, reset_at_end_marks=False)
    assert np.abs(carried.arrays["layers.1.cell"][4:] - found.arrays["layers.1.cell"][4:]).max() > 0


def test_chunks_laid_end_to_end_are_the_trace(make_network: Any) -> None:
    network = make_network(vocab_size=245)
    vocabulary = Vocabulary.utf8()
    text = "Ёлка, 日本 и é."
    ids = vocabulary.encode(text)
    whole = trace(network, ids, vocabulary=vocabulary, quantities=("hidden", "candidate"), top=3)
    # Chunks of 2 cut through characters of 2 and 3 bytes.
    parts = list(
        trace_chunks(
            network, ids, vocabulary=vocabulary, quantities=("hidden", "candidate"), top=3, chunk=2
        )
    )
    assert len(parts) == (len(ids) + 1) // 2
    assert sum((part.pieces for part in parts), ()) == whole.pieces
    assert "".join(whole.pieces) == text
    for name in whole.arrays:
        np.testing.assert_array_equal(
            np.concatenate([part.arrays[name] for part in parts]), whole.arrays[name]
        )
    # Logits of several rows at once may be summed in another order: a few units of float32.
    np.testing.assert_allclose(
        np.concatenate([part.nats for part in parts]), whole.nats, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(np.concatenate([part.next_ids for part in parts]), whole.next_ids)
    rejoined = trace(network, ids, quantities=("hidden", "candidate"), chunk=2)
    np.testing.assert_array_equal(
        rejoined.arrays["layers.0.hidden"], whole.arrays["layers.0.hidden"]
    )


def test_final_state_goes_on(make_network: Any) -> None:
    network = make_network()
    ids = [3, 4, 5, 6, 7]
    whole = trace(network, ids)
    first = trace(network, ids[:2])
    second = trace(network, ids[2:], initial=first.final_state)
    np.testing.assert_array_equal(second.arrays["layers.0.cell"], whole.arrays["layers.0.cell"][2:])
    np.testing.assert_allclose(second.nats, whole.nats[2:], rtol=1e-5, atol=1e-6)


def test_top_predictions_follow_their_row(make_network: Any) -> None:
    network = make_network()
    ids = [3, 4, 5, 6]
    found = trace(network, ids, top=11)
    assert found.next_ids.shape == (4, 11)
    np.testing.assert_allclose(found.next_probabilities.sum(axis=1), 1.0, rtol=1e-5)
    assert (np.diff(found.next_probabilities, axis=1) <= 0).all()
    # What row 0 gives to token 1 is what token 1 cost.
    place = found.next_ids[0].tolist().index(ids[1])
    np.testing.assert_allclose(
        -np.log(found.next_probabilities[0, place]), found.nats[1], rtol=1e-5
    )


def test_logits_in_blocks_are_the_same(make_network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    network = make_network()
    ids = np.random.default_rng(2).integers(0, 11, 50)
    whole = trace(network, ids, top=2)
    monkeypatch.setattr(sys.modules["textgen.inspection.trace"], "LOGITS_LIMIT", 33)
    blocks = trace(network, ids, top=2)
    np.testing.assert_allclose(blocks.nats, whole.nats, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(blocks.next_ids, whole.next_ids)


def test_chosen_units_and_layers(make_network: Any) -> None:
    network = make_network()
    ids = [3, 4, 5]
    whole = trace(network, ids)
    some = trace(network, ids, units=[(1, 5), (1, 0), (1, 5)])
    assert list(some.arrays) == ["layers.1.cell"]
    assert some.units[1].tolist() == [5, 0]
    np.testing.assert_array_equal(
        some.arrays["layers.1.cell"], whole.arrays["layers.1.cell"][:, [5, 0]]
    )
    np.testing.assert_array_equal(some.values(1, 0), whole.values(1, 0))
    assert list(trace(network, ids, layers=[1]).arrays) == ["layers.1.cell"]
    assert trace(network, ids, quantities=()).arrays == {}


def test_an_empty_text_is_an_empty_trace(make_network: Any) -> None:
    found = trace(make_network(), [])
    assert len(found) == 0
    assert found.arrays["layers.0.cell"].shape == (0, 6)
    assert found.final_state[0]["h"].shape == (1, 6)


class _Gated(Cell):
    """A cell without `c`, to see that names follow the cell."""

    name = "gated"
    gate_names = ("reset", "candidate", "update")
    state_names = ("h",)

    def step(self, xp: Any, pre_BGH: Any, state: Any, products: Any) -> Any:
        raise NotImplementedError


def test_names_follow_the_cell() -> None:
    assert quantities(get_cell("lstm")) == LSTM_QUANTITIES
    assert quantities(_Gated()) == ("hidden", "reset-gate", "update-gate", "candidate")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantities": ("memory",)}, "choose one of: cell, hidden, input-gate"),
        ({"units": [(0, 6)]}, "layers 0..1 and units 0..5"),
        ({"units": [(2, 0)]}, "no neuron 2:0"),
        ({"layers": [-1]}, "layers 0..1"),
        ({"chunk": 0}, "at least 1"),
        ({"top": 12}, "0..11"),
    ],
)
def test_what_the_model_lacks_is_an_error(
    make_network: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InspectionError, match=message):
        trace(make_network(), [3], **options)


def test_a_foreign_token_is_an_error(make_network: Any) -> None:
    with pytest.raises(InspectionError, match="another vocabulary"):
        trace(make_network(), [3, 11])


def test_ambiguous_quantity_is_an_error(make_network: Any) -> None:
    found = trace(make_network(), [3], quantities=("cell", "hidden"))
    assert found.quantities == ("cell", "hidden")
    with pytest.raises(InspectionError, match="name one: cell, hidden"):
        found.values(0, 0)
    with pytest.raises(InspectionError, match="not in this trace"):
        found.values(0, 6, "cell")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_text(make_network: Any) -> None:
    network = make_network(hidden_size=32, num_layers=1)

    def peak(count: int) -> int:
        ids = np.full(count, 3, np.uint8)
        gc.collect()
        tracemalloc.start()
        for part in trace_chunks(network, ids, quantities=LSTM_QUANTITIES, chunk=200):
            assert isinstance(part, Trace)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    # Until the garbage collector runs by itself, it grows a little.
    # Twice the text; kept whole, the longer trace alone would take 2.5 MB.
    assert peak(3200) < peak(1600) + 100_000
