"""Models of words write words: no unknown token, and no letter behind a whole word."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from textgen.cells import get_cell
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import UNKNOWN_ID, Vocabulary
from textgen.corpus.words import split_words
from textgen.model.config import ModelConfig
from textgen.model.engine import choose_engine
from textgen.model.initialise import initial_weights
from textgen.model.numpy_network import NumpyNetwork
from textgen.native.library import supported_isas
from textgen.sampling import SampleOptions, generate
from textgen.sampling.choice import Chooser, symbol_rules
from textgen.sampling.networks import SamplingNetworks
from textgen.sampling.seed import fit_seed

WORDS = {" кот": 9, " пёс": 8, "Кот": 7, " ест": 6, "ест": 3}
SPELLED = Vocabulary.from_words("абвКот .,\n", WORDS)
UNSPELLED = Vocabulary.from_words(".,\n", WORDS, spelled=False)
FOLDED = Vocabulary.from_words("абв ", {" кот": 2, " ест": 1}, folded=True)
ENGINE = choose_engine(get_cell("lstm"), "cpu", "fp32", 1)


def networks(vocabulary: Vocabulary) -> SamplingNetworks:
    config = ModelConfig(vocab_size=len(vocabulary), embedding_size=8, hidden_size=16)
    weights = initial_weights(config, 3)
    return SamplingNetworks(config, weights, 1)


@pytest.mark.parametrize(
    "vocabulary", [SPELLED, UNSPELLED, FOLDED], ids=["spelled", "not", "folded"]
)
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("settings", [{}, {"temperature": 3.0}, {"top_p": 0.9}], ids=str)
def test_what_is_written_is_cut_as_it_was_written(
    vocabulary: Vocabulary, count: int, settings: dict[str, float]
) -> None:
    """An untrained network writes anything that it may; natively alone, and many at once."""
    network = networks(vocabulary)
    options = SampleOptions(length=300, **settings)
    chosen = network.one if count == 1 else network.many
    for written in generate(chosen, vocabulary, [[]] * count, options):
        assert UNKNOWN_ID not in written.ids
        pieces = [vocabulary.symbols[token] for token in written.ids]
        if not vocabulary.spelled:
            assert split_words("".join(pieces)) == pieces
        for last, piece in pairwise(pieces):
            if len(last) > 1:
                assert not piece[0].isalpha(), (last, piece)
            elif last.isalpha():
                assert len(piece) == 1 or not piece[0].isalpha(), (last, piece)


@pytest.mark.skipif(not supported_isas(), reason="the native library is not built")
@pytest.mark.parametrize(
    "vocabulary", [SPELLED, UNSPELLED, FOLDED], ids=["spelled", "not", "folded"]
)
def test_the_engine_and_numpy_choose_the_same(vocabulary: Vocabulary) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        options = SampleOptions(temperature=float(rng.choice([0.0, 0.7, 1.0])), rng=5)
        logits = rng.standard_normal((50, len(vocabulary)), np.float32) * 3
        logits[:, UNKNOWN_ID] = 9.0
        counters = rng.integers(0, 2**40, 50, dtype=np.uint64)
        previous = rng.integers(-1, len(vocabulary), 50)
        given = logits, counters, None, previous
        rules = symbol_rules(vocabulary, options)
        by_numpy = Chooser(options, None, rules).choose(*given)
        natively = Chooser(options, ENGINE, rules).choose(*given)
        np.testing.assert_array_equal(natively.ids, by_numpy.ids)
        np.testing.assert_allclose(natively.probabilities, by_numpy.probabilities, rtol=1e-9)


@pytest.mark.skipif(not supported_isas(), reason="the native library is not built")
@pytest.mark.parametrize("seed", ["", "кот", "а", " "])
def test_one_stream_writes_natively_what_numpy_writes(seed: str) -> None:
    config = ModelConfig(vocab_size=len(SPELLED), embedding_size=8, hidden_size=16)
    weights = initial_weights(config, 3)
    ids = [SPELLED.encode(seed).tolist()]
    texts = [
        generate(network, SPELLED, ids, SampleOptions(length=120))[0].text
        for network in (NumpyNetwork(config, weights), SamplingNetworks(config, weights, 1).one)
    ]
    assert texts[0] == texts[1]


def test_a_seed_of_unknown_words() -> None:
    fitted = fit_seed("ест Пёс", UNSPELLED, Normalization())
    assert [UNSPELLED.symbols[token] for token in fitted.ids] == ["ест", " пёс"]
    fitted = fit_seed("кот зверь ест", UNSPELLED, Normalization())
    assert [UNSPELLED.symbols[token] for token in fitted.ids] == [" кот", " ест"]
    assert fitted.dropped == ("зверь",) and "'зверь' dropped" in (fitted.notice or "")
