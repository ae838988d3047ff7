"""States that grow without limit: every view says so, none shows what is no number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support.html_page import page_data

from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import InspectionError
from textgen.inspection.gates import gate_report
from textgen.inspection.influence import influence_view
from textgen.inspection.neuron_stats import most_varying
from textgen.inspection.neurons import survey_neurons
from textgen.inspection.similar import similar_places
from textgen.inspection.trace import LARGEST, Trace, as_chunks, trace, trace_chunks
from textgen.inspection.view import neuron_view, surprise_view
from textgen.model.config import ModelConfig
from textgen.model.numpy_network import NumpyNetwork
from textgen.view_options import SimilarOptions

CHARS = Vocabulary.from_characters("абвгд ")
#: Where the state triples at each character it is beyond float32 after 85.
TEXT = "абв гд " * 60
IDS = CHARS.encode(TEXT)
CONFIG = ModelConfig(
    vocab_size=len(CHARS), embedding_size=4, hidden_size=5, cell="rnn", nonlinearity="identity"
)


def growing(factor: float = 3.0) -> tuple[NumpyNetwork, dict[str, np.ndarray]]:
    rng = np.random.default_rng(2)
    weights = {
        name: rng.normal(0.0, 0.5, shape).astype(np.float32)
        for name, shape in CONFIG.tensor_shapes().items()
    }
    weights["layers.0.weight_hh"] = np.eye(5, dtype=np.float32) * np.float32(factor)
    return NumpyNetwork(CONFIG, weights), weights


NETWORK, WEIGHTS = growing()


def traced(text: str = TEXT, **settings: object) -> Trace:
    ids = CHARS.encode(text)
    return trace(NETWORK, ids, vocabulary=CHARS, **settings)  # type: ignore[arg-type]


def similar(query: str, ids: np.ndarray) -> object:
    options = SimilarOptions()
    return similar_places(traced(query), ids, lambda: trace_chunks(NETWORK, ids), CHARS, options)


VIEWS: dict[str, Callable[[], object]] = {
    "neuron": lambda: neuron_view(traced(), [(0, 1)]),
    "most varying": lambda: most_varying(traced(), 3),
    "surprise": lambda: surprise_view(traced(quantities=())),
    "influence": lambda: influence_view(NETWORK, WEIGHTS, IDS, list(TEXT), CHARS),
    "page": lambda: page_data(NETWORK, CHARS, TEXT),
    "page of surprise": lambda: page_data(NETWORK, CHARS, TEXT, show="surprise"),
    "neurons": lambda: survey_neurons(
        lambda ids: trace_chunks(NETWORK, ids, chunk=50),
        IDS,
        CHARS,
        CONFIG.cell_spec,
        quantity="hidden",
    ),
    "similar, corpus": lambda: similar("абв", IDS),
    "similar, query": lambda: similar(TEXT, IDS[:20]),
}


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_says_so(name: str) -> None:
    with pytest.raises(InspectionError, match=r"without limit.*chars=1000.*another model"):
        VIEWS[name]()


def test_a_shorter_text_is_shown() -> None:
    assert np.isfinite(neuron_view(traced(TEXT[:20]), [(0, 1)]).rows[0].values).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2 * LARGEST, -2 * LARGEST])
def test_one_value_is_enough(value: float) -> None:
    whole = traced(TEXT[:20])
    whole.arrays["layers.0.hidden"][7, 2] = value
    with pytest.raises(InspectionError, match="without limit"):
        list(as_chunks(whole))


def test_gates_that_are_no_numbers() -> None:
    config = ModelConfig(vocab_size=len(CHARS), embedding_size=4, hidden_size=5, cell="gru")
    shapes = config.tensor_shapes().items()
    network = NumpyNetwork(config, {k: np.full(s, np.nan, np.float32) for k, s in shapes})
    with pytest.raises(InspectionError, match="without limit"):
        gate_report(trace(network, IDS, quantities=["reset-gate"]))
