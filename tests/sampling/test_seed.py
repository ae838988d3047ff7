"""Seeds: what the vocabulary lacks is folded or dropped, said in one line, and never fails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textgen.checkpoint import SavedModel
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.errors import SamplingError
from textgen.model.config import ModelConfig
from textgen.sampling import SampleOptions, fit_seed
from textgen.sampling.seed import (
    _word_form,
    first_few,
    options_of,
    refuse_steering,
    seed_of,
    shown,
    stop_of,
)

PLAIN = Normalization()


def chars(text):
    return Vocabulary.from_characters(text)


def test_a_known_seed_is_taken_as_it_is():
    vocabulary = chars("старух аё,\n")
    seed = fit_seed("старуха\r\nстаруха", vocabulary, PLAIN)
    assert seed.text == "старуха\nстаруха"
    assert seed.ids == tuple(vocabulary.encode("старуха\nстаруха").tolist())
    assert (seed.folded, seed.dropped, seed.notice) == ((), (), None)


def test_the_notice_is_one_line():
    vocabulary = chars("ъа")
    seed = fit_seed("Ъ☃а", vocabulary, PLAIN)
    assert seed.text == "ъа"
    assert seed.folded == (("Ъ", "ъ"),)
    assert seed.dropped == ("☃",)
    assert seed.notice == ("seed: 'Ъ' became 'ъ', '☃' dropped (not in the model's vocabulary of 4)")


@pytest.mark.parametrize(
    ("known", "text", "expected"),
    [
        ("ъ", "Ъ", "ъ"),
        ("Ъ", "ъ", "Ъ"),
        ("е", "ё", "е"),
        ("ё", "е", "ё"),
        ("е", "Ё", "е"),
        ("Е", "ё", "Е"),
        ("ёЕ", "е", "Е"),  # the other case before ё: «Если», not «Ёсли»
        ('"', "«»„“”", '"""""'),
        ("«»", "“”", "«»"),
        ("“”", "«»", "“”"),
        ("«»", '"', "«"),
        ("'", "’‘ʼ", "'''"),
        ("’", "'", "’"),
        ("-", "‐‑–—−", "-----"),
        ("—", "-–", "——"),
        ("—-", "–", "—"),
        (".", "…", "..."),
        ("…", "...", "…"),
        ("….", "...", "..."),
        (" ", "\u00a0\u2009\u3000\t\n", "     "),
        (" \n", "\u2028\u0085", "\n\n"),
        ("\n", " ", "\n"),
        ("\u00a0", " ", "\u00a0"),
        ("e", "é", "e"),
        ("e", "É", "e"),
        ("и", "й", "и"),
        ("fi", "ﬁ", "fi"),
        ("A1", "Ａ１", "A1"),
        ("a", "Ａ", "a"),
        ("Ａ", "A", "Ａ"),
        ("！～", "!~", "！～"),
        ("s", "ß", "ss"),
        ("S", "ß", "SS"),
        ("o", "☃🙂\u200b漢", ""),
    ],
)
def test_folding(known, text, expected):
    seed = fit_seed(text, chars(known), PLAIN)
    assert seed.text == expected
    assert seed.notice is None or "\n" not in seed.notice
    assert (seed.notice is None) == (text == expected)


def test_decomposed_letters_are_used_where_the_texts_were_decomposed():
    vocabulary = chars("и\u0306")
    seed = fit_seed("й", vocabulary, Normalization(nfc=False))
    assert seed.text == "и\u0306"


def test_a_seed_of_which_nothing_is_left():
    seed = fit_seed("☃☃", chars("ab"), PLAIN)
    assert (seed.ids, seed.text) == ((), "")
    assert seed.notice == (
        "seed: '☃' dropped (not in the model's vocabulary of 4); continuing without a seed"
    )
    empty = fit_seed("", chars("ab"), PLAIN)
    assert (empty.ids, empty.notice) == ((), None)
    folded = Normalization(fold=True)
    vanished = fit_seed("!?", Vocabulary.from_words(" ab", {}, folded=True), folded)
    assert vanished.ids == ()
    assert vanished.notice == "seed: nothing that the model reads; continuing without a seed"


def test_a_long_notice_counts_and_shows_the_invisible_as_code_points():
    seed = fit_seed("☃\u200b\u0301" + "漢字仮名交文書体", chars("ab"), PLAIN)
    assert seed.notice is not None
    assert "U+200B dropped, U+0301 dropped" in seed.notice
    assert "3 more dropped" in seed.notice
    assert len(seed.dropped) == 11


def test_eight_are_named_and_a_ninth_is_counted():
    eight = fit_seed("漢字仮名交文書体", chars("ab"), PLAIN)
    assert eight.notice is not None
    assert "'体' dropped (not" in eight.notice and "more" not in eight.notice
    nine = fit_seed("漢字仮名交文書体田", chars("ab"), PLAIN)
    assert nine.notice is not None
    assert "'体' dropped, 1 more dropped (not" in nine.notice and "田" not in nine.notice
    # Where nothing is said of them, they are only counted.
    assert first_few(list("abcdefghij")) == [*"abcdefgh", "2 more"]


def test_an_unknown_word_is_spelled():
    vocabulary = Vocabulary.from_words(" абвг", {" аб": 5})
    seed = fit_seed("вг аб гв", vocabulary, PLAIN)
    assert seed.text == "вг аб гв"
    assert seed.notice is None
    assert [vocabulary.symbols[i] for i in seed.ids] == ["в", "г", " аб", " ", "г", "в"]


def test_words_are_folded_as_the_corpus_was():
    fold = Normalization(fold=True)
    vocabulary = Vocabulary.from_words(" абвг", {" аб": 5, " вг": 4}, folded=True)
    seed = fit_seed("«Аб-вг!»", vocabulary, fold)
    assert seed.text == "аб вг"
    assert [vocabulary.symbols[i] for i in seed.ids] == [" аб", " вг"]


def test_words_that_are_not_spelled_are_taken_in_another_form_or_dropped():
    vocabulary = Vocabulary.from_words(" ", {" аб": 5, " вг": 4, "Вг": 3}, spelled=False)
    seed = fit_seed("Вг вг Аб где", vocabulary, PLAIN)
    assert [vocabulary.symbols[i] for i in seed.ids] == ["Вг", " вг", " аб"]
    # A form with another space, or as it is, is no other form to tell of.
    assert (seed.folded, seed.dropped) == ((("Аб", "аб"),), ("где",))


def test_a_single_word_that_is_not_spelled_is_taken_in_another_form():
    vocabulary = Vocabulary.from_words(" ", {" аб": 5, " вг": 4}, spelled=False)
    assert [vocabulary.symbols[i] for i in fit_seed("Аб", vocabulary, PLAIN).ids] == [" аб"]


def test_every_symbol_may_stand_for_another_where_none_is_reserved():
    assert fit_seed("aX", chars("ax"), PLAIN).text == "ax"


def test_what_a_letter_and_a_mark_are_is_told_by_their_numbers():
    assert shown("a\u0301") == "U+0061 U+0301" and shown("a") == "'a'" and shown(" ") == "' '"


def test_bytes_take_everything_but_lone_surrogates():
    seed = fit_seed("Ъ☃\udcff", Vocabulary.utf8(), PLAIN)
    assert seed.text == "Ъ☃"
    assert seed.notice == ("seed: U+DCFF dropped (not in the model's vocabulary of 245)")


@pytest.mark.parametrize("lone", ["\ud800", "\udbff", "\udc00", "\udfff"])
def test_every_lone_surrogate_is_dropped(lone):
    seed = fit_seed(f"a{lone}b", Vocabulary.utf8(), PLAIN)
    assert (seed.text, seed.dropped) == ("ab", (lone,))


VOCABULARIES = {
    "few": (chars("e "), PLAIN),
    "russian": (chars("абвгдеёжз АБ.,-—«»\n'"), PLAIN),
    "raw": (chars("abc\u0301é\r"), Normalization(newlines=False, nfc=False)),
    "byte": (Vocabulary.utf8(), PLAIN),
    "word": (Vocabulary.from_words("ab cде.", {" ab": 3, "де": 2}), PLAIN),
    "folded": (
        Vocabulary.from_words("abде", {" ab": 3, " де": 2}, folded=True),
        Normalization(fold=True),
    ),
    "nothing": (chars(""), PLAIN),
}


@pytest.mark.parametrize("name", VOCABULARIES)
@settings(max_examples=50, deadline=None)
@given(
    text=st.one_of(
        st.text(st.characters(codec=None)),  # lone surrogates too
        st.text('abcдеёЁАE É…-–—"«»\u0301\u2028\ud800. '),
    )
)
def test_no_text_fails(name, text):
    vocabulary, normalization = VOCABULARIES[name]
    seed = fit_seed(text, vocabulary, normalization)
    assert UNKNOWN_ID not in seed.ids
    assert END_ID not in seed.ids
    assert all(0 <= token < len(vocabulary) for token in seed.ids)
    assert "\ufffd" not in seed.text or "\ufffd" in text
    assert seed.text == vocabulary.decode(seed.ids)
    if seed.notice is not None:
        assert len(seed.notice.splitlines()) == 1
    if seed.folded or seed.dropped or (text and not seed.ids):
        assert seed.notice is not None


def model_that_tells(**info):
    vocabulary = chars("ab\n\t")
    config = ModelConfig(vocab_size=len(vocabulary), embedding_size=3, hidden_size=4)
    shapes = config.tensor_shapes().items()
    return SavedModel(
        config=config,
        vocabulary=vocabulary,
        normalization=PLAIN,
        weights={name: np.zeros(shape, np.float32) for name, shape in shapes},
        info=info,
    )


def documents_of(way, count=9):
    """A model of texts that were cut into documents."""
    corpus = {"files": [], "sha256": "", "tokens": 9, "documents": count}
    return model_that_tells(corpus={**corpus, "options": {"documents": way}})


def test_what_is_not_asked_for_is_as_in_training():
    plain = options_of(model_that_tells(), {})
    assert (plain.history, plain.until_end, plain.separator) == (0, False, "\n\n")
    assert options_of(model_that_tells(history=5), {}).history == 5
    assert options_of(model_that_tells(history=5), {"history": 0}).history == 0
    assert options_of(model_that_tells(history=5), {"history": None}).history == 5
    lines = documents_of("line")
    assert (options_of(lines, {}).until_end, options_of(lines, {}).separator) == (True, "\n")
    assert not options_of(lines, {"keep_going": True}).until_end
    assert options_of(lines, {"stop": ("a\r\n",)}).stop == ("a\n",)


def test_a_form_says_how_long_a_text_is_where_nobody_else_does():
    model = model_that_tells()
    usual = options_of(model, {}).length
    assert options_of(model, {"chars": "..900"}).length == 900 > usual
    assert options_of(model, {"chars": "..9"}).length == usual
    assert options_of(model, {"chars": "..900", "length": 950}).length == 950
    assert options_of(model, {"chars": "..900", "length": 300}).length == 300


def test_a_seed_of_pairs_is_a_source_that_a_separator_ends():
    pairs = model_that_tells(pairs=True)
    source = seed_of(pairs, "abz")
    assert source.ids == tuple(chars("ab\n\t").encode("ab\t").tolist())
    assert (source.text, source.dropped) == ("ab", ("z",))
    assert seed_of(pairs, source) is source
    with pytest.raises(SamplingError, match=r"the source 'a\\tb' has a TAB, which ends a source"):
        seed_of(pairs, "a\tb")
    # A space becomes the nearest white space, but not what ends the source.
    assert (
        seed_of(pairs, "a b").text == "a\nb" and seed_of(model_that_tells(), "a b").text == "a\tb"
    )
    with pytest.raises(SamplingError, match="a source, and there is none; give one: seed=SOURCE"):
        seed_of(pairs, None)
    with pytest.raises(SamplingError, match=r"there is none: seed: 'z' dropped \(.*\); give one"):
        seed_of(pairs, "z")


def test_of_several_documents_the_last_one_is_the_seed():
    lines = documents_of("line")
    one, two = seed_of(lines, "ab"), seed_of(lines, "ab\nb")
    assert (one.text, one.notice) == ("ab", None)
    notice = "seed: it holds 2 documents; the text continues the last one"
    assert (two.text, two.notice) == ("b", notice)
    more = seed_of(lines, "ab\n\u0000a\nbz")
    notice = "seed: it holds 3 documents; the text continues the last one; "
    assert (more.text, more.dropped) == ("b", ("z",))
    assert more.notice.startswith(f"{notice}'z' dropped (not in")
    # Where a blank line ends a document, line ends at the two ends may be of use.
    blank = documents_of("blank")
    whole = seed_of(blank, "\nab\n")
    assert (whole.text, whole.notice) == ("\nab\n", None)
    assert seed_of(blank, "ab\n\nb").text == "b"
    # A model of one document knows no end, and files are not cut.
    assert seed_of(documents_of("line", count=1), "ab\nb").text == "ab\nb"
    assert seed_of(documents_of(None), "ab\nb").text == "ab\nb"


def test_what_separates_documents_ends_a_text_that_keeps_going():
    lines = documents_of(None)  # Between two of these stands an empty line.
    config = replace(lines.config, vocab_size=len(chars("ab")))
    shapes = config.tensor_shapes().items()
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes}
    lines = replace(lines, config=config, vocabulary=chars("ab"), weights=weights)
    assert stop_of(lines, "b\na", keep_going=True).notice is None
    assert "the model's vocabulary has no" in stop_of(lines, "b\na").notice


@pytest.mark.parametrize(
    ("seed", "instead"),
    [
        (b"ab", r"b'ab'; it must be a str: seed\.decode\(\)"),
        (7, "7; it must be a str: '7'; to write another text, give rng=7"),
        (["a"], r"\['a'\]; it must be a str: generate_many\(seeds\) writes"),
    ],
)
def test_a_seed_that_is_no_text_is_refused_with_what_may_be_meant(seed, instead):
    with pytest.raises(SamplingError, match=f"the seed is {instead}"):
        seed_of(model_that_tells(), seed)


def test_what_has_no_state_to_steer_is_refused():
    refuse_steering(model_that_tells(), SampleOptions())
    with pytest.raises(SamplingError, match="with a history of 2 tokens"):
        refuse_steering(model_that_tells(), SampleOptions(history=2))
    with pytest.raises(SamplingError, match="targets of pairs; only a model of text can be"):
        refuse_steering(model_that_tells(pairs=True), SampleOptions())


def test_a_model_of_pairs_ends_its_targets_and_forgets_no_source():
    pairs = model_that_tells(pairs=True)
    assert options_of(pairs, {}).until_end
    with pytest.raises(SamplingError, match="make it forget the source"):
        options_of(pairs, {"history": 3})
    with pytest.raises(SamplingError, match="writes the target of each source"):
        options_of(pairs, {"keep_going": True})


@pytest.mark.parametrize(
    ("word", "known", "form"),
    [
        (" Ёж", {" Ёж", "Ёж", " ёж"}, " Ёж"),
        (" Ёж", {"Ёж", " ёж"}, "Ёж"),
        ("Ёж", {" Ёж", "ёж"}, " Ёж"),
        (" Ёж", {" ёж", " еж"}, " ёж"),
        (" Ёж", {" ЁЖ", " еж"}, " еж"),
        (" Ёж", {" еж", "Еж"}, "Еж"),
        ("ёж", {"ЁЖ", "Ёж"}, "Ёж"),
        ("ёж", {"уж"}, None),
        (" ", {" "}, " "),
    ],
)
def test_a_word_takes_the_nearest_form_that_is_known(word, known, form):
    """First as it is, then in other cases; of each, its own space first, and ё before е."""
    assert _word_form(word, known) == form
