"""One stream on the native engine: against NumPy's network, and its choices against NumPy's."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from support.native_windows import CELLS
from support.pairwise import each_two

from textgen.errors import SamplingError
from textgen.model.config import ModelConfig
from textgen.model.head import log_softmax
from textgen.model.native_network import native_shape
from textgen.model.network import Engine
from textgen.model.numpy_network import NumpyNetwork
from textgen.native.library import BF16_ISAS, ISA_NAMES, supported_isas
from textgen.native.sampler import (
    NO_ID,
    Automaton,
    ChoiceSettings,
    Places,
    Sampler,
    Standing,
    choose,
)
from textgen.sampling import SampleOptions, choose_symbols, filter_logits
from textgen.sampling.choice import choice_settings, uniforms_at

ISAS = supported_isas()
#: Vocabulary, embedding, hidden, layers, tied, residual. Each is wrong for other code: one of
#: everything; widths that fill no block of 16 rows and no pair of columns; several layers; a tied
#: output; whole groups of blocks; enough weights for two threads; no table, for its rows would take
#: too much; layers that add their input.
SHAPES = {
    "ones": (2, 1, 1, 1, False, False),
    "33": (23, 9, 33, 1, False, False),
    "65, two layers": (67, 12, 65, 2, False, False),
    "tied, three layers": (40, 48, 48, 3, True, False),
    "512": (65, 64, 512, 1, False, False),
    "without a table": (53_000, 4, 65, 1, False, False),
    "residual": (30, 12, 65, 3, False, True),
}

#: fp32 on both sides: sums of up to 512 terms in another order, over a dozen steps, as a share of
#: the logits' spread. What was seen is 4e-6.
FP32_BOUND = 3e-5
#: Weights and h are rounded to 8 bits: an error of 2**-9 at most and 2**-10.8 rms in each of a
#: product's two operands, hence some 2e-3 rms of a pre-activation's spread and as much again in the
#: logits. The largest of some thousand logits lies four times rms out, and errors are carried from
#: step to step and layer to layer: gates forget them (0.018 was seen), three plain layers amplify
#: them (0.055).
BF16_GATED_BOUND = 0.04
BF16_PLAIN_BOUND = 0.12


def bound_of(isa: str, cell: str) -> float:
    if isa not in BF16_ISAS:
        return FP32_BOUND
    return BF16_PLAIN_BOUND if cell == "rnn" else BF16_GATED_BOUND


@pytest.fixture(autouse=True)
def _needs_library() -> None:
    if not ISAS:
        pytest.skip("the native library is not built")


def random_config(cell: str, nonlinearity: str, shape: str) -> ModelConfig:
    vocab, embedding, hidden, layers, tie, residual = SHAPES[shape]
    return ModelConfig(
        vocab_size=vocab,
        embedding_size=embedding,
        hidden_size=hidden,
        num_layers=layers,
        cell=cell,
        nonlinearity=nonlinearity,
        tie=tie,
        residual=residual,
    )


def random_weights(config: ModelConfig, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Weights that keep every pre-activation of order one."""
    rng = np.random.default_rng(seed)
    return {
        name: (shape[-1] ** -0.5 if len(shape) > 1 else 0.1)
        * rng.standard_normal(shape, np.float32)
        for name, shape in config.tensor_shapes().items()
    }


def open_sampler(
    config: ModelConfig,
    weights: dict[str, NDArray[np.float32]],
    isa: str,
    threads: int = 1,
    precision: str = "",
) -> Sampler:
    engine = Engine("native", precision, "", "cpu", isa, threads)
    return Sampler(native_shape(config, engine), weights)


@cache
def expected(cell: str, nonlinearity: str, shape: str) -> tuple:
    """A network, tokens, and NumPy's logits after each and its last state."""
    config = random_config(cell, nonlinearity, shape)
    weights = random_weights(config)
    ids = np.random.default_rng(1).integers(0, config.vocab_size, 12).tolist()
    network = NumpyNetwork(config, weights)
    state = network.zero_state(1)
    rows = []
    for token in ids:
        logits, state = network.step(np.array([token]), state)
        rows.append(logits[0])
    return config, weights, ids, np.array(rows), state


@each_two("isa", "cell, nonlinearity", "shape", of=(ISAS, CELLS, SHAPES))
def test_logits_and_state_are_numpys(isa: str, cell: str, nonlinearity: str, shape: str) -> None:
    config, weights, ids, theirs, state = expected(cell, nonlinearity, shape)
    sampler = open_sampler(config, weights, isa)
    ours = np.zeros(sampler.state_shape, np.float32)
    logits = np.array([sampler.read([token], ours) for token in ids])
    bound = bound_of(isa, cell)
    assert np.abs(logits - theirs).max() < bound * theirs.std()
    for layer, named in zip(ours, state, strict=True):
        for row, value in zip(layer, named.values(), strict=True):
            # The states' spread is of order one, or they are next to nothing.
            assert np.abs(row - value[0]).max() < bound * max(value.std(), 0.25)


#: The state in 16 bits has an error of 2**-17 of its largest number, in each of a product's terms.
NARROW_BOUND = 5e-4


def in_eight_bits(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row as whole numbers from -127 to 127 times a scale."""
    scale = np.abs(matrix).max(axis=1, keepdims=True) / np.float32(127)
    return np.rint(matrix / scale) * scale


@each_two("isa", "cell, nonlinearity", "shape", of=(ISAS, CELLS, SHAPES))
def test_weights_in_eight_bits(isa: str, cell: str, nonlinearity: str, shape: str) -> None:
    """NumPy's network by weights that are rounded so; the first layer's input stays as it is."""
    config, weights, ids, exact, _ = expected(cell, nonlinearity, shape)
    untied = replace(config, tie=False)
    rounded = {"head.weight": weights["embedding.weight"], **weights}
    for name, matrix in rounded.items():
        if matrix.ndim == 2 and name not in ("embedding.weight", "layers.0.weight_ih"):
            rounded[name] = in_eight_bits(matrix)
    network, sampler = NumpyNetwork(untied, rounded), open_sampler(config, weights, isa, 1, "int8")
    state, ours = network.zero_state(1), np.zeros(sampler.state_shape, np.float32)
    theirs, logits = [], []
    for token in ids:
        row, state = network.step(np.array([token]), state)
        theirs.append(row[0])
        logits.append(sampler.read([token], ours))
    spread = exact.std()
    bound = bound_of(isa, cell) if isa in BF16_ISAS else NARROW_BOUND
    assert np.abs(np.array(logits) - theirs).max() < bound * spread
    if shape == "512":
        assert np.abs(np.array(logits) - exact).max() > 10 * NARROW_BOUND * spread


@pytest.mark.parametrize("isa", ISAS)
def test_what_is_not_finite_shows_in_eight_bits(isa: str) -> None:
    config, weights, ids, *_ = expected("lstm", "tanh", "33")
    for name in ("layers.0.weight_hh", "head.weight"):
        for value in (np.nan, np.inf):
            broken = {key: array.copy() for key, array in weights.items()}
            broken[name][3, 7] = value
            sampler = open_sampler(config, broken, isa, 1, "int8")
            state = np.zeros(sampler.state_shape, np.float32)
            assert not np.isfinite(sampler.read(ids, state)).all()
    sampler = open_sampler(config, weights, isa, 1, "int8")
    state = np.zeros(sampler.state_shape, np.float32)
    state[0, 0, 4] = np.nan
    assert not np.isfinite(sampler.read(ids, state)).any()


@pytest.mark.parametrize("isa", ISAS)
def test_sums_in_eight_bits_do_not_overflow(isa: str) -> None:
    """As many terms as there are in a wide layer, and all of them as large as can be."""
    config = ModelConfig(
        vocab_size=3, embedding_size=1, hidden_size=2048, cell="rnn", nonlinearity="relu"
    )
    weights = {name: np.zeros(shape, np.float32) for name, shape in config.tensor_shapes().items()}
    weights["layers.0.weight_hh"][:2] = 0.5
    weights["layers.0.weight_hh"][1] *= -1
    weights["head.weight"][:, 0] = 1.0
    sampler = open_sampler(config, weights, isa, 1, "int8")
    state = np.full(sampler.state_shape, 3.0, np.float32)
    logits = sampler.read([2], state)
    assert logits == pytest.approx(0.5 * 3.0 * 2048, rel=4e-3)
    assert state[0, 0, 1] == 0.0


@pytest.mark.parametrize("cell", ["lstm", "gru", "mlstm", "coupled"])
@pytest.mark.parametrize("isa", ISAS)
def test_weights_that_are_zero_may_be_anywhere(isa: str, cell: str) -> None:
    """What is left out of a product is what is zero, and nothing beside it."""
    config = replace(random_config(cell, "tanh", "65, two layers"), hidden_size=160)
    weights = random_weights(config)
    rng = np.random.default_rng(3)
    for name, weight in weights.items():
        if weight.ndim == 2 and name != "embedding.weight":
            for row in range(0, len(weight), 16):
                first, last = sorted(rng.integers(0, weight.shape[1] + 1, 2))
                first = 0 if rng.random() < 0.3 else first
                last = first if rng.random() < 0.2 else last
                weight[row : row + 16, :first] = 0.0
                weight[row : row + 16, last:] = 0.0
    network = NumpyNetwork(config, weights)
    state, sampler = network.zero_state(1), open_sampler(config, weights, isa)
    ours = np.zeros(sampler.state_shape, np.float32)
    for token in rng.integers(0, config.vocab_size, 12).tolist():
        logits, state = network.step(np.array([token]), state)
        error = np.abs(sampler.read([token], ours) - logits[0]).max()
        assert error <= bound_of(isa, cell) * max(1.0, np.abs(logits[0]).max())


@each_two(
    *("isa", "precision", "cell", "shape"),
    of=(
        ISAS,
        ["", "int8"],
        dict.fromkeys(cell for cell, _ in CELLS),
        ["33", "65, two layers", "512", "without a table", "residual"],
    ),
)
def test_calls_and_threads_change_no_bit(isa: str, precision: str, cell: str, shape: str) -> None:
    config, weights, ids, _, _ = expected(cell, "tanh", shape)
    settings = ChoiceSettings(key=5, temperature=0.9, top_p=0.9, banned=(0,))
    outcomes = []
    for threads, sizes in ((1, [30]), (1, [1] * 30), (2, [30]), (3, [1, 2, 3, 24])):
        sampler = open_sampler(config, weights, isa, threads, precision)
        state = np.zeros(sampler.state_shape, np.float32)
        logits = sampler.read(ids, state)
        chosen: list[list[float]] = [[], [], [], []]
        for size in sizes:
            block = sampler.write(size, settings, 7 + len(chosen[0]), logits, state)
            for column, values in zip(chosen, block, strict=True):
                column.extend(values.tolist())
        outcomes.append((chosen, logits.tolist(), state.tolist()))
    assert len(outcomes[0][0][0]) == 30
    assert all(outcome == outcomes[0] for outcome in outcomes[1:])


@pytest.mark.parametrize("isa", ISAS)
def test_weights_in_eight_bits_round_alike_whatever_the_threads(isa: str) -> None:
    """The threads decide how many columns are multiplied together, in the layers and in the head,
    and the compiler may round each of these loops in its own way."""
    config, weights, ids, _, _ = expected("lstm", "tanh", "512")
    logits = []
    for threads in 1, 2, 3:
        sampler = open_sampler(config, weights, isa, threads, "int8")
        logits.append(sampler.read(ids, np.zeros(sampler.state_shape, np.float32)).tolist())
    assert logits[0] == logits[1] == logits[2]


def test_two_threads_are_used_where_the_weights_are_many() -> None:
    for shape, threads in (("33", 1), ("512", 2)):
        config, weights, *_ = expected("lstm", "tanh", shape)
        assert open_sampler(config, weights, ISAS[0], 2).threads == threads
        assert open_sampler(config, weights, ISAS[0], 1).threads == 1


@pytest.mark.parametrize("penalty", [1.0, 1.5])
@pytest.mark.parametrize("isa", ISAS)
def test_writing_is_choosing_and_reading_in_turns(isa: str, penalty: float) -> None:
    config, weights, ids, _, _ = expected("lstm", "tanh", "33")
    settings = ChoiceSettings(
        key=3, temperature=1.2, top_k=9, repetition_penalty=penalty, repetition_window=6
    )
    sampler = open_sampler(config, weights, isa)
    state = np.zeros(sampler.state_shape, np.float32)
    logits = sampler.read(ids, state)
    twin, first = state.copy(), logits.copy()
    written = sampler.write(30, settings, 100, logits, state, recent=ids)
    history = list(ids)
    for k in range(30):
        recent = np.array([history[-6:]])
        one = choose(isa, settings, first[None], np.array([100 + k], np.uint64), recent)
        assert [column[0] for column in one] == [column[k] for column in written]
        history.append(int(one.ids[0]))
        first = sampler.read(history[-1:], twin)
    np.testing.assert_array_equal(first, logits)
    np.testing.assert_array_equal(twin, state)


@pytest.mark.parametrize("isa", ISAS)
def test_writing_ends_with_the_end_mark(isa: str) -> None:
    config, weights, ids, _, _ = expected("gru", "tanh", "33")
    sampler = open_sampler(config, weights, isa)
    settings = ChoiceSettings(key=1, temperature=2.0)

    def write(end: int) -> tuple[list[int], NDArray[np.float32]]:
        state = np.zeros(sampler.state_shape, np.float32)
        logits = sampler.read(ids, state)
        return sampler.write(60, settings, 0, logits, state, end=end).ids.tolist(), logits

    whole, _ = write(NO_ID)
    assert len(whole) == 60
    end = whole[20]
    cut, logits = write(end)
    assert cut == whole[: whole.index(end) + 1]
    # It has been read too.
    np.testing.assert_array_equal(
        logits, sampler.read([*ids, *cut], np.zeros(sampler.state_shape, np.float32))
    )


@pytest.mark.parametrize("isa", ISAS)
def test_logits_that_are_not_finite_end_the_block_before_them(isa: str) -> None:
    config, weights, *_ = expected("lstm", "tanh", "33")
    token = 4
    broken = {name: array.copy() for name, array in weights.items()}
    broken["embedding.weight"][token] = np.nan
    sampler = open_sampler(config, broken, isa)
    state = np.zeros(sampler.state_shape, np.float32)
    logits = sampler.read([1, 2, 3], state)
    assert np.isfinite(logits).all()
    chosen = sampler.write(500, ChoiceSettings(key=0), 0, logits, state).ids.tolist()
    assert chosen.index(token) == len(chosen) - 1 < 499
    for bad in (np.nan, np.inf):
        rows = np.zeros((3, 4), np.float32)
        rows[1, 2] = bad
        counters = np.zeros(3, np.uint64)
        assert len(choose(isa, ChoiceSettings(key=0), rows, counters).ids) == 1
        allowed = ChoiceSettings(key=0, banned=(2,))
        assert len(choose(isa, allowed, rows, counters).ids) == 3
    nothing = np.full((1, 4), -np.inf, np.float32)
    for temperature in (0.0, 1e-5, 0.5, 1.0):
        settings = ChoiceSettings(key=0, temperature=temperature)
        assert len(choose(isa, settings, nothing, np.zeros(1, np.uint64)).ids) == 0


def random_logits(rng: np.random.Generator, rows: int, size: int) -> NDArray[np.float32]:
    """Nearly flat to nearly certain, with ties and dropped symbols among them."""
    logits = rng.standard_normal((rows, size), np.float32) * rng.choice([0.1, 1.0, 5.0, 40.0])
    if rng.random() < 0.4:
        logits = np.round(logits)
    if rng.random() < 0.3:
        logits[rng.random(logits.shape) < 0.3] = -np.inf
        logits[:, -1] = 0.5
    return logits.astype(np.float32)


def random_options(rng: np.random.Generator) -> SampleOptions:
    temperatures = [1.0, 1.0, 0.8, 0.3, 0.0, 1e-4, 1e-300, 3.0, "1.5,0.0,0.4", "0.2,2.0"]
    return SampleOptions(
        temperature=temperatures[rng.integers(len(temperatures))],
        top_k=int(rng.choice([0, 0, 1, 3, 40, 10**9])),
        top_p=float(rng.choice([1.0, 1.0, 0.9, 0.5, 0.01, 1e-17])),
        min_p=float(rng.choice([0.0, 0.0, 0.05, 0.5, 1.0])),
        repetition_penalty=float(rng.choice([1.0, 1.3, 0.7, 5.0])),
        repetition_window=int(rng.choice([1, 5, 64])),
        typical=float(rng.choice([1.0, 1.0, 0.9, 0.3, 1e-17])),
        mirostat=float(rng.choice([0.0, 0.0, 1.0, 3.0, 10.0])),
        no_repeat=int(rng.choice([0, 0, 2, 3])),
        rng=int(rng.integers(2**63)),
    )


def test_every_filter_of_the_engine_is_among_the_random_options() -> None:
    rng = np.random.default_rng(0)
    drawn = [choice_settings(random_options(rng)) for _ in range(50)]
    for field in fields(ChoiceSettings):
        # The others are the symbols' or the text's; a rate bears on the next token alone.
        others = ("banned", "junctions", "biases", "starts", "surprise", "mirostat_rate")
        if field.name not in others:
            values = {getattr(settings, field.name) for settings in drawn}
            assert len(values) > 1, f"random_options never changes {field.name}; add it there"


@pytest.mark.parametrize("isa", ISAS)
def test_equal_logits_give_numpys_symbol(isa: str) -> None:
    """20,000 choices; NumPy's exp and ours differ in the last bit, which moves one in 1e13."""
    rng = np.random.default_rng(ISAS.index(isa))
    for _ in range(200):
        size, rows = int(rng.choice([2, 3, 16, 17, 65, 300, 1500])), 100
        options = random_options(rng)
        if size < 16:
            options = replace(options, no_repeat=0)  # Nothing might be left.
        logits = random_logits(rng, rows, size)
        banned = () if size == 2 else (0, 0, size // 2)
        biases = () if rng.random() < 0.5 else ((0, 3.0), (size - 1, -1.5))
        surprise = float(rng.choice([-1.0, 0.5, 2.0, 5.0])) if options.mirostat else 0.0
        recent = rng.integers(0, size, (rows, rng.integers(0, 70)))
        counters = rng.integers(0, 2**40, rows, dtype=np.uint64)
        settings = replace(
            choice_settings(options), banned=banned, biases=biases, surprise=surprise
        )
        allowed = logits.copy()
        allowed[:, list(banned)] = -np.inf
        turns = settings.turns or (options.first_temperature,)
        filtered = filter_logits(
            allowed,
            options,
            recent,
            biases=biases,
            temperatures=np.array(turns)[(counters % np.uint64(len(turns))).astype(int)],
            surprises=np.full(rows, surprise) if options.mirostat else None,
        )
        ours = choose(isa, settings, logits, counters, recent, threads=2)
        ids, probabilities = choose_symbols(filtered, uniforms_at(settings.key, counters))
        np.testing.assert_array_equal(ours.ids, ids, err_msg=f"{options}")
        # Sums of up to 1,500 terms in float64, whose exp has an error of one rounding.
        np.testing.assert_allclose(ours.probabilities, probabilities, rtol=1e-12)
        expected_logprobs = log_softmax(logits)[np.arange(rows), ids]
        np.testing.assert_allclose(ours.logprobs, expected_logprobs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("isa", ISAS)
def test_no_token_follows_one_that_it_never_follows(isa: str) -> None:
    """How strict a token is and how the next one begins are 0, 1 or 2, and together at most 2."""
    strict, begins = np.divmod(np.arange(9), 3)
    table = (strict << 4 | begins).astype(np.uint8).tobytes()
    previous = np.repeat(np.arange(-1, 9, dtype=np.int32), 400)  # NO_ID, and each token
    counters = np.arange(len(previous), dtype=np.uint64)
    logits = np.zeros((len(previous), 9), np.float32)
    settings = ChoiceSettings(key=3, junctions=table)
    chosen = choose(isa, settings, logits, counters, None, 2, previous)
    for token in range(-1, 9):
        own = strict[token] if token >= 0 else 0
        # Of 400 draws among at least three tokens none is missed.
        assert set(chosen.ids[previous == token].tolist()) == set(np.flatnonzero(own + begins <= 2))


def random_automaton(rng: np.random.Generator, size: int) -> tuple[Automaton, list[dict], int]:
    """One of 12 states, of which 4 stand within a character.

    With it of each state the symbols that may come next, the end mark 0 included, and the next
    state and the characters that each then needs.
    """
    states, whole, kinds = 12, 8, 5
    table = rng.integers(-states, states, (states, kinds))
    kinds_V = rng.integers(-1, kinds, size)
    distances = rng.choice([0, 1, 2, 5, 2**30], states)
    ends = rng.random(states) < 0.3
    rows = []
    for state in range(states):
        row = {0: (state, 0)} if ends[state] else {}
        for symbol in range(1, size):
            after = table[state, kinds_V[symbol]] if kinds_V[symbol] >= 0 else -1
            if after >= 0:
                row[symbol] = (int(after), int(distances[after]) + int(after < whole))
        rows.append(row)
    return Automaton(table, kinds_V, distances, ends, 0, whole), rows, whole


@pytest.mark.parametrize("isa", ISAS)
def test_an_automaton_allows_what_it_says_and_goes_on(isa: str) -> None:
    rng = np.random.default_rng(5)
    seen = 0
    for _ in range(60):
        size, rows = int(rng.choice([3, 17, 65])), 40
        automaton, allowed, whole = random_automaton(rng, size)
        states, lefts = rng.integers(0, 12, rows), rng.choice([0, 1, 2, 3, 2**30 - 1], rows)
        standings = [Standing(automaton, *pair, False) for pair in zip(states, lefts, strict=True)]
        places = Places(standings)
        settings = ChoiceSettings(key=7, temperature=0.7, top_p=0.9, banned=(1,))
        logits = rng.standard_normal((rows, size)).astype(np.float32)
        counters = np.arange(rows, dtype=np.uint64)
        ours = choose(isa, settings, logits, counters, threads=2, places=places)
        assert len(ours.ids) == rows
        for r, (state, left) in enumerate(zip(states, lefts, strict=True)):
            may = [v for v, (_, needs) in allowed[state].items() if needs <= left and v != 1]
            if not may:
                assert (ours.ids[r], ours.prices[r]) == (0, 0.0)
                assert places.at(r) == (left, -1)
                continue
            held = np.full((1, size), -np.inf, np.float32)
            held[0, may] = logits[r, may]
            options = SampleOptions(temperature=0.7, top_p=0.9)
            draw = uniforms_at(7, counters[r : r + 1])
            (expected_id,), _ = choose_symbols(filter_logits(held, options, None), draw)
            assert ours.ids[r] == expected_id
            weights = np.exp(logits[r].astype(float))
            price = math.log2((weights.sum() - weights[1]) / weights[may].sum())
            assert ours.prices[r] == pytest.approx(price, abs=1e-12)
            after = allowed[state][expected_id][0]
            is_char = expected_id != 0 and after < whole
            assert places.at(r) == (left - is_char, after)
            seen += 1
    assert seen > 500


@pytest.mark.parametrize("isa", ISAS)
def test_writing_ends_where_the_automaton_does(isa: str) -> None:
    """One of 20 symbols in turns, 9 of them at most: as so many choices of one."""
    config, weights, ids, _, _ = expected("lstm", "tanh", "33")
    size = config.vocab_size
    table = np.array([[1, -1], [-1, 0]])
    kinds = np.arange(size) % 2
    automaton = Automaton(table, kinds, np.zeros(2), np.zeros(2, bool), 0, 2)
    settings = ChoiceSettings(key=3, temperature=1.2)
    sampler = open_sampler(config, weights, isa)
    state = np.zeros(sampler.state_shape, np.float32)
    logits = sampler.read(ids, state)
    twin, first = state.copy(), logits.copy()
    standing = Standing(automaton, 0, 9, is_whole=True)
    written = sampler.write(20, settings, 0, logits, state, standing=standing)
    assert [token % 2 for token in written.ids] == [0, 1] * 4 + [0]
    places = Places([standing])
    for k in range(9):
        draw = np.array([k], np.uint64)
        one = choose(isa, settings, first[None], draw, places=places)
        assert [column[0] for column in one] == [column[k] for column in written]
        first = sampler.read(one.ids.tolist(), twin)
    np.testing.assert_array_equal(twin, state)


@pytest.mark.parametrize("isa", ISAS)
def test_where_every_token_would_repeat_nothing_is_chosen(isa: str) -> None:
    """Rows before it are; with as many tokens as fit nowhere nothing is dropped."""
    settings = ChoiceSettings(key=3, no_repeat=2)
    logits = np.zeros((3, 3), np.float32)
    counters = np.arange(3, dtype=np.uint64)
    # After 0 there were 0 and 1; in the second row all three.
    recent = np.array([[2, 2, 0, 0, 1, 0], [0, 0, 1, 0, 2, 0], [2, 2, 0, 0, 1, 0]], np.int32)
    chosen = choose(isa, settings, logits, counters, recent)
    assert chosen.ids.tolist() == [2]
    wide = replace(settings, no_repeat=2**40)
    assert len(choose(isa, wide, logits, counters, recent).ids) == 3


@pytest.mark.parametrize("isa", ISAS)
def test_equal_logits_give_torchs_symbol(isa: str) -> None:
    """The rule in torch: softmax, cumulative sum, the first sum above the draw."""
    import torch  # Here alone: an emulated Python has none.

    rng = np.random.default_rng(9)
    logits = rng.standard_normal((2000, 65), np.float32) * 3
    counters = np.arange(2000, dtype=np.uint64)
    draws = torch.from_numpy(uniforms_at(11, counters))
    sums = torch.softmax(torch.from_numpy(logits).double(), dim=-1).cumsum(dim=-1)
    theirs = torch.searchsorted(sums, (draws * sums[:, -1])[:, None], right=True)[:, 0]
    ours = choose(isa, ChoiceSettings(key=11), logits, counters)
    np.testing.assert_array_equal(ours.ids, theirs.numpy())


@pytest.mark.parametrize("isa", ISAS)
def test_many_rows_are_divided_among_threads(isa: str) -> None:
    rng = np.random.default_rng(4)
    logits = rng.standard_normal((37, 3000), np.float32)
    counters = rng.integers(0, 2**40, 37, dtype=np.uint64)
    settings = ChoiceSettings(key=1, top_k=50)
    one, three = (choose(isa, settings, logits, counters, threads=n) for n in (1, 3))
    for alone, shared in zip(one, three, strict=True):
        np.testing.assert_array_equal(alone, shared)
    logits[20, 5] = np.nan
    assert len(choose(isa, settings, logits, counters, threads=3).ids) == 20


@pytest.mark.parametrize("isa", ISAS)
def test_ties_are_kept_in_id_order(isa: str) -> None:
    def kept(values: list[float], **settings: float) -> set[int]:
        logits = np.tile(np.array(values, np.float32), (2000, 1))
        counters = np.arange(2000, dtype=np.uint64)
        return set(choose(isa, ChoiceSettings(key=2, **settings), logits, counters).ids.tolist())

    values = [1.0, 2.0, 1.0, 2.0, 1.0]
    assert kept(values, top_k=1) == {1}
    assert kept(values, top_k=3) == {0, 1, 3}
    assert kept(values, temperature=0.0) == {1}
    assert kept([0.0] * 4, top_p=0.5) == {0, 1}
    assert kept([0.0] * 4, top_p=0.51) == {0, 1, 2}
    assert kept([0.0, -0.0, 0.0], top_k=2) == {0, 1}
    assert kept([0.0] * 4, min_p=1.0) == {0, 1, 2, 3}


@pytest.mark.parametrize("isa", ISAS)
def test_probabilities_are_exact_to_a_rounding(isa: str) -> None:
    """Over the whole range of exp, the numbers below the normal ones included."""
    gaps = np.array([0.0, 1e-9, 0.3466, 0.3467, 1.0, 20.0, 700.0, 708.5, 720.0, 744.0], np.float32)
    for gap in gaps:
        logits = np.array([[0.0, -gap]], np.float32)
        settings = ChoiceSettings(key=0, banned=(0,))
        chosen = choose(isa, settings, logits, np.zeros(1, np.uint64))
        assert chosen.ids.tolist() == [1]
        exact = -float(gap) - math.log1p(math.exp(-float(gap)))
        assert chosen.logprobs[0] == pytest.approx(exact, rel=4e-16)
    # e^-720 is no normal number and yet no zero, though its digits are few.
    logits = np.array([[0.0, -720.0]], np.float32)
    settings = ChoiceSettings(key=0, banned=(0,), min_p=0.0)
    assert choose(isa, settings, logits, np.zeros(1, np.uint64)).probabilities.tolist() == [1.0]


POISONED = """
import ctypes, sys
# From here on glibc fills all memory it gives out with 0xff: NaN in float and in bf16.
assert ctypes.CDLL(None).mallopt(-6, 256) == 1
import numpy as np
import test_sampler as t
assert np.isnan(np.empty(1000, np.float32)).all()
for isa in t.ISAS:
    for shape in ("ones", "33", "65, two layers", "tied, three layers"):
        for cell, nonlinearity in t.CELLS:
            t.test_logits_and_state_are_numpys(isa, cell, nonlinearity, shape)
    t.test_equal_logits_give_torchs_symbol(isa)
    t.test_ties_are_kept_in_id_order(isa)
    t.test_writing_ends_with_the_end_mark(isa)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc can poison its memory")
@pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="a sanitizer gives out memory of its own")
def test_fresh_memory_is_never_read() -> None:
    here = os.path.dirname(__file__)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path])}
    done = subprocess.run([sys.executable, "-c", POISONED], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_library_and_no_such_instruction_set_are_errors() -> None:
    from textgen.errors import BackendError

    missing = [isa for isa in ISA_NAMES if isa not in ISAS]
    config, weights, *_ = expected("lstm", "tanh", "33")
    for isa in missing:
        with pytest.raises(BackendError, match=isa):
            open_sampler(config, weights, isa)
        with pytest.raises(BackendError, match=isa):
            choose(isa, ChoiceSettings(key=0), np.zeros((1, 3), np.float32), np.zeros(1, np.uint64))


def test_the_error_of_both_is_one() -> None:
    """What NumPy refuses the engine refuses."""
    with pytest.raises(SamplingError):
        choose_symbols(np.full((1, 3), np.nan), [0.5])
