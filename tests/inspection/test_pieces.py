"""The real characters where a vocabulary has none, at every level."""

from __future__ import annotations

import pytest

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.inspection.view import source_pieces


def pieces_of(text: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    ids = vocabulary.encode(text)
    return source_pieces(text, vocabulary.pieces(ids), ids)


def test_characters() -> None:
    vocabulary = Vocabulary.from_characters("abc ")
    text = "a漢b字\u0301 \ufffdc\udcff"
    assert pieces_of(text, vocabulary) == tuple(text)
    assert pieces_of("漢", vocabulary) == ("漢",)
    assert pieces_of("", vocabulary) == ()


def test_bytes_are_all_known() -> None:
    assert pieces_of("é漢\udcffa", Vocabulary.utf8()) == (
        "",
        "é",
        "",
        "",
        "漢",
        "",
        "",
        "\ufffd",
        "a",
    )


def test_rare_words_are_spelled() -> None:
    vocabulary = Vocabulary.from_words("abc ", {" cab": 3, "cab": 2})
    assert pieces_of("cab cab caé 漢b", vocabulary) == (
        *("cab", " cab", " ", "c", "a", "é"),
        *(" ", "漢", "b"),
    )


def test_the_first_space_of_folded_words_is_not_in_the_text() -> None:
    with_space = Vocabulary.from_words("ab ", {" ab": 3}, folded=True)
    assert pieces_of("aé ab é", with_space) == ("", "a", "é", " ab", " ", "é")
    assert pieces_of("ab é", with_space) == ("ab", " ", "é")
    without = Vocabulary.from_words("ab", {" ab": 3}, folded=True)
    assert pieces_of("é ab bé", without) == ("", "é", " ab", " ", "b", "é")


def test_end_marks_take_no_character() -> None:
    assert source_pieces("é", ["", "\ufffd"], [END_ID, UNKNOWN_ID]) == ("", "é")


def test_pieces_of_another_text() -> None:
    vocabulary = Vocabulary.from_characters("abc")
    ids = vocabulary.encode("aéb")
    for text in ("aé", "aébc"):
        with pytest.raises(ValueError, match="characters, the text"):
            source_pieces(text, vocabulary.pieces(ids), ids)
    with pytest.raises(ValueError, match="2 pieces but 3 tokens"):
        source_pieces("aéb", ["a", "b"], ids)
