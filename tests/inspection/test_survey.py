"""A survey of a text against its exact trace."""

from __future__ import annotations

import numpy as np
import pytest

from textgen.corpus.vocabulary import END_ID
from textgen.inspection.neuron_stats import Moments, neuron_stats
from textgen.inspection.trace import survey, trace_chunks
from textgen.model.config import ModelConfig
from textgen.model.initialise import initial_weights
from textgen.model.native_network import NativeNetwork
from textgen.model.network import Engine
from textgen.model.numpy_network import NumpyNetwork
from textgen.native.library import BF16_ISAS, supported_isas


@pytest.mark.parametrize("isa", supported_isas() or ["missing"])
@pytest.mark.parametrize(
    ("cell", "names"), [("lstm", ["cell", "forget-gate"]), ("gru", ["hidden"])]
)
def test_statistics_of_a_survey_are_those_of_the_trace(
    isa: str, cell: str, names: list[str]
) -> None:
    if isa == "missing":
        pytest.skip("the native library is not built")
    config = ModelConfig(vocab_size=20, embedding_size=8, hidden_size=24, num_layers=2, cell=cell)
    weights = initial_weights(config, 0)
    network = NativeNetwork(config, Engine("native", "", "", "cpu", isa, 2))
    network.load_arrays(weights)
    rng = np.random.default_rng(0)
    # Half of it in documents, half in one long piece, so that streams begin within a document.
    ids = rng.integers(2, 20, 3001)
    ids[rng.integers(0, 1300, 20)] = END_ID
    chunks = list(survey(network, ids, quantities=names))
    assert sum(len(chunk) for chunk in chunks) == len(ids), "every token once"
    places = np.concatenate([chunk.places for chunk in chunks])
    assert sorted(places) == list(range(len(ids)))
    assert (np.concatenate([chunk.ids for chunk in chunks]) == ids[places]).all()
    exact = list(trace_chunks(NumpyNetwork(config, weights), ids, quantities=names))
    for name in names:
        found = neuron_stats(chunks, quantity=name)
        wanted = neuron_stats(exact, quantity=name)
        assert [s.neuron for s in found] == [s.neuron for s in wanted]
        # Values differ by 2**-8 of the largest at most, and a mean or spread by no more; in fp32
        # what a stream forgets of the time before its 256 tokens of warm-up is far below 1e-4.
        bound = 2**-7 if isa in BF16_ISAS else 1e-4
        for ours, theirs in zip(found, wanted, strict=True):
            for field in ("mean", "sd", "minimum", "maximum", "effect"):
                a, b = getattr(ours, field), getattr(theirs, field)
                assert abs(a - b) < bound * max(1.0, abs(theirs.maximum)), (name, field)


def test_a_short_text_is_one_stream() -> None:
    if not supported_isas():
        pytest.skip("the native library is not built")
    config = ModelConfig(vocab_size=9, embedding_size=4, hidden_size=5)
    network = NativeNetwork(config, Engine("native", "", "", "cpu", supported_isas()[-1], 1))
    network.load_arrays(initial_weights(config, 3))
    ids = np.array([2, 3, END_ID, 4, 5])
    (chunk,) = survey(network, ids)
    (exact,) = trace_chunks(NumpyNetwork(config, network.weights), ids, quantities=["cell"])
    assert chunk.ids.tolist() == ids.tolist()
    np.testing.assert_allclose(
        chunk.arrays["layers.0.cell"], exact.arrays["layers.0.cell"], atol=1e-5
    )


@pytest.mark.parametrize("scale", [1.0, 1e25])
def test_moments_lose_nothing_of_a_small_spread(scale: float) -> None:
    """Values far from zero that hardly vary, in unequal parts; squares beyond float32."""
    rng = np.random.default_rng(0)
    values = ((50.0 + 0.1 * rng.normal(size=(3001, 5))) * scale).astype(np.float32)
    moments = Moments(5)
    for part in np.split(values, [0, 1, 700, 2900]):
        moments.add(part)
    mean, sd, low, high = moments.summary()
    exact = values.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(sd, exact.std(axis=0), rtol=1e-4)
    np.testing.assert_array_equal(low, values.min(axis=0))
    np.testing.assert_array_equal(high, values.max(axis=0))
