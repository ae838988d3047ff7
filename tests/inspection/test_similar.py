"""The nearest states of a corpus, against comparing every one of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from textgen.checkpoint import SavedModel
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import InspectionError
from textgen.inspection.memory import spread_places
from textgen.inspection.similar import (
    SimilarPlaces,
    find_similar,
    read_after_others,
    similar_places,
)
from textgen.inspection.subject import LongText
from textgen.inspection.trace import Trace, survey, trace, trace_chunks
from textgen.model.config import ModelConfig
from textgen.model.edit import NO_EDITS, Edit
from textgen.model.native_network import NativeNetwork
from textgen.model.network import Engine
from textgen.model.numpy_network import NumpyNetwork
from textgen.native.library import missing_reason, supported_isas
from textgen.view_options import SimilarOptions

CHARS = Vocabulary.from_characters("абвгдежзийкл ")
PLANT = "вид клада за жабий"


def make(cell: str = "lstm") -> tuple[NumpyNetwork, dict[str, np.ndarray]]:
    config = ModelConfig(
        vocab_size=len(CHARS), embedding_size=6, hidden_size=12, num_layers=2, cell=cell
    )
    rng = np.random.default_rng(4)
    weights = {
        name: rng.normal(0.0, 0.5, shape).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    if cell == "rnn":
        # Else its state would be chaotic and depend on all of the text for ever.
        for layer in range(2):
            weights[f"layers.{layer}.weight_hh"] *= np.float32(0.3)
    return NumpyNetwork(config, weights), weights


def corpus(count: int, *plants: tuple[int, str]) -> np.ndarray:
    ids = np.random.default_rng(1).integers(2, len(CHARS), count)
    ids[count // 3] = END_ID
    for place, text in plants:
        part = CHARS.encode(text)
        ids[place : place + len(part)] = part
    return ids


def reading(network: NumpyNetwork, ids: np.ndarray, quantity: str) -> Callable[[], Iterator[Trace]]:
    return lambda: trace_chunks(network, ids, quantities=[quantity], chunk=100)


def search(
    network: NumpyNetwork, ids: np.ndarray, text: str, quantity: str = "cell", **settings: Any
) -> SimilarPlaces:
    query = trace(network, CHARS.encode(text), vocabulary=CHARS, quantities=[quantity])
    layers = settings.pop("layers", None)
    options = SimilarOptions(**{"not_same": 0, **settings})
    return similar_places(
        query, ids, reading(network, ids, quantity), CHARS, options, layers=layers
    )


@pytest.mark.parametrize(
    ("cell", "quantity"), [("lstm", "cell"), ("gru", "hidden"), ("rnn", "hidden")]
)
def test_a_planted_passage_is_the_nearest(cell: str, quantity: str) -> None:
    network, _ = make(cell)
    ids = corpus(900, (500, PLANT))
    found = search(network, ids, PLANT, quantity)
    best = found.matches[0]
    assert best.passage.place == 500 + len(PLANT) - 1
    assert best.same >= len(PLANT)
    assert best.before.endswith(PLANT)
    assert best.after == CHARS.decode(ids[500 + len(PLANT) :][: len(best.after)])
    assert best.similarity > max(0.9, found.matches[1].similarity)
    assert found.query == PLANT
    assert [m.similarity for m in found.matches] == sorted(
        (m.similarity for m in found.matches), reverse=True
    )


@pytest.mark.skipif(not supported_isas(), reason=missing_reason() or "native engine")
def test_a_planted_passage_is_the_nearest_in_a_survey() -> None:
    network, weights = make()
    native = NativeNetwork(network.config, Engine("native", "", "", "cpu", supported_isas()[0], 1))
    native.load_arrays(weights)
    ids = corpus(5000, (3210, PLANT))
    query = trace(network, CHARS.encode(PLANT), vocabulary=CHARS)
    found = similar_places(
        query, ids, lambda: survey(native, ids), CHARS, SimilarOptions(top=3, not_same=0)
    )
    assert found.matches[0].passage.place == 3210 + len(PLANT) - 1
    assert found.tokens == 4999  # and an end mark


@pytest.mark.parametrize("layers", [None, [0], [0, 1]])
@pytest.mark.parametrize(("quantity", "not_same"), [("cell", 0), ("hidden", 2)])
def test_every_place_was_compared(layers: list[int] | None, quantity: str, not_same: int) -> None:
    network, _ = make()
    ids, text = corpus(700), "жаба"
    settings = {"layers": layers, "top": 6, "min_apart": 9, "not_same": not_same}
    found = search(network, ids, text, quantity, **settings)
    whole = trace(network, ids, quantities=[quantity])
    asked = trace(network, CHARS.encode(text), quantities=[quantity])
    used = layers or [1]

    def states(traced: Trace) -> np.ndarray:
        wide = np.hstack([traced.arrays[f"layers.{layer}.{quantity}"] for layer in used])
        return np.tanh(wide.astype(float)) if quantity == "cell" else wide.astype(float)

    values = states(whole)
    mean, sd = values.mean(axis=0), values.std(axis=0)
    z, q = (values - mean) / sd, (states(asked)[-1] - mean) / sd
    likeness = z @ q / np.linalg.norm(z, axis=1) / np.linalg.norm(q)
    end = CHARS.encode(text)[-2:].tolist()
    alike = [not_same and ids[max(0, t - 1) : t + 1].tolist() == end for t in range(len(ids))]
    assert found.left_out == sum(map(bool, alike)) and (not not_same or found.left_out)
    kept = [t for t in range(len(ids)) if not alike[t] and ids[t] != END_ID]
    assert found.tokens == len(kept)
    assert found.mean == pytest.approx(likeness[kept].mean(), abs=1e-5)
    assert found.sd == pytest.approx(likeness[kept].std(), abs=1e-5)
    wanted: list[int] = []
    for t in sorted(kept, key=lambda t: -likeness[t]):
        if all(abs(t - other) >= 9 for other in wanted):
            wanted.append(t)
    assert [match.passage.place for match in found.matches] == wanted[:6]
    np.testing.assert_allclose(
        [match.similarity for match in found.matches], likeness[wanted[:6]], atol=1e-5
    )
    for match in found.matches:
        place, same = match.passage.place, match.same
        assert match.before.endswith(text[len(text) - same :])
        assert same == len(text) or not match.before.endswith(text[-same - 1 :])
        assert match.before.endswith(CHARS.decode(ids[place : place + 1]))


def test_trivial_places_can_be_left_out() -> None:
    network, _ = make()
    ids = corpus(900, (200, PLANT), (500, PLANT[:-8] + "аааааааа"))
    kept = search(network, ids, PLANT)
    assert (kept.matches[0].same, kept.left_out) == (len(PLANT), 0)
    left = search(network, ids, PLANT, not_same=12)
    assert left.left_out == 1
    assert all(match.same < 12 for match in left.matches)
    # Nothing can share more with the text than its length.
    assert search(network, ids, PLANT, not_same=40).left_out == 0


def test_a_passage_is_shown_once_and_places_lie_apart() -> None:
    network, _ = make()
    long = PLANT + " из леса и далее"
    long = "".join(char for char in long if char in CHARS.symbols)
    ids = corpus(900, (100, long), (400, long), (700, long))
    found = search(network, ids, long, top=8, min_apart=30)
    places = [match.passage.place for match in found.matches]
    assert sum(match.same >= 24 for match in found.matches) == 1
    assert all(abs(a - b) >= 30 for a in places for b in places if a != b)
    assert len(places) == 8


def test_only_the_most_unusual_units() -> None:
    network, _ = make()
    ids = corpus(600, (300, PLANT))
    found = search(network, ids, PLANT, units=4)
    assert found.units == 4
    assert found.matches[0].passage.place == 300 + len(PLANT) - 1
    assert search(network, ids, PLANT, units=99).units == 12


def test_documents_and_borders() -> None:
    """The first and the last place count; an end mark is none."""
    network, _ = make()
    ids = CHARS.encode("да")
    found = search(network, ids, "да", min_apart=1)
    assert [match.passage.place for match in found.matches] == [1, 0]
    assert [match.same for match in found.matches] == [2, 0]
    assert (found.matches[0].before, found.matches[0].after) == ("да", "")
    marked = np.array([*CHARS.encode("да"), END_ID, *CHARS.encode("да")])
    found = search(network, marked, "да", min_apart=1, top=9)
    # The second document is the first again, and shown once.
    assert [match.before for match in found.matches] == ["да", "д"]
    assert found.tokens == 4


def test_bytes_of_one_character_are_no_places() -> None:
    vocabulary = Vocabulary.utf8()
    config = ModelConfig(vocab_size=len(vocabulary), embedding_size=4, hidden_size=6, cell="gru")
    rng = np.random.default_rng(3)
    shapes = config.tensor_shapes()
    network = NumpyNetwork(
        config, {name: rng.normal(0, 0.5, shape).astype("f") for name, shape in shapes.items()}
    )
    text = "дом, €€ и ключ"
    ids = vocabulary.encode(text)
    query = trace(network, vocabulary.encode("ключ"), vocabulary=vocabulary)
    read = reading(network, ids, "hidden")
    options = SimilarOptions(top=99, min_apart=1, not_same=0)
    found = similar_places(query, ids, read, vocabulary, options)
    assert found.tokens == len(text)
    assert sorted(len(match.before) for match in found.matches) == list(range(1, len(text) + 1))
    assert all(match.before + match.after == text for match in found.matches)
    assert found.matches[0].before == text and found.matches[0].same == 8


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus() -> None:
    network, _ = make()
    text = CHARS.encode("жаба")
    query = trace(network, text, vocabulary=CHARS)

    def peak(count: int) -> int:
        ids = corpus(count)
        read = reading(network, ids, "cell")
        tracemalloc.start()
        similar_places(query, ids, read, CHARS, SimilarOptions(top=3, min_apart=5, not_same=0))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    # All values of the longer corpus would take 4000 * 24 * 4 bytes.
    assert peak(4000) < peak(800) + 60_000


def test_forms() -> None:
    network, _ = make()
    found = search(network, corpus(300), "жаба", top=4)
    record = found.to_json()
    assert (record["query"], record["quantity"], record["layers"]) == ("жаба", "cell", [1])
    assert found.table().keys() == ["similarity", "same", "place", "before", "after"]
    assert found.table().records() == record["matches"]
    arrays = found.to_arrays()
    assert arrays["place"].tolist() == [match["place"] for match in record["matches"]]
    assert arrays["before"].dtype.kind == "U"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"top": 0}, "top is 0"),
        ({"min_apart": 0}, "min_apart is 0"),
        ({"not_same": -1}, "not_same is -1"),
        ({"units": -1}, "units is -1"),
        ({"layers": [5]}, "layer 5"),
    ],
)
def test_wrong_questions(settings: dict[str, Any], told: str) -> None:
    network, _ = make()
    with pytest.raises(InspectionError, match=told):
        search(network, corpus(50), "жаба", **settings)


def test_nothing_to_compare() -> None:
    network, _ = make()
    with pytest.raises(InspectionError, match="corpus is empty"):
        search(network, corpus(3)[:0], "жаба")
    with pytest.raises(InspectionError, match="text whose state"):
        search(network, corpus(30), "")


class Tiny:
    """A model as `find_similar` takes it: random weights, a vocabulary, no file."""

    def __init__(self) -> None:
        self.network, weights = make()
        self.saved: Any = SavedModel(
            config=self.network.config,
            weights=weights,
            vocabulary=CHARS,
            normalization=Normalization(),
            info={},
        )
        self.name = "tiny"

    def survey(self, ids: np.ndarray, quantities: Sequence[str]) -> Iterator[Trace]:
        return trace_chunks(self.network, ids, quantities=quantities, chunk=100)


def long_text(count: int = 2000) -> LongText:
    return LongText(ids=corpus(count), name="random", chars=count)


def test_a_short_text_is_read_after_other_text() -> None:
    model, text = Tiny(), long_text()
    query, edits = CHARS.encode("жаба"), (Edit(layer=0, unit=1, state="c", scale=0.0, shift=0.7),)
    for held in (NO_EDITS, edits):
        found = read_after_others(model, query, text.ids, "cell", 40, edits=held)
        assert set(found) == {"layers.0.cell", "layers.1.cell"}
        places = spread_places(text.ids, max_lag=40 + 64, count=16, rng=0)
        for row, place in enumerate(places):
            # The query begins a word, so the place moves to the beginning of one.
            while text.ids[place - 1] != CHARS.encode(" ")[0]:
                place -= 1
            read = np.concatenate([text.ids[place - 40 : place], query])
            alone = trace(
                model.network,
                read,
                quantities=["cell"],
                initial=model.network.zero_state(),
                edits=held,
            )
            for layer in range(2):
                expected = alone.arrays[f"layers.{layer}.cell"][-1]
                np.testing.assert_allclose(found[f"layers.{layer}.cell"][row], expected, atol=1e-5)


def test_the_mean_state_after_other_text_is_looked_for() -> None:
    model, text = Tiny(), long_text()
    options = SimilarOptions(warm_up=40, not_same=0, top=1)
    found = find_similar(model, "жаба", text, options)
    assert (found.contexts, found.warm_up) == (16, 40)
    ends = np.tanh(
        read_after_others(model, CHARS.encode("жаба"), text.ids, "cell", 40)["layers.1.cell"]
    )
    values = np.tanh(trace(model.network, text.ids, quantities=["cell"]).arrays["layers.1.cell"])
    mean, sd = values.mean(axis=0), values.std(axis=0)
    z, q = (values - mean) / sd, ((ends - mean) / sd)
    asked = q.mean(axis=0)
    likeness = z @ asked / np.linalg.norm(z, axis=1) / np.linalg.norm(asked)
    best = found.matches[0]
    assert best.similarity == pytest.approx(likeness[best.passage.place], abs=1e-4)
    assert best.similarity == pytest.approx(likeness[text.ids != END_ID].max(), abs=1e-4)
    single = q @ asked / np.linalg.norm(q, axis=1) / np.linalg.norm(asked)
    assert found.agreement == pytest.approx(single.mean(), abs=1e-4)
    assert found.to_json()["contexts"] == 16


def test_the_beginning_of_a_document_is_nearest_only_to_a_beginning() -> None:
    """A network whose state has a long memory of where the document began."""
    model, text = Tiny(), long_text()
    weights = model.saved.weights
    for layer in range(2):
        # The cell counts slowly up to a limit: near a beginning it is unlike anywhere else.
        weights[f"layers.{layer}.bias"][:36] = np.repeat([-2.0, 4.0, 3.0], 12)
        weights[f"layers.{layer}.weight_hh"][:] *= 0.1
    model.network.load_arrays(weights)
    begins = [0, len(text.ids) // 3 + 1]

    def near_a_beginning(warm_up: int) -> list[bool]:
        options = SimilarOptions(warm_up=warm_up, top=2)
        places = [m.passage.place for m in find_similar(model, "жаба", text, options).matches]
        return [any(begin <= place < begin + 20 for begin in begins) for place in places]

    assert near_a_beginning(0) == [True, True]
    assert near_a_beginning(256) == [False, False]


def test_documents_too_short_to_be_read_first() -> None:
    model = Tiny()
    ids = corpus(300)
    ids[::30] = END_ID
    text = LongText(ids=ids, name="short", chars=300)
    found = find_similar(model, "жаба", text, SimilarOptions())
    assert (found.contexts, found.warm_up, found.agreement) == (0, 0, pytest.approx(1.0))
    cold = find_similar(model, "жаба", text, SimilarOptions(warm_up=0))
    assert [m.passage.place for m in cold.matches] == [m.passage.place for m in found.matches]
