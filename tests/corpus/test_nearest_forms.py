"""Characters read as their nearest forms: which, and that what stood there can be told again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textgen.corpus import tokens as tokens_module
from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.nearest_forms import (
    MOST_FORM,
    Questions,
    variant_places,
    variants_in,
    ways_of,
)
from textgen.corpus.vocabulary import Vocabulary

KNOWN = Vocabulary.from_characters("abess .—'\n")


@pytest.mark.parametrize(
    ("chars", "expected"),
    [
        ("ab.", {}),
        ("–…\xa0", {"\xa0": " ", "–": "—", "…": "..."}),
        ("ABé’", {"A": "a", "B": "b", "é": "e", "’": "'"}),
        ("ß№漢", {"ß": "ss"}),
        # Eighteen Arabic letters, of which none is known; the limit is for those that are.
        ("\ufdfa", {}),
    ],
)
def test_what_is_read_as_what(chars: str, expected: dict[str, str]) -> None:
    assert variants_in(chars, KNOWN) == expected


def test_a_long_form_is_none() -> None:
    letters = Vocabulary.from_characters("株式会社 صلىاللهعيوسم")
    assert variants_in("㍿\ufdfa", letters) == {"㍿": "株式会社"}
    assert len("株式会社") == MOST_FORM


def test_only_characters_are_read_as_others() -> None:
    for vocabulary in (Vocabulary.utf8(), Vocabulary.from_words("ab ", {" ab": 2})):
        assert variants_in("é–A", vocabulary) == {}


def test_long_forms_come_first() -> None:
    forms = variants_in("…‥․A", KNOWN)
    assert forms == {"A": "a", "․": ".", "‥": "..", "…": "..."}
    assert ways_of(forms) == {
        "...": ("...", "…"),
        "..": ("..", "‥"),
        ".": (".", "․"),
        "a": ("a", "A"),
    }


def asked(
    text: str, *, cut: int = 1000, forms: dict[str, str] | None = None
) -> list[tuple[int, str, str]]:
    """Every question about a text, with its answer: the place, the form and what stood there."""
    forms = variants_in(text, KNOWN) if forms is None else forms
    told = dict(variant_places(text, forms))
    ways, seen = ways_of(forms), []

    def answer(place: int, form: str) -> bool:
        stood = told.get(place, "")
        is_variant = stood in ways[form]
        seen.append((place, form, stood if is_variant else form))
        return is_variant

    ids = KNOWN.encode(text.translate(str.maketrans(forms)))
    questions = Questions(ways, KNOWN, answer)
    for start in range(0, len(ids), cut):
        questions.read(ids[start : start + cut])
    return seen


def test_questions_by_hand() -> None:
    """Full stops before, after and between: a place is asked about if it may be an ellipsis."""
    assert asked("....") == []  # nothing is read as another character
    assert asked("…") == [(2, "...", "…")]
    assert asked("….") == [(2, "...", "…")]  # the fourth stop ends no three that are free
    assert asked(".…") == [(2, "...", "..."), (3, "...", "…")]
    assert asked("...…") == [
        *((place, "...", "...") for place in (2, 3, 4)),
        (5, "...", "…"),
    ]
    assert asked("……") == [(2, "...", "…"), (5, "...", "…")]
    assert asked("a\xa0 b—–") == [
        *((1, " ", "\xa0"), (2, " ", " ")),
        *((4, "—", "—"), (5, "—", "–")),
    ]
    # The first letter of ß might be S; after ß nothing is asked about the second one.
    assert asked("ßS") == [(0, "s", "s"), (1, "ss", "ß"), (2, "s", "S")]


MIXED = st.lists(
    st.sampled_from([*"ab .—'…․‥–\xa0\u2009ABßSs’é漢\n", "....", "….", ".…", "\xa0 "]), max_size=30
).map("".join)


@given(MIXED, st.integers(1, 7))
def test_a_reader_who_knows_the_tokens_gets_the_text_again(text: str, cut: int) -> None:
    """He is told the answers only, in order, and reads the tokens in pieces."""
    forms = variants_in(text, KNOWN)
    ways = ways_of(forms)
    answers = iter([stood for _, _, stood in asked(text)])
    read = text.translate(str.maketrans(forms))
    assert asked(text, cut=cut) == asked(text)
    pieces = list(read)

    def answer(place: int, form: str) -> bool:
        stood = next(answers)
        assert stood in ways[form]
        if stood != form:
            pieces[place + 1 - len(form) : place + 1] = [*[""] * (len(form) - 1), stood]
        return stood != form

    Questions(ways, KNOWN, answer).read(KNOWN.encode(read))
    assert "".join(pieces) == text
    assert next(answers, None) is None


@given(MIXED, MIXED, MIXED)
def test_what_comes_later_changes_no_earlier_question(text: str, one: str, other: str) -> None:
    """Which characters are read as others is told first; all else follows from what came before."""
    forms = variants_in(text + one + other, KNOWN)
    end = len(text.translate(str.maketrans(forms)))
    first, second = (asked(text + more, forms=forms) for more in (one, other))
    assert [question for question in first if question[0] < end] == [
        question for question in second if question[0] < end
    ]


def opened(folder: Path, text: str, vocabulary: Vocabulary = KNOWN, **more: object) -> Corpus:
    path = folder / "text.txt"
    path.write_text(text, encoding="utf-8", newline="")
    given = {"variants": True, **more}
    return Corpus.open([path], vocabulary=vocabulary, cache=folder / "cache", **given)  # type: ignore[arg-type]


def test_a_text_is_read_as_the_model_knows_it(tmp_path: Path) -> None:
    text = "Ab… a – b\xa0é漢… B."
    found = opened(tmp_path, text)
    assert found.decode() == "ab... a — b e\ufffd... b."
    assert (found.chars, found.utf8_bytes) == (len(text), len(text.encode()))
    assert (found.unknown_chars, found.unknown_tokens) == (1, 1)
    assert found.read_as == {
        "...": {"...": 0, "…": 2},
        " ": {" ": 4, "\xa0": 1},
        "a": {"a": 1, "A": 1},
        "b": {"b": 2, "B": 1},
        "e": {"e": 0, "é": 1},
        "—": {"—": 0, "–": 1},
    }
    again = opened(tmp_path, text)
    assert (again.read_as, again.cache_key) == (found.read_as, found.cache_key)
    assert again.tokens.tolist() == found.tokens.tolist()
    # Whoever does not ask for it reads the text as before, from an entry of its own.
    plain = opened(tmp_path, text, variants=False)
    assert plain.cache_key != found.cache_key
    assert (plain.read_as, plain.unknown_chars) == ({}, len(re.findall("[^ab .]", text)))
    assert plain.tokens.tolist() == KNOWN.encode(text).tolist()


def test_a_text_without_variants_has_the_same_tokens(tmp_path: Path) -> None:
    text = "ab. a — b漢\n"
    both = [opened(tmp_path, text, variants=variants) for variants in (True, False)]
    assert both[0].tokens_sha256 == both[1].tokens_sha256
    assert both[0].read_as == both[1].read_as == {}
    assert both[0].unknown_chars == both[1].unknown_chars == 1


def test_keys_of_other_levels_are_as_they_were(tmp_path: Path) -> None:
    for vocabulary in (Vocabulary.utf8(), Vocabulary.from_words("ab ", {" ab": 2})):
        keys = {
            opened(tmp_path, "ab Ab…", vocabulary, variants=variants).cache_key
            for variants in (True, False)
        }
        assert len(keys) == 1


def test_documents_stay_apart(tmp_path: Path) -> None:
    """No form reaches over the end of a document."""
    options = CorpusOptions(documents="line")
    found = opened(tmp_path, "a..\n.…\nA", options=options)
    assert found.documents == 3
    assert found.vocabulary.decode(found.tokens, end="|") == "a..|....|a"
    assert found.read_as == {"...": {"...": 1, "…": 1}, "a": {"a": 1, "A": 1}}


@settings(max_examples=30, deadline=None)
@given(MIXED.filter(bool), st.integers(1, 5))
def test_slices_change_nothing(text: str, size: int) -> None:
    """Forms and variants at the borders of slices are counted as within one."""
    import tempfile

    expected: dict[str, dict[str, int]] = {
        form: dict.fromkeys(ways, 0) for form, ways in ways_of(variants_in(text, KNOWN)).items()
    }
    for _, form, stood in asked(text):
        expected[form][stood] += 1
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens_module, "SLICE", size)
        found = opened(Path(folder), text)
    assert found.read_as == expected
    assert found.unknown_tokens == text.count("漢")
