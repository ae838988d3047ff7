"""Forms of bounded texts, and of texts that are none of others, against all texts there are."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.sampling.forms.bounds import Bounds
from textgen.sampling.forms.form import UNBOUNDED, Form, State
from textgen.sampling.forms.unused import Unused, UsedTexts

CHARS = Vocabulary.from_characters("abc")
NOTHING = np.zeros(0, np.uint8)


class Listed:
    """A form of some texts alone, for it knows them; the state is what was written."""

    def __init__(self, vocabulary: Vocabulary, texts: set[tuple[int, ...]]) -> None:
        self._size, self._texts = len(vocabulary), texts

    def start(self) -> State:
        return ()

    def allowed(self, state: State, left: int) -> np.ndarray:
        assert isinstance(state, tuple)
        mask = np.zeros(self._size, np.bool_)
        for text in self._texts:
            if text[: len(state)] == state and len(text) - len(state) <= left:
                mask[text[len(state)] if len(text) > len(state) else END_ID] = True
        return mask

    def least(self, state: State) -> int:
        assert isinstance(state, tuple)
        known = [text for text in self._texts if text[: len(state)] == state]
        return min(len(text) for text in known) - len(state)

    def standing(self, state: State, left: int) -> None:
        return None

    def next(self, state: State, token: int) -> State:
        assert isinstance(state, tuple)
        return state if token == END_ID else (*state, token)


def texts_of(form: Form) -> set[tuple[int, ...]]:
    """All texts of a form, found by doing what it allows; it is never stuck on the way."""
    found = set()
    waiting: list[tuple[tuple[int, ...], State]] = [((), form.start())]
    first = True
    while waiting:
        ids, state = waiting.pop()
        allowed = form.allowed(state, UNBOUNDED)
        assert allowed.any() or first, ids
        assert not allowed[UNKNOWN_ID]
        first = False
        for token in np.flatnonzero(allowed).tolist():
            if token == END_ID:
                found.add(ids)
            else:
                waiting.append(((*ids, token), form.next(state, token)))
    return found


def every_text(least: int, most: int, symbols: int = 3) -> set[tuple[int, ...]]:
    ids = range(2, 2 + symbols)
    return {text for size in range(least, most + 1) for text in itertools.product(ids, repeat=size)}


@pytest.mark.parametrize("most", [1, 2, 4])
def test_texts_of_some_lengths(most: int) -> None:
    assert texts_of(Bounds(CHARS, most)) == every_text(1, most)


@pytest.mark.parametrize("seed", range(8))
def test_texts_of_another_form(seed: int) -> None:
    some = set(random.Random(seed).sample(sorted(every_text(0, 4)), 25)) | {()}
    form = Bounds(CHARS, 3, Listed(CHARS, some))
    assert texts_of(form) == {text for text in some if 1 <= len(text) <= 3}


def test_bytes_by_chance_are_whole_characters() -> None:
    vocabulary, chance = Vocabulary.utf8(), random.Random(1)
    form = Bounds(vocabulary, 6)
    for _ in range(200):
        state, ids = form.start(), list[int]()
        while True:
            allowed = form.allowed(state, UNBOUNDED)
            token = chance.choice(np.flatnonzero(allowed).tolist())
            if token == END_ID:
                break
            state = form.next(state, token)
            ids.append(token)
        text = vocabulary.decode(ids)
        assert 1 <= len(text) <= 6 and "\ufffd" not in text


def test_words_have_as_many_characters_as_they_have() -> None:
    vocabulary = Vocabulary("word", ("", "", "ab", " ab", " c", "."), folded=False)
    texts = [vocabulary.decode(ids) for ids in texts_of(Bounds(vocabulary, 5))]
    assert {"ab.", "ab ab", " ab.", "ab c", " c ab"} <= set(texts)
    assert all(1 <= len(text) <= 5 for text in texts)
    assert len(set(texts)) == len(texts)  # None is there in other tokens, too.


def training_text(texts: list[tuple[int, ...]]) -> np.ndarray:
    return np.array([token for text in texts for token in (*text, END_ID)], np.uint8)


@pytest.mark.parametrize("seed", range(30))
def test_what_is_used_is_left_out(seed: int) -> None:
    chance = random.Random(seed)
    every = every_text(1, 4)
    share = chance.choice([0.1, 0.9, 0.99])
    known = [text for text in sorted(every) if chance.random() < share]
    # What is no text of the form changes nothing.
    others = [tuple(chance.choices(range(2, 5), k=chance.randint(5, 7))) for _ in range(9)]
    used = UsedTexts(training_text([*known, *others, *known[:5]]), 6)
    form = Unused(Bounds(CHARS, 4), used)
    left = every - set(known)
    assert texts_of(form) == left
    assert form.count_used(form.start()) == len(known)
    first = form.next(form.start(), 2)
    assert form.count_used(first) == sum(text[0] == 2 for text in known)
    for text in chance.sample(sorted(left), len(left)):
        assert [*text, END_ID] not in used
        used.add([*text, END_ID])
        assert [*text, END_ID] in used
        left.remove(text)
        if len(left) % 7 == 0:
            assert texts_of(form) == left
    assert not form.allowed(form.start(), UNBOUNDED).any()


def test_a_long_path_that_is_spent() -> None:
    """A thousand tokens deep, where recursion would end."""
    only = tuple([2] * 1500)
    form = Unused(
        Bounds(CHARS, 1500, Listed(CHARS, {only})), UsedTexts(training_text([only]), 2000)
    )
    assert not form.allowed(form.start(), UNBOUNDED).any()


def test_documents_that_are_too_long_are_left_out() -> None:
    used = UsedTexts(training_text([(2, 3), (2, 3, 4)]), 2)
    assert [2, 3, END_ID] in used and [2, 3, 4, END_ID] not in used


def test_without_a_text_nothing_is_used() -> None:
    assert texts_of(Unused(Bounds(CHARS, 2), UsedTexts(NOTHING, 9))) == every_text(1, 2)
