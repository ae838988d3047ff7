"""Passages that are nearly the same, against a comparison of all with all."""

from __future__ import annotations

import random

import numpy as np

from textgen.cleaning.near_duplicates import LEAST, dense, near_pairs, shingles, similarity, sketch

WORDS = [f"{a}{b}{c}" for a in "bdfgklm" for b in ("ar", "o", "ie") for c in "nstvz"]


def passages(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    own = [" ".join(draw.choices(WORDS, k=40)) for _ in range(count)]
    for text in own[: count // 2]:
        words = text.split()
        for place in draw.sample(range(40), draw.choice((1, 2, 3, 6, 15))):
            words[place] = draw.choice(WORDS)
        own.append(" ".join(words))
    return own


def sketched(texts: list[str]) -> np.ndarray:
    bounds = np.cumsum([0, *(len(text) + 1 for text in texts)])
    return dense(sketch("\n".join(texts), bounds.tolist()))


def test_the_index_of_two_texts_is_that_of_their_sets() -> None:
    one, other = "Abcde, fgh!", "abcd-ef ghx"

    def pieces(text: str) -> set[str]:
        letters = [char for char in text.lower() if char.isalnum()]
        return {"".join(letters[at : at + 5]) for at in range(len(letters) - 4)}

    both = len(pieces(one) & pieces(other)) / len(pieces(one) | pieces(other))
    assert similarity(one, other) == both == 4 / 5
    assert similarity("ЖУК летит, жук", "жук ЛЕТИТ — жук!") == 1.0
    assert len(shingles("four")[0]) == 0


def test_near_ones_are_found_as_by_comparing_all() -> None:
    """What is found is so, without exception; of what there is, all but a few is found."""
    texts = passages(150, 1)
    found = {later: share for later, _, share in near_pairs(sketched(texts), lambda n: texts[n])}
    expected = {
        later
        for later in range(len(texts))
        if any(similarity(texts[earlier], texts[later]) >= LEAST for earlier in range(later))
    }
    assert set(found) <= expected
    assert len(expected) > 20 and len(found) >= 0.95 * len(expected)
    assert all(LEAST <= share <= 1 for share in found.values())


def test_a_sketch_does_not_depend_on_its_neighbours() -> None:
    texts = passages(20, 2)
    together = sketched(texts)
    for number, text in enumerate(texts):
        assert (sketched([text])[0] == together[number]).all()


def test_many_of_the_same_are_few_pairs() -> None:
    text = passages(1, 3)[0]
    texts = [f"{text} {number}" for number in range(2000)]
    asked = []

    def text_of(number: int) -> str:
        asked.append(number)
        return texts[number]

    found = near_pairs(sketched(texts), text_of)
    assert {of for _, of, _ in found} == {0} and len(found) == 1999
    assert len(asked) < 10 * len(texts)
