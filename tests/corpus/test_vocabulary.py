"""Vocabularies: round trips, ids, decoding piece by piece, extension, stored form."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.corpus import words as words_module
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, UTF8_BYTES, Vocabulary
from textgen.corpus.words import MAX_WORD_CHARS, split_words, stream_words
from textgen.errors import ConfigError

#: Any text: astral and combining characters too, no NUL, which is no text.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
#: Texts in which words, apostrophes and marks meet often.
WORDY = st.lists(
    st.sampled_from(["a", "б", "Я", " ", "  ", "'", "’", "\u0301", "-", "7", "_", "\n", "дом"]),
    max_size=40,
).map("".join)
CROWDED = Vocabulary.from_characters(map(chr, range(32, 300)))


def word_vocabulary(text: str, *, folded: bool = False) -> Vocabulary:
    """All characters of `text`, and its words met twice."""
    counts = Counter(split_words(" " + text if folded else text))
    kept = {word: n for word, n in counts.items() if n > 1}
    return Vocabulary.from_words(text + " " * folded, kept, folded=folded)


@given(TEXTS)
def test_characters_round_trip(text: str) -> None:
    vocabulary = Vocabulary.from_characters(text)
    ids = vocabulary.encode(text)
    assert len(ids) == len(text) and ids.dtype == vocabulary.dtype
    assert vocabulary.decode(ids) == text


@given(TEXTS)
def test_bytes_round_trip(text: str) -> None:
    vocabulary = Vocabulary.utf8()
    ids = vocabulary.encode(text)
    assert ids.dtype == np.uint8 and len(ids) == len(text.encode())
    assert vocabulary.decode(ids) == text


@given(TEXTS | WORDY, TEXTS | WORDY)
def test_words_round_trip_whatever_the_words_of_the_vocabulary(text: str, other: str) -> None:
    own = word_vocabulary(text)
    assert own.decode(own.encode(text)) == text
    strange = word_vocabulary(other)
    both = Vocabulary.from_words(
        text + other, {symbol: 1 for symbol in strange.symbols if len(symbol) > 1}
    )
    assert both.decode(both.encode(text)) == text


@given(WORDY)
def test_folded_words_round_trip(text: str) -> None:
    folded = " ".join(word for word in text.split())
    vocabulary = word_vocabulary(folded, folded=True)
    assert vocabulary.decode(vocabulary.encode(folded)) == folded


@given(TEXTS | WORDY)
def test_tokens_are_words_with_one_space_or_single_characters(text: str) -> None:
    tokens = split_words(text)
    assert "".join(tokens) == text
    for token in tokens:
        bare = token.removeprefix(" ")
        assert len(token) == 1 or bare
        if len(token) > 1:
            kinds = {unicodedata.category(char)[0] for char in bare if char not in "'’"}
            assert kinds <= {"L", "M", "N"}
            assert bare[0] not in "'’" and bare[-1] not in "'’"


def test_tokens_of_a_sentence() -> None:
    assert split_words("Don't say «Ёлка-2», и\u0306  нет'") == [
        *("Don't", " say", " ", "«", "Ёлка", "-", "2", "»", ","),
        *(" и\u0306", " ", " нет", "'"),
    ]


def test_no_combining_mark_is_forgotten() -> None:
    found = {
        point for first, last in words_module._mark_ranges() for point in range(first, last + 1)
    }
    assert found == {p for p in range(0x110000) if unicodedata.category(chr(p)).startswith("M")}


@given(st.lists(WORDY | st.text("x'", max_size=150), max_size=6))
def test_tokens_do_not_depend_on_where_chunks_end(chunks: list[str]) -> None:
    joined = [token for tokens in stream_words(chunks) for token in tokens]
    assert joined == split_words("".join(chunks))


def test_endless_word_is_cut_and_not_held() -> None:
    sizes = [len(token) for tokens in stream_words(["ab"] * 5_000) for token in tokens]
    assert sum(sizes) == 10_000 and max(sizes) == MAX_WORD_CHARS


def test_folded_words_have_one_id_wherever_they_stand() -> None:
    vocabulary = Vocabulary.from_words(" абв", {" аб": 2, " в": 3}, folded=True)
    ids = vocabulary.encode("аб в аб")
    assert ids[0] == ids[2] and len(ids) == 3
    assert vocabulary.display(ids) == ["аб", "в", "аб"]
    assert vocabulary.pieces(ids) == ["аб", " в", " аб"]
    assert vocabulary.decode(ids, at_start=False) == " аб в аб"
    assert vocabulary.decode([*ids, END_ID, *ids]) == "аб в абаб в аб"


def test_rare_words_and_unknown_characters() -> None:
    vocabulary = Vocabulary.from_words("абв ", {" аба": 2})
    assert vocabulary.pieces(vocabulary.encode("ба аба вж")) == [
        *("б", "а", " аба", " ", "в", "\ufffd")
    ]
    assert vocabulary.encode("ж").tolist() == [UNKNOWN_ID]


def test_order_of_symbols() -> None:
    vocabulary = Vocabulary.from_words("вба", {"аб": 2, " а": 5, "б": 9, "ба": 2})
    assert vocabulary.symbols == ("", "", "а", "б", "в", " а", "аб", "ба")
    assert Vocabulary.from_characters("cab").symbols == ("", "", "a", "b", "c")


def test_unknown_characters_give_one_id_each() -> None:
    vocabulary = Vocabulary.from_characters("abc")
    assert vocabulary.encode("aж😀c").tolist() == [2, UNKNOWN_ID, UNKNOWN_ID, 4]
    assert vocabulary.decode([2, UNKNOWN_ID, END_ID, 4]) == "a\ufffdc"
    assert Vocabulary.from_characters("").encode("ab").tolist() == [UNKNOWN_ID, UNKNOWN_ID]


def test_lone_surrogates_are_no_error() -> None:
    assert Vocabulary.from_characters("a").encode("a\ud800").tolist() == [2, UNKNOWN_ID]
    vocabulary = Vocabulary.utf8()
    assert vocabulary.decode(vocabulary.encode("a\ud800")) == "a\ufffd"


def test_byte_level_knows_every_byte_of_utf8() -> None:
    used = {byte for point in range(0xD800) for byte in chr(point).encode()}
    used |= {byte for point in range(0xE000, 0x110000, 64) for byte in chr(point).encode()}
    assert used == set(UTF8_BYTES) and len(Vocabulary.utf8()) == 245


@pytest.mark.parametrize(
    ("symbols", "dtype"),
    [(254, np.uint8), (255, np.uint16), (65534, np.uint16), (65535, np.uint32)],
)
def test_smallest_type(symbols: int, dtype: Any) -> None:
    vocabulary = Vocabulary.from_characters(map(chr, range(0xE000, 0xE000 + symbols)))
    assert vocabulary.dtype == dtype
    last = vocabulary.symbols[-1]
    assert vocabulary.decode(vocabulary.encode(last)) == last


@given(st.lists(st.integers(0, 244), max_size=30), st.booleans())
def test_decoder_gives_what_decode_gives(ids: list[int], at_start: bool) -> None:
    word = Vocabulary.from_words(" абв", {" а": 2, " бв": 1}, folded=True)
    for vocabulary in (Vocabulary.utf8(), CROWDED, word):
        known = [token % len(vocabulary) for token in ids]
        decoder = vocabulary.decoder(at_start=at_start)
        fed = "".join(decoder.feed(token) for token in known) + decoder.flush()
        assert fed == vocabulary.decode(known, at_start=at_start)
        assert "".join(vocabulary.pieces(np.array(known, np.int64), at_start=at_start)) == fed


@given(st.binary(max_size=20).filter(lambda data: set(data) <= set(UTF8_BYTES)))
def test_broken_utf8_decodes_as_python_does(data: bytes) -> None:
    vocabulary = Vocabulary.utf8()
    ids = [vocabulary.symbol_index()[chr(byte)] for byte in data]
    assert vocabulary.decode(ids) == data.decode("utf-8", "replace")


def test_bytes_of_a_character_stand_at_the_last() -> None:
    vocabulary = Vocabulary.utf8()
    ids = vocabulary.encode("aё😀")
    assert vocabulary.pieces(ids) == ["a", "", "ё", "", "", "", "😀"]
    assert vocabulary.pieces(ids[:-1]) == ["a", "", "ё", "", "", "\ufffd"]
    assert vocabulary.decode([int(ids[1]), END_ID, int(ids[0])]) == "\ufffda"


def test_extend_keeps_ids_and_maps_the_others() -> None:
    first, second = Vocabulary.from_characters("abd"), Vocabulary.from_characters("bcd")
    both, ids = first.extend(second)
    assert both.symbols == ("", "", "a", "b", "d", "c")
    assert ids.tolist() == [END_ID, UNKNOWN_ID, 3, 5, 4] and ids.dtype == np.int64
    assert both.decode(ids[second.encode("dcb")]) == "dcb"
    assert both.decode(both.encode("abcd")) == "abcd"
    assert both.extend(first)[0] is both


def test_extend_words() -> None:
    first = Vocabulary.from_words("аб ", {" аб": 3})
    both, ids = first.extend(Vocabulary.from_words("абв ", {" вб": 2, " аб": 1}))
    assert both.symbols == (*first.symbols, "в", " вб")
    assert ids.tolist() == [0, 1, 2, 3, 4, 6, 7, 5]
    assert both.pieces(both.encode("в вб")) == ["в", " вб"]


def test_extend_refuses_another_kind() -> None:
    with pytest.raises(ConfigError, match=r"char and byte.*level and fold"):
        CROWDED.extend(Vocabulary.utf8())
    words = Vocabulary.from_words("а", {})
    with pytest.raises(ConfigError, match=r"word and word \(folded\).*level and fold"):
        words.extend(Vocabulary.from_words("а", {}, folded=True))


@pytest.mark.parametrize(
    "vocabulary",
    [
        Vocabulary.from_characters("ab\n\u0301😀"),
        Vocabulary.utf8(),
        Vocabulary.from_words("аб ", {" аб": 2}),
        Vocabulary.from_words("аб ", {" аб": 2}, folded=True),
    ],
)
def test_stored_form_round_trip(vocabulary: Vocabulary) -> None:
    stored = json.loads(json.dumps(vocabulary.to_dict()))
    assert Vocabulary.from_dict(stored) == vocabulary


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "not a mapping"),
        ({}, "level is None"),
        ({"level": ["char"], "symbols": []}, "level is"),
        ({"level": "char"}, "expected level, symbols"),
        ({"level": "char", "symbols": [], "more": 1}, "expected level, symbols"),
        ({"level": "char", "symbols": "abc"}, "not a list of strings"),
        ({"level": "char", "symbols": ["a", 7]}, "not a list of strings"),
        ({"level": "char", "symbols": ["a", "bc"]}, "'bc' is not one character"),
        ({"level": "char", "symbols": ["a", "a"]}, "twice"),
        ({"level": "char", "symbols": ["a", ""]}, "empty or NUL"),
        ({"level": "char", "symbols": ["\0"]}, "empty or NUL"),
        ({"level": "char", "symbols": ["\ud800"]}, "surrogate"),
        ({"level": "byte", "symbols": ["a"]}, "expected level"),
        ({"level": "word", "symbols": ["a"], "folded": 1}, "folded is 1"),
    ],
)
def test_damaged_stored_form_is_refused(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Vocabulary.from_dict(data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("char", ("a", "b")), "marks"),
        (("byte", ("", "", "a")), "byte values"),
        (("char", ("", ""), True), "folded"),
        (("letter", ("", "")), "level"),
    ],
)
def test_impossible_vocabularies(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Vocabulary(*arguments)


def test_symbol_lengths_count_characters() -> None:
    assert Vocabulary.from_words("а ", {" аа": 2}).symbol_lengths().tolist() == [0, 1, 1, 1, 3]
    lengths = Vocabulary.utf8().symbol_lengths()
    assert lengths[Vocabulary.utf8().encode("aё😀")].tolist() == [1, 1, 0, 1, 0, 0, 0]


def test_bytes_of_any_characters_count_them() -> None:
    """Of one byte to four, and with each value that a later byte can have."""
    points = (*range(1, 0x900), *range(0x1000, 0xD800, 61), *range(0x10000, 0x110000, 4093))
    text = "".join(map(chr, points))
    vocabulary = Vocabulary.utf8()
    assert vocabulary.symbol_lengths()[vocabulary.encode(text)].sum() == len(points)
