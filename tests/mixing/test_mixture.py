"""The mixture: a distribution at every place, by its formula, and blind to what comes later."""

from __future__ import annotations

import numpy as np
import pytest

from textgen.corpus.vocabulary import END_ID
from textgen.mixing import CountMixture, count_text
from textgen.mixing.gate import FIRST_WEIGHTS, RATE
from textgen.model.config import ModelConfig
from textgen.model.engine import choose_engine, open_network
from textgen.model.head import log_softmax
from textgen.model.initialise import initial_weights
from textgen.native.counts import Blend
from textgen.runtime import choose_device

VOCAB = 20


def text_of(tokens: int, seed: int) -> np.ndarray:
    """Tokens in which some long strings come again and again, and documents end."""
    rng = np.random.default_rng(seed)
    words = [*(rng.integers(2, VOCAB, rng.integers(2, 9)) for _ in range(40)), [END_ID]]
    return np.concatenate([words[int(w * w * 41)] for w in rng.random(tokens // 2)])[:tokens]


@pytest.fixture(scope="module")
def network():
    """A network that was never trained, whose predictions are not all alike."""
    config = ModelConfig(vocab_size=VOCAB, embedding_size=8, hidden_size=16, num_layers=1)
    weights = {name: 4 * array for name, array in initial_weights(config, 0).items()}
    device, _ = choose_device("cpu")
    return open_network(config, choose_engine(config.cell_spec, device, "fp32", 1), weights)


@pytest.fixture
def mixture():
    """Counts of a text, with the gate as it begins."""
    train = text_of(8_000, 0)
    return CountMixture.of(count_text(train, VOCAB, 7), len(train))


@pytest.mark.parametrize("learn", [False, True])
def test_every_mixed_prediction_is_a_distribution(mixture, learn):
    rng = np.random.default_rng(0)
    tokens = text_of(50_000, 1)
    logits_NV = rng.normal(0, 3, (len(tokens), VOCAB)).astype(np.float32)
    weights_S2 = mixture.weights_S2 + rng.normal(0, 0.2, mixture.weights_S2.shape)
    nats = Blend(mixture.counts, weights_S2, RATE).read(
        tokens, logits_NV, mixture.counts.no_context(), learn=learn
    )
    sums = np.exp(logits_NV.astype(np.float64)).sum(axis=1)
    assert np.abs(sums - 1).max() < 1e-6
    # What a token cost is its part of that distribution.
    np.testing.assert_allclose(nats, -logits_NV[np.arange(len(tokens)), tokens], atol=1e-5)


def test_the_first_prediction_is_the_formula(mixture):
    logits_1V = np.random.default_rng(0).normal(0, 2, (1, VOCAB)).astype(np.float32)
    network_V = log_softmax(logits_1V[0])
    context = mixture.counts.no_context()
    mixture.counts.move(context, 5)
    next_V, _ = mixture.counts.predict(context)
    expected_V = log_softmax(FIRST_WEIGHTS[0] * network_V + FIRST_WEIGHTS[1] * np.log(next_V))
    nats = Blend(mixture.counts, mixture.weights_S2.copy(), RATE).read(
        np.array([7]), logits_1V, context
    )
    np.testing.assert_allclose(logits_1V[0], expected_V, atol=1e-5)
    assert nats[0] == pytest.approx(-expected_V[7], abs=1e-9)


def test_the_gate_moves_against_the_gradient_of_the_cost(mixture):
    """By finite differences: all four sets that take part have the same gradient."""
    start_V = np.random.default_rng(1).normal(0, 2, VOCAB).astype(np.float32)

    def cost(weights_S2: np.ndarray) -> float:
        blend = Blend(mixture.counts, weights_S2, 0.0)
        return float(
            blend.read(np.array([3]), start_V[None].copy(), mixture.counts.no_context())[0]
        )

    before = mixture.weights_S2.copy()
    gradient = np.zeros(2)
    for side in range(2):
        for sign in (1, -1):
            moved = before.copy()
            moved[0, side] += sign * 1e-5
            gradient[side] += sign * cost(moved) / 2e-5
    after = before.copy()
    Blend(mixture.counts, after, RATE).read(
        np.array([3]), start_V[None].copy(), mixture.counts.no_context()
    )
    changed = np.abs(after - before).max(axis=1) > 0
    assert changed.sum() == 4
    expected = -RATE * gradient / np.sqrt(1 + gradient**2)
    np.testing.assert_allclose((after - before)[changed], np.tile(expected, (4, 1)), atol=1e-7)


def test_counts_and_gate_make_a_text_cheaper(mixture, network):
    tokens = text_of(4_000, 2)
    alone, _ = network.nll(
        np.concatenate([[END_ID], tokens[:-1]])[:, None],
        tokens[:, None],
        network.zero_state(1),
        np.concatenate([[END_ID], tokens[:-1]])[:, None] == END_ID,
    )
    frozen = np.concatenate(list(mixture.nats(network, tokens, learn=False)))
    fitted = mixture.fit(network, tokens)
    again = np.concatenate(list(fitted.nats(network, tokens, learn=False)))
    learning = np.concatenate(list(mixture.nats(network, tokens, learn=True)))
    assert len(frozen) == len(learning) == len(tokens)
    assert again.mean() < frozen.mean() < alone.mean()
    assert learning.mean() < frozen.mean()
    assert mixture.weights_S2[0].tolist() == list(FIRST_WEIGHTS)


@pytest.mark.parametrize("learn", [False, True])
def test_what_a_token_costs_does_not_depend_on_the_tokens_after_it(network, learn):
    train, tokens = text_of(4_000, 3), text_of(3_000, 4)

    def costs(tokens: np.ndarray) -> np.ndarray:
        mixture = CountMixture.of(count_text(train, VOCAB, 7), len(train))
        return np.concatenate(list(mixture.nats(network, tokens, learn=learn)))

    whole = costs(tokens)
    for border in (1, 700, 2_500):
        shuffled = tokens.copy()
        np.random.default_rng(border).shuffle(shuffled[border:])
        found = costs(shuffled)
        np.testing.assert_allclose(found[:border], whole[:border], rtol=0, atol=2e-5)
        assert not np.allclose(found[border:], whole[border:])
