"""Stop texts and sentence ends, whole and in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.sampling import SampleOptions, SymbolGenerator
from textgen.sampling.seed import fit_stop
from textgen.sampling.stream import StopMatcher, Stream


def run(text, stop=(), until_sentence=False, cuts=None):
    """What is printed piece by piece, and why it ended."""
    matcher = StopMatcher(stop, until_sentence)
    pieces = list(text) if cuts is None else cuts
    printed = []
    for piece in pieces:
        released, reason = matcher.feed(piece)
        printed.append(released)
        if reason is not None:
            assert matcher.flush() == ""
            return "".join(printed), reason
    return "".join(printed) + matcher.flush(), None


@pytest.mark.parametrize(
    ("text", "stop", "printed"),
    [
        ("one END two", ("END",), "one "),
        ("one EN two", ("END",), None),
        ("aab", ("ab",), "a"),
        ("abcabd", ("abd",), "abc"),
        ("aaab", ("aab",), "a"),
        ("xbcd", ("abcd", "bc"), "x"),
        ("abcd", ("abcd", "bc"), "a"),  # the one complete first
        ("abc", ("c", "bc"), "a"),  # both at once: the longest
        ("\n\nA", ("\n\n",), ""),
        ("no", ("o",), "n"),
        ("", ("o",), None),
    ],
)
def test_stop_texts(text, stop, printed):
    expected = (text, None) if printed is None else (printed, "stop")
    assert run(text, stop) == expected
    assert run(text, stop, cuts=[text]) == expected


@given(
    text=st.text("ab", max_size=30),
    stop=st.lists(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=3),
    data=st.data(),
)
def test_stop_texts_are_those_of_a_plain_search(text, stop, data):
    ends = [(text.find(s) + len(s), -len(s), s) for s in stop if s in text]
    expected = (text, None)
    if ends:
        end, _, first = min(ends)
        expected = (text[: end - len(first)], "stop")
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    cuts = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    assert run(text, stop) == expected
    assert run(text, stop, cuts=cuts) == expected


def test_text_is_held_back_only_while_it_may_be_a_stop_text():
    matcher = StopMatcher(("END.",))
    assert [matcher.feed(char)[0] for char in "aENxEENDy"] == [
        "a", "", "", "ENx", "", "E", "", "", "ENDy",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("Да. Нет.", "Да."),
        ("Да! Нет.", "Да!"),
        ("Да?\nНет.", "Да?"),
        ("Да… Нет.", "Да…"),
        ("7! Нет.", "7!"),
        ("Да... Нет.", "Да..."),
        ("«Да?!» — нет", "«Да?!»"),
        ("(Yes.”) No", "(Yes.”)"),
        ('"Yes." No', '"Yes."'),
        ("3.5 and v.2 ok. No", "3.5 and v.2 ok."),
        (". . Да. Нет", ". . Да."),  # the end of the seed's sentence is none: no word yet
        (" — ! Да. Нет", " — ! Да."),
        ("Да.Нет", None),
        ("Да.", None),  # what follows is not known yet
        ("Да", None),
        ("Да) нет", None),
    ],
)
def test_sentence_ends(text, printed):
    expected = (text, None) if printed is None else (printed, "sentence")
    assert run(text, until_sentence=True) == expected
    assert run(text, until_sentence=True, cuts=[text]) == expected


def test_without_a_stop_everything_is_printed_at_once():
    matcher = StopMatcher()
    assert matcher.feed("Да. Нет. END") == ("Да. Нет. END", None)
    assert StopMatcher(("END",)).feed("Да. Нет. ") == ("Да. Нет. ", None)


def test_sentence_end_releases_what_was_held():
    assert run("Да. Нет", stop=(". X",), until_sentence=True) == ("Да.", "sentence")


PLAIN = Normalization()
FOLD = Normalization(fold=True)
LETTERS = Vocabulary.from_characters("abй \n")


@pytest.mark.parametrize(
    ("text", "normalization", "fitted"),
    [
        ("a\r\nb", PLAIN, "a\nb"),
        ("\r", PLAIN, "\n"),
        ("\u0438\u0306", PLAIN, "\u0439"),
        ("\u0438\u0306", Normalization(nfc=False), "\u0438\u0306"),
        ("A, B!", FOLD, "a b"),
        (" Ab ", FOLD, " ab "),
        ("\nAb", FOLD, " ab"),
        ("a\r\n", Normalization(newlines=False), "a\r\n"),
    ],
)
def test_a_stop_text_is_normalised_as_the_models_texts_were(text, normalization, fitted):
    vocabulary = Vocabulary.utf8()
    found = fit_stop(text, vocabulary, normalization)
    assert (found.text, found.notice) == (fitted, None)
    # What is normalised already stays so.
    assert fit_stop(found.text, vocabulary, normalization).text == fitted


def test_a_stop_text_that_can_never_occur_is_told():
    def notice(text, vocabulary=LETTERS, normalization=PLAIN, end=""):
        return fit_stop(text, vocabulary, normalization, end).notice

    assert notice("ab \n") is None and notice("b\u0438\u0306") is None
    assert notice("ax") == "stop 'ax' can never occur: the model's vocabulary has no 'x'"
    assert notice("y\tx") == (
        r"stop 'y\tx' can never occur: the model's vocabulary has no 'y' or '\t' or 'x'"
    )
    assert notice("\n\x07").startswith("stop U+000A U+0007 can never occur")
    assert fit_stop("x", LETTERS, PLAIN).notice == notice("x") is not None
    assert "has no 'A'" in notice("A")
    assert notice("A", normalization=FOLD) is None
    assert "were folded to words" in notice("...", normalization=FOLD)
    assert fit_stop("...", LETTERS, FOLD).text == "..."
    # A byte model writes every character; a half of one is none.
    assert notice("漢", Vocabulary.utf8()) is None
    assert notice("\udcff", Vocabulary.utf8()) is not None
    # A word model writes what stands in its words.
    words = Vocabulary.from_words(" ab", {" house": 3})
    assert notice("hou", words) is None and "has no 'z'" in notice("zoo", words)
    # What stands between documents can occur without a symbol for it.
    only = Vocabulary.from_characters("ab")
    assert notice("a\nb", only) is not None and notice("a\nb", only, end="\n") is None


def test_a_text_that_ends_elsewhere_has_a_rest():
    """What is held back for a stop text; where nothing is, there is none."""
    stream = Stream(LETTERS, SampleOptions(stop=("ab",)), SymbolGenerator(0, 0))
    a, b, _ = LETTERS.encode("abй").tolist()
    told = [(stream.accept(token, 1.0, 0.0, 0.0).text, stream.fork().rest()) for token in (b, a, a)]
    assert told == [("b", ""), ("", "a"), ("a", "a")]


def test_a_fork_counts_its_own_sentences():
    matcher = StopMatcher(until_sentence=True)
    matcher.feed("a")
    other = matcher.fork()
    other.feed(".")
    assert matcher.feed(" ") == (" ", None) and other.feed(" ") == ("", "sentence")


def test_a_word_counts_whole_where_the_text_ends_within_it():
    words = Vocabulary.from_words(" ab", {" house": 3})
    stream = Stream(words, SampleOptions(length=3), SymbolGenerator(0, 0))
    symbol = stream.accept(words.symbol_index()[" house"], 1.0, 0.0, 0.0)
    assert (symbol.text, symbol.chars, symbol.finish_reason) == (" house", 6, "length")
