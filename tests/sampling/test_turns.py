"""A text written in turns: the state follows it, and actions can be taken back."""

from __future__ import annotations

import numpy as np
import pytest
from support.fake_networks import HashNetwork, ScriptNetwork

from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.errors import SamplingError
from textgen.model.config import ModelConfig
from textgen.sampling import SampleOptions, SamplingNetworks, Writer, stream_text
from textgen.sampling.forms import form_of
from textgen.sampling.likely_words import LikelyWord

CHARS = Vocabulary.from_characters("абвгд .\n")


def make(vocabulary=CHARS, network=None, **options):
    network = network or HashNetwork(len(vocabulary))
    return Writer(network, vocabulary, Normalization(), SampleOptions(**options), primer_ids=[2, 3])


def check_state(writer):
    """The likeliest symbols are those of a writer that read the same text at once."""
    fresh = make(writer._vocabulary)
    fresh.feed_ids(writer.ids)
    assert fresh.likeliest(9) == writer.likeliest(9)


def test_it_writes_what_generate_writes():
    writer = make(length=30, rng=5)
    writer.feed("аб")
    written = list(writer.write())
    expected = list(
        stream_text(
            HashNetwork(len(CHARS)), CHARS, writer.options, seed_ids=CHARS.encode("аб").tolist()
        )
    )
    assert written == expected
    assert writer.text == "аб" + "".join(symbol.text for symbol in written)
    check_state(writer)


def test_without_a_typed_text_it_starts_from_the_primer():
    writer = make(length=20)
    network = HashNetwork(len(CHARS))
    expected = list(stream_text(network, CHARS, writer.options, primer_ids=[2, 3]))
    assert list(writer.write()) == expected
    assert writer.ids == [symbol.id for symbol in expected]


def test_turns_make_one_text():
    writer = make(length=7)
    assert writer.feed("аб☃").notice is not None
    list(writer.write())
    writer.feed("в. ")
    assert writer.choose(4) == CHARS.symbols[4]
    writer.step()
    list(writer.write(3))
    assert len(writer.text) == 2 + 7 + 3 + 1 + 1 + 3
    check_state(writer)


def test_stopping_to_listen_stops_the_writing():
    writer = make(length=50)
    for count, _ in enumerate(writer.write(), 1):
        if count == 4:
            break
    assert len(writer.ids) == 4
    twin = make(length=50)
    expected = [next(iter(twin.write())).id]
    assert writer.ids[:1] == expected


def test_undo_takes_back_one_action_after_the_other():
    writer = make(length=5)
    assert writer.undo() is False
    start = writer.likeliest(9)
    texts, likely = [writer.text], [start]
    for act in (
        lambda: writer.feed("аб"),
        lambda: list(writer.write()),
        lambda: writer.choose(3),
        lambda: writer.step(),
        lambda: writer.feed("гд"),
    ):
        act()
        texts.append(writer.text)
        likely.append(writer.likeliest(9))
    assert len(set(texts)) == 6
    while texts:
        assert writer.text == texts.pop()
        assert writer.likeliest(9) == likely.pop()
        assert writer.undo() is bool(texts)


def test_what_is_written_after_undo_is_another_text():
    writer = make(length=40)
    first = [symbol.id for symbol in writer.write()]
    writer.undo()
    assert [symbol.id for symbol in writer.write()] != first


def test_likeliest_are_the_models_without_marks():
    network = ScriptNetwork(len(CHARS), [END_ID], lead=1)
    writer = Writer(network, CHARS, Normalization(), SampleOptions())
    total = np.exp(20.0) + len(CHARS) - 1
    likely = writer.likeliest(3)
    assert [(token, text) for token, text, _ in likely] == [(2, "\n"), (3, " "), (4, ".")]
    # The network's logits are exact; exp and log in float64 are not.
    assert [p for _, _, p in likely] == pytest.approx([1 / total] * 3, rel=1e-12)
    assert len(writer.likeliest(100)) == len(CHARS) - 2
    assert writer.likeliest(0) == []
    ending = Writer(network, CHARS, Normalization(), SampleOptions(until_end=True))
    assert ending.likeliest(1)[0][:2] == (END_ID, "")
    assert UNKNOWN_ID not in {token for token, _, _ in ending.likeliest(100)}


def test_bytes_are_written_across_turns():
    vocabulary = Vocabulary.utf8()
    writer = make(vocabulary)
    first, second = vocabulary.encode("ж").tolist()
    assert writer.choose(first) == ""
    assert writer.choose(second) == "ж"
    assert writer.text == "ж"
    texts = {text for _, text, _ in writer.likeliest(300)}
    assert {"\\xd0", "\\x80", "a"} <= texts


def test_a_character_begun_by_hand_is_ended_by_the_model():
    vocabulary = Vocabulary.utf8()
    *begun, last = vocabulary.encode("🙂").tolist()
    writer = make(vocabulary, ScriptNetwork(len(vocabulary), [last], lead=4), temperature=0.0)
    writer.feed_ids(begun)
    assert writer.step().text == "🙂"
    assert writer.text == "🙂"


def test_after_an_end_mark_another_document_begins():
    network = ScriptNetwork(len(CHARS), [4, END_ID, 5])
    writer = Writer(network, CHARS, Normalization(), SampleOptions(temperature=0.0, until_end=True))
    assert [symbol.id for symbol in writer.write()] == [4, END_ID]
    assert writer.likeliest(1)[0][0] == 4  # as at the start
    writer.choose(END_ID)
    assert writer.likeliest(1)[0][0] == 4


def test_no_symbol_is_refused_and_changes_nothing():
    writer = make()
    writer.feed("аб")
    before = writer.likeliest(9)
    with pytest.raises(SamplingError):
        writer.choose(len(CHARS))
    with pytest.raises(SamplingError):
        writer.feed_ids([3, -1])
    assert (writer.text, writer.likeliest(9)) == ("аб", before)
    assert writer.undo() is True
    assert writer.undo() is False


def test_mirostat_goes_on_from_turn_to_turn():
    settings = {"mirostat": 1.0, "mirostat_rate": 0.3, "rng": 7, "length": 200}
    whole = [symbol.id for symbol in make(**settings).write()]
    writer = make(**settings)
    assert [writer.step().id for _ in range(200)] == whole
    writer = make(**settings)
    parts = [symbol.id for length in (50, 1, 149) for symbol in writer.write(length)]
    assert parts == whole
    # It begins anew where it restarts: the bound matters here.
    writer = make(**settings)
    apart = []
    for _ in range(4):
        writer._surprise = None
        apart += [symbol.id for symbol in writer.write(50)]
    assert apart != whole


@pytest.mark.parametrize("taken", [1, 5, 40])
def test_mirostat_is_where_the_listener_stopped_and_undo_takes_it_back(taken):
    config = ModelConfig(vocab_size=len(CHARS), embedding_size=4, hidden_size=8)
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(0, 1, shape).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    network = SamplingNetworks(config, weights, 1).one
    writer = make(network=network, mirostat=1.0, mirostat_rate=0.3, length=80)
    listened = writer.write()
    for _ in range(taken):
        next(listened)
    by_step = make(network=network, mirostat=1.0, mirostat_rate=0.3, length=80)
    for _ in range(taken):
        by_step.step()
    stopped = writer._surprise
    assert stopped == pytest.approx(by_step._surprise, rel=1e-12)
    writer.step()
    assert writer._surprise != stopped
    writer.undo()
    assert writer._surprise == stopped


def test_a_step_with_nothing_left_is_refused():
    writer = make(no_repeat=1)
    assert len({writer.step().id for _ in range(len(CHARS) - 2)}) == len(CHARS) - 2
    with pytest.raises(SamplingError, match="leaves nothing that could follow"):
        writer.step()
    assert writer.undo() and len(writer.ids) == len(CHARS) - 3


def test_five_are_likeliest_where_no_number_is_given():
    writer = make()
    assert writer.likeliest() == writer.likeliest(5) and len(writer.likeliest()) == 5
    assert writer.words() == writer.words(5) and len(writer.words()) == 5


def test_a_step_is_not_the_end_of_a_sentence():
    """What ends a text does not end a step, which is one token anyhow."""
    script = CHARS.encode("а. б").tolist()
    # Before it an end mark and the primer are read.
    writer = make(network=ScriptNetwork(len(CHARS), script, lead=3), until_sentence=True)
    reasons = [writer.step().finish_reason for _ in script]
    assert reasons == ["length"] * len(script)
    assert writer.text == "а. б"


def test_what_reads_many_sees_as_much_as_what_writes():
    """With a history the words follow from the last tokens alone, whoever looks for them."""

    def words(**more):
        writer = Writer(
            HashNetwork(len(CHARS)), CHARS, Normalization(), SampleOptions(history=1), **more
        )
        writer.feed("аб. в")
        return writer.words(4)

    own = words()
    assert words(open_many=lambda: HashNetwork(len(CHARS))) == own


def test_a_word_that_was_taken_has_ended_unless_the_document_has():
    def begins_with_a_letter(*ids, then=()):
        writer = make(until_end=True)
        writer.take(LikelyWord(ids, "", 1.0))
        if then:
            writer.feed_ids(then)
        return any(word.text[:1].isalpha() for word in writer.words(50))

    а, б = CHARS.encode("аб").tolist()
    assert not begins_with_a_letter(а, б)
    assert begins_with_a_letter(а, б, END_ID) and begins_with_a_letter(END_ID)
    # Letters that somebody types go on.
    assert begins_with_a_letter(а, then=[б])


def test_a_form_is_that_of_a_turn():
    """What was typed before need not keep to it."""
    options = SampleOptions(match="[аб]{4}", length=9)
    form = form_of(options, CHARS)
    network = HashNetwork(len(CHARS))
    writer = Writer(network, CHARS, Normalization(), options, form=form)
    writer.feed("вг.")
    text = "".join(symbol.text for symbol in writer.write())
    assert len(text) == 4 and set(text) <= set("аб")
