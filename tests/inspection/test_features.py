"""The built-in features, against what a reader sees, in several alphabets and levels."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import ConfigError
from textgen.inspection.features import (
    FEATURES,
    all_features,
    feature_matrix,
    feature_values,
    regex_feature,
    token_text,
)


def drawn(name: str, text: str) -> str:
    """Binary: ^ where it holds, . elsewhere; graded: the number, 9 for more."""
    values = feature_values(name, text)
    if values.dtype == np.bool_:
        return "".join(".^"[int(value)] for value in values)
    return "".join(str(min(int(value), 9)) for value in values)


RUSSIAN = "Он сказал: «Да, ёж». И т. д. и!\n\nЧто? — «Ох» 12"
ENGLISH = "He's (not [a{b}]) x.\nWhy? Oh\n\n\tno"
GREEK = "Τί εἶναι; Ναί. «Ὄχι»"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("word-start", RUSSIAN, "^..^........^...^....^.^..^..^...^.......^...^."),
        ("word-end", RUSSIAN, ".^......^....^...^...^.^..^..^.....^......^...^"),
        ("word-start", "l'ét\u00e9 'a' x_y", "^......^..^.^"),
        ("position-in-word", "Это don't—a1", "123012345012"),
        ("word-length", "Это don't—a1", "333055555022"),
        ("sentence-start", RUSSIAN, "^....................^...........^.......^....."),
        ("sentence-start", ENGLISH, "^....................^....^....^."),
        ("sentence-start", GREEK, "^.........^.....^..."),
        ("sentence-start", "Стой!» — сказал", "^.............."),
        ("line-start", "ab\n\nc\r\nd", "^...^..^"),
        ("position-in-line", "ab\n\nc\nd", "1200101"),
        ("inside-quotes", RUSSIAN, "...........^^^^^^^......................^^^...."),
        ("inside-quotes", GREEK, "...............^^^^."),
        ("inside-brackets", ENGLISH, ".....^^^^^^^^^^^................."),
        ("bracket-depth", ENGLISH, "000001111122332100000000000000000"),
        ("bracket-depth", "([) x] }(", "120000001"),
        ("capital", "Он ÉCÀ ǅ ß Ὄχι", "^..^^^.^...^.."),
        ("vowel", "Ёж, йод, съел ўсё", "^....^.....^....^"),
        ("consonant", "Ёж, йод, съел ўсё", ".^..^.^..^..^.^^."),
        ("vowel", GREEK, ".^.^^.^^...^^...^.^."),
        ("consonant", GREEK, "^....^....^......^.."),
        ("vowel", "Œuvre, Ødegård, łódź", "^^..^..^.^.^.....^.."),
        ("vowel", "שלום 日本 कमल", "..........."),
        ("consonant", "שלום 日本 कमल", "..........."),
        ("digit", "a1٣½Ⅷ", ".^^.."),
        ("punctuation", "a.—«+$", ".^^^.."),
        ("space", "a b\t\u00a0\n", ".^.^^."),
        ("newline", "a\r\nb\u2028", ".^^.^"),
    ],
)
def test_against_a_reader(name: str, text: str, expected: str) -> None:
    assert drawn(name, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("„Ja“, „nu” x", "^^^...^^^..."),
        ("he “is” x", "...^^^..."),
        ("»Hej« x", "^^^^..."),
        ("”så” x", "^^^..."),
        ("« Oui » x", "^^^^^^..."),
        ('a "b c" d', "..^^^^..."),
        ("don’t ‘we don’t’ x", "......^^^^^^^^^..."),
        ("dogs’ ‘x’", "......^^."),
        ('6" by 4" "ok" x', ".........^^^..."),
        ("«a „b“ c» d", "^^^^^^^^..."),
        ("«a „b» c", "^^^^^..."),
        ("「は」x", "^^.."),
        # Unclosed: up to a blank line, not a mere line end.
        ("«a\nb\n \nc", "^^^^^^.."),
        ("«a\0b", "^^.."),
    ],
)
def test_quotation_marks_of_many_languages(text: str, expected: str) -> None:
    assert drawn("inside-quotes", text) == expected


def test_sad_faces_open_no_bracket() -> None:
    assert drawn("inside-brackets", "ну :( и ((( да (ок) :-( x") == "...............^^^......."
    # A bracket in a bracket is one, and so is what is never closed up to a blank line.
    assert drawn("bracket-depth", "((a)b)\n(c\n\nd") == "122110011100"


def test_a_combining_mark_is_what_it_stands_on() -> None:
    composed = "Ёлка étude"
    text = unicodedata.normalize("NFD", composed)
    base = [index for index, char in enumerate(text) if not unicodedata.combining(char)]
    for name, values in all_features(text).items():
        if name != "word-end":
            assert np.array_equal(values[base], feature_values(name, composed)), name
    assert feature_values("vowel", text)[1] and feature_values("capital", text)[1]


def test_an_end_mark_closes_everything_and_is_nothing() -> None:
    text = "«(Он\0да"
    for name, values in all_features(text).items():
        assert values[4] == 0, name
        alone = feature_values(name, "да")
        assert np.array_equal(values[5:], alone), name


@given(st.text(alphabet="aЁ\u0301 \n\r.\"«»„“”‘’()[:-\0'1", max_size=40))
def test_any_text_has_one_value_for_each_character(text: str) -> None:
    for name, values in all_features(text).items():
        assert values.shape == (len(text),)
        assert values.dtype == (np.float32 if FEATURES[name].graded else np.bool_)
        assert np.array_equal(values, feature_values(name, text))
        assert (values >= 0).all()


def test_a_lone_surrogate_and_nothing() -> None:
    assert feature_values("vowel", "a\ud800").tolist() == [True, False]
    assert all(values.shape == (0,) for values in all_features("").values())


def test_an_unknown_feature_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"no feature 'vowels'; choose one of: word-start, .*vowel"
    ):
        feature_values("vowels", "a")


def test_regex() -> None:
    values = regex_feature(r"\bне\b|x*", "не нет xx не")
    assert "".join(".^"[int(value)] for value in values) == "^^.....^^.^^"
    assert regex_feature("^b", "a\nb").tolist() == [False, False, True]
    assert regex_feature("a", "").shape == (0,)


@pytest.mark.parametrize("pattern", ["(", "a{3,1}", "[я-а]", "(?P<1>a)", "a{99999999999999999999}"])
def test_a_bad_pattern_is_explained(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a regular expression: .*backslash"):
        regex_feature(pattern, "text")


def test_a_word_takes_the_value_of_its_last_character() -> None:
    vocabulary = Vocabulary.from_words("ab .", {" aba": 3, " bab": 2})
    ids = vocabulary.encode("aba bab. x")
    text, places = token_text(vocabulary, ids)
    assert text == "aba bab. \ufffd"
    assert feature_values("position-in-word", text)[places].tolist() == [1, 2, 3, 3, 0, 0, 0]
    assert feature_values("word-end", text)[places].tolist()[3]


def test_all_bytes_of_a_character_have_its_value() -> None:
    vocabulary = Vocabulary.utf8()
    ids = np.concatenate([vocabulary.encode("aЁ"), [END_ID], vocabulary.encode("Ё€")])
    text, places = token_text(vocabulary, ids)
    values = feature_values("capital", text)[places]
    assert values.tolist() == [False, True, True, False, True, True, False, False, False]


@pytest.mark.parametrize("level", ["char", "byte", "word"])
def test_a_matrix_for_tokens_of_every_level(level: str) -> None:
    text = "«Да, (ёж)». Он\nспал! «Нет»"
    vocabulary = {
        "char": Vocabulary.from_characters(text),
        "byte": Vocabulary.utf8(),
        "word": Vocabulary.from_words(set(text), {" Он": 2, "спал": 2, "Нет": 2}),
    }[level]
    ids = np.concatenate([vocabulary.encode(text), [END_ID], vocabulary.encode("Да")])
    whole, places = token_text(vocabulary, ids)
    assert whole == text + "\0Да"
    assert (places[-1], whole[places[len(vocabulary.encode(text))]]) == (len(whole) - 1, "\0")
    matrix = feature_matrix(vocabulary, ids)
    assert matrix.shape == (len(ids), len(FEATURES))
    for column, values in enumerate(all_features(whole).values()):
        assert np.array_equal(matrix[:, column], values[places].astype(np.float32))
    assert not matrix[len(vocabulary.encode(text))].any()
    assert np.array_equal(feature_matrix(vocabulary, ids, skip=7), matrix[7:])
