"""Beam search: against all texts there are, against the greedy one, and where it ends."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from support.fake_networks import HashNetwork, ScriptNetwork

from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import SamplingError
from textgen.model.config import ModelConfig
from textgen.model.head import log_softmax
from textgen.sampling import Generation, SampleOptions, SamplingNetworks, generate, stream_text
from textgen.sampling.forms import form_of

CHARS = Vocabulary.from_characters("абвгд .!\n")
GREEDY = {"temperature": 0.0}


def likelihood(network, ids, seed=()):
    """By reading the text, token by token."""
    logits, state = network.step(np.array([END_ID]), network.zero_state(1))
    total = 0.0
    for place, token in enumerate([*seed, *ids]):
        if place >= len(seed):
            total += float(log_softmax(logits[0])[token])
        logits, state = network.step(np.array([token]), state)
    return total


def searched(network, beam, length=20, seed=(), **settings):
    options = SampleOptions(beam=beam, length=length, **settings)
    return Generation.from_symbols(stream_text(network, CHARS, options, seed_ids=seed))


def networks(spread=0.9):
    config = ModelConfig(vocab_size=len(CHARS), embedding_size=8, hidden_size=16)
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(0, spread, shape).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    return SamplingNetworks(config, weights, 1)


def test_as_many_beginnings_as_there_are_find_the_most_likely_text():
    """Every text of three characters is tried by hand; fewer beginnings miss it somewhere."""
    missed = 0
    for spread in (1.0, 2.0):
        for seed in ([2], [3], [4], [5]):
            network = HashNetwork(len(CHARS), spread)
            tokens = range(2, len(CHARS))
            best = max(
                itertools.product(tokens, repeat=3), key=lambda ids: likelihood(network, ids, seed)
            )
            assert searched(network, 81, 3, seed).ids == best
            missed += searched(network, 1, 3, seed).ids != best
    assert missed > 0


class LastToken(ScriptNetwork):
    """Likes tokens by the last one alone."""

    def __init__(self, liked):
        super().__init__(len(CHARS), [])
        self.liked = liked

    def step(self, ids_B, state, edits_B=None):
        logits_BV = np.zeros((len(ids_B), self.size), np.float32)
        for row, last in enumerate(ids_B.tolist()):
            for token, logit in self.liked.get(last, {}).items():
                logits_BV[row, token] = logit
        return logits_BV, state


def test_among_equal_ones_the_likeliest_is_not_lost():
    """More beginnings are as likely as the last that goes on than there is room for."""
    network = LastToken({END_ID: {7: 3.0, 6: 2.5}, 6: {5: 20.0}})
    assert searched(network, 3, 2).ids == (6, 5)
    assert searched(network, 1, 2).ids[0] == 7


def test_of_equal_texts_the_first_is_written_and_each_token_is_certain():
    network = LastToken({END_ID: {7: 3.0, 6: 2.5}, 6: {5: 20.0, 4: 20.0}})
    symbols = list(stream_text(network, CHARS, SampleOptions(beam=3, length=2)))
    assert [symbol.id for symbol in symbols] == [6, 4]
    assert [symbol.probability for symbol in symbols] == [1.0, 1.0]


@pytest.mark.parametrize("settings", [{}, {"until_end": True}, {"no_repeat": 3}], ids=str)
def test_the_text_is_at_least_as_likely_as_the_greedy_one(settings):
    """On 100 seeds, of which each begins another way, by a network that is as it is drawn."""
    network = networks().one
    better = 0
    for seed in itertools.islice(itertools.product(range(2, 11), repeat=3), 0, 700, 7):
        greedy_options = SampleOptions(length=12, **GREEDY, **settings)
        greedy = Generation.from_symbols(stream_text(network, CHARS, greedy_options, seed_ids=seed))
        found = searched(network, 2, 12, seed, **settings)
        assert likelihood(network, found.ids, seed) >= likelihood(network, greedy.ids, seed)
        better += found.ids != greedy.ids
    assert better > 20


@pytest.mark.parametrize("settings", [{}, {"no_repeat": 2}, {"no_repeat": 4}], ids=str)
def test_one_beginning_is_the_greedy_text(settings):
    for network in (networks().one, networks().many):
        options = SampleOptions(length=40, **GREEDY, **settings)
        greedy = Generation.from_symbols(stream_text(network, CHARS, options))
        assert searched(network, 1, 40, **settings) == greedy


@pytest.mark.parametrize("length", [0, 1, 7])
def test_its_length_is_that_of_other_texts(length):
    assert len(searched(networks().one, 4, length).text) == length


def test_bytes_and_words_are_searched():
    for vocabulary in (Vocabulary.utf8(), Vocabulary.from_words("аб ", {" аб": 2, "аб": 3})):
        options = SampleOptions(beam=3, length=9)
        network = HashNetwork(len(vocabulary), 3.0)
        text = Generation.from_symbols(stream_text(network, vocabulary, options)).text
        assert len(text) >= 9


def test_a_document_that_ends_is_compared_with_those_that_go_on():
    network = ScriptNetwork(len(CHARS), [3, 4, END_ID])
    found = searched(network, 3, 50, until_end=True)
    assert (found.ids, found.finish_reason) == ((3, 4, END_ID), "end")
    # No beginning is as likely as it, so nothing more is read.
    assert len(network.fed) == 3
    going = searched(network, 3, 7, keep_going=True, separator="\n")
    assert going.text == "\n".join(map(CHARS.decode, ([3, 4], [3, 4], [3])))


def test_a_search_keeps_to_a_form():
    network = networks().one
    options = SampleOptions(beam=4, length=30, match="[абв]{4}г+", until_end=False)
    form = form_of(options, CHARS)
    found = Generation.from_symbols(stream_text(network, CHARS, options, form=form))
    assert set(found.text[:4]) <= set("абв") and set(found.text[4:]) == {"г"}
    greedy_options = SampleOptions(length=30, match="[абв]{4}г+", temperature=0.0)
    greedy = Generation.from_symbols(stream_text(network, CHARS, greedy_options, form=form))
    assert likelihood(network, found.ids) >= likelihood(network, greedy.ids)
    assert found.form_bits > 0


def test_texts_after_several_seeds_are_each_alone():
    network = networks().one
    seeds = [[2], [3, 4], []]
    for beam in (1, 3):
        texts = generate(network, CHARS, seeds, SampleOptions(beam=beam, length=10))
        assert texts == [searched(network, beam, 10, seed) for seed in seeds]


@pytest.mark.parametrize(
    "beside",
    [
        {"rng": 1},
        {"temperature": 0.5},
        {"temperature": "1.0,0.5"},
        {"top_p": 0.9},
        {"typical": 0.9},
        {"mirostat": 3.0},
        {"bias": "а=1"},
        {"word_starts": True},
        {"repetition_penalty": 1.1},
    ],
    ids=str,
)
def test_what_leaves_something_to_chance_is_refused(beside):
    name = next(iter(beside))
    said = f"^beam does not go with {name}: the most likely text leaves nothing to chance"
    with pytest.raises(SamplingError, match=said):
        SampleOptions(beam=2, **beside)
    SampleOptions(beam=2, temperature=0)


def test_one_number_that_is_not_finite_is_an_error():
    """Of any beginning: the others are finite."""

    class Broken(HashNetwork):
        def step(self, ids_B, state, edits_B=None):
            logits_BV, state = super().step(ids_B, state)
            if len(ids_B) > 1:
                logits_BV[-1, 3] = np.nan
            return logits_BV, state

    with pytest.raises(SamplingError, match="not finite"):
        searched(Broken(len(CHARS)), 3)


@pytest.mark.parametrize("beam", [0, 1, 2])
def test_where_nothing_may_come_next_is_an_error(beam):
    """Options refuse a form beside `no_repeat`; a form that is given apart can meet it."""
    form = form_of(SampleOptions(match="аа"), CHARS)
    options = SampleOptions(beam=beam, length=5, no_repeat=1)
    with pytest.raises(SamplingError, match="no token can be chosen"):
        list(stream_text(HashNetwork(len(CHARS)), CHARS, options, form=form))
