"""Texts written under interventions: where they act, where they do not, whatever the path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from test_native_step import BYTES, CHARS, StepByStep, config_of, ids_of, native, weights_of

from textgen.corpus.vocabulary import Vocabulary
from textgen.model.edit import Edit, Edits
from textgen.model.network import State, StepNetwork
from textgen.model.numpy_network import NumpyNetwork
from textgen.native.library import supported_isas
from textgen.sampling import (
    SampleOptions,
    SamplingNetworks,
    SymbolGenerator,
    Writer,
    generate,
    stream_text,
    writing,
)
from textgen.sampling.course import Follower, SentenceEnds
from textgen.sampling.networks import start, step
from textgen.sampling.stream import Cursor, Stream
from textgen.sampling.writing import StreamGroup, StreamWriter
from textgen.steering import SteeringPlan, Target, parse_specs

LENGTH = 120


def target(name: str) -> Target:
    """A neuron by `layer:unit.state`, or a direction of the first layer."""
    if name == "mood":
        read = np.random.default_rng(4).normal(size=20).astype(np.float32)
        read /= np.linalg.norm(read)
        return Target(name=name, layer=0, state="c", mean=0.0, sd=2.0, read=read, write=read.copy())
    place, state = name.split(".")
    layer, unit = map(int, place.split(":"))
    return Target(name=name, layer=layer, state=state, mean=0.2, sd=1.5, unit=unit)  # type: ignore[arg-type]


def plan(*specs: str) -> SteeringPlan:
    return SteeringPlan(parse_specs(specs, target))


def numpy_network(vocabulary: Vocabulary = CHARS) -> NumpyNetwork:
    config = config_of(vocabulary)
    return NumpyNetwork(config, weights_of(config))


@pytest.fixture
def _needs_library() -> None:
    if not supported_isas():
        pytest.skip("the native library is not built")


class Watched(StepNetwork):
    """A network that notes which edits acted when each token was read."""

    def __init__(self, network: NumpyNetwork) -> None:
        self.network, self.log = network, []

    def zero_state(self, batch_size: int = 1) -> State:
        return self.network.zero_state(batch_size)

    def step(self, ids_B: np.ndarray, state: object, edits_B: Sequence[Edits] | None = None):  # type: ignore[no-untyped-def]
        self.log.append((int(ids_B[0]), () if edits_B is None else edits_B[0]))
        return self.network.step(ids_B, state, edits_B)  # type: ignore[arg-type]


SPECS = [
    ("0:3.c=+2",),
    ("1:4.h=-2:add",),
    ("mood=+1.5",),
    ("0:3.c=+2@30..50",),
    ("mood=-2@0..40,+2@40..",),
    ("0:3.c=-2@s1,+2@s2..", "1:4.h=off@17"),
]


@pytest.mark.parametrize("specs", SPECS, ids=" ".join)
@pytest.mark.parametrize("vocabulary", [CHARS, BYTES], ids=["char", "byte"])
def test_blocks_write_what_single_steps_write(
    _needs_library: None, specs: tuple[str, ...], vocabulary: Vocabulary
) -> None:
    """The engine's blocks of many symbols follow a schedule to the character."""
    options = SampleOptions(length=LENGTH, rng=5, temperature=1.0)
    settings = {"seed_ids": ids_of("аб", vocabulary), "steering": plan(*specs)}
    network = native(vocabulary)
    blocks = list(stream_text(network, vocabulary, options, **settings))
    steps = list(stream_text(StepByStep(network), vocabulary, options, **settings))
    # The numbers beside a choice are NumPy's there, and differ in their last digit.
    assert [s[:3] for s in blocks] == [s[:3] for s in steps]
    plain = list(stream_text(network, vocabulary, options, seed_ids=settings["seed_ids"]))
    assert [s.id for s in plain] != [s.id for s in blocks]


def test_each_character_is_chosen_from_a_state_that_its_edits_changed() -> None:
    """By the log of what was read: the token before character n is read under n's edits."""
    watched = Watched(numpy_network())
    steering = plan("0:3.c=+2@2..4", "1:1.h=off@0..1")
    options = SampleOptions(length=6, rng=1)
    seed = ids_of("абв")
    list(stream_text(watched, CHARS, options, seed_ids=seed, steering=steering))
    units = [[edit.unit for edit in edits] for _, edits in watched.log]
    # The end mark, two letters of the seed, its last one, then characters 0 to 5.
    assert units == [[], [], [], [1], [], [3], [3], [], [], []]
    assert [token for token, _ in watched.log[1:4]] == seed


def test_without_steering_nothing_changes(_needs_library: None) -> None:
    options = SampleOptions(length=LENGTH, rng=2)
    network = native()
    plain = list(stream_text(network, CHARS, options))
    for steering in (None, plan(), plan("0:3.c=1:scale", "mood=0:add")):
        assert list(stream_text(network, CHARS, options, steering=steering)) == plain


def test_a_prefix_before_the_first_intervention_is_unchanged(_needs_library: None) -> None:
    options = SampleOptions(length=LENGTH, rng=2)
    for network in (native(), numpy_network()):
        plain = list(stream_text(network, CHARS, options))
        steered = list(stream_text(network, CHARS, options, steering=plan("0:3.c=+4@50..")))
        assert steered[:50] == plain[:50]
        assert [s.id for s in steered] != [s.id for s in plain]


def test_a_sentence_ends_once_however_much_white_space_follows() -> None:
    ends = SentenceEnds()
    text = "аб. \n ?! в1. (г!) "
    assert [i for i, char in enumerate(text) if ends.ends_before(char)] == [3, 12, 17]


def test_sentences_are_counted_as_until_sentence_ends_them() -> None:
    """The second begins after the white space that ends the first; a seed is part of the first."""
    steering = plan("0:3.c=-2@s1,+2@s2..")
    low, high = (steering.edits_at(0, sentence) for sentence in (1, 2))
    cursor = Cursor(steering, CHARS, ids_of("аб"))
    acts = []
    for token in ids_of(". а! вг\nб.. а"):
        cursor.advance(token)
        acts.append("+" if cursor.edits is high else "-" if cursor.edits is low else "?")
    assert "".join(acts) == "-+++++++++++++"[: len(acts)]
    # A seed that is a whole sentence leaves the count to what is written.
    cursor = Cursor(steering, CHARS, ids_of("аб."))
    for token in ids_of(" аб"):
        cursor.advance(token)
    assert cursor.edits is low
    for token in ids_of(". "):
        cursor.advance(token)
    assert cursor.edits is high


def test_texts_together_follow_their_own_schedules() -> None:
    """NumPy rounds rows alike, so they equal those written one after another."""
    options = SampleOptions(length=LENGTH, rng=3, temperature=1.0)
    for specs in SPECS:
        both = {"seeds": [ids_of("аб")] * 5, "options": options, "steering": plan(*specs)}
        together = generate(numpy_network(), CHARS, **both)
        alone = generate(numpy_network(), CHARS, **both, together=False)
        assert [text.ids for text in together] == [text.ids for text in alone]


def test_each_text_of_a_group_may_have_a_steering_of_its_own() -> None:
    """One that changes late must not let another miss its change."""
    options, network = SampleOptions(length=LENGTH, rng=3, temperature=1.0), numpy_network()
    plans = [plan("0:3.c=+3@4..30"), plan("mood=-3@20..25"), plan("0:3.c=-3@s2..")]
    # Where one waits for the end of a sentence, a letter may be the border of another.
    borders = [plan(f"0:3.c=+4@{start}..{start + 2}", "mood=-4@1..2") for start in range(3, 12)]

    class Bordered(SteeringPlan):
        """Has a border at which nothing changes, as between two parts with one label."""

        def next_change(self, char: int) -> int | None:
            return 9 if char < 9 else super().next_change(char)

    goes_on = Bordered(parse_specs(["mood=-4@12..15"], target))
    for chosen in (plans[:2], plans, [plans[2], *borders], [goes_on] * 3):
        streams = [Stream(CHARS, options, SymbolGenerator(3, k)) for k in range(len(chosen))]
        position = start(network).repeat(np.zeros(len(chosen), np.intp))
        cursors = [Cursor(steering, CHARS) for steering in chosen]
        together: list[list[int]] = [[] for _ in chosen]
        for number, piece in StreamGroup(network, options, streams, position, cursors).pieces():
            together[number] += piece.ids
        alone = [
            stream_text(network, CHARS, options, index=k, steering=steering)
            for k, steering in enumerate(chosen)
        ]
        assert together == [[symbol.id for symbol in symbols] for symbols in alone]


def test_a_text_that_ends_takes_nothing_from_the_sentence_of_another() -> None:
    """The letters of a sentence are told of when they matter: at its end, or when a text ends."""
    steering, network = plan("0:3.c=-4@s2.."), numpy_network()
    options = [SampleOptions(length=n, rng=3, temperature=1.0) for n in (LENGTH, *range(1, 40))]
    streams = [Stream(CHARS, own, SymbolGenerator(3, k)) for k, own in enumerate(options)]
    position = start(network).repeat(np.zeros(len(streams), np.intp))
    cursors = [Cursor(steering, CHARS) for _ in streams]
    together: list[list[int]] = [[] for _ in streams]
    for number, piece in StreamGroup(network, options[0], streams, position, cursors).pieces():
        together[number] += piece.ids
    for k, own in enumerate(options):
        alone = stream_text(network, CHARS, own, index=k, steering=steering)
        assert together[k] == [symbol.id for symbol in alone]


WORDS = Vocabulary.from_words("а. ", {" бб": 8, " ввв": 7, " гггггг": 6, " дд": 5})


def test_texts_of_long_and_short_tokens_follow_their_own_schedules() -> None:
    """A text that is past its last border must not stop the others from reaching theirs."""
    config = config_of(WORDS)
    network = NumpyNetwork(config, weights_of(config))
    options = SampleOptions(length=60, rng=3, temperature=1.5)
    for specs in (("0:3.c=+3@0..20",), ("0:3.c=+3@20..25",), ("0:3.c=-3@s1,+3@s2",)):
        both = {"seeds": [()] * 6, "options": options, "steering": plan(*specs)}
        together = generate(network, WORDS, **both)
        alone = generate(network, WORDS, **both, together=False)
        assert [text.ids for text in together] == [text.ids for text in alone]


def test_many_borders_cost_no_symbol_twice(_needs_library: None) -> None:
    """A block ends where other edits begin, so that little of it has to be thrown away."""
    network = native()
    counts = []
    write = network.write

    def counted(count: int, *rest: Any, **settings: Any) -> Any:
        counts.append(count)
        return write(count, *rest, **settings)

    network.write = counted  # type: ignore[method-assign]
    specs = [f"0:3.c=+1@{start}..{start + 10}" for start in range(0, 100, 20)]
    options = SampleOptions(length=100, rng=1)
    list(stream_text(network, CHARS, options, steering=plan(*specs)))
    assert sum(counts) == 100


def test_native_streams_are_steered_too(_needs_library: None) -> None:
    """Against NumPy's arithmetic: greedy choices of a model whose logits lie far apart."""
    config = config_of(CHARS)
    networks = SamplingNetworks(config, weights_of(config, 1.5), 2)
    options = SampleOptions(length=40, temperature=0.0)
    for specs in SPECS[:3]:
        both = {"seeds": [ids_of("аб")] * 5, "options": options, "steering": plan(*specs)}
        ours = generate(networks.many, CHARS, **both)
        theirs = generate(NumpyNetwork(config, weights_of(config, 1.5)), CHARS, **both)
        same = np.mean([a == b for a, b in zip(ours[0].ids, theirs[0].ids, strict=True)])
        assert same > 0.5, "chance is a ninth"


def test_a_held_value_stays(_needs_library: None) -> None:
    """The state after each character has the value that was asked for."""
    network = native()
    held = plan("0:3.c=+2")
    position = start(network, ids_of("абв"), held.edits_at(0, 1))
    assert position.state[0]["c"][0, 3] == pytest.approx(0.2 + 2 * 1.5)
    before = start(network, ids_of("абв"))
    others = np.arange(20) != 3
    assert (position.state[0]["c"][0, others] == before.state[0]["c"][0, others]).all()


def test_turns_are_steered_throughout(_needs_library: None) -> None:
    from textgen.corpus.normalization import Normalization

    clamp = (Edit(layer=0, state="c", unit=3, scale=0.0, shift=3.0),)

    def text(edits: Edits) -> str:
        options = SampleOptions(length=40, rng=1)
        writer = Writer(native(), CHARS, Normalization(), options, edits=edits)
        writer.feed("аб")
        list(writer.write())
        writer.undo()
        list(writer.write())
        return writer.text

    assert text(clamp) != text(())
    assert text(clamp) == text(clamp)


def test_a_cursor_of_what_always_acts_asks_nothing_more() -> None:
    always = plan("0:3.c=1")
    cursor = Cursor(always, CHARS)
    assert cursor.is_settled and cursor.edits is always.edits_at(0, 1)
    assert cursor.follow([3, 4, 5]) == 3
    ended = Cursor(plan("0:3.c=1@0..2"), CHARS)
    assert not ended.is_settled
    assert ended.follow([3, 4, 5]) == 1
    assert ended.is_settled and ended.edits == ()


@pytest.mark.parametrize("vocabulary", [CHARS, WORDS], ids=["char", "word"])
def test_letters_are_known_of_symbols(vocabulary: Vocabulary) -> None:
    letters_V = Cursor(plan("0:3.c=-2@s1,+2@s2.."), vocabulary).letters_V
    letters = {vocabulary.symbols[token] for token in np.flatnonzero(letters_V)}
    assert letters == (set("абвгд") if vocabulary is CHARS else {"а"})
    assert letters_V.shape == (len(vocabulary),)


def test_what_holds_is_known_up_to_the_next_change_and_for_one_token_at_least() -> None:
    class Changes:
        def __init__(self, place: int | None, counts_sentences: bool = False) -> None:
            self.place, self.counts_sentences = place, counts_sentences

        def next_change(self, char: int) -> int | None:
            return None if self.place is None or char >= self.place else self.place

    def follower(*given: Any, vocabulary: Vocabulary = CHARS) -> Follower[int]:
        return Follower(Changes(*given), lambda char, sentence: 0, vocabulary)

    def certain(*given: Any, **settings: Any) -> int | None:
        return follower(*given, **settings).certain_tokens

    # What may be gone past ends before the token that leads to the change.
    assert follower(7).quiet_tokens == 6 and follower(1).quiet_tokens == 0
    assert follower(7, True).quiet_tokens == follower(7, vocabulary=WORDS).quiet_tokens == 0
    assert certain(7) == 7 and certain(1) == 1 and certain(None) is None
    assert certain(7, True) == 1 and certain(None, True) == 1
    assert certain(7, vocabulary=WORDS) == 1


def test_the_room_of_a_text_is_the_nearer_of_two_bounds() -> None:
    """Characters that its length allows, and tokens that it may have."""

    def room(length: int, tokens: int | None) -> int:
        generator = SymbolGenerator(0, 0)
        return Stream(CHARS, SampleOptions(length=length), generator, [], None, tokens).room

    assert (room(9, None), room(9, 4), room(3, 4)) == (9, 4, 3)


@pytest.mark.parametrize(
    ("specs", "vocabulary", "waits"),
    [
        (("0:3.c=+2@s2..",), CHARS, [True, True, True]),
        (("mood=-2@0..2", "0:3.c=+2@s2.."), CHARS, [False, False, True]),
        (("mood=-2@0..2",), CHARS, [False, False, False]),
        (("0:3.c=+2",), CHARS, [False, False, False]),
        # A word may hold the end of a sentence.
        (("0:3.c=+2@s2..",), WORDS, [False, False, False]),
    ],
    ids=["sentences", "then sentences", "characters", "always", "words"],
)
def test_letters_change_nothing_where_only_the_end_of_a_sentence_does(
    specs: tuple[str, ...], vocabulary: Vocabulary, waits: list[bool]
) -> None:
    cursor, told = Cursor(plan(*specs), vocabulary), []
    for token in ids_of("ааа", vocabulary):
        told.append(cursor.waits_for_sentences)
        cursor.advance(token)
    assert told == waits


def test_within_a_steered_block_what_was_handed_out_is_read_under_its_edits(
    _needs_library: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BLOCK_SECONDS", 60.0)  # A busy machine makes no shorter blocks.
    network, options = native(), SampleOptions(length=12)
    cursor = Cursor(plan("0:3.c=+2"), CHARS)
    position = start(network, (), cursor.edits)
    stream = Stream(CHARS, options, SymbolGenerator(0, 0))
    writer = StreamWriter(network, options, stream, position, cursor)
    for symbol in writer.symbols():
        position = step(network, np.array([symbol.id]), position.state, [cursor.edits])
        np.testing.assert_array_equal(writer.position.logits_BV, position.logits_BV)
