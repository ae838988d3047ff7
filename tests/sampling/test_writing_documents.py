"""Texts of several documents: each begins as the first did, and a separator stands between two."""

from __future__ import annotations

import numpy as np
import pytest
from support.fake_networks import HashNetwork, ScriptNetwork, whole_text
from test_native_step import BYTES, CHARS, StepByStep, config_of, ids_of, native, weights_of
from test_steered import plan

from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import SamplingError
from textgen.model.head import log_softmax
from textgen.model.numpy_network import NumpyNetwork
from textgen.native.library import supported_isas
from textgen.sampling import (
    Generation,
    HistoryNetwork,
    SampleOptions,
    SamplingNetworks,
    Writer,
    bits_per_char,
    generate,
    stream_text,
)
from textgen.sampling.networks import read, start
from textgen.sampling.stream import Cursor

WORDS = Vocabulary.from_words("абвг .\n", {" абв": 9, " где": 5, "аб": 3, " аааа": 2})
FOLDED = Vocabulary.from_words("абвг ", {" абв": 9, " где": 5, " аб": 3}, folded=True)
LEVELS = {"char": CHARS, "byte": BYTES, "word": WORDS, "folded": FOLDED}


def going(**settings):
    """Options that keep going."""
    return SampleOptions(keep_going=True, **{"length": 90, "temperature": 1.3, **settings})


def documents(ids):
    """The ids between end marks."""
    parts = [[]]
    for token in ids:
        if token == END_ID:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


@pytest.mark.parametrize(("separator", "length"), [("\n", 8), ("\n\n", 10), ("\n\n", 3), ("~", 1)])
def test_one_document_after_another_up_to_the_length(separator, length):
    network = ScriptNetwork(len(CHARS), [*ids_of("аб"), END_ID, *ids_of("в")])
    options = going(temperature=0.0, length=length, separator=separator)
    symbols = list(stream_text(network, CHARS, options))
    whole = f"аб{separator}" * 9
    assert "".join(symbol.text for symbol in symbols) == whole[:length]
    assert [symbol.finish_reason for symbol in symbols][-1] == "length"
    assert all(symbol.finish_reason is None for symbol in symbols[:-1])
    # What stands between two documents is no character of the model's.
    assert [symbol.chars for symbol in symbols] == [int(s.id != END_ID) for s in symbols]


def test_the_first_document_is_the_one_that_ends_by_default():
    network = HashNetwork(len(CHARS))
    for index in range(6):
        ended = list(
            stream_text(network, CHARS, SampleOptions(until_end=True, temperature=1.3), index=index)
        )
        more = list(stream_text(network, CHARS, going(length=300), index=index))
        assert [s.id for s in more[: len(ended)]] == [s.id for s in ended]
        assert ended[-1].finish_reason == "end" and ended[-1].text == ""
        assert more[len(ended) - 1].text == "\n\n"


SETTINGS = [
    {},
    {"repetition_penalty": 1.6, "repetition_window": 7},
    {"stop": ("б\n",)},
    {"stop": ("\n\nа",)},
    {"until_sentence": True},
    {"history": 3},
    {"length": 7},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("level", LEVELS)
def test_one_text_many_together_and_each_by_itself(level, settings):
    vocabulary = LEVELS[level]
    network, options = HashNetwork(len(vocabulary), 1.0), going(rng=3, **settings)
    seed = ids_of("аб", vocabulary)
    alone = [
        Generation.from_symbols(stream_text(network, vocabulary, options, seed_ids=seed, index=k))
        for k in range(4)
    ]
    assert generate(network, vocabulary, [seed] * 4, options, together=False) == alone
    assert generate(network, vocabulary, [seed] * 4, options) == alone
    if not settings and level != "byte":
        assert any(END_ID in text.ids for text in alone)


@pytest.mark.parametrize("history", [0, 4])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_each_document_begins_as_the_first_did(cell, history):
    """By what each token cost: as if its document stood alone, one text or many, any network."""
    networks = SamplingNetworks(config := config_of(CHARS, cell), weights_of(config), 2)
    numpy = NumpyNetwork(config, weights_of(config))
    alone = HistoryNetwork(numpy, history) if history else numpy
    options = going(rng=2, length=200, history=history)
    together = generate(networks.many, CHARS, [()] * 5, options)
    one = Generation.from_symbols(stream_text(networks.one, CHARS, options))
    for text in (one, *together):
        parts = documents(text.ids)
        assert len(parts) > 1  # How many depends on the CPU's rounding.
        nats = 0.0
        for number, part in enumerate(parts):
            tokens = part if number == len(parts) - 1 else [*part, END_ID]
            position = start(alone)
            for token in tokens:
                nats -= log_softmax(position.logits_BV[0])[token]
                position = read(alone, position, [token])
        chars = len(CHARS.decode(text.ids))
        # The native engine may compute with weights of 16 bits.
        assert text.bits_per_char == pytest.approx(nats / np.log(2) / chars, rel=2e-2)
        if not history:
            assert bits_per_char(numpy, CHARS, text.ids) * chars == pytest.approx(nats / np.log(2))


def test_the_repetition_penalty_forgets_the_document_before():
    class Close(ScriptNetwork):
        """The script is only a little likelier than the rest."""

        def step(self, ids_B, state, edits_B=None):
            logits, state = super().step(ids_B, state, edits_B)
            return np.where(logits > 0, 1.0, 0.9).astype(np.float32), state

    options = going(temperature=0.0, repetition_penalty=2.0, separator="\n", length=12)
    network = Close(len(CHARS), [*ids_of("абв"), END_ID])
    assert whole_text(network, CHARS, options) == "абв\n" * 3
    texts = generate(network, CHARS, [()] * 4, options)
    assert [text.text for text in texts] == ["абв\n" * 3] * 4
    # A seed belongs to the first document.
    seeded = Close(len(CHARS), [*ids_of("бв"), END_ID, *ids_of("абв")], lead=2)
    text = whole_text(seeded, CHARS, options, seed_ids=ids_of("а"))
    assert text.startswith("бв\n")


@pytest.mark.parametrize(
    ("vocabulary", "specs"),
    [
        pytest.param(CHARS, ("0:3.c=+2",), id="char-always"),
        pytest.param(CHARS, ("mood=-2@0..40,+2@40..",), id="char-by-characters"),
        pytest.param(CHARS, ("1:4.h=-2@s2..",), id="char-by-sentences"),
        pytest.param(BYTES, ("0:3.c=+2",), id="byte-always", marks=pytest.mark.slow),
        pytest.param(BYTES, ("mood=-2@0..40,+2@40..",), id="byte-by-characters"),
        pytest.param(BYTES, ("1:4.h=-2@s2..",), id="byte-by-sentences", marks=pytest.mark.slow),
    ],
)
def test_steered_documents_are_the_same_on_every_path(specs, vocabulary):
    if not supported_isas():
        pytest.skip("the native library is not built")
    config = config_of(vocabulary)
    networks = SamplingNetworks(config, weights_of(config), 2)
    options = going(rng=5, length=160)
    seed, steering = ids_of("аб", vocabulary), plan(*specs)
    steered = {"seed_ids": seed, "steering": steering}
    one = native(vocabulary)
    blocks = list(stream_text(one, vocabulary, options, **steered))
    steps = list(stream_text(StepByStep(one), vocabulary, options, **steered))
    assert [s[:3] for s in blocks] == [s[:3] for s in steps]
    assert vocabulary is BYTES or END_ID in [s.id for s in blocks]
    together = generate(networks.many, vocabulary, [seed] * 5, options, steering=steering)
    plain = generate(StepByStep(networks.many), vocabulary, [seed] * 5, options, steering=steering)
    assert [text.ids for text in together] == [text.ids for text in plain]
    # The end mark is read under what acts on the next document's first character, here and there.
    rows = generate(StepByStep(one), vocabulary, [seed] * 2, options, steering=steering)
    assert rows[0].ids == tuple(symbol.id for symbol in steps)


def test_a_schedule_counts_what_stands_between_documents():
    steering = plan("0:3.c=+2@4..")
    for end, changes in (("\n\n", [False, False, True]), ("\n", [False, False, False, True])):
        cursor = Cursor(steering, CHARS, (), end)
        ids = [*ids_of("аб"), END_ID, *ids_of("в")]
        assert [cursor.advance(token) for token in ids[: len(changes)]] == changes
        assert cursor.follow([]) == 0
    # Where nothing is written there, an end mark is no character.
    cursor = Cursor(steering, CHARS)
    changes = [False, False, False, False, True]
    assert [cursor.advance(token) for token in [3, 4, END_ID, 3, 4]] == changes
    sentences = Cursor(plan("0:3.c=+2@s2.."), CHARS, (), "\n")
    assert [sentences.advance(token) for token in [*ids_of("а."), END_ID]] == [False, False, True]


def test_a_writer_begins_another_document_after_the_end():
    network = ScriptNetwork(len(CHARS), [*ids_of("аб"), END_ID, *ids_of("в")])
    options = SampleOptions(temperature=0.0, until_end=True, separator="\n")
    writer = Writer(network, CHARS, Normalization(), options)
    assert "".join(symbol.text for symbol in writer.write()) == "аб"
    assert writer.text == "аб"
    assert [symbol.finish_reason for symbol in writer.write()] == [None, None, "end"]
    assert writer.text == "аб\nаб"
    writer.feed("в")
    assert writer.text == "аб\nаб\nв"
    assert writer.undo() and writer.undo()
    assert writer.text == "аб"
    assert writer.choose(END_ID) == "\n"


def test_a_writer_keeps_going_as_generate_does():
    for network in (HashNetwork(len(CHARS)), *([native()] if supported_isas() else [])):
        options = going(length=60, repetition_penalty=1.4)
        writer = Writer(network, CHARS, Normalization(), options)
        assert list(writer.write()) == list(stream_text(network, CHARS, options))
        written = list(writer.write(40))
        fresh = Writer(network, CHARS, Normalization(), options)
        fresh.feed_ids(writer.ids)
        assert fresh.likeliest(5) == writer.likeliest(5)
        assert sum(len(symbol.text) for symbol in written) == 40


def test_contradictions_are_refused():
    with pytest.raises(SamplingError, match="until_end and keep_going contradict"):
        SampleOptions(until_end=True, keep_going=True)
    for separator in ("", 3, None):
        with pytest.raises(SamplingError, match="separator is"):
            SampleOptions(separator=separator)
