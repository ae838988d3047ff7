"""The filters against transformers' logits processors, and what they promise beyond them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from textgen.errors import SamplingError
from textgen.sampling import (
    SampleOptions,
    apply_min_p,
    apply_repetition_penalty,
    apply_temperature,
    apply_top_k,
    apply_top_p,
    filter_logits,
    filters,
)
from textgen.sampling.filters import (
    apply_biases,
    apply_mirostat,
    apply_no_repeat,
    apply_typical,
    next_surprise,
)

SIZES = (3, 84, 1000)
DTYPES = (np.float32, np.float64)


def random_logits(size, dtype, rows=64, seed=0):
    """Rows without equal values, from nearly flat to nearly certain, some symbols at -inf."""
    generator = np.random.default_rng(seed + size)
    spread = np.logspace(-1, 1.3, rows)[:, None]
    logits = (generator.normal(size=(rows, size)) * spread).astype(dtype)
    logits[generator.random(logits.shape) < 0.05] = -np.inf
    logits[:, 1] = generator.normal(size=rows)  # never a row of -inf alone
    return logits


def oracle(processor, logits, ids=None):
    result = processor(None if ids is None else torch.from_numpy(ids), torch.from_numpy(logits))
    return result.numpy()


def oracle_kept(processor, logits):
    """What it keeps, decided in float64 as ours is: in float32 a border case may round over."""
    return np.isfinite(oracle(processor, logits.astype(np.float64)))


def check_dropped(result, logits, kept):
    assert result.dtype == logits.dtype
    np.testing.assert_array_equal(result, np.where(kept, logits, -np.inf))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("temperature", [0.05, 0.8, 1.0, 1.7, 2.0, 100.0])
def test_temperature_is_the_oracles(size, dtype, temperature):
    logits = random_logits(size, dtype)
    result = apply_temperature(logits, temperature)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, oracle(TemperatureLogitsWarper(temperature), logits))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("top_k", [1, 2, 10, 83, 84, 5000])
def test_top_k_is_the_oracles(size, dtype, top_k):
    logits = random_logits(size, dtype)
    kept = oracle_kept(TopKLogitsWarper(top_k), logits)
    check_dropped(apply_top_k(logits, top_k), logits, kept)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("top_p", [1e-17, 1e-6, 0.1, 0.5, 0.9, 0.999])
def test_top_p_is_the_oracles(size, dtype, top_p):
    logits = random_logits(size, dtype)
    kept = oracle_kept(TopPLogitsWarper(top_p), logits)
    check_dropped(apply_top_p(logits, top_p), logits, kept)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("min_p", [1e-6, 0.05, 0.5, 1.0])
def test_min_p_is_the_oracles(size, dtype, min_p):
    logits = random_logits(size, dtype)
    kept = oracle_kept(MinPLogitsWarper(min_p), logits)
    check_dropped(apply_min_p(logits, min_p), logits, kept)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("typical", [1e-17, 0.1, 0.5, 0.9, 0.999])
def test_typical_is_the_oracles(size, dtype, typical):
    logits = random_logits(size, dtype)
    kept = oracle_kept(TypicalLogitsWarper(typical), logits)
    check_dropped(apply_typical(logits, typical), logits, kept)


def test_typical_keeps_what_is_nearest_to_the_entropy():
    """By hand: 0.5, 0.25, 0.125, 0.125 have surprises of 1, 2, 3, 3 bits, and 1.75 on average."""
    logits = -np.log(2) * np.array([0.0, 1.0, 2.0, 2.0])
    # A share that is reached to the last bit is enough.
    for typical, kept in ((0.2, [1]), (0.25, [1]), (0.3, [0, 1]), (0.76, [0, 1, 2, 3])):
        result = apply_typical(logits, typical)
        assert np.flatnonzero(np.isfinite(result)).tolist() == kept
    # The most likely one is not typical where the others together are likelier by far.
    crowd = np.log(np.array([0.3, *[0.07] * 10]))
    assert np.flatnonzero(np.isfinite(apply_typical(crowd, 0.5))).tolist() == list(range(1, 11))


def test_mirostat_keeps_what_surprises_no_more_than_the_bound():
    """By hand: 0.5, 0.25, 0.125, 0.125 have surprises of 1, 2, 3, 3 bits."""
    logits = np.log(np.array([[0.125, 0.5, 0.25, 0.125]] * 5))
    bounds = np.array([3.01, 2.99, 1.01, 0.2, np.inf])
    kept = np.isfinite(apply_mirostat(logits, bounds))
    assert kept.tolist() == [
        [True, True, True, True],
        [False, True, True, False],
        [False, True, False, False],
        [False, True, False, False],  # one is always left
        [True, True, True, True],
    ]
    options = SampleOptions(mirostat=3.0, mirostat_rate=0.1)
    # A token of 2 bits where 3 are wanted: the bound rises by a tenth of the difference.
    assert next_surprise(4.0, 0.25, options) == pytest.approx(4.1, abs=1e-15)
    # A text begins with twice the target: 6 bits keep what is at least as likely as 1/64.
    spread = np.log(np.array([0.9, 0.06, 0.03, 0.01], np.float64))
    result = filter_logits(spread, SampleOptions(temperature=1.0, mirostat=3.0))
    assert np.isfinite(result).tolist() == [True, True, True, False]


def test_mirostat_is_what_its_authors_wrote():
    """Their loop over the sorted probabilities; a bound is never a surprise to the last bit."""
    rng = np.random.default_rng(0)
    options = SampleOptions(mirostat=2.5, mirostat_rate=0.1)
    ours = theirs = 5.0
    for _ in range(500):
        logits = rng.normal(0.0, 2.0, 65)
        weights = np.exp(logits - logits.max())
        probabilities = weights / weights.sum()
        kept = []
        for token in np.argsort(-probabilities):
            if kept and -math.log2(probabilities[token]) > theirs:
                break
            kept.append(token)
        left = np.isfinite(apply_mirostat(logits, ours))
        assert sorted(kept) == np.flatnonzero(left).tolist()
        chosen = probabilities[rng.choice(kept)] / probabilities[kept].sum()
        theirs -= 0.1 * (math.log2(1 / chosen) - 2.5)
        ours = next_surprise(ours, chosen, options)
        assert ours == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_no_repeat_is_the_oracles(size):
    logits = random_logits(6, np.float64)
    ids = np.random.default_rng(size).integers(0, 6, (len(logits), 30))
    expected = oracle(NoRepeatNGramLogitsProcessor(size), logits, ids)
    np.testing.assert_array_equal(apply_no_repeat(logits, ids, size), expected)
    np.testing.assert_array_equal(apply_no_repeat(logits, ids[:, : size - 1], size), logits)


def test_biases_are_the_oracles():
    logits = random_logits(84, np.float64)
    biases = ((3, -2.5), (80, 1.0))
    ids = np.zeros((len(logits), 4), np.int64)
    processor = SequenceBiasLogitsProcessor([[[token], value] for token, value in biases])
    expected = oracle(processor, logits, ids)
    # The library holds a bias in float32, as it is here to the last bit.
    np.testing.assert_array_equal(apply_biases(logits, biases), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.3, 5.0])
def test_repetition_penalty_is_the_oracles(size, dtype, penalty):
    logits = random_logits(size, dtype)
    ids = np.random.default_rng(1).integers(0, size, (len(logits), 20))  # with repeats
    expected = oracle(RepetitionPenaltyLogitsProcessor(penalty), logits, ids)
    result = apply_repetition_penalty(logits, ids, penalty)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)


def test_the_repetition_penalty_is_for_one_row_as_for_many():
    logits_V = np.array([4.0, -4.0, 2.0, 1.0])
    for leading in ((), (1,), (1, 1)):
        logits, ids = logits_V.reshape(*leading, 4), np.array([0, 1]).reshape(*leading, 2)
        result = apply_repetition_penalty(logits, ids, 2.0)
        assert result.shape == logits.shape and result.ravel().tolist() == [2.0, -8.0, 2.0, 1.0]


def test_all_filters_together_are_the_oracles_in_its_order():
    logits = random_logits(84, np.float64, rows=200)
    ids = np.random.default_rng(2).integers(0, 84, (200, 20))
    expected = logits
    for processor in (
        SequenceBiasLogitsProcessor([[[5], 2.0], [[40], -1.0]]),
        RepetitionPenaltyLogitsProcessor(1.2),
        NoRepeatNGramLogitsProcessor(2),
        TemperatureLogitsWarper(0.7),
        TopKLogitsWarper(30),
        TopPLogitsWarper(0.9),
        MinPLogitsWarper(0.1),
        TypicalLogitsWarper(0.8),
    ):
        expected = oracle(processor, expected, ids)
    given = {
        "temperature": 0.7,
        "top_k": 30,
        "top_p": 0.9,
        "min_p": 0.1,
        "typical": 0.8,
        "repetition_penalty": 1.2,
        "no_repeat": 2,
    }
    biases = ((5, 2.0), (40, -1.0))
    result = filter_logits(logits, SampleOptions(**given), ids, biases=biases)
    np.testing.assert_array_equal(result, expected)
    # Each of them matters here, so none was left out.
    usual = SampleOptions()
    for name in [name for name in given if name != "temperature"]:
        options = SampleOptions(**(given | {name: getattr(usual, name)}))
        without = filter_logits(logits, options, ids, biases=biases)
        assert not np.array_equal(without, expected), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_ties_are_kept_in_id_order(dtype):
    logits = np.array([1.0, 2.0, 1.0, 2.0, 1.0], dtype)
    inf = -np.inf
    assert apply_top_k(logits, 1).tolist() == [inf, 2, inf, inf, inf]
    assert apply_top_k(logits, 3).tolist() == [1, 2, inf, 2, inf]
    assert apply_temperature(logits, 0.0).tolist() == [inf, 2, inf, inf, inf]
    flat = np.zeros(4, dtype)
    assert apply_top_p(flat, 0.5).tolist() == [0, 0, inf, inf]
    assert apply_top_p(flat, 0.51).tolist() == [0, 0, 0, inf]
    assert apply_min_p(flat, 1.0).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "off",
    [
        lambda logits: apply_temperature(logits, 1.0),
        lambda logits: apply_top_k(logits, 0),
        lambda logits: apply_top_k(logits, 84),
        lambda logits: apply_top_k(logits, 10**9),
        lambda logits: apply_top_p(logits, 1.0),
        lambda logits: apply_min_p(logits, 0.0),
        lambda logits: apply_repetition_penalty(logits, np.zeros((64, 0), np.int64), 1.5),
        lambda logits: apply_repetition_penalty(logits, np.zeros((64, 3), np.int64), 1.0),
    ],
)
def test_off_values_change_nothing(off):
    logits = random_logits(84, np.float32)
    np.testing.assert_array_equal(off(logits), logits)


def test_all_of_the_probability_is_every_token_however_unlikely():
    logits = np.array([0.0, -1.0, -800.0])  # exp(-800) is 0 in float64
    assert apply_top_p(logits, 1.0).tolist() == logits.tolist()
    assert apply_top_p(logits, 0.999999).tolist() == [0.0, -1.0, -np.inf]


FILTERS = {
    "temperature": lambda x: apply_temperature(x, 0.5),
    "tiny temperature": lambda x: apply_temperature(x, 1e-300),
    "greedy": lambda x: apply_temperature(x, 0.0),
    "top_k": lambda x: apply_top_k(x, 2),
    "top_p": lambda x: apply_top_p(x, 1e-9),
    "min_p": lambda x: apply_min_p(x, 1.0),
    "typical": lambda x: apply_typical(x, 0.3),
    "mirostat": lambda x: apply_mirostat(x, 0.5),
}


def test_every_filter_is_among_those_that_are_tried():
    missing = {name for _, name in filters.FILTERS} - set(FILTERS)
    assert not missing, f"add to FILTERS of this file: {', '.join(sorted(missing))}"


@pytest.mark.parametrize("name", FILTERS)
@settings(max_examples=30, deadline=None)
@given(
    logits=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=8),
        elements=st.one_of(
            st.floats(-(2.0**100), 2.0**100, width=32),
            st.just(-np.inf),
            st.integers(-2, 2).map(float),
        ),
    )
)
def test_promises_of_every_filter(name, logits):
    """The argument stays, -inf stays, the likeliest survives, and rows do not mix; what is typical
    need not be likely, so there it is one of them that survives."""
    logits = logits.copy()
    logits[..., 0] = np.where(np.isneginf(logits).all(axis=-1), 0.0, logits[..., 0])
    before = logits.copy()
    result = FILTERS[name](logits)
    np.testing.assert_array_equal(logits, before)
    assert result.shape == logits.shape
    assert not np.isnan(result).any()
    assert np.isneginf(result[np.isneginf(logits)]).all()
    best = (logits if name != "typical" else result).argmax(axis=-1, keepdims=True)
    assert np.isfinite(np.take_along_axis(result, best, axis=-1)).all()
    flat = logits.reshape(-1, logits.shape[-1])
    alone = np.array([FILTERS[name](row) for row in flat]).reshape(logits.shape)
    np.testing.assert_array_equal(alone, result)


def test_a_tiny_temperature_is_greedy_up_to_ties():
    logits = np.array([-3.0, 5.0, 4.999, 5.0], np.float32)
    kept = np.isfinite(apply_temperature(logits, 1e-300))
    assert kept.tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    "call",
    [
        lambda x: apply_temperature(x, -0.1),
        lambda x: apply_temperature(x, float("nan")),
        lambda x: apply_temperature(x, float("inf")),
        lambda x: apply_top_k(x, -1),
        lambda x: apply_top_p(x, 0.0),
        lambda x: apply_top_p(x, 1.1),
        lambda x: apply_top_p(x, float("nan")),
        lambda x: apply_min_p(x, -0.1),
        lambda x: apply_min_p(x, 1.1),
        lambda x: apply_typical(x, 0.0),
        lambda x: apply_typical(x, 1.1),
        lambda x: apply_typical(x, float("nan")),
        lambda x: apply_no_repeat(x, np.array([0]), -1),
        lambda x: apply_repetition_penalty(x, np.array([0]), 0.0),
        lambda x: apply_repetition_penalty(x, np.array([0]), float("inf")),
        lambda x: apply_repetition_penalty(x, np.array([3]), 1.5),
        lambda x: apply_repetition_penalty(x, np.array([-1]), 1.5),
        lambda x: apply_repetition_penalty(x, np.array([0, 3]), 1.5),
        lambda x: apply_repetition_penalty(x, np.array([-1, 0]), 1.5),
    ],
)
def test_values_out_of_range_are_refused(call):
    with pytest.raises(SamplingError, match=r"must (be|lie)"):
        call(np.zeros(3))
