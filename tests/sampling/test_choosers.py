"""What changes on the way of a text: temperatures, word starts, mirostat, biases, no repetition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.fake_networks import HashNetwork, ScriptNetwork

from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import ConfigError, SamplingError
from textgen.model.network import Engine, StepNetwork
from textgen.options import command_text
from textgen.sampling import SampleOptions, generate, stream_text
from textgen.sampling.choice import Chooser, SymbolGenerator, choice_settings, symbol_rules
from textgen.sampling.filters import apply_no_repeat
from textgen.sampling.stream import Stream
from textgen.temperatures import Temperatures, parse_temperature, temperatures_of

CHARS = Vocabulary.from_characters("абвгд .!\n")


class Flat(StepNetwork):
    """Likes the first letter most, at temperature 1 by so much; whatever it reads."""

    def __init__(self, lead: float) -> None:
        self.lead = lead

    def zero_state(self, batch_size=1):
        return [{"h": np.zeros((batch_size, 1))}]

    def step(self, ids_B, state, edits_B=None):
        logits = np.zeros((len(ids_B), len(CHARS)), np.float32)
        logits[:, CHARS.encode("а")[0]] = self.lead
        return logits, state


def written(network, options, seed="", index=0):
    ids = CHARS.encode(seed).tolist()
    return list(stream_text(network, CHARS, options, seed_ids=ids, index=index))


def text_of(symbols):
    return "".join(symbol.text for symbol in symbols)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("0.5", 0.5),
        ("0", 0.0),
        ("0,5", 0.5),
        (1, 1),
        ([0.7], 0.7),
        ("1.0, 0.2,0.5", "1.0,0.2,0.5"),
        ([1, 0.2], "1.0,0.2"),
        ("0.4@0..100,1@100..", "0.4@0..100,1.0@100.."),
        (" 0.4@s1 , 1.0@s2..s4 ", "0.4@s1,1.0@s2..s4"),
        (".5@7", "0.5@7"),
    ],
)
def test_temperatures_are_read_as_they_are_typed(typed, read):
    assert parse_temperature(typed) == read
    options = SampleOptions(temperature=typed)
    assert options.temperature == read
    if isinstance(read, str):
        assert str(temperatures_of(read)) == read == parse_temperature(read)
    command = command_text("sample", [], options)
    assert typed == 0.8 or f"--temperature {read}" in command.replace("'", "")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("hot", "must be a number, like temperature=0.8, and at least 0"),
        ("-1", "must be a number, like temperature=0.8, and at least 0"),
        ("", "must be a number, like temperature=0.8, and at least 0"),
        ("0.5,", "must be a number, like temperature=0.8, and at least 0"),
        ([], "must be a number, like temperature=0.8, and at least 0"),
        ([0.5, -1], "must be a number, like temperature=0.8, and at least 0"),
        ([0.5, True], "must be a number, like temperature=0.8, and at least 0"),
        ("1e999,0.1", "must be a number, like temperature=0.8, and at least 0"),
        ("0,8,1", "a fraction is written with a point"),
        ("0.4@0..100,1.0", "give a part of the text to each"),
        ("0.4@0..100,1.0@50..", "may hold the same character"),
        ("0.4@5..5", "is empty"),
        ("0.4@x", "is not a part of a text"),
    ],
)
def test_temperatures_that_say_nothing_clear_are_refused(typed, told):
    with pytest.raises(ConfigError, match=told):
        SampleOptions(temperature=typed)


def test_a_part_without_a_temperature_has_the_usual_one():
    temperatures = temperatures_of("0.4@2..4,1.5@9..")
    assert isinstance(temperatures, Temperatures)
    expected = [0.8, 0.8, 0.4, 0.4, 0.8, 0.8, 0.8, 0.8, 0.8, 1.5, 1.5]
    assert [temperatures.at(char, 1) for char in range(11)] == expected


@pytest.mark.parametrize("together", [False, True])
def test_temperatures_in_turns_and_by_parts(together):
    """Where it is 0 the likeliest is taken; where it is high, all alike."""
    expected = {"0.0,9.0,9.0": [n % 3 == 0 for n in range(60)]}
    expected["0.0,9.0"] = [n % 2 == 0 for n in range(60)]
    expected["9.0@0..20,0.0@20..40,9.0@40.."] = [20 <= n < 40 for n in range(60)]
    for temperature, certain in expected.items():
        options = SampleOptions(temperature=temperature, length=60)
        texts = generate(Flat(0.1), CHARS, [[]] * 16, options, together=together)
        rows = np.array([[char == "а" for char in text.text] for text in texts])
        assert (rows.all(axis=0) == certain).all()


@pytest.mark.parametrize(
    ("temperature", "turns", "first"),
    [
        (0.5, (), 0.5),
        ("1.5,0.2", (1.5, 0.2), 1.5),
        ("1.5@0..20", (), 1.5),
        ("1.5@s2", (), 0.8),
    ],
)
def test_the_engine_is_told_numbers(temperature, turns, first):
    settings = choice_settings(SampleOptions(temperature=temperature))
    assert (settings.turns, settings.temperature) == (turns, first)


def test_temperatures_by_sentences():
    options = SampleOptions(temperature="0.0@s1,9.0@s2", length=300)
    ids = CHARS.encode("аб. вг. ").tolist()
    network = ScriptNetwork(len(CHARS), ids * 5)
    text = text_of(written(network, options))
    # The second sentence is written freely, whatever the network likes; the third likes it again.
    assert text.startswith("аб. ") and not text.startswith("аб. вг. ")


def test_within_words_the_likeliest_is_taken():
    network = HashNetwork(len(CHARS))
    options = SampleOptions(length=400, temperature=3.0, word_starts=True)
    greedy = free = 0
    for seed in ("а", "", " "):
        symbols = written(network, options, seed)
        before = (
            [*seed[-1:], *(symbol.text for symbol in symbols)]
            if seed
            else [" ", *(symbol.text for symbol in symbols)]
        )
        for char, symbol in zip(before, symbols, strict=False):
            if char.isalpha():
                assert symbol.probability == 1.0
                greedy += 1
            else:
                assert symbol.probability < 1.0
                free += 1
    assert greedy > 100 and free > 100


def test_where_a_word_may_begin_is_known_of_symbols():
    vocabulary = Vocabulary.from_characters("аz9_-' \n\u0301")
    starts = symbol_rules(vocabulary, SampleOptions(word_starts=True)).starts
    free = {vocabulary.symbols[token] for token in np.flatnonzero(np.frombuffer(starts, np.uint8))}
    assert free - {""} == set("_-' \n")
    of_bytes = symbol_rules(Vocabulary.utf8(), SampleOptions(word_starts=True)).starts
    inside = Vocabulary.utf8().encode("zар").tolist()  # The last byte is the least of its kind.
    assert not any(of_bytes[token] for token in inside)
    assert of_bytes[Vocabulary.utf8().encode(" ")[0]] and of_bytes[END_ID]
    words = Vocabulary.from_words("аб ", {" аб": 2})
    with pytest.raises(SamplingError, match="each token of this model begins a word"):
        symbol_rules(words, SampleOptions(word_starts=True))


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("together", [False, True])
def test_no_tokens_are_written_twice(size, together):
    network = HashNetwork(len(CHARS), spread=6.0)  # so that it would repeat itself
    options = SampleOptions(length=300, no_repeat=size)
    seed = CHARS.encode("аба").tolist() if size == 3 else CHARS.encode("аб").tolist()
    ended = set()
    for text in generate(network, CHARS, [seed] * 4, options, together=together):
        ids = [*seed, *text.ids]
        grams = [tuple(ids[k : k + size]) for k in range(len(ids) - size + 1)]
        assert len(grams) == len(set(grams))
        ended.add(text.finish_reason)
        if text.finish_reason == "repeat":
            tail = ids[len(ids) - size + 1 :]
            followers = {gram[-1] for gram in grams if list(gram[:-1]) == tail}
            assert len(followers) == len(CHARS) - 2  # everything has followed
    assert ended == ({"repeat"} if size < 3 else ended) and ended <= {"repeat", "length"}
    free = generate(network, CHARS, [seed], SampleOptions(length=300))[0].ids
    assert len(set(zip(free, free[1:], free[2:], strict=False))) < len(free) - 2


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("beam", [0, 2])
def test_a_text_ends_where_all_that_may_follow_would_repeat(together, beam):
    """Of words not every token may follow: what is left at the end could, but for the rule."""
    words = Vocabulary.from_words("аб ", {" аб": 2, " бо": 2, "во": 1})
    options = SampleOptions(length=300, no_repeat=1, beam=beam)
    seeds = [[]] if beam else [[]] * 8
    texts = generate(HashNetwork(len(words)), words, seeds, options, together=together)
    assert {text.finish_reason for text in texts} == {"repeat"}
    for text in texts:
        assert len(set(text.ids)) == len(text.ids)
        free_V = Chooser(options, rules=symbol_rules(words, options)).free(
            np.zeros((1, len(words)), np.float32), np.array(text.ids[-1:])
        )[0]
        assert set(np.flatnonzero(np.isfinite(free_V))) <= set(text.ids)
    assert beam or any(len(text.ids) < len(words) - 2 for text in texts)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("may_end", [False, True])
def test_what_would_be_repeated_is_what_a_look_at_the_whole_text_finds(size, may_end):
    """Of 40 texts of which each goes on from another one, after each of their tokens."""
    rng = np.random.default_rng(size)
    options = SampleOptions(no_repeat=size, length=10**6, keep_going=may_end)
    seed = CHARS.encode("аб").tolist()
    texts = [(Stream(CHARS, options, SymbolGenerator(0), seed), seed)]
    found = 0
    for _ in range(40):
        stream, ids = texts[rng.integers(len(texts))]
        stream = stream.fork()
        for token in rng.integers(2, 5, rng.integers(1, 60)).tolist():
            token = END_ID if may_end and rng.random() < 0.02 else token
            stream.accept(token, 1.0, 0.0, 0.0)
            ids = [] if token == END_ID else [*ids, token]
            free = apply_no_repeat(np.zeros(len(CHARS)), np.array(ids, np.intp), size)
            assert stream.repeated == set(np.flatnonzero(np.isneginf(free)))
            found += len(stream.repeated)
        texts.append((stream, ids))
    assert found > 100


def test_texts_share_what_they_have_in_common():
    """A fork copies nothing; of N tokens there are about log2(N) layers."""
    options = SampleOptions(no_repeat=9, length=10**6)
    stream = Stream(CHARS, options, SymbolGenerator(0))
    for token in np.random.default_rng(0).integers(2, 11, 1500).tolist():
        stream.accept(token, 1.0, 0.0, 0.0)
    before, after = stream._followers._layers, stream.fork()._followers._layers
    assert after is before and len(before) <= 11 and len(before[0]) >= 1000


def test_another_document_may_repeat_what_the_first_has():
    network = ScriptNetwork(len(CHARS), [*CHARS.encode("абв").tolist(), END_ID])
    options = SampleOptions(temperature=0.0, length=9, keep_going=True, no_repeat=1, separator="\n")
    # A document begins where its network does: it writes the same again.
    assert text_of(stream_text(network, CHARS, options)) == "абв\nабв\nа"


def test_a_bias_is_added_to_the_logit():
    """By hand: of nine equal ones one has e times the weight at temperature 1, e^2 at 0.5."""
    for temperature, power in ((1.0, 1.0), (0.5, 2.0)):
        options = SampleOptions(temperature=temperature, bias="в=+1,\n=-1", length=40)
        symbols = written(Flat(0.0), options)
        weights = {"в": math.exp(power), "\n": math.exp(-power)}
        total = 7 + sum(weights.values())
        for symbol in symbols:
            expected = weights.get(symbol.text, 1.0) / total
            assert symbol.probability == pytest.approx(expected, rel=1e-6)
            assert symbol.logprob == pytest.approx(-math.log(11), rel=1e-6)  # the model as it is


@pytest.mark.parametrize(
    ("bias", "told"),
    [
        ("", "must be like"),
        ("а", "must be like"),
        ("а=", "must be like"),
        ("а=x", "must be like"),
        ("а=1,", "must be like"),
        ("а=1,а=2", "each character once"),
        ("а=1\n", "must be like"),
        ("в=1,а=-10001", "adds -1e\\+04 to the logit of 'а'; it must be in -10,000..10,000"),
        (f"а={'9' * 400}", "adds inf"),
        ("ю=1", "does not write as one token"),
        ("аб=1", "does not write as one token"),
    ],
)
def test_a_bias_that_names_nothing_is_refused(bias, told):
    with pytest.raises(SamplingError, match=told):
        symbol_rules(CHARS, SampleOptions(bias=bias))


def test_a_bias_may_name_any_sign():
    vocabulary = Vocabulary.from_characters("=,-1")
    biases = symbol_rules(vocabulary, SampleOptions(bias="==-1,,=2,-=.5,1=−3")).biases
    named = {vocabulary.symbols[token]: value for token, value in biases}
    assert named == {"=": -1.0, ",": 2.0, "-": 0.5, "1": -3.0}
    assert symbol_rules(Vocabulary.utf8(), SampleOptions(bias="a=1")).biases
    with pytest.raises(SamplingError, match="ASCII characters"):
        symbol_rules(Vocabulary.utf8(), SampleOptions(bias="é=1"))


@pytest.mark.parametrize("target", [1.0, 2.0, 3.0])
def test_mirostat_keeps_the_surprise_at_its_target(target):
    """Freely the surprise is above 3 bits; by the bound it is what is asked for, to a twentieth."""
    network = HashNetwork(84, spread=2.5)
    vocabulary = Vocabulary.from_characters("".join(map(chr, range(0x430, 0x430 + 82))))
    free = list(stream_text(network, vocabulary, SampleOptions(length=1500, temperature=1.0)))
    own = -np.mean([math.log2(symbol.probability) for symbol in free])
    assert own > 3.0
    options = SampleOptions(length=1500, temperature=1.0, mirostat=target)
    symbols = list(stream_text(network, vocabulary, options))
    kept = -np.mean([math.log2(symbol.probability) for symbol in symbols])
    assert kept == pytest.approx(target, abs=0.05)


def test_what_says_nothing_is_refused():
    with pytest.raises(SamplingError, match="mirostat_rate goes with mirostat"):
        SampleOptions(mirostat_rate=0.3)
    with pytest.raises(
        SamplingError,
        match="lines does not go with no_repeat: it may leave no way",
    ):
        SampleOptions(no_repeat=3, lines=2)


@pytest.mark.parametrize(("name", "is_native"), [("native", True), ("numpy", False), (None, False)])
def test_what_computes_the_logits_natively_chooses_natively(name, is_native):
    engine = None if name is None else Engine(name, "fp32", "it is so")
    assert Chooser(SampleOptions(), engine).is_native is is_native
