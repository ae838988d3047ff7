"""The trie in C against counts in dictionaries, as textgen/mixing/count_model.py defines them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plain_counts import PlainCounts

from textgen.corpus.vocabulary import END_ID
from textgen.mixing import count_text, order_for
from textgen.native.counts import Counts

texts = st.integers(2, 5).flatmap(
    lambda vocab: st.tuples(st.just(vocab), st.lists(st.integers(0, vocab - 1), max_size=90))
)


@settings(max_examples=60, deadline=None)
@given(texts, st.integers(1, 6), st.lists(st.integers(0, 9), max_size=40))
def test_counts_are_those_of_dictionaries(text, order, read):
    vocab, tokens = text
    counts, plain = Counts(vocab, order, END_ID), PlainCounts(order)
    for place, token in enumerate(tokens):
        counts.add(np.array([token]))
        plain.add(token)
        if place % 5 and place < len(tokens) - 1:
            continue
        counts.settle()
        found_V, longest = counts.predict(counts.here())
        expected_V, known = plain.predict(plain.context, vocab)
        np.testing.assert_allclose(found_V, expected_V, rtol=0, atol=1e-12)
        assert longest == known
    np.testing.assert_allclose(counts.discounts, plain.discounts(), atol=1e-12)
    # A text that is read and not counted.
    place, context = counts.no_context(), ()
    for token in (token % vocab for token in read):
        counts.move(place, token)
        context = plain.after(context, token)
        found_V, longest = counts.predict(place)
        expected_V, known = plain.predict(context, vocab)
        np.testing.assert_allclose(found_V, expected_V, rtol=0, atol=1e-12)
        assert longest == known


def random_text(tokens: int, vocab: int, seed: int) -> np.ndarray:
    """Tokens that follow each other in a few ways, so that long contexts come again."""
    rng = np.random.default_rng(seed)
    words = [rng.integers(1, vocab, rng.integers(2, 9)) for _ in range(40)]
    parts = [words[int(w * w * 40)] for w in rng.random(tokens // 2)]
    return np.concatenate(parts)[:tokens]


@pytest.mark.parametrize("learns", [False, True])
def test_every_prediction_is_a_distribution(learns):
    text, other = random_text(20_000, 30, 0), random_text(2_000, 30, 1)
    counts = count_text(text, 30, 9)
    context = counts.no_context()
    for token in other.tolist():
        next_V, _ = counts.predict(context)
        assert abs(next_V.sum() - 1) < 1e-9
        assert next_V.min() > 0
        if learns:
            counts.add(np.array([token]))
            context = counts.here()
        else:
            counts.move(context, token)


def test_nothing_is_seen_across_an_end_mark():
    counts = count_text(np.array([2, 3, 4, END_ID] * 20), 6, 4)
    after_end = counts.no_context()
    counts.move(after_end, END_ID)
    context = counts.no_context()
    for token in (3, 4, END_ID):
        counts.move(context, token)
    assert context.tolist() == after_end.tolist()
    next_V, longest = counts.predict(context)
    assert longest == 1
    assert next_V.argmax() == 2


def test_a_text_is_added_in_parts_of_any_size():
    text = random_text(3_000, 12, 3)
    whole, parts = count_text(text, 12, 6), Counts(12, 6, END_ID)
    for part in np.split(text, [1, 2, 700, 2_999]):
        parts.add(part)
    parts.restart()
    parts.settle()
    context, other = whole.no_context(), parts.no_context()
    for token in text[:500].tolist():
        whole.move(context, token)
        parts.move(other, token)
        assert np.array_equal(whole.predict(context)[0], parts.predict(other)[0])


def test_the_order_grows_with_the_text_and_falls_with_what_a_token_tells():
    rng = np.random.default_rng(0)
    letters, words = rng.integers(0, 30, 1_000_000), rng.integers(0, 20_000, 1_000_000)
    assert order_for(letters[:10_000], 30) < order_for(letters, 30)
    assert order_for(words, 20_000) < order_for(letters, 30)
    assert order_for(np.zeros(100, np.int64), 2) == 16
    assert order_for(rng.integers(0, 1000, 10), 1000) >= 2
