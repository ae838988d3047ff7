"""A mixed network reads and writes as any other: in one call or in many, alone or beside others."""

from __future__ import annotations

import numpy as np
import pytest
from support.plain_counts import PlainCounts, PlainMixed

from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import SamplingError
from textgen.mixing import CountMixture, MixedNetwork, MixedStep, count_text, mixed
from textgen.model.config import ModelConfig
from textgen.model.head import log_softmax
from textgen.model.initialise import initial_weights
from textgen.options import SampleOptions
from textgen.sampling import SamplingNetworks, generate, stream_text
from textgen.sampling.forms import form_of

VOCABULARY = Vocabulary.from_characters("abcdefgh \n")
LINE = "abc def gh abe\n"


@pytest.fixture(scope="module")
def networks() -> SamplingNetworks:
    config = ModelConfig(vocab_size=len(VOCABULARY), embedding_size=6, hidden_size=16, num_layers=1)
    return SamplingNetworks(config, initial_weights(config, 0), 1)


@pytest.fixture(scope="module")
def mixture() -> CountMixture:
    """Counts of one line, many times: whoever listens to them writes it."""
    line = VOCABULARY.encode(LINE)
    tokens = np.concatenate([np.append(line, END_ID)] * 50)
    mixture = CountMixture.of(count_text(tokens, len(VOCABULARY), 5), len(tokens))
    mixture.weights_S2[0] = 1.0, 1.0
    return mixture


def test_logits_are_the_mixture_and_a_state_has_the_contexts(networks, mixture):
    network, plain = mixed(networks.one, mixture), networks.one
    ids = [END_ID, *VOCABULARY.encode("abc d").tolist()]
    logits_1V, state = network.read(ids, network.zero_state())
    own_1V, own_state = plain.read(ids, plain.zero_state())
    context = mixture.counts.no_context()
    for token in ids:
        mixture.counts.move(context, token)
    expected_V = log_softmax(log_softmax(own_1V[0]) + np.log(mixture.counts.predict(context)[0]))
    np.testing.assert_allclose(logits_1V[0], expected_V, atol=1e-5)
    np.testing.assert_array_equal(state[0]["h"], own_state[0]["h"])
    assert abs(np.exp(logits_1V.astype(np.float64)).sum() - 1) < 1e-6
    # Token by token, and in two rows that stand elsewhere, nothing is different.
    rows = network.zero_state(2)
    for token, other in zip(ids, [END_ID, *VOCABULARY.encode("gh ab").tolist()], strict=True):
        step_2V, rows = network.step(np.array([other, token]), rows)
    np.testing.assert_allclose(step_2V[1], logits_1V[0], atol=1e-5)
    assert np.abs(step_2V[0] - logits_1V[0]).max() > 0.1


def test_what_the_counts_know_is_written(networks, mixture):
    options = SampleOptions(length=60, temperature=0.0, mix=True, keep_going=True, separator="|")
    network = mixed(networks.one, mixture)
    assert isinstance(network, MixedStep)
    text = "".join(s.text for s in stream_text(network, VOCABULARY, options))
    assert text == "|".join([LINE] * 9)[:60]


def test_many_tokens_in_a_call_are_those_of_single_calls(networks, mixture):
    """The engine writes blocks; NumPy chooses the same one by one."""
    options = SampleOptions(length=300, temperature=1.3, mix=True, keep_going=True, rng=3)
    blocks = mixed(networks.one, mixture)
    single = MixedNetwork(networks.one, mixture)
    assert not isinstance(single, MixedStep)
    texts = [
        [(s.id, round(s.logprob, 4)) for s in stream_text(network, VOCABULARY, options)]
        for network in (blocks, single)
    ]
    assert texts[0] == texts[1]
    assert END_ID in [token for token, _ in texts[0]]


def test_a_form_ends_a_call_as_it_ends_single_ones(networks, mixture):
    options = SampleOptions(length=40, temperature=2.0, mix=True, lines=3, line_chars="3..6")
    form = form_of(options, VOCABULARY)
    texts = [
        generate(network, VOCABULARY, [()] * 6, options, form=form, together=False)
        for network in (mixed(networks.one, mixture), MixedNetwork(networks.one, mixture))
    ]
    assert all(len(text.text.splitlines()) == 3 for text in texts[0])
    assert [text.ids for text in texts[0]] == [text.ids for text in texts[1]]
    costs = [[text.form_bits for text in written] for written in texts]
    assert costs[0] == pytest.approx(costs[1], rel=1e-4)


def test_a_text_is_the_one_that_the_definitions_give(networks):
    """Dictionaries and NumPy write the same for the same seed, the whole gate being at work."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice([*"abcdefgh \n"], rng.integers(2, 6))) for _ in range(20)]
    tokens = np.concatenate(
        [np.append(VOCABULARY.encode("".join(rng.choice(words, 6))), END_ID) for _ in range(30)]
    )
    counts = count_text(tokens, len(VOCABULARY), 4)
    plain = PlainCounts(4)
    for token in tokens.tolist():
        plain.add(token)
    mixture = CountMixture.of(counts, len(tokens))
    mixture.weights_S2[:] += rng.normal(0, 0.2, mixture.weights_S2.shape)
    options = SampleOptions(length=200, temperature=0.8, mix=True, keep_going=True, rng=5)
    slow, fast = (
        [(s.id, s.logprob) for s in stream_text(network, VOCABULARY, options)]
        for network in (
            PlainMixed(networks.one, plain, mixture),
            mixed(networks.one, mixture),
        )
    )
    assert [token for token, _ in fast] == [token for token, _ in slow]
    # Logits are rounded to 24 bits.
    np.testing.assert_allclose([p for _, p in fast], [p for _, p in slow], atol=2e-6)


def test_texts_that_are_written_together_are_those_written_alone(networks, mixture):
    options = SampleOptions(length=120, temperature=1.0, mix=True, keep_going=True)
    seeds = [VOCABULARY.encode(seed).tolist() for seed in ("abc", "gh", "", "e", "def gh")]
    together = generate(mixed(networks.many, mixture), VOCABULARY, seeds, options)
    alone = generate(mixed(networks.one, mixture), VOCABULARY, seeds, options, together=False)
    assert [text.text for text in together] == [text.text for text in alone]


def test_a_network_without_counts_refuses_to_mix(networks):
    with pytest.raises(SamplingError, match="mix needs the counts of a training text"):
        generate(networks.one, VOCABULARY, [[]], SampleOptions(length=3, mix=True))
    with pytest.raises(SamplingError, match="mix_order goes with mix"):
        SampleOptions(mix_order=3)
    with pytest.raises(SamplingError, match="carries its state on"):
        SampleOptions(mix=True, history=3)
