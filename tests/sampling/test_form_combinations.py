"""Any settings of forms together: each text keeps to all of them, or it is said why none does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fake_networks import HashNetwork
from support.form_checks import keeps

from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import SamplingError
from textgen.options import SampleOptions
from textgen.sampling import generate
from textgen.sampling.forms import form_of

LATIN = Vocabulary.from_characters("abcdefghijklmnoprstuvwyzABELO .,\n")
CYRILLIC = Vocabulary.from_characters("абвгдеёийклмнопрстуьАЛ \n.")
WORDS = [
    *(
        "the",
        "light",
        "and",
        "of",
        "day",
        "say",
        "bell",
        "hell",
        "stone",
        "alone",
        "love",
        "a",
        "e",
    ),
    *("вода", "погода", "гора", "нора", "мол", "пол", "стол", "рот", "кот", "а", "о"),
]
PATTERNS = [r"[\w ,]+\.?", r"(\w+[ .\n]?)*", r"[^aeо]*", r"(?i)a.*", r"\d+", r"(.\n)+."]
FORMS = st.fixed_dictionaries(
    {"length": st.sampled_from([1, 12, 70, 130])},
    optional={
        "match": st.sampled_from(PATTERNS),
        "match_line": st.sampled_from(PATTERNS),
        "chars": st.sampled_from(["3..12", "20..", "..5", "40"]),
        "lines": st.sampled_from([1, 2, 5]),
        "line_chars": st.sampled_from(["3..9", "10..16", "7", "0..4"]),
        "acrostic": st.sampled_from(["ab", "Ло", "love"]),
        "rhyme": st.sampled_from(["AA", "ABAB", "A.A"]),
        "syllables": st.sampled_from(["3,2", "1", "2,3,2"]),
        "without": st.sampled_from(["e", "aо", " "]),
        "only_words": st.just("words.txt"),
        "include": st.sampled_from([("love",), ("о", "a"), ("вода",), ("e",)]),
    },
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("forms")
    (path / "words.txt").write_text(" ".join(WORDS), encoding="utf-8")
    return path


@settings(max_examples=30, derandomize=True, deadline=None, database=None)
@given(asked=FORMS, is_latin=st.booleans(), until_end=st.booleans())
def test_all_of_them_hold_or_the_reason_is_said(folder, asked, is_latin, until_end):
    vocabulary = LATIN if is_latin else CYRILLIC
    form = {name: value for name, value in asked.items() if name != "length"}
    if "only_words" in form:
        form["only_words"] = str(folder / form["only_words"])
    options = SampleOptions(length=asked["length"], temperature=2.0, until_end=until_end, **form)

    def write(seeds):
        network = HashNetwork(len(vocabulary), 1.0)
        return generate(network, vocabulary, seeds, options, form=held)

    try:
        held = form_of(options, vocabulary, lambda: WORDS)
        texts = write([()] * 3)
    except SamplingError as error:
        assert "; " in str(error)  # What is wrong, and what to do.
        return
    for text in texts:
        assert keeps(text.text, english=True, **form)
    # A beginning of one is a part of the text.
    seed = vocabulary.encode(texts[0].text[:3]).tolist()
    (text,) = write([seed])
    assert keeps(texts[0].text[:3] + text.text, english=True, **form)
