"""A history: the network sees the last tokens and nothing else. And many seeds at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from support.fake_networks import HashNetwork, whole_text
from support.models import random_weights

from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.errors import SamplingError
from textgen.model.config import ModelConfig
from textgen.model.edit import Edit
from textgen.model.numpy_network import NumpyNetwork
from textgen.native.library import missing_reason, supported_isas
from textgen.sampling import (
    HistoryNetwork,
    SampleOptions,
    SamplingNetworks,
    Writer,
    generate,
    generate_live,
)
from textgen.sampling.networks import joined, seen_by, start, start_many
from textgen.steering import LiveSteering

LETTERS = "abcdefgh"
VOCABULARY = Vocabulary.from_characters(LETTERS)
SIZE = len(VOCABULARY)
CONFIG = ModelConfig(vocab_size=SIZE, embedding_size=5, hidden_size=7, num_layers=2)
SEEDS = ["", "a", "hgfe", "abcdefghab", "ba", "cc", "abcabcabcabcabcabc"]


def ids_of(text: str) -> list[int]:
    return VOCABULARY.encode(text).tolist()


def numpy_network() -> NumpyNetwork:
    return NumpyNetwork(CONFIG, random_weights(CONFIG))


def logits_by_hand(network: NumpyNetwork, seen: Sequence[int]) -> np.ndarray:
    """From a zero state, over the tokens from the last end mark on."""
    tokens = list(seen)
    if END_ID in tokens:
        tokens = tokens[len(tokens) - 1 - tokens[::-1].index(END_ID) :]
    state = network.zero_state()
    for token in tokens:
        logits_BV, state = network.step(np.array([token]), state)
    return logits_BV[0]


@pytest.mark.parametrize("history", [1, 2, 5, 40])
def test_exactly_the_last_tokens_are_seen(history: int) -> None:
    network = numpy_network()
    text = [END_ID, *ids_of("abcdefgh"), END_ID, *ids_of("cabba")]
    seeing = HistoryNetwork(network, history)
    state = seeing.zero_state(1)
    for place, token in enumerate(text):
        logits_BV, state = seeing.step(np.array([token]), state)
        seen = text[max(0, place + 1 - history) : place + 1]
        np.testing.assert_allclose(logits_BV[0], logits_by_hand(network, seen), atol=1e-6)


def test_rows_do_not_see_each_other() -> None:
    network = numpy_network()
    seeing = HistoryNetwork(network, 4)
    rows = [[END_ID, *ids_of("abcdef")], [*ids_of("abc"), END_ID, *ids_of("gab")]]
    state = seeing.zero_state(2)
    for ids_B in np.array(rows).T:
        logits_BV, state = seeing.step(ids_B, state)
    for row, logits in zip(rows, logits_BV, strict=True):
        np.testing.assert_allclose(logits, logits_by_hand(network, row[-4:]), atol=1e-6)


@pytest.mark.parametrize("history", [1, 3, 8])
def test_a_greedy_text_is_that_of_recomputation(history: int) -> None:
    network = numpy_network()
    text = [END_ID, *ids_of("head")]
    for _ in range(30):
        logits = logits_by_hand(network, text[-history:])
        logits[[END_ID, UNKNOWN_ID]] = -np.inf
        text.append(int(logits.argmax()))
    options = SampleOptions(length=30, temperature=0.0, history=history)
    written = whole_text(network, VOCABULARY, options, seed_ids=ids_of("head"))
    assert written == VOCABULARY.decode(text[5:])
    writer = Writer(network, VOCABULARY, Normalization(), options)
    writer.feed("head")
    assert "".join(symbol.text for symbol in writer.write()) == written


def test_a_history_of_one_knows_the_last_letter_alone() -> None:
    """All that follows an `a` is drawn from one distribution, whatever stood before it."""
    options = SampleOptions(length=1, temperature=1.0, history=1)
    network = numpy_network()
    seeds = [ids_of(text) for text in ("a", "ba", "hgfedcba")]
    after = {
        tuple(whole_text(network, VOCABULARY, options, seed_ids=seed, index=k) for k in range(20))
        for seed in seeds
    }
    assert len(after) == 1
    carried = SampleOptions(length=1, temperature=1.0)
    other = {
        tuple(whole_text(network, VOCABULARY, carried, seed_ids=seed, index=k) for k in range(20))
        for seed in seeds
    }
    assert len(other) > 1


def test_many_texts_with_filters() -> None:
    options = SampleOptions(length=25, history=3, top_k=4, repetition_penalty=1.3, rng=5)
    network, seed = numpy_network(), ids_of("bag")
    alone = generate(network, VOCABULARY, [seed] * 5, options, together=False)
    together = generate(network, VOCABULARY, [seed] * 5, options)
    assert [text.ids for text in alone] == [text.ids for text in together]
    assert len({text.text for text in alone}) == 5


def test_steering_is_refused() -> None:
    network = HistoryNetwork(numpy_network(), 2)
    edit = Edit(layer=0, state="c", unit=0, scale=0.0, shift=1.0)
    with pytest.raises(SamplingError, match="with a history of 2 tokens no state is carried on"):
        network.step(np.array([3]), network.zero_state(1), [(edit,)])
    assert network.zero_state()[0].keys() and network.zero_state() == network.zero_state(1)
    with pytest.raises(SamplingError, match="no state is carried on"):
        network.step(np.array([3, 3]), network.zero_state(2), [(), (edit,)])
    with pytest.raises(SamplingError, match="add history=0"):
        network.read([3], network.zero_state(1), (edit,))


def test_live_steering_is_refused() -> None:
    hand: LiveSteering = None  # type: ignore[assignment]  # It is not looked at.
    with pytest.raises(SamplingError, match="add history=0"):
        next(generate_live(numpy_network(), VOCABULARY, SampleOptions(history=2), hand))


def test_a_mixture_needs_a_network_that_has_counts() -> None:
    with pytest.raises(SamplingError, match="mix needs the counts of a training text"):
        seen_by(numpy_network(), SampleOptions(mix=True))


def test_history_must_not_be_negative() -> None:
    with pytest.raises(SamplingError, match="history is -1; it must be at least 0"):
        SampleOptions(history=-1)


@pytest.mark.parametrize("history", [0, 2])
def test_texts_after_many_seeds_are_those_after_each(history: int) -> None:
    options = SampleOptions(length=30, history=history, until_end=True, repetition_penalty=1.2)
    network = HashNetwork(SIZE) if not history else numpy_network()
    seeds = [ids_of(seed) for seed in SEEDS]
    many = generate(network, VOCABULARY, seeds, options, first_index=2)
    for number, seed in enumerate(seeds):
        (one,) = generate(
            network, VOCABULARY, [seed], options, first_index=2 + number, together=False
        )
        assert many[number].ids == one.ids
        assert many[number].finish_reason == one.finish_reason


def test_seeds_of_any_lengths_are_read_together() -> None:
    """No more calls than the longest needs, and no row is read beyond its end."""
    network = HashNetwork(SIZE)
    seeds = [ids_of(seed) for seed in SEEDS]
    position = start_many(network, seeds)
    assert len(network.batch_sizes) == 1 + max(map(len, seeds))
    assert sum(network.batch_sizes) == len(seeds) + sum(map(len, seeds))
    for row, seed in enumerate(seeds):
        alone = start(network, seed)
        np.testing.assert_array_equal(position.logits_BV[row], alone.logits_BV[0])
        np.testing.assert_array_equal(position.state[0]["h"][row], alone.state[0]["h"][0])


def test_of_seeds_of_several_documents_each_last_one_is_read() -> None:
    network = HashNetwork(SIZE)
    seeds = [[3, 4, END_ID, 5], [6], [7, END_ID]]
    position = start_many(network, seeds)
    for row, seed in enumerate(seeds):
        np.testing.assert_array_equal(position.logits_BV[row], start(network, seed).logits_BV[0])


@pytest.mark.parametrize("wrong", [-1, SIZE])
def test_a_seed_that_is_no_symbol(wrong: int) -> None:
    with pytest.raises(SamplingError, match=f"token {wrong} is read; the model's symbols are"):
        start_many(HashNetwork(SIZE), [[3], [wrong]])


@pytest.mark.parametrize("history", [0, 4])
def test_native_networks_write_what_numpy_does(
    history: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not supported_isas():
        pytest.skip(missing_reason())
    monkeypatch.setenv("TEXTGEN_PATH", supported_isas()[-1])
    networks = SamplingNetworks(CONFIG, random_weights(CONFIG), 1)
    options = SampleOptions(length=20, temperature=0.0, history=history)
    seeds = [ids_of(seed) for seed in SEEDS]
    expected = [text.ids for text in generate(numpy_network(), VOCABULARY, seeds, options)]
    for network in (networks.one, networks.many):
        found = generate(network, VOCABULARY, seeds, options)
        assert [text.ids for text in found] == expected
    if not history:
        return
    seeing = HistoryNetwork(networks.one, history)
    for seed in seeds:
        # Alone, in one call; near a beginning the end mark is read once.
        found_BV = start(seeing, seed).logits_BV
        by_hand = logits_by_hand(numpy_network(), [END_ID, *seed][-history:])
        np.testing.assert_allclose(found_BV[0], by_hand, atol=1e-5)


def test_a_history_beyond_all_that_is_read_costs_nothing() -> None:
    """It holds what was read, so the largest is as good as one of the text's length."""
    seeds = [ids_of(seed) for seed in SEEDS]
    texts = []
    for history in (60, 10**12):
        options = SampleOptions(length=20, temperature=0.0, history=history)
        network = numpy_network()
        alone = whole_text(network, VOCABULARY, options, seed_ids=seeds[3])
        together = generate(network, VOCABULARY, [seeds[3]] * 2, options)
        each = generate(network, VOCABULARY, seeds, options)
        assert alone == together[0].text == each[3].text
        texts.append([text.ids for text in each])
    assert texts[0] == texts[1]


def test_one_position_is_joined_with_nothing() -> None:
    network = HashNetwork(9)
    one, other = start(network, [2, 3]), start(network, [4])
    alone = joined([one])
    np.testing.assert_array_equal(alone.logits_BV, one.logits_BV)
    np.testing.assert_array_equal(alone.state[0]["h"], one.state[0]["h"])
    both = joined([one, other])
    np.testing.assert_array_equal(both.logits_BV, [one.logits_BV[0], other.logits_BV[0]])
    np.testing.assert_array_equal(
        both.state[0]["h"], [one.state[0]["h"][0], other.state[0]["h"][0]]
    )
