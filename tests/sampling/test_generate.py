"""Generation: what is fed, what is chosen, where it ends, one text and many."""

from __future__ import annotations

import math
import pickle
import sys

import numpy as np
import pytest
from support.fake_networks import HashNetwork, ScriptNetwork, whole_text

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.errors import SamplingError
from textgen.model.config import ModelConfig
from textgen.model.network import StepNetwork
from textgen.model.numpy_network import NumpyNetwork
from textgen.sampling import (
    Generation,
    SampleOptions,
    SymbolGenerator,
    filter_logits,
    generate,
    stream_text,
)
from textgen.sampling.choice import INDEX_LIMIT
from textgen.sampling.generate import MOST_SHOWN, Generations, WrittenText
from textgen.steering import SteeringPlan

CHARS = Vocabulary.from_characters("абвгд .!\n")
GREEDY = SampleOptions(temperature=0.0)


def ids_of(text, vocabulary=CHARS):
    return vocabulary.encode(text).tolist()


def script(text, vocabulary=CHARS, **options):
    """The symbols of a network that writes `text` after its end mark."""
    network = ScriptNetwork(len(vocabulary), ids_of(text, vocabulary))
    return list(stream_text(network, vocabulary, SampleOptions(temperature=0.0, **options)))


def text_of(symbols):
    return "".join(symbol.text for symbol in symbols)


@pytest.mark.parametrize(
    ("seed", "primer", "fed"),
    [
        ([], [], [END_ID]),
        ([], [5, 6], [END_ID, 5, 6]),
        ([3, 4], [], [END_ID, 3, 4]),
        ([3, 4], [5, 6], [END_ID, 3, 4]),
    ],
)
def test_the_end_mark_then_seed_or_primer_are_fed(seed, primer, fed):
    network = ScriptNetwork(len(CHARS), [7, 8, 7], lead=len(fed))
    options = SampleOptions(temperature=0.0, length=3)
    symbols = list(stream_text(network, CHARS, options, seed_ids=seed, primer_ids=primer))
    assert [symbol.id for symbol in symbols] == [7, 8, 7]
    assert text_of(symbols) == CHARS.decode([7, 8, 7])  # neither seed nor primer is printed
    assert network.fed[: len(fed) + 2] == [[token] for token in [*fed, 7, 8]]


def test_length_counts_characters():
    symbols = script("абвгд", length=3)
    assert text_of(symbols) == "абв"
    assert [symbol.finish_reason for symbol in symbols] == [None, None, "length"]
    assert script("абв", length=0) == []


def test_length_counts_whole_characters_of_bytes():
    vocabulary = Vocabulary.utf8()
    symbols = script("аб€x🙂", vocabulary, length=5)
    assert text_of(symbols) == "аб€x🙂"
    assert [symbol.text for symbol in symbols] == [
        "", "а", "", "б", "", "", "€", "x", "", "", "", "🙂",
    ]  # fmt: skip


def test_broken_bytes_still_give_the_length():
    vocabulary = Vocabulary.utf8()
    for index in range(20):
        options = SampleOptions(length=37, temperature=3.0)
        text = whole_text(HashNetwork(len(vocabulary)), vocabulary, options, index=index)
        assert len(text) == 37


def test_a_word_model_ends_with_a_whole_word():
    vocabulary = Vocabulary.from_words(" абвгд", {" вгд": 9, "абв": 8})
    symbols = script("абв вгд", vocabulary, length=5)
    assert [symbol.text for symbol in symbols] == ["абв", " вгд"]
    assert symbols[-1].finish_reason == "length"


def test_folded_words_begin_with_a_space_only_after_a_seed():
    vocabulary = Vocabulary.from_words(" абвгд", {" вгд": 9, " абв": 8}, folded=True)
    words = ids_of("абв вгд", vocabulary)
    options = SampleOptions(temperature=0.0, length=7)
    network = ScriptNetwork(len(vocabulary), words)
    assert whole_text(network, vocabulary, options) == "абв вгд"
    network = ScriptNetwork(len(vocabulary), words, lead=2)
    assert whole_text(network, vocabulary, options, seed_ids=words[:1]) == " абв вгд"
    network = ScriptNetwork(len(vocabulary), words, lead=2)
    assert whole_text(network, vocabulary, options, primer_ids=words[:1]) == "абв вгд"


def test_marks_are_never_generated():
    for mark in (END_ID, UNKNOWN_ID):
        network = ScriptNetwork(len(CHARS), [mark] * 50)  # as likely as can be
        for temperature in (0.0, 0.5):
            options = SampleOptions(temperature=temperature, length=50)
            symbols = list(stream_text(network, CHARS, options))
            assert len(symbols) == 50
            assert not {symbol.id for symbol in symbols} & {END_ID, UNKNOWN_ID}


def test_until_end_ends_at_the_end_mark_and_bans_only_the_unknown():
    network = ScriptNetwork(len(CHARS), [3, 4, END_ID, 4])
    symbols = list(stream_text(network, CHARS, SampleOptions(temperature=0.0, until_end=True)))
    assert [symbol.id for symbol in symbols] == [3, 4, END_ID]
    assert symbols[-1].text == ""
    assert symbols[-1].finish_reason == "end"
    network = ScriptNetwork(len(CHARS), [UNKNOWN_ID] * 20)
    symbols = list(stream_text(network, CHARS, SampleOptions(until_end=True, length=20)))
    assert UNKNOWN_ID not in {symbol.id for symbol in symbols}


def test_until_end_prints_what_was_held_back():
    network = ScriptNetwork(len(CHARS), [*ids_of("аб"), END_ID])
    options = SampleOptions(temperature=0.0, until_end=True, stop=("бв",))
    assert whole_text(network, CHARS, options) == "аб"


@pytest.mark.parametrize(
    ("text", "stop", "printed", "reason"),
    [
        ("аб вгд", ("вг",), "аб ", "stop"),
        ("аб вгд", ("xyz", "бв"), "аб вгд", "length"),
        ("аб вгд", ("гда",), "аб вгд", "length"),  # held back to the last, then printed
        ("аб вгд", ("а",), "", "stop"),
    ],
)
def test_stop_texts_cross_tokens_and_are_not_printed(text, stop, printed, reason):
    for vocabulary in (CHARS, Vocabulary.utf8(), Vocabulary.from_words("абвгд ", {"аб": 2})):
        symbols = script(text, vocabulary, stop=stop, length=6)
        assert (text_of(symbols), symbols[-1].finish_reason) == (printed, reason)


def test_until_sentence():
    symbols = script(". аб! вг", until_sentence=True)
    assert (text_of(symbols), symbols[-1].finish_reason) == (". аб!", "sentence")
    symbols = script("абвгд", until_sentence=True, length=4)
    assert (text_of(symbols), symbols[-1].finish_reason) == ("абвг", "length")


def test_probabilities_are_those_of_the_choice_and_of_the_model():
    network = HashNetwork(len(CHARS))
    options = SampleOptions(length=60, temperature=0.6, top_k=4, rng=3, repetition_penalty=1.3)
    seed = ids_of("аб")
    symbols = list(stream_text(network, CHARS, options, seed_ids=seed))
    state = network.zero_state(1)
    draws = SymbolGenerator(3, 0)
    read = [END_ID, *seed]
    for token in read[:-1]:
        _, state = network.step(np.array([token]), state)
    for place, symbol in enumerate(symbols):
        logits, state = network.step(np.array([read[-1]]), state)
        wide = logits[0].astype(np.float64)
        model = np.exp(wide - wide.max())
        # float64 throughout; only the order of the operations differs.
        assert symbol.logprob == pytest.approx(math.log(model[symbol.id] / model.sum()), rel=1e-12)
        logits[0, [END_ID, UNKNOWN_ID]] = -np.inf
        recent = np.array([[*seed, *(s.id for s in symbols[:place])][-64:]])
        filtered = filter_logits(logits, options, recent)[0].astype(np.float64)
        weights = np.exp(filtered - filtered.max())
        assert symbol.probability == pytest.approx(weights[symbol.id] / weights.sum(), rel=1e-12)
        assert draws.choose(filtered) == symbol.id
        read.append(symbol.id)


def test_repetition_penalty_looks_at_a_window_of_seed_and_text():
    class Favourites(StepNetwork):
        """Likes 2, then 3, then 4, whatever it reads."""

        def zero_state(self, batch_size=1):
            return [{"h": np.zeros((batch_size, 1))}]

        def step(self, ids_B, state, edits_B=None):
            logits = np.full((len(ids_B), len(CHARS)), -50.0, np.float32)
            logits[:, 2:5] = [8.0, 7.0, 6.0]
            return logits, state

    options = SampleOptions(length=6, temperature=0.0, repetition_penalty=2.0, repetition_window=2)
    free = [s.id for s in stream_text(Favourites(), CHARS, options)]
    assert free == [2, 3, 4, 2, 3, 4]
    seeded = [s.id for s in stream_text(Favourites(), CHARS, options, seed_ids=[9, 9, 2])]
    assert seeded == [3, 4, 2, 3, 4, 2]
    batch = generate(Favourites(), CHARS, [[9, 9, 2]] * 3, options)
    assert [list(row.ids) for row in batch] == [seeded] * 3
    plain = [s.id for s in stream_text(Favourites(), CHARS, SampleOptions(length=3, temperature=0))]
    assert plain == [2, 2, 2]


def test_ids_may_be_an_array():
    network = HashNetwork(len(CHARS))
    array = CHARS.encode("аб")
    options = SampleOptions(length=20, repetition_penalty=1.2)
    expected = whole_text(network, CHARS, options, seed_ids=array.tolist())
    assert whole_text(network, CHARS, options, seed_ids=array) == expected
    (row,) = generate(network, CHARS, [array], options)
    assert row.text == expected
    assert whole_text(network, CHARS, options, primer_ids=array) != ""


def test_the_same_command_gives_the_same_text_and_another_sample_another():
    network = HashNetwork(len(CHARS))
    options = SampleOptions(length=80, rng=9)
    first = whole_text(network, CHARS, options, index=1)
    assert first == whole_text(network, CHARS, options, index=1)
    others = [whole_text(network, CHARS, options, index=k) for k in (0, 2)]
    others.append(whole_text(network, CHARS, SampleOptions(length=80, rng=10), index=1))
    assert first not in others


@pytest.mark.parametrize(
    "options",
    [
        SampleOptions(length=40, rng=4),
        SampleOptions(length=40, temperature=0.0),
        SampleOptions(length=60, rng=4, stop=("аб", "г.")),
        SampleOptions(length=60, rng=5, until_sentence=True),
        SampleOptions(length=60, rng=6, until_end=True, temperature=1.5),
        SampleOptions(length=30, repetition_penalty=1.5, repetition_window=5, top_p=0.9),
    ],
)
@pytest.mark.parametrize("vocabulary", [CHARS, Vocabulary.utf8()], ids=["char", "byte"])
def test_many_together_are_each_alone(options, vocabulary):
    network = HashNetwork(len(vocabulary))
    seed = ids_of("аб", vocabulary)
    batch = generate(network, vocabulary, [seed] * 5, options, first_index=3)
    for k, row in enumerate(batch):
        symbols = stream_text(network, vocabulary, options, seed_ids=seed, index=3 + k)
        assert row == Generation.from_symbols(symbols)


def test_more_texts_than_fit_together_are_the_same_texts(monkeypatch):
    """So that a count without bound takes no memory without bound."""
    network = HashNetwork(len(CHARS))
    options = SampleOptions(length=20, rng=4)
    whole = generate(network, CHARS, [[3]] * 10, options, first_index=2)
    monkeypatch.setattr(sys.modules["textgen.sampling.generate"], "MOST_TOGETHER", 4)
    network.batch_sizes.clear()
    parts = generate(network, CHARS, [[3]] * 10, options, first_index=2)
    assert parts == whole
    assert max(network.batch_sizes) == 4


def test_rows_that_have_ended_are_no_longer_stepped():
    network = HashNetwork(len(CHARS))
    options = SampleOptions(length=200, stop=("а",), rng=1)
    rows = generate(network, CHARS, [[3, 4]] * 10, options)
    assert network.batch_sizes[:3] == [1, 1, 1]  # end mark and seed are read once for all
    stepped = network.batch_sizes[3:]
    assert stepped[0] == 10
    assert stepped == sorted(stepped, reverse=True)
    assert sum(stepped) == sum(len(row.ids) for row in rows)


def test_bits_per_char_are_those_of_the_model_over_all_that_was_chosen():
    network = HashNetwork(len(CHARS))
    options = SampleOptions(length=300, temperature=0.7, rng=2, stop=("а",))
    symbols = list(stream_text(network, CHARS, options))
    row = Generation.from_symbols(symbols)
    assert row.finish_reason == "stop"
    assert len(row.text) == len(row.ids) - 1
    cost = -sum(symbol.logprob for symbol in symbols) / math.log(2)
    assert row.bits_per_char == pytest.approx(cost / len(row.ids))
    empty = Generation.from_symbols([])
    assert (empty.text, empty.ids, empty.finish_reason) == ("", (), "length")
    assert math.isnan(empty.bits_per_char)


def test_a_text_without_a_form_costs_nothing_for_it():
    (text,) = generate(HashNetwork(len(CHARS)), CHARS, [[]], SampleOptions(length=5))
    assert text.form_bits == Generation("а", (2,), "length", 3.0).form_bits == 0.0


def small_network(vocab_size):
    config = ModelConfig(vocab_size=vocab_size, embedding_size=8, hidden_size=16, num_layers=2)
    draw = np.random.default_rng(0)
    weights = {
        name: draw.normal(0, 0.5, shape).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    return NumpyNetwork(config, weights)


def test_a_real_network_writes_alone_and_together():
    network = small_network(len(CHARS))
    options = SampleOptions(length=50, rng=1)
    batch = generate(network, CHARS, [ids_of("аб")] * 4, options)
    assert [len(row.text) for row in batch] == [50] * 4
    assert len({row.text for row in batch}) == 4
    again = generate(network, CHARS, [ids_of("аб")] * 4, options)
    assert again == batch
    single = list(stream_text(network, CHARS, options, seed_ids=ids_of("аб")))
    assert len(text_of(single)) == 50
    # A prefix that both chose has the same cost: float32 rounds differently for many rows.
    same = [(s.logprob, s.id) for s, id_ in zip(single, batch[0].ids, strict=True) if s.id == id_]
    assert len(same) > 0


@pytest.mark.parametrize("seed", [[-1], [11], [2, 10**9]])
def test_ids_that_are_no_symbols_are_refused(seed):
    network = HashNetwork(len(CHARS))
    with pytest.raises(SamplingError, match=r"symbols are 0\.\.10"):
        list(stream_text(network, CHARS, GREEDY, seed_ids=seed))


@pytest.mark.parametrize(("count", "first"), [(0, 0), (-1, 0), (2, 2**24 - 1)])
def test_counts_out_of_range_are_refused(count, first):
    with pytest.raises(SamplingError, match=r"^count is "):
        generate(HashNetwork(11), CHARS, [()] * count, GREEDY, first_index=first)


def test_a_text_is_shown_as_what_it_is():
    """In Python as a string; in a notebook with the seed set off."""
    text = WrittenText("abc def", 3)
    assert repr(text) == "'abc def'" and text.headline == "4 characters written"
    again = pickle.loads(pickle.dumps(text))
    assert (again, again.seed, type(again)) == (text, 3, WrittenText)
    (shown,) = text.parts()
    assert shown.pieces == [("abc", True), (" def", False)] and shown.meaning == "the seed"
    (plain,) = WrittenText("abc").parts()
    assert plain.meaning == ""


def test_the_last_number_of_a_text_is_one():
    network = HashNetwork(len(CHARS))
    last = INDEX_LIMIT - 1
    (text,) = generate(network, CHARS, [[]], SampleOptions(length=3), first_index=last)
    assert len(text.text) == 3
    with pytest.raises(SamplingError, match=r"count is 2; it must lie in 1[.][.]1"):
        generate(network, CHARS, [[], []], SampleOptions(length=3), first_index=last)


@pytest.mark.parametrize(
    ("more", "told"), [(0, []), (1, ["… and 1 text more"]), (2, ["… and 2 texts more"])]
)
def test_of_many_texts_the_first_are_shown_and_the_others_counted(more, told):
    texts = Generations([Generation("а", (2,), "length", 3.0)] * (MOST_SHOWN + more))
    lines = [part for part in texts.parts() if isinstance(part, str)]
    assert lines[MOST_SHOWN:] == told
    assert texts.headline == f"{MOST_SHOWN + more} texts written"


def test_a_text_tells_its_figures():
    text = Generation("абв", (2, 3, 4), "length", 2.5)
    assert text.figures == "3 characters, 2.500 bits/char, ended by length"
    assert text.headline == f"'абв': {text.figures}"
    (shown,) = text.parts()
    assert shown.pieces == [("абв", False)]
    nothing = Generation("", (), "stop", float("nan"))
    assert nothing.figures == "0 characters, ended by stop"


def test_a_seed_is_read_once_for_all_texts():
    """Equal lists, not one list; written together, and one after another."""
    network, options = HashNetwork(len(CHARS)), SampleOptions(length=3)
    for together, sizes in ((True, [1, 1, 2, 2, 2]), (False, [1, 1, *[1] * 6])):
        network.batch_sizes.clear()
        generate(network, CHARS, [[3], [3]], options, together=together)
        assert network.batch_sizes == sizes


def test_a_search_is_not_steered():
    steering = SteeringPlan(())
    with pytest.raises(SamplingError, match="beam does not go with steer"):
        generate(HashNetwork(11), CHARS, [()], SampleOptions(beam=2), steering=steering)


def test_where_all_would_be_repeated_a_document_ends_if_it_may():
    vocabulary = Vocabulary.from_characters("ab")
    network = HashNetwork(len(vocabulary))
    for until_end, reason in ((True, "end"), (False, "repeat")):
        options = SampleOptions(length=9, no_repeat=1, until_end=until_end, temperature=9.0)
        texts = generate(network, vocabulary, [()] * 20, options)
        assert {text.finish_reason for text in texts} == {reason}
        assert max(len(text.text) for text in texts) == 2
