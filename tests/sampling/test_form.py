"""What a form does to the choice of tokens: what it forbids, what it costs, where it ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.fake_networks import HashNetwork
from support.models import random_weights

from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import SamplingError
from textgen.model.config import ModelConfig
from textgen.model.initialise import initial_weights
from textgen.model.numpy_network import NumpyNetwork
from textgen.native.library import missing_reason, supported_isas
from textgen.sampling import (
    Generation,
    SampleOptions,
    SamplingNetworks,
    generate,
    stream_text,
)
from textgen.sampling.forms import form_of

CHARS = Vocabulary.from_characters("abcd")
NETWORK = HashNetwork(len(CHARS))


class Pairs:
    """Pairs of equal letters, at most `most` of them. The state: pairs, and a letter left alone."""

    def __init__(self, most):
        self.most = most

    def start(self):
        return 0, 0

    def allowed(self, state, left):
        pairs, alone = state
        mask = np.zeros(len(CHARS), np.bool_)
        if alone:
            mask[alone] = True
        else:
            mask[END_ID] = True
            mask[2:] = pairs < self.most and left >= 2
        return mask

    def least(self, state):
        return int(state[1] > 0)

    def standing(self, state, left):
        return None

    def next(self, state, token):
        pairs, alone = state
        return (pairs + 1, 0) if alone else (pairs, token)


def is_pairs(text):
    return all(a == b for a, b in zip(text[::2], text[1::2], strict=True))


@pytest.mark.parametrize("length", [1, 2, 7, 40])
@pytest.mark.parametrize("until_end", [False, True])
def test_texts_keep_to_the_form_and_are_never_stuck(length, until_end):
    options = SampleOptions(length=length, temperature=2.0, top_p=0.5, until_end=until_end)
    seeds = [()] * 30
    texts = generate(NETWORK, CHARS, seeds, options, form=Pairs(6))
    assert all(is_pairs(text.text) and len(text.text) <= length for text in texts)
    if not until_end:
        # Nothing but the length and the form ends them.
        assert {len(text.text) for text in texts} == {min(length // 2 * 2, 12)}
        assert {text.finish_reason for text in texts} <= {"form", "length"}
    alone = generate(NETWORK, CHARS, seeds, options, form=Pairs(6), together=False)
    assert [text.ids for text in alone] == [text.ids for text in texts]
    assert [text.form_bits for text in alone] == pytest.approx([text.form_bits for text in texts])


def test_the_engine_asks_a_form_that_it_cannot_follow_at_each_symbol():
    if not supported_isas():
        pytest.skip(missing_reason())
    config = ModelConfig(vocab_size=len(CHARS), embedding_size=3, hidden_size=5)
    networks = SamplingNetworks(config, random_weights(config), 1)
    options = SampleOptions(length=9, temperature=2.0)
    texts = generate(networks.many, CHARS, [()] * 8, options, form=Pairs(6))
    assert all(is_pairs(text.text) and len(text.text) == 8 for text in texts)
    assert len({text.text for text in texts}) > 1


def test_texts_together_may_be_at_different_lines():
    """Where one has come to its last line, the others have rhymes to choose yet."""
    if not supported_isas():
        pytest.skip(missing_reason())
    vocabulary = Vocabulary.utf8()
    config = ModelConfig(vocab_size=len(vocabulary), embedding_size=8, hidden_size=16)
    weights = initial_weights(config, 3)
    options = SampleOptions(rhyme="ABAB", line_chars="8..20", length=90, until_end=True)
    form = form_of(options, vocabulary, "the light of day has gone away in the night".split)
    ours, theirs = (
        generate(network, vocabulary, [()] * 6, options, form=form)
        for network in (SamplingNetworks(config, weights, 1).many, NumpyNetwork(config, weights))
    )
    assert [text.ids for text in ours] == [text.ids for text in theirs]


def test_the_price_is_the_probability_of_what_is_allowed():
    options = SampleOptions(length=2, rng=3)
    first, second = stream_text(NETWORK, CHARS, options, form=Pairs(1))
    assert first.price == pytest.approx(0.0)  # Free writing ends no text, either.
    state = NETWORK.step(np.array([END_ID]), NETWORK.zero_state())[1]
    logits = NETWORK.step(np.array([first.id]), state)[0][0].astype(float)
    free = np.exp(logits[2:])
    assert second.price == pytest.approx(-math.log2(free[second.id - 2] / free.sum()))
    both = Generation.from_symbols([first, second])
    assert both.form_bits == pytest.approx(first.price + second.price)


def test_the_seed_belongs_to_the_text():
    options = SampleOptions(length=9)
    (text,) = generate(NETWORK, CHARS, [[2, 2, 3]], options, form=Pairs(3))
    assert is_pairs("aab" + text.text)
    assert text.finish_reason == "form"
    assert list(stream_text(NETWORK, CHARS, options, seed_ids=[2, 2], form=Pairs(1))) == []
    whole, more = generate(NETWORK, CHARS, [[2, 2], [2]], options, form=Pairs(1))
    assert (whole.text, more.text) == ("", "a")
    with pytest.raises(SamplingError, match="no text that begins 'ab' keeps to the form"):
        list(stream_text(NETWORK, CHARS, options, seed_ids=[2, 3], form=Pairs(3)))
    with pytest.raises(SamplingError, match="no text that begins 'aab' keeps to the form"):
        list(stream_text(NETWORK, CHARS, options, seed_ids=[2, 2, 3, 2, 3], form=Pairs(1)))
    with pytest.raises(SamplingError, match=r"length is 0.* 1 more characters; give length=1"):
        list(stream_text(NETWORK, CHARS, SampleOptions(length=0), seed_ids=[2], form=Pairs(3)))
    # What the message advises is enough.
    (one,) = stream_text(NETWORK, CHARS, SampleOptions(length=1), seed_ids=[2], form=Pairs(3))
    assert (one.text, one.finish_reason) == ("a", "length")
