"""Where a word occurs: what counts as the word, where the places are, how they are spread."""

from __future__ import annotations

import gzip
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from support.small_runs import russian_text

import textgen
from textgen.errors import ConfigError, EmptyCorpusError, InspectionError, StorageError
from textgen.inspection.occurrences import _PlaceFinder
from textgen.view_options import OccurrenceOptions

AXES = "Топор лежал. Он взял топор, ударил топором;\nтопорище, то-пор, топоръ и притопор. ТОПОР!"


def words(pattern: str, text: str = AXES, **settings: object) -> list[str]:
    found = textgen.occurrences(pattern, text=text, **settings)  # type: ignore[arg-type]
    read = unicodedata.normalize("NFC", text)
    for one in found.shown:
        assert read[one.place :].startswith(one.word)
    return [one.word for one in found.shown]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("топор", ["Топор", "топор", "ТОПОР"]),
        ("ТОПОР", ["Топор", "топор", "ТОПОР"]),
        ("топор*", ["Топор", "топор", "топором", "топорище", "топоръ", "ТОПОР"]),
        ("*топор", ["Топор", "топор", "притопор", "ТОПОР"]),
        ("топ*м", ["топором"]),
        ("взял топор", ["взял топор"]),
        ("взял топ*", ["взял топор"]),
        ("топором; топорище", ["топором;\nтопорище"]),
        ("то-пор", ["то-пор"]),
        ("топо", []),
        ("пила", []),
    ],
)
def test_whole_words_in_either_case(pattern: str, expected: list[str]) -> None:
    assert words(pattern) == expected


def test_case_matters_where_it_is_asked_for() -> None:
    assert words("топор*", match_case=True) == ["топор", "топором", "топорище", "топоръ"]


def test_an_apostrophe_and_a_mark_belong_to_the_word() -> None:
    text = "don't don 'don' don’ dón do\u0323n d'on"
    assert words("don", text) == ["don"] * 3
    assert words("don*", text) == ["don't", "don", "don", "don"]
    assert words("on", text) == []
    assert words("*on", text) == ["don", "don", "don", "d'on"]


def test_a_word_is_composed_as_the_text_is() -> None:
    assert words("cafe\u0301", "Café café") == ["Café", "café"]


def test_signs_of_regular_expressions_are_signs() -> None:
    assert words("a.c", "abc a.c a.cd") == ["a.c"]
    assert words("c++", "c++ cc c++c") == ["c++", "c++"]


@pytest.mark.parametrize("pattern", ["", "  ", "*", "...", "* *"])
def test_a_pattern_without_a_word_is_refused(pattern: str) -> None:
    with pytest.raises(InspectionError, match="no word"):
        textgen.occurrences(pattern, text=AXES)


def test_places_tenths_forms_and_context() -> None:
    text = "a" * 9 + " " + "кот " * 3 + "." * 73 + "\nкота"
    found = textgen.occurrences("кот*", text=text, context=5)
    assert found.chars == len(text) == 100
    assert len(found) == 4 and found.places.tolist() == [10, 14, 18, 96]
    assert found.spread() == [0, 3, 0, 0, 0, 0, 0, 0, 0, 1]
    assert found.spread(50)[5:10] == [1, 0, 1, 0, 1]
    assert found.forms == (("кот", 3), ("кота", 1))
    first, second, _, last = found.shown
    assert (first.line, first.before, first.after) == (1, "aaaa ", " кот ")
    assert second.before == " кот "
    assert (last.line, last.before, last.word, last.after) == (2, "....\n", "кота", "")
    assert found.to_json()["tenths"] == found.spread()
    assert found.to_json()["count"] == 4
    assert found.table().keys() == ["place", "file", "line", "before", "word", "after"]
    np.testing.assert_array_equal(found.to_arrays()["places"], found.places)


def test_a_limit_is_of_what_is_listed_not_of_what_is_counted() -> None:
    found = textgen.occurrences("топор*", text=AXES, limit=2)
    assert len(found) == 6
    assert [one.word for one in found.shown] == ["Топор", "топор"]


@pytest.mark.parametrize(
    "size",
    [1, 7, 50, 100_000, *(pytest.param(size, marks=pytest.mark.slow) for size in (2, 3, 1000))],
)
def test_any_chunks_give_the_same(size: int) -> None:
    text = russian_text(4000) + "\n" + AXES + " don't " * 3 + "т" * 200 + " топор"
    for pattern in ("топор*", "don't", "don*", "*а", "взял  топор"):
        whole = _PlaceFinder(pattern, OccurrenceOptions())
        whole.add(text)
        whole.end_text()
        parts = _PlaceFinder(pattern, OccurrenceOptions())
        for start in range(0, len(text), size):
            parts.add(text[start : start + size])
        parts.end_text()
        assert whole.places
        assert parts.places == whole.places
        assert parts.shown == whole.shown


def test_memory_does_not_grow_with_the_text() -> None:
    finder = _PlaceFinder("кот*", OccurrenceOptions(limit=3))
    for _ in range(300):
        finder.add("кот и кит\n" * 100)
        assert len(finder._buffer) < 2000
    finder.end_text()
    assert len(finder.places) == 30_000 and len(finder.shown) == 3


def test_against_a_simple_count() -> None:
    text = russian_text(20_000)
    word = max(re.findall(r"\w+", text), key=len)
    expected = [match.start() for match in re.finditer(rf"(?i)\b{word[:4]}\w*\b", text)]
    assert textgen.occurrences(f"{word[:4]}*", text=text).places.tolist() == expected


def test_files_of_several_encodings(tmp_path: Path) -> None:
    text = russian_text(3000) + "\nОбух висел на стене.\n"
    (tmp_path / "a.txt").write_bytes(text.encode("cp1251"))
    (tmp_path / "b.txt").write_text("", encoding="utf-8")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress("обух".encode("utf-16")))
    found = textgen.occurrences("обух", tmp_path)
    assert [Path(one.file).name for one in found.shown] == ["a.txt", "c.txt.gz"]
    assert [one.line for one in found.shown] == [text.count("\n"), 1]
    # The texts are one after the other, and no context crosses from one to the next.
    assert found.places.tolist() == [text.index("Обух"), len(text)]
    assert found.shown[1].before == "" and found.shown[0].after == " висел на стене.\n"
    assert found.chars == len(text) + len("обух")
    assert "b.txt" in " ".join(found.notes)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        textgen.occurrences("топор", tmp_path / "missing.txt")
    with pytest.raises(ConfigError, match="no text"):
        textgen.occurrences("топор")
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(EmptyCorpusError):
        textgen.occurrences("топор", tmp_path / "empty.txt")
    with pytest.raises(EmptyCorpusError):
        textgen.occurrences("топор", text="")
    with pytest.raises(InspectionError):
        textgen.occurrences("топор", text=AXES, limit=-1)
