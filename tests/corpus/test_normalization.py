"""Normalisation: what it gives, and that pieces give what the whole gives."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textgen.corpus.normalization import Normalization, is_boundary, last_boundary
from textgen.errors import ConfigError

#: Characters at which cutting goes wrong: marks, Hangul parts, sigma, line ends, soft hyphens.
TRICKY = st.text(
    st.sampled_from(
        "aHeйиЕёΣσςİ\u0301\u0308\u0331\u0323\u0345\u093e\u0f73\u0344"
        "\uac00\u1100\u1161\u11a8\r\n -1½\u00ad日\U0001f600"
    )
)
TEXTS = TRICKY | st.text()
OPTIONS = st.builds(Normalization, newlines=st.booleans(), nfc=st.booleans(), fold=st.booleans())


@given(TEXTS, OPTIONS, st.data())
@settings(max_examples=400, deadline=None)
def test_pieces_cut_at_boundaries_join_to_the_whole(
    text: str, options: Normalization, data: st.DataObject
) -> None:
    stream = options.stream()
    joined, start = "", 0
    while start < len(text):
        end = data.draw(st.integers(start + 1, len(text)))
        while end < len(text) and not is_boundary(text, end):
            end += 1
        joined += stream.feed(text[start:end])
        start = end
    assert joined == options.apply(text)


@given(TEXTS, OPTIONS)
@settings(max_examples=300, deadline=None)
def test_applying_twice_changes_nothing_more(text: str, options: Normalization) -> None:
    once = options.apply(text)
    assert options.apply(once) == once


@given(TEXTS)
def test_nfc_is_what_the_standard_library_says(text: str) -> None:
    assert Normalization(newlines=False).apply(text) == unicodedata.normalize("NFC", text)


def test_long_texts_are_composed_across_every_window() -> None:
    decomposed = unicodedata.normalize("NFD", "Ёлка, йод и 각 — " * 3000)
    expected = unicodedata.normalize("NFC", decomposed)
    assert decomposed != expected
    assert Normalization().apply(decomposed) == expected


@given(st.text(st.characters(max_codepoint=0x2FFF), min_size=2, max_size=12), st.data())
@settings(max_examples=400, deadline=None)
def test_a_boundary_is_safe_for_composing(text: str, data: st.DataObject) -> None:
    index = data.draw(st.integers(1, len(text) - 1))
    if is_boundary(text, index):
        parts = [unicodedata.normalize("NFC", part) for part in (text[:index], text[index:])]
        assert "".join(parts) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("text", "index", "allowed"),
    [
        ("ab", 1, True),
        ("\r\n", 1, False),
        ("\n\r", 1, True),
        ("e\u0301", 1, False),
        ("\u1100\u1161", 1, False),
        ("日本", 1, True),
        ("क\u093e", 1, False),
        ("a\u00adb", 1, False),
    ],
)
def test_boundaries(text: str, index: int, allowed: bool) -> None:
    assert is_boundary(text, index) is allowed


def test_the_last_boundary_is_0_where_there_is_none() -> None:
    assert last_boundary("e" + "\u0301" * 5) == 0
    assert last_boundary("ae" + "\u0301" * 5) == 1


def test_line_ends() -> None:
    text = "a\r\nb\rc\n\r\r\nd"
    assert Normalization().apply(text) == "a\nb\nc\n\n\nd"
    assert Normalization(newlines=False).apply(text) == text


def test_nothing_changes_when_all_is_off() -> None:
    text = "e\u0301\r\nЁ—\u00ad"
    assert Normalization(newlines=False, nfc=False).apply(text) == text


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        (
            "Это я убил тогда старуху-чиновницу и сестру её Лизавету топором, и ограбил",
            "это я убил тогда старуху чиновницу и сестру её лизавету топором и ограбил",
        ),
        ("  -- 12 Don't!\n", "don t"),
        ("ΟΔΟΣ", "οδοσ"),
        ("H\u0331", "\u1e96"),
        ("пре\u00adступ", "преступ"),
        ("e\u0301t\u00e9", "été"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("1\u0301a", "a"),
        ("", ""),
        (" 12 ", ""),
    ],
)
def test_folding(text: str, folded: str) -> None:
    assert Normalization(fold=True).apply(text) == folded


def test_folding_without_composing_keeps_the_marks_on_their_letters() -> None:
    text = unicodedata.normalize("NFD", "Йод, ёж")
    expected = unicodedata.normalize("NFD", "йод ёж")
    assert Normalization(fold=True, nfc=False).apply(text) == expected


def test_as_plain_data_and_back() -> None:
    options = Normalization(newlines=False, fold=True)
    assert Normalization.from_dict(options.to_dict()) == options


@pytest.mark.parametrize(
    "data",
    [{}, {"newlines": True, "nfc": True}, {**Normalization().to_dict(), "other": 1}],
)
def test_wrong_keys_are_refused(data: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="unknown or missing"):
        Normalization.from_dict(data)


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ConfigError, match="must be true or false"):
        Normalization.from_dict({"newlines": 1, "nfc": True, "fold": False})


def test_a_byte_order_mark_is_no_character() -> None:
    assert Normalization().apply("\ufeffраз\ufeff") == "раз"
    stream = Normalization(newlines=False, nfc=False).stream()
    assert stream.feed("a\ufeffb") + stream.feed("\ufeff") == "ab"
    assert stream.marks == 2
    # What stands around it meets once it is gone, so no cut beside it.
    assert not is_boundary("e\ufeff\u0301", 1) and not is_boundary("e\ufeffb", 2)
