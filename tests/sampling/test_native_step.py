"""A model on the native engine writes what one call a token writes, however it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.fake_networks import whole_text

from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import BackendError, ConfigError, SamplingError
from textgen.model.config import ModelConfig
from textgen.model.edit import Edit, Edits
from textgen.model.engine import choose_engine
from textgen.model.native_network import NativeStep
from textgen.model.network import Engine, Floats, Ids, State, StepNetwork
from textgen.model.numpy_network import NumpyNetwork
from textgen.native import library
from textgen.native.library import supported_isas
from textgen.sampling import (
    Generation,
    SampleOptions,
    SamplingNetworks,
    SymbolGenerator,
    Writer,
    filters,
    generate,
    stream_text,
    writing,
)
from textgen.sampling.networks import TOGETHER_FROM, read, start, start_many
from textgen.sampling.stream import Piece, Stream

CHARS = Vocabulary.from_characters("абвгд .!\n")
BYTES = Vocabulary.utf8()


@pytest.fixture(autouse=True)
def _needs_library() -> None:
    if not supported_isas():
        pytest.skip("the native library is not built")


def config_of(vocabulary: Vocabulary, cell: str = "lstm", layers: int = 2) -> ModelConfig:
    return ModelConfig(
        vocab_size=len(vocabulary),
        embedding_size=8,
        hidden_size=20,
        num_layers=layers,
        cell=cell,
    )


def weights_of(config: ModelConfig, spread: float = 0.7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(0, spread, shape).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }


def engine_of(config: ModelConfig, threads: int) -> Engine:
    return choose_engine(config.cell_spec, threads=threads, use="write", head=config.head)


def native(vocabulary: Vocabulary = CHARS, cell: str = "lstm") -> NativeStep:
    config = config_of(vocabulary, cell)
    return NativeStep(config, weights_of(config), engine_of(config, 2))


class StepByStep(StepNetwork):
    """A network that offers no more than single steps of another one."""

    def __init__(self, network: StepNetwork) -> None:
        self._network = network

    def zero_state(self, batch_size: int = 1) -> State:
        return self._network.zero_state(batch_size)

    def step(
        self, ids_B: Ids, state: State, edits_B: Sequence[Edits] | None = None
    ) -> tuple[Floats, State]:
        return self._network.step(ids_B, state, edits_B)


def ids_of(text: str, vocabulary: Vocabulary = CHARS) -> list[int]:
    return vocabulary.encode(text).tolist()


OPTIONS = [
    SampleOptions(length=150, rng=4),
    SampleOptions(length=150, temperature=0.0),
    SampleOptions(length=150, rng=2, top_k=5, top_p=0.9, min_p=0.01, temperature=1.3),
    SampleOptions(length=150, repetition_penalty=1.5, repetition_window=5),
    SampleOptions(length=150, rng=4, stop=("аб", "г.")),
    SampleOptions(length=150, rng=5, until_sentence=True),
    SampleOptions(length=300, rng=6, until_end=True, temperature=1.5),
    SampleOptions(length=200, rng=6, keep_going=True, temperature=1.5, repetition_penalty=1.3),
    SampleOptions(length=0),
    SampleOptions(length=1),
    SampleOptions(length=150, rng=4, typical=0.4, top_p=0.95, temperature=1.3),
    SampleOptions(length=150, rng=4, mirostat=2.0, mirostat_rate=0.3),
    SampleOptions(length=150, rng=4, temperature="1.5,0.2,0.9", bias=".=-2,!=+1"),
    SampleOptions(length=150, rng=4, temperature="0.1@0..20,1.5@30..90", no_repeat=4),
    SampleOptions(length=150, rng=4, temperature="0.2@s1,2.0@s2..", mirostat=3.0),
    SampleOptions(length=150, rng=4, temperature=1.5, word_starts=True, repetition_penalty=1.2),
    # It ends where all that could follow has followed.
    SampleOptions(length=150, rng=4, temperature=2.0, no_repeat=2),
    SampleOptions(
        length=200, rng=6, keep_going=True, temperature="1.5@0..20,0.7@20..", no_repeat=3
    ),
]
#: In `make test` every third one for bytes, too: those choose as characters do, among more of them.
EACH_OPTION = pytest.mark.parametrize(
    ("options", "vocabulary"),
    [
        pytest.param(
            *(options, vocabulary),
            marks=pytest.mark.slow if vocabulary is BYTES and number % 3 else (),
            id=f"{vocabulary.level}-{number}",
        )
        for vocabulary in (CHARS, BYTES)
        for number, options in enumerate(OPTIONS)
    ],
)


@EACH_OPTION
def test_blocks_write_what_single_steps_write(
    options: SampleOptions, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text, probabilities and reason, whatever the blocks: the engine's choice is NumPy's."""
    network = native(vocabulary)
    seed = ids_of("аб", vocabulary)
    single = list(stream_text(StepByStep(network), vocabulary, options, seed_ids=seed, index=3))
    for size, seconds in ((64, 1.0), (64, 0.0), (1, 1.0), (7, 1.0)):
        monkeypatch.setattr(writing, "BLOCK_SIZE", size)
        monkeypatch.setattr(writing, "BLOCK_SECONDS", seconds)
        blocks = list(stream_text(network, vocabulary, options, seed_ids=seed, index=3))
        assert [(s.id, s.text, s.chars, s.finish_reason) for s in blocks] == [
            (s.id, s.text, s.chars, s.finish_reason) for s in single
        ]
        for one, other in zip(blocks, single, strict=True):
            # The sums over the vocabulary are taken by another exp.
            assert one.probability == pytest.approx(other.probability, rel=1e-12)
            assert one.logprob == pytest.approx(other.logprob, rel=1e-12)


@pytest.mark.parametrize("number", [0, 4, 6, 7, 11, 12, 13])
def test_pieces_of_any_size_are_the_text_symbol_by_symbol(number: int) -> None:
    """Also where the network stands after each of them."""
    options, seed, engine = OPTIONS[number], ids_of("аб"), native()
    for network in (engine, StepByStep(engine)):
        stream = Stream(CHARS, options, SymbolGenerator(options.rng, 3), seed)
        writer = writing.StreamWriter(network, options, stream, begun := start(network, seed))
        assert writer.position is begun
        pieces: list[Piece] = []
        sizes = cycle((1, 7, 64))
        while not (pieces and pieces[-1].finish_reason):
            pieces.append(writer.block(size := next(sizes)))
            assert 1 <= len(pieces[-1].ids) <= size
        symbols = list(stream_text(network, CHARS, options, seed_ids=seed, index=3))
        assert Generation.from_pieces(pieces) == Generation.from_symbols(symbols)
        read_BV = start(engine, [*seed, *(symbol.id for symbol in symbols)]).logits_BV
        np.testing.assert_allclose(writer.position.logits_BV, read_BV, atol=1e-4)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_reading_at_once_is_reading_one_by_one(cell: str) -> None:
    network = native(cell=cell)
    ids = ids_of("абв гд. аб")
    at_once, steps = start(network, ids), start(StepByStep(network), ids)
    np.testing.assert_array_equal(at_once.logits_BV, steps.logits_BV)
    for layer, expected in zip(at_once.state, steps.state, strict=True):
        assert tuple(layer) == network.config.cell_spec.state_names
        for name, value in expected.items():
            np.testing.assert_array_equal(layer[name], value)
    # An end mark starts anew, wherever it stands.
    again = read(network, at_once, [*ids_of("где"), END_ID, *ids])
    np.testing.assert_array_equal(again.logits_BV, at_once.logits_BV)
    assert read(network, at_once, []) == at_once
    with pytest.raises(SamplingError, match=r"symbols are 0\.\.10"):
        read(network, at_once, [3, 11])


def test_a_step_changes_nothing_it_was_given() -> None:
    network = native()
    position = start(network, ids_of("аб"))
    before = [{name: value.copy() for name, value in layer.items()} for layer in position.state]
    logits = position.logits_BV.copy()
    network.step(np.array([3]), position.state)
    network.read([3, 4], position.state)
    list(stream_text(network, CHARS, SampleOptions(length=20)))
    np.testing.assert_array_equal(position.logits_BV, logits)
    for layer, expected in zip(position.state, before, strict=True):
        for name, value in expected.items():
            np.testing.assert_array_equal(layer[name], value)


def test_streams_step_as_alone() -> None:
    network = native()
    ids = np.array([3, 5, 4])
    positions = [start(network, [int(token)]) for token in ids]
    state = network.zero_state(3)
    assert [value.shape for value in state[0].values()] == [(3, 20), (3, 20)]
    _, state = network.step(np.full(3, END_ID), state)
    logits, state = network.step(ids, state)
    for row, position in enumerate(positions):
        np.testing.assert_array_equal(logits[row], position.logits_BV[0])
        np.testing.assert_array_equal(state[1]["c"][row], position.state[1]["c"][0])


def make_writer(network: object, **options: object) -> Writer:
    return Writer(network, CHARS, Normalization(), SampleOptions(**options), primer_ids=[2, 3])


def test_a_writer_stands_where_its_text_ends() -> None:
    """Whoever stops within a block goes on from there, and undoes to where it was."""
    network = native()
    for taken in (1, 2, 3, 5, 17, 40):
        writers = [
            make_writer(net, length=100, rng=8, stop=("вг",))
            for net in (network, StepByStep(network))
        ]
        texts = []
        for writer in writers:
            writer.feed("аб")
            for _, _symbol in zip(range(taken), writer.write(), strict=False):
                pass
            likely = writer.likeliest(3)
            writer.choose(4)
            list(writer.write(5))
            text = writer.text
            writer.undo()
            writer.undo()
            assert writer.likeliest(3) == likely
            texts.append((text, likely, [s.id for s in writer.write(6)]))
        assert texts[0] == texts[1]


def test_a_stop_within_a_block_leaves_the_position_after_it() -> None:
    network = native()
    writer = make_writer(network, length=200, rng=1, stop=(" ",), temperature=1.5)
    symbols = list(writer.write())
    assert symbols[-1].finish_reason == "stop" and len(symbols) > 4
    fresh = make_writer(network)
    # The writer began from its primer.
    position = read(network, fresh._position, [symbol.id for symbol in symbols])
    np.testing.assert_array_equal(writer._position.logits_BV, position.logits_BV)


def test_a_filter_that_the_engine_lacks_is_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine goes on computing the logits; without the filter it chooses too."""
    options = SampleOptions(length=40, rng=3, temperature=1.5)
    networks = SamplingNetworks(config := config_of(CHARS), weights_of(config), 2)
    plain = [s.id for s in stream_text(networks.one, CHARS, options)]
    together = generate(networks.many, CHARS, [()] * 5, options)
    asked = []

    def drop(logits: Floats, value: float) -> Floats:
        asked.append(value)
        logits = logits.copy()
        logits[:, plain[0]] = -np.inf
        return logits

    # No setting of the engine is called so.
    more = (*filters.FILTERS, (drop, "length"))
    monkeypatch.setattr("textgen.sampling.choice.FILTERS", more)
    monkeypatch.setattr("textgen.sampling.filters.FILTERS", more)
    ids = [s.id for s in stream_text(networks.one, CHARS, options)]
    assert asked and plain[0] not in ids
    texts = generate(networks.many, CHARS, [()] * 5, options)
    assert not any(plain[0] in text.ids for text in texts) and texts != together


def test_text_k_of_many_is_text_k_alone() -> None:
    network = native()
    options = SampleOptions(length=70, rng=3, stop=("ав",))
    texts = generate(network, CHARS, [ids_of("а")] * 6, options, first_index=2, together=False)
    for k, text in enumerate(texts):
        alone = stream_text(network, CHARS, options, seed_ids=ids_of("а"), index=2 + k)
        assert text == Generation.from_symbols(alone)
    with pytest.raises(SamplingError, match=r"^count is "):
        generate(network, CHARS, [], options, together=False)


@EACH_OPTION
def test_texts_together_are_the_texts_of_numpys_choice(
    options: SampleOptions, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many native streams, in blocks and with the engine's choice, against one step a time."""
    networks = SamplingNetworks(config := config_of(vocabulary), weights_of(config), 2)
    seed = ids_of("аб", vocabulary)
    together = generate(networks.many, vocabulary, [seed] * 5, options)
    plain = generate(StepByStep(networks.many), vocabulary, [seed] * 5, options)
    for one, other in zip(together, plain, strict=True):
        assert (one.text, one.ids, one.finish_reason) == (
            other.text, other.ids, other.finish_reason,
        )  # fmt: skip
        # Texts that end leave fewer rows, and AMX sums up few rows in another order: in float32.
        bound = 1e-6 if networks.engine.isa == "amx" else 1e-12
        assert one.bits_per_char == pytest.approx(other.bits_per_char, rel=bound, nan_ok=True)


def test_a_diverged_model_is_an_error_after_what_it_wrote() -> None:
    config = config_of(CHARS)
    weights = weights_of(config)
    weights["embedding.weight"][5] = np.nan
    network = NativeStep(config, weights, engine_of(config, 1))
    written = []
    with pytest.raises(SamplingError, match="not finite"):
        for symbol in stream_text(network, CHARS, SampleOptions(length=500, temperature=2.0)):
            written.append(symbol.id)
    assert written.count(5) == 1 and written[-1] == 5
    options = SampleOptions(length=500, temperature=2.0)
    # In pieces it is one with the piece in which it happens, and with each after it.
    stream = Stream(CHARS, options, SymbolGenerator(0, 0))
    writer = writing.StreamWriter(network, options, stream, start(network))
    for _ in written:
        writer.block(1)
    for _ in range(2):
        with pytest.raises(SamplingError, match="not finite"):
            writer.block(1)
    stream = Stream(CHARS, options, SymbolGenerator(0, 0))
    with pytest.raises(SamplingError, match="not finite"):
        writing.StreamWriter(network, options, stream, start(network)).block(500)
    networks = SamplingNetworks(config, weights, 1)
    with pytest.raises(SamplingError, match="not finite"):
        generate(networks.many, CHARS, [()] * 8, SampleOptions(length=500, temperature=2.0))


def test_the_path_is_chosen_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(CHARS)
    weights = weights_of(config)
    monkeypatch.delenv("TEXTGEN_PATH", raising=False)
    networks = SamplingNetworks(config, weights, 1)
    isa = supported_isas()[0]
    assert networks.engine.isa == isa
    assert isinstance(networks.one, NativeStep)
    record = networks.record(TOGETHER_FROM)
    assert (record["name"], record["isa"], record["together"]) == ("native", isa, True)
    assert networks.record(TOGETHER_FROM - 1)["together"] is False
    assert networks.record(50, exact=True)["together"] is False
    assert networks.describe(50) == (
        f"sampling: native {isa}, {networks.engine.precision} weights, 1 thread, 50 texts together"
    )
    for name in supported_isas():
        monkeypatch.setenv("TEXTGEN_PATH", name)
        assert SamplingNetworks(config, weights, 1).engine.isa == name
    for name, why in (("reference", "TEXTGEN_PATH asks for it"), ("torch", "no torch path")):
        monkeypatch.setenv("TEXTGEN_PATH", name)
        networks = SamplingNetworks(config, weights, 1)
        assert isinstance(networks.one, NumpyNetwork) and networks.many is networks.one
        assert networks.describe().startswith("sampling: numpy, fp32, one text at a time: ")
        assert why in networks.describe()
    monkeypatch.setenv("TEXTGEN_PATH", "warp")
    with pytest.raises(ConfigError, match="warp"):
        _ = SamplingNetworks(config, weights, 1).engine
    missing = [isa for isa in ("amx", "avx512bf16", "avx512") if isa not in supported_isas()]
    for name in missing:
        monkeypatch.setenv("TEXTGEN_PATH", name)
        with pytest.raises(BackendError, match=name):
            _ = SamplingNetworks(config, weights, 1).engine


def test_weights_of_eight_bits_are_said_and_need_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = config_of(CHARS)
    networks = SamplingNetworks(config, weights_of(config), 1)
    isa = supported_isas()[0]
    assert networks.in_eight_bits.engine.precision == "int8"
    assert networks.record(eight_bit=True)["precision"] == "int8"
    assert networks.record()["precision"] == networks.engine.precision != "int8"
    assert networks.describe(eight_bit=True) == (
        f"sampling: native {isa}, int8 weights, 1 thread, one text at a time"
    )
    assert networks.describe(50, eight_bit=True) == networks.describe(50)
    monkeypatch.setenv("TEXTGEN_PATH", "reference")
    networks = SamplingNetworks(config, weights_of(config), 1)
    with pytest.raises(ConfigError, match="eight_bit needs the native engine"):
        networks.describe(eight_bit=True)


def test_without_the_library_numpy_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(CHARS)
    monkeypatch.delenv("TEXTGEN_PATH", raising=False)
    why = "the native engine is not built here; type: python -m textgen.native.build"
    monkeypatch.setattr(library, "supported_isas", tuple)
    monkeypatch.setattr(library, "missing_reason", lambda: why)
    networks = SamplingNetworks(config, weights_of(config), 2)
    assert networks.describe() == f"sampling: numpy, fp32, one text at a time: {why}"
    assert len(whole_text(networks.one, CHARS, SampleOptions(length=30))) == 30


def test_a_seed_of_many_tokens_costs_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    network = native()
    monkeypatch.setattr(network, "step", lambda *_: pytest.fail("a token was read by itself"))
    position = read(network, _zero_position(network), ids_of("абвгд" * 50))
    assert np.isfinite(position.logits_BV).all()


def _zero_position(network: NativeStep):  # type: ignore[no-untyped-def]
    from textgen.sampling.networks import Position

    return Position(np.zeros((1, len(CHARS)), np.float32), network.zero_state(1))


def test_where_it_stands_within_a_block_is_known_each_time_it_is_asked() -> None:
    """What was asked once does not move where the next question begins."""
    seed, engine = ids_of("аб"), native()
    options = SampleOptions(length=40)
    stream = Stream(CHARS, options, SymbolGenerator(0, 0), seed)
    writer = writing.StreamWriter(engine, options, stream, start(engine, seed))
    written: list[int] = []
    for symbol in writer.symbols():
        written.append(symbol.id)
        read_BV = start(engine, [*seed, *written]).logits_BV
        np.testing.assert_allclose(writer.position.logits_BV, read_BV, atol=1e-4)
    assert len(written) == 40


def test_texts_together_are_written_in_groups_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what may come next depends on every token, one step at a time."""
    network = native()

    def group(count: int = 2, length: int = 40, **given: object) -> writing.StreamGroup:
        options = SampleOptions(length=length, **given)  # type: ignore[arg-type]
        streams = [Stream(CHARS, options, SymbolGenerator(0, n), []) for n in range(count)]
        position = start_many(network, [[]] * max(count, 1))
        return writing.StreamGroup(network, options, streams, position)

    assert group()._steps == writing.GROUP_STEPS > 1
    assert group(no_repeat=2)._steps == 1
    assert group(temperature="0.4@0..20,1.0@20..")._steps == 1
    assert group(0)._steps == writing.GROUP_STEPS
    # No step is made that no text has room for.
    steps: list[int] = []
    one_step = writing.step
    monkeypatch.setattr(writing, "step", lambda *given: steps.append(1) or one_step(*given))
    assert [len(piece.ids) for piece in group(length=1).block()] == [1, 1]
    assert len(steps) == 1


def test_the_last_token_of_each_text_is_edited_and_no_other() -> None:
    """Also of a text of which nothing is read but the end mark."""
    told: list[list[tuple[int, Edits]]] = []

    class Told(StepNetwork):
        def zero_state(self, batch_size: int = 1) -> State:
            return [{"h": np.zeros((batch_size, 1), np.float32)}]

        def step(
            self, ids_B: Ids | int, state: State, edits_B: Sequence[Edits] | None = None
        ) -> tuple[Floats, State]:
            ids = np.asarray(ids_B).tolist()
            told.append(list(zip(ids, edits_B or [()] * len(ids), strict=True)))
            return np.zeros((len(ids), len(CHARS)), np.float32), state

    one, two = (Edit(layer=0, state="h", unit=unit, scale=0.0, shift=1.0) for unit in (0, 1))
    start_many(Told(), [[], [3, 4], [5]], [(one,), (two,), (one, two)])
    assert told == [
        [(END_ID, ()), (END_ID, ()), (END_ID, (one,))],
        [(3, ()), (5, (one, two))],
        [(4, (two,))],
    ]


@pytest.mark.parametrize(
    ("shares", "sizes"),
    [
        ([0.0] * 6, [1, 2, 4, 8, 16, 32]),
        ([0.45] * 6, [1, 2, 4, 8, 16, 32]),
        ([0.1, 0.1, 0.1, 0.6, 0.9, 0.1, 0.1, 0.1], [1, 2, 4, 8, 8, 8, 16, 32]),
        (
            [0.0, 0.0, 0.0, 1.1, 1.1, 5.0, 1.1, 1.1],
            [1, 2, 4, 8, 4, 2, 1, 1, 1, 2, 4, 8, 16, 32],
        ),
    ],
    ids=["at once", "in half the time", "in time", "late"],
)
def test_blocks_grow_while_they_are_written_quickly(
    monkeypatch: pytest.MonkeyPatch, shares: list[float], sizes: list[int]
) -> None:
    """Twice as long each time, as long as a half of the time that one may take is not used up.

    Half as long where it took more time, so that a slow model's text appears as it is written.
    """
    seed, network = ids_of("аб"), native()
    now, asked = [100.0], list[int]()
    taken = iter(shares)
    monkeypatch.setattr(writing, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    bounded = writing.StreamWriter._bounded

    def noting(self: writing.StreamWriter, size: int) -> int:
        now[0] += next(taken, 0.0) * writing.BLOCK_SECONDS
        asked.append(size)
        return bounded(self, size)

    monkeypatch.setattr(writing.StreamWriter, "_bounded", noting)
    list(stream_text(network, CHARS, SampleOptions(length=60), seed_ids=seed))
    assert asked == sizes


def test_only_a_bound_of_characters_makes_a_plain_text() -> None:
    """One of tokens ends a text at them, so each must be counted."""

    def stream(tokens: int | None) -> Stream:
        options = SampleOptions(length=9)
        return Stream(CHARS, options, SymbolGenerator(0, 0), [], None, tokens)

    ids = ids_of("абвгд")
    piece = stream(3).accept_many(ids, [-1.0] * 5, [0.0] * 5)
    assert (len(piece.ids), piece.text, piece.finish_reason) == (3, "абв", "length")
    assert stream(None).accept_many(ids, [-1.0] * 5, [0.0] * 5).text == "абвгд"
    assert stream(None)._is_plain and not stream(3)._is_plain


def test_a_text_is_written_no_further_than_it_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    network, asked = native(), list[int]()
    write = network.write

    def noting(count: int, *given: Any, **more: Any) -> Any:
        asked.append(count)
        return write(count, *given, **more)

    monkeypatch.setattr(network, "write", noting)
    for length in (1, 2, 5, 50):
        options = SampleOptions(length=length)
        stream = Stream(CHARS, options, SymbolGenerator(0, 0), [])
        writing.StreamWriter(network, options, stream, start(network)).block(20)
    assert asked == [1, 2, 5, 20]
