"""Counting the words of a text from its tokens, spelled ones too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.corpus import words
from textgen.corpus.vocabulary import Vocabulary
from textgen.corpus.words import count_words, split_words

TEXT = "Старуха-процентщица, д'Артаньян и я: «не то, не то…» 3-го\nДа. о́хайте ’tis кот42"


def words_of(text: str) -> int:
    """A word is a token in which there is more than what stands between words."""
    return sum(any(c.isalnum() or c == "\u0301" for c in token) for token in split_words(text))


def vocabulary(words: list[str], characters: str) -> Vocabulary:
    return Vocabulary.from_words(characters, dict.fromkeys(words, 1))


@pytest.mark.parametrize("known", [[], split_words(TEXT), split_words(TEXT)[::2]])
def test_words_count_whether_they_are_spelled_or_not(known: list[str]) -> None:
    one = vocabulary(known, TEXT)
    assert count_words(one, one.encode(TEXT)) == words_of(TEXT) == 15


@given(
    st.text("аб 'я.\n1\u0301", max_size=40),
    st.lists(st.sampled_from([" аб", "аб", " б", "а'б", " я1"]), unique=True),
)
def test_any_text_has_as_many_words_as_the_splitter_finds(text: str, known: list[str]) -> None:
    one = vocabulary(known, "аб 'я.\n1\u0301")
    assert count_words(one, one.encode(text)) == words_of(text)


def test_where_the_text_is_cut_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    one = vocabulary(split_words(TEXT)[::3], TEXT)
    ids = one.encode(TEXT)
    for size in (1, 2, 3, 7):
        monkeypatch.setattr(words, "_CHUNK", size)
        assert count_words(one, ids) == 15


def test_marks_separate_words_and_are_none() -> None:
    one = vocabulary([], "аб")
    a, b = one.encode("аб").tolist()
    assert count_words(one, np.array([a, 0, b, 1, a, b])) == 3
    assert count_words(one, np.array([], np.uint8)) == 0
