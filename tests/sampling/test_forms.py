"""Each form, on texts of a network that knows nothing: the worst case for what leads nowhere."""

from __future__ import annotations

import random
import re
import sys

import pytest
from support.fake_networks import HashNetwork
from support.form_checks import english_syllables, keeps
from support.pairwise import each_two

from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import SamplingError
from textgen.model.config import ModelConfig
from textgen.model.initialise import initial_weights
from textgen.model.native_network import NativeStep
from textgen.model.numpy_network import NumpyNetwork
from textgen.native.library import supported_isas
from textgen.options import SampleOptions
from textgen.sampling import SamplingNetworks, generate, writing
from textgen.sampling.forms import form_of, regex_index
from textgen.sampling.forms.alphabet import Alphabet
from textgen.sampling.forms.pattern import pattern_rule
from textgen.sampling.forms.rhymes import read_stress, tail
from textgen.sampling.forms.syllables import is_english, syllables_rule

LETTERS = "abcdefghijklmnopqrstuvwxyz"
CHARS = Vocabulary.from_characters(LETTERS + LETTERS.upper() + " .,'\n")
CYRILLIC = Vocabulary.from_characters("абвгдеёжзийклмнопрстуфхцчшщъыьэюяАВЛС \n.")
BYTES = Vocabulary.utf8()
WORDS = Vocabulary.from_words(
    LETTERS + " .,'\n", {" the": 9, " love": 8, "love": 7, " death": 6, " of": 5, "the": 4}
)
POEM = (
    "the light of day has gone away and so the night is bright with sight my play may say what "
    "fell to tell a bell in hell of stone alone a throne of bone and love above the dove of fear "
)
KINGS = "the king of love has a ring and the love of a king"
ALL = {"char": CHARS, "byte": BYTES, "word": WORDS}


def texts_of(vocabulary, count=24, words=POEM, **settings):
    form = {name: value for name, value in settings.items() if name not in ("length", "until_end")}
    options = SampleOptions(temperature=2.0, **{"length": 400, **settings})
    network = HashNetwork(len(vocabulary), 1.0)
    texts = generate(
        network,
        vocabulary,
        [()] * count,
        options,
        form=form_of(options, vocabulary, lambda: words.split()),
    )
    for text in texts:
        assert keeps(text.text, english=words is POEM, **form), repr(text.text)
        assert text.form_bits >= -1e-6
    assert len({text.text for text in texts}) > count // 2
    return texts


FORMS = [
    {"match": r"[A-Z]?[a-z]{2,10}( [a-z]{1,12}){3,8}[.,]"},
    {"match": r"(?i)(.*\n){2}[^aeiou]*x.*", "length": 40},
    {"match": r"(\w+[ .])*\w*q", "length": 9},
    {"match_line": r"[a-z ]{3,9},|\w+\.", "lines": 4},
    {"chars": "3..7"},
    {"chars": "17"},
    {"chars": "30..", "length": 33},
    {"lines": 5},
    {"lines": 5, "length": 10},
    {"lines": 3, "line_chars": "10..12"},
    {"line_chars": "4..6", "length": 23},
    {"acrostic": "Love"},
    {"without": "eT", "length": 50},
    {"include": ("love",), "length": 30},
    {"include": ("of death", "love"), "length": 20},
    {"syllables": "5,7,5"},
    {"rhyme": "ABAB", "line_chars": "10..25"},
    {"rhyme": "AAA.", "line_chars": "6..20", "without": "g", "acrostic": "lost"},
    {"rhyme": "AABB", "syllables": "4,4,3,3", "line_chars": "..40"},
    {"rhyme": "ABAB", "match": r"([A-Za-z][a-z ]+\n?)+", "line_chars": "8..25"},
    {"rhyme": "AABB", "chars": "60..64", "line_chars": "8..20", "include": ("dove",)},
    {"acrostic": "love", "line_chars": "9..14", "match_line": r"[a-z]+( [a-z]+)*", "without": "k"},
    {"lines": 2, "include": ("love",), "chars": "30..40", "without": "s"},
]


@pytest.mark.parametrize(
    "level",
    ["char", *(pytest.param(name, marks=pytest.mark.slow) for name in ALL if name != "char")],
)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_text_keeps_to_its_form(form, level):
    if level == "byte" and {"syllables", "rhyme"} & set(form):
        form = {**form, "match_line": "[A-Za-z ]+"}  # The checker knows no other vowels.
    texts_of(ALL[level], **form)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_documents_end_where_the_form_lets_them(form):
    texts_of(CHARS, until_end=True, **form)


@pytest.mark.parametrize(
    "form",
    [
        {"acrostic": "слава", "line_chars": "8..15"},
        {"syllables": "5,7,5"},
        {"match": r"[А-ЯЁ][а-яё]+( \w+){2}\.", "without": "о"},
        {"rhyme": "ABBA", "line_chars": "8..20"},
    ],
    ids=str,
)
@pytest.mark.parametrize("vocabulary", [CYRILLIC, BYTES], ids=["char", "byte"])
def test_cyrillic(form, vocabulary):
    words = "слава держава вода погода свет ответ привет гора пора нора мол пол стол"
    if vocabulary is BYTES and {"syllables", "rhyme"} & set(form):
        form = {**form, "match_line": "[а-яё ]+"}  # The checker knows no other vowels.
    texts_of(vocabulary, words=words, **form)


@pytest.mark.parametrize("level", ALL)
def test_only_words_of_a_file(level, tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("The love of death, and the day.\nLovely!")
    texts_of(ALL[level], only_words=str(path), length=40)
    texts_of(ALL[level], only_words=str(path), lines=3, line_chars="5..9")
    texts_of(ALL[level], only_words=str(path), match=r"[a-z ]+\.", length=30)


def test_rhymes_know_where_an_expression_leads_to():
    """What a line may end with depends on the lines below, and on where the line begins."""
    # Only one word is left for the last line: the line above it takes another one.
    for text in texts_of(
        CHARS, rhyme="AA", match=r"(.*\n)*.* king", line_chars="8..14", words=KINGS
    ):
        first, second = text.text.split("\n")
        assert (first.split()[-1].lower(), second.split()[-1]) == ("ring", "king")
    # The first line decides by its mark with what the last one begins, and by that how it ends.
    crossed = r"(.*\.\n.*\n.*\n.* hell|.*,\n.*\n.*\nthe .* throne,?)"
    texts = texts_of(CHARS, rhyme="ABAB", match=crossed, line_chars="8..20")
    assert {text.text.split("\n")[0][-1] for text in texts} == {".", ","}


def test_no_text_at_all_is_said_with_the_reason(tmp_path):
    def refusal(vocabulary=CHARS, words=POEM, **settings):
        options = SampleOptions(**settings)
        with pytest.raises(SamplingError) as caught:
            form_of(options, vocabulary, lambda: words.split())
        return str(caught.value)

    assert "no text of the model's characters keeps to match='[0-9]+'" in refusal(match="[0-9]+")
    # A line has no line end.
    assert "keeps to match_line='(a" in refusal(match_line="(a\n){2}a")
    assert "chars='3' and include='mercy' at once" in refusal(chars="3", include=("mercy",))
    assert "has 'ж', and the model cannot write that" in refusal(acrostic="ж")
    assert "has 'я', and the model" in refusal(include=("я",))
    assert "rhyme=AAAA cannot be written" in refusal(rhyme="AAAA", words="day say")
    assert "asks for 3 lines, and lines=2" in refusal(acrostic="abc", lines=2)
    assert "line 2: no text keeps to" in refusal(acrostic="ab", without="b")
    assert "match='a' and rhyme=AA at once" in refusal(rhyme="AA", match="a")
    ends_twice = refusal(rhyme="AA", match=r"(.* day\n?){2}")
    assert "for the lines A 2 words must rhyme, and of 33 words 0 rhymes" in ends_twice
    # Both letters would have to take the same rhyme.
    both = refusal(rhyme="AABB", match=r"(.* (day|say|may)\n?){4}", line_chars="5..9")
    assert "rhyme=AABB cannot be written" in both
    assert "needs room for its longest lines: 4 of them have up to 244" in refusal(
        rhyme="ABAB", length=200
    )
    assert "writes one line only" in refusal(Vocabulary.from_characters("ab"), lines=2)
    assert "match='(a' cannot be followed" in refusal(match="(a")
    assert "make an automaton of" in refusal(
        chars="9000", match="([a-z]{1,90} ){1,90}", include=("love",)
    )
    unspelled = Vocabulary.from_words(" .", {" love": 1}, spelled=False)
    assert "spells no words" in refusal(unspelled, chars="3")
    empty = tmp_path / "empty.txt"
    empty.write_text("- -\n")
    assert "has no word" in refusal(only_words=str(empty))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chars": "x"}, "chars is 'x'; it must be like chars='3..12'"),
        ({"chars": "3 12"}, "chars is '3 12'; it must be like chars='3..12'"),
        ({"chars": f"3{' ' * 30}..12"}, "must be like chars='3..12'"),
        ({"chars": "9..3"}, "9 is more than 3"),
        ({"line_chars": "1..99999"}, "10,000 characters are the most"),
        ({"rhyme": "A-B"}, "rhyme is 'A-B'; it must be like rhyme=ABAB"),
        ({"syllables": "5,x"}, "must be like syllables='5,7,5'"),
        ({"stress": "f.txt"}, "stress goes with rhyme"),
        ({"acrostic": ""}, "acrostic is empty"),
        ({"include": "love"}, "must be a tuple"),
        ({"lines": 2, "stop": ("x",)}, "lines does not go with stop: a form says where"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(SamplingError, match=message):
        SampleOptions(**settings)


PATTERNS = [
    *(r"\w+ \d", "a*", "", "x|", "[^a]+", "(?i)ж*", r"[\w.]+", r"[^\W\d]+", r"^a.b$", r"a\."),
    *(r"(?P<n>a|b)+", "(a|b){2,3}", r"\s*", "[]a]+", "q", r"[\]\-x]*", r"(?s:.)+", r"\S\D\W"),
    *("([ab]c){1,3}", "(a+b?){1,3}", "((a|b){1,2}c){1,2}", "(a|ab)(c|bcb)?", "(ab|a)*?c?"),
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_what_it_matches_in_python(pattern):
    alphabet = Alphabet.of(Vocabulary.from_characters("abcdABC 12\n.-жЖё]"))
    rule, draw = pattern_rule("match", pattern, alphabet, is_known=False), random.Random(0)
    for turn in range(1000):
        # Half of them of few letters, so that many match.
        letters = "abc" if turn % 2 else alphabet.chars
        text = "".join(draw.choice(letters) for _ in range(draw.randint(0, 6)))
        state = 0
        for char in text:
            state = rule.table_SK[state, rule.kinds_N[alphabet.numbers[char]]] if state >= 0 else -1
        is_matched = state >= 0 and bool(rule.ends_S[state])
        assert is_matched == bool(re.fullmatch(pattern, text)), text


#: Common words with their syllables as they are spoken, and some with endings.
SPOKEN = {
    1: "the and you that was for are with his they this have from one had but not what all were "
    "when your can said there use each which she how their will time like make him has look more "
    "write see way could come did most know than call first who may down side been now find love "
    "night here give life name home line place house looked asked called turned makes times comes",
    2: "other into people over water about many number after little before under never every "
    "always because table open even only very river seven body music color again woman happy "
    "being wanted houses something sometimes lovely needed ended places",
    3: "another together important family remember beautiful animal",
}


def test_syllables_of_english():
    """Nine of ten common words are right; without the silent e it was three of four."""
    letters = Alphabet.of(Vocabulary.from_characters(LETTERS + "é"))

    def count(word, *, is_english):
        for number in range(1, 5):
            rule, state = syllables_rule("", number, letters, is_english=is_english), 0
            for char in word:
                kind = rule.kinds_N[letters.numbers[char]]
                state = rule.table_SK[state, kind] if state >= 0 else -1
            if state >= 0 and rule.ends_S[state]:
                return number
        return 0

    spoken = [(word, number) for number, row in SPOKEN.items() for word in row.split()]
    wrong = [word for word, number in spoken if count(word, is_english=True) != number]
    assert wrong == ["every", "being", "something", "sometimes", "lovely"]
    assert len(wrong) < len(spoken) / 20
    assert sum(count(word, is_english=False) != number for word, number in spoken) > 30
    assert all(count(word, is_english=True) == english_syllables(word) for word, _ in spoken)
    assert [count(word, is_english=True) for word in ("née", "blasé", "needed", "tabled")] == [
        *(1, 2, 2, 2)
    ]


def test_the_language_is_known_by_its_commonest_words():
    assert is_english(POEM.split(), are_ranked=True)
    # A text with an English song in it.
    assert not is_english(["la"] * 30 + POEM.split(), are_ranked=True)
    assert is_english(["la"] * 30 + POEM.split(), are_ranked=False)
    assert not is_english(["the", "la", "of"], are_ranked=False)


def test_what_rhymes():
    assert tail("свет", {}) == tail("ответ", {}) == "ет"
    assert tail("вода", {}) == "да"
    assert tail("вода", {"вода": 3}) == "а"
    assert tail("погода", {"погода": 3}) == "ода"
    assert tail("полёты", {}) == "ёты"
    assert tail("time", {}) == tail("crime", {}) == "ime"
    assert tail("day", {}) == "ay"
    assert tail("me", {}) == "e"
    assert tail("брр", {}) == ""


def test_a_file_of_stresses(tmp_path):
    path = tmp_path / "stress.txt"
    path.write_text("во\u0301ды вод+а, сло'во  нет\n\u0301й", encoding="utf-8")
    found = read_stress(path)
    assert found == {"воды": 1, "слово": 2}
    path.write_text("нет", encoding="utf-8")
    with pytest.raises(SamplingError, match="has no word with a stress"):
        read_stress(path)


@pytest.mark.skipif(not supported_isas(), reason="the native library is not built")
@each_two(
    *("settings", "level", "filters"),
    of=(
        [
            {"lines": 4, "line_chars": "9..20"},
            {"match": r"([a-z]{2,9}[ ,])*\w+\.", "length": 31},
            {"rhyme": "ABAB", "line_chars": "8..20"},
        ],
        ALL,
        [{}, {"top_p": 0.8}, {"temperature": 0.0}],
    ),
)
def test_the_engine_writes_what_numpy_writes(settings, level, filters):
    vocabulary = ALL[level]
    config = ModelConfig(vocab_size=len(vocabulary), embedding_size=8, hidden_size=16)
    weights = initial_weights(config, 3)
    options = SampleOptions(**{"length": 90, "until_end": True, **settings, **filters})
    form = form_of(options, vocabulary, POEM.split)
    networks = SamplingNetworks(config, weights, 1)
    texts = [
        generate(network, vocabulary, [()] * 3, options, form=form, together=together)
        for network, together in (
            (NumpyNetwork(config, weights), False),
            (NumpyNetwork(config, weights), True),
            (networks.one, False),
            (networks.many, True),
        )
    ]
    for one, *others in zip(*texts, strict=True):
        for other in others:
            assert other.ids == one.ids
            assert other.finish_reason == one.finish_reason
            assert other.form_bits == pytest.approx(one.form_bits, rel=1e-4)
            assert other.bits_per_char == pytest.approx(one.bits_per_char, rel=1e-4)


@pytest.mark.skipif(not supported_isas(), reason="the native library is not built")
@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({"match": "[a-z ]+"}, 12),
        ({"lines": 9, "line_chars": "20..40"}, 12),
        ({"rhyme": "AABB"}, 16),
    ],
    ids=str,
)
def test_the_engine_goes_on_by_itself(settings, most, monkeypatch):
    """Free texts of 300 characters take 10 calls; where lines rhyme, each has one more."""
    config = ModelConfig(vocab_size=len(CHARS), embedding_size=8, hidden_size=16)
    networks = SamplingNetworks(config, initial_weights(config, 3), 1)
    calls = []
    write = NativeStep.write
    monkeypatch.setattr(writing, "BLOCK_SECONDS", 60.0)  # A busy machine makes no shorter blocks.
    monkeypatch.setattr(
        NativeStep, "write", lambda *all, **named: calls.append(1) or write(*all, **named)
    )
    options = SampleOptions(length=300, **settings)
    form = form_of(options, CHARS, POEM.split)
    (text,) = generate(networks.one, CHARS, [()], options, form=form, together=False)
    assert len(text.text) > 150
    assert len(calls) <= most


def test_an_expression_without_a_bound_is_given_up(monkeypatch):
    monkeypatch.setattr(regex_index, "SECONDS", 0.5)
    options = SampleOptions(match="(a|b)*a(a|b){40}")
    with pytest.raises(SamplingError, match=r"has too large an automaton.*repeat less"):
        form_of(options, CHARS)


def test_without_the_library_it_is_said_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "outlines_core", None)
    with pytest.raises(SamplingError, match=r"needs outlines-core; .*pip install"):
        form_of(SampleOptions(include=("love",)), CHARS)
    assert form_of(SampleOptions(lines=2, line_chars="3..5"), CHARS) is not None
