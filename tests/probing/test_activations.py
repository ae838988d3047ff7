"""Many documents side by side give what each gives alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from textgen.checkpoint import SavedModel
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.inspection.trace import trace
from textgen.model.config import ModelConfig
from textgen.model.edit import Edit, Edits
from textgen.model.engine import open_reader
from textgen.model.network import Network
from textgen.model.numpy_network import NumpyNetwork
from textgen.native.library import BF16_ISAS, missing_reason, supported_isas
from textgen.probing import activations
from textgen.probing.activations import (
    bits_per_char,
    read_features,
    read_projection,
    seen,
    unseen,
)
from textgen.probing.examples import Examples, text_examples
from textgen.probing.labels import LabelledTexts

SYMBOLS = "abcdefgh \n"
VOCABULARY = Vocabulary.from_characters(SYMBOLS)
CLAMP = Edit(layer=0, state="c", unit=3, scale=0.0, shift=0.7)


def saved_model(cell: str = "lstm", layers: int = 2) -> SavedModel:
    rng = np.random.default_rng(3)
    config = ModelConfig(
        vocab_size=len(VOCABULARY), embedding_size=5, hidden_size=8, num_layers=layers, cell=cell
    )
    return SavedModel(
        config=config,
        vocabulary=VOCABULARY,
        normalization=Normalization(),
        weights={
            name: rng.normal(0.0, 0.6, shape).astype(np.float32)
            for name, shape in config.tensor_shapes().items()
        },
    )


def examples_of(protocol: str, count: int = 30) -> Examples:
    """Texts of very different lengths."""
    rng = np.random.default_rng(1)
    texts = ["".join(rng.choice(list(SYMBOLS), int(2 ** rng.uniform(0, 6)))) for _ in range(count)]
    texts = [f"{text}{number % 8 * 'a'}b" for number, text in enumerate(texts)]
    labelled = LabelledTexts(
        texts=tuple(texts),
        labels=tuple(number % 2 == 0 for number in range(count)),
        positive="p",
        negative="n",
        source="here",
    )
    return text_examples(
        labelled,
        VOCABULARY,
        Normalization(),
        protocol=protocol,
        held_out=0.3,
        rng=np.random.default_rng(0),
    )


def alone(model: SavedModel, ids: np.ndarray, quantity: str, edits: Edits = ()) -> np.ndarray:
    """The states after each token of one document, by the specification, `(T, layers * H)`."""
    network = NumpyNetwork(model.config, model.weights)
    per_stream = [edits] if edits else None
    _, state = network.step(np.array([0]), network.zero_state(), per_stream)
    rows = []
    for token in ids.tolist():
        records = network.step_traced(np.array([token]), state, per_stream)
        state = [record.state for record in records]
        name = {"cell": "c", "hidden": "h"}[quantity]
        rows.append(np.concatenate([record.state[name][0] for record in records]))
    return np.array(rows)


@pytest.fixture(params=["numpy", "native"])
def open_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Reads by the specification, or by the engine in float32."""
    name = str(request.param)
    if name == "numpy":
        monkeypatch.setattr("textgen.native.library.supported_isas", lambda: ())
    else:
        exact = [isa for isa in supported_isas() if isa not in BF16_ISAS]
        if not exact:
            pytest.skip(missing_reason())
        monkeypatch.setenv("TEXTGEN_PATH", exact[0])
    return name


def network_of(model: SavedModel) -> Network:
    return open_reader(model.config, model.weights, 1)


@pytest.mark.parametrize("edits", [(), (CLAMP,)], ids=["as it is", "clamped"])
@pytest.mark.parametrize("protocol", ["mean", "final"])
@pytest.mark.parametrize("quantity", ["cell", "hidden"])
def test_features_are_those_of_each_text_alone(
    open_path: str,
    monkeypatch: pytest.MonkeyPatch,
    quantity: str,
    protocol: str,
    edits: Edits,
) -> None:
    """With windows that cut through texts, and batches of several lengths."""
    monkeypatch.setattr(activations, "STREAMS", 7)
    monkeypatch.setattr(activations, "CHUNK", 70)
    model, examples = saved_model(), examples_of(protocol)
    features = read_features(network_of(model), examples, quantity, edits=edits)
    each = [alone(model, ids, quantity, edits) for ids in examples.documents]
    sees = [seen(states, quantity) for states in each]

    def taken(states: np.ndarray) -> np.ndarray:
        return states.mean(axis=0) if protocol == "mean" else states[-1]

    close = {"rtol": 1e-4, "atol": 2e-5}
    np.testing.assert_allclose(features.raw_NU, [taken(s) for s in each], **close)
    np.testing.assert_allclose(features.seen_NU, [taken(s) for s in sees], **close)
    every = np.concatenate(each)
    np.testing.assert_allclose(features.mean_U, every.mean(axis=0), **close)
    np.testing.assert_allclose(features.sd_U, every.std(axis=0), rtol=1e-3, atol=1e-4)
    assert features.tokens == len(every)
    for row, number in enumerate(np.flatnonzero(examples.held_out_N)):
        places = examples.chance_NK[number]
        np.testing.assert_allclose(features.chance_MKU[row], sees[number][places], **close)


def test_only_held_out_texts_are_read_where_no_more_is_asked(open_path: str) -> None:
    model, examples = saved_model(), examples_of("final")
    network = network_of(model)
    whole = read_features(network, examples, "cell")
    part = read_features(network, examples, "cell", only_N=examples.held_out_N)
    test = examples.held_out_N
    np.testing.assert_allclose(part.seen_NU[test], whole.seen_NU[test], atol=1e-6)
    assert not part.seen_NU[~test].any()
    assert part.tokens == sum(len(examples.documents[i]) for i in np.flatnonzero(test))


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_other_cells_have_a_hidden_state(open_path: str, cell: str) -> None:
    model, examples = saved_model(cell), examples_of("final")
    features = read_features(network_of(model), examples, "hidden")
    last = [alone(model, ids, "hidden")[-1] for ids in examples.documents]
    np.testing.assert_allclose(features.seen_NU, last, rtol=1e-4, atol=2e-5)
    assert features.raw_NU is features.seen_NU


def test_bits_per_char_are_those_of_the_trace(open_path: str) -> None:
    """Each held-out text from its start; with an edit they cost something else."""
    model, examples = saved_model(), examples_of("mean")
    network = network_of(model)
    nats = chars = 0.0
    for number in np.flatnonzero(examples.held_out_N):
        cost = trace(model.network(), examples.documents[number]).nats
        nats, chars = nats + cost.sum(), chars + len(cost)
    bits = bits_per_char(network, examples, VOCABULARY, limit=10**9)
    assert bits == pytest.approx(nats / chars / np.log(2), rel=1e-5)
    assert bits != bits_per_char(network, examples, VOCABULARY, edits=(CLAMP,), limit=10**9)


def test_what_is_context_only_is_read_and_not_counted(
    open_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in no mean, no spread and no cost, and the states after it are as with it."""
    monkeypatch.setattr(activations, "CHUNK", 70)
    model, examples = saved_model(), examples_of("final")
    network = network_of(model)
    # Of some texts nothing, of one all but the last token.
    lengths = np.array([len(ids) for ids in examples.documents])
    skip_D = np.minimum(np.arange(len(lengths)) % 5, lengths - 1)
    skipping = replace(examples, skip_D=skip_D)
    features = read_features(network, skipping, "cell")
    each = [alone(model, ids, "cell") for ids in examples.documents]
    counted = np.concatenate([rows[skip:] for rows, skip in zip(each, skip_D, strict=True)])
    close = {"rtol": 1e-4, "atol": 2e-5}
    np.testing.assert_allclose(features.mean_U, counted.mean(axis=0), **close)
    np.testing.assert_allclose(features.sd_U, counted.std(axis=0), rtol=1e-3, atol=1e-4)
    assert features.tokens == len(counted) == (lengths - skip_D).sum()
    np.testing.assert_allclose(features.raw_NU, [rows[-1] for rows in each], **close)
    nats = chars = 0.0
    for number in np.flatnonzero(examples.held_out_N):
        cost = trace(model.network(), examples.documents[number]).nats[skip_D[number] :]
        nats, chars = nats + cost.sum(), chars + len(cost)
    bits = bits_per_char(network, skipping, VOCABULARY, limit=10**9)
    assert bits == pytest.approx(nats / chars / np.log(2), rel=1e-5)


def test_the_spread_of_a_projection(open_path: str) -> None:
    model, examples = saved_model(), examples_of("mean")
    read = np.random.default_rng(0).normal(size=8).astype(np.float32)
    states = np.concatenate([alone(model, ids, "cell")[:, 8:] for ids in examples.documents])
    every = states @ read
    projection = read_projection(network_of(model), examples, "cell", 1, read)
    assert projection.mean == pytest.approx(every.mean(), abs=1e-4)
    assert projection.sd == pytest.approx(every.std(), rel=1e-3)
    covariance = ((states - states.mean(axis=0)) * (every - every.mean())[:, None]).mean(axis=0)
    pattern = projection.pattern_H
    assert pattern is not None
    np.testing.assert_allclose(pattern, covariance / every.var(), rtol=1e-3, atol=1e-4)
    assert pattern @ read.astype(float) == pytest.approx(1.0, abs=1e-12)


def test_what_the_network_sees_can_be_taken_back() -> None:
    assert unseen(float(seen(np.float32(0.8), "cell")), "cell") == pytest.approx(0.8, rel=1e-5)
    assert unseen(0.3, "hidden") == 0.3
    assert np.isfinite(unseen(1.0, "cell"))
