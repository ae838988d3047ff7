"""The random generator against published values, and the choice against the softmax."""

from __future__ import annotations

import math

import numpy as np
import pytest

from textgen.errors import SamplingError
from textgen.sampling import SymbolGenerator, choose_symbols
from textgen.sampling.choice import DRAW_LIMIT, hold_to, splitmix64


def test_splitmix64_gives_the_published_values():
    """Of the reference implementation (Vigna, splitmix64.c) for the seed 1234567."""
    assert [splitmix64(1234567, n) for n in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_the_stream_is_the_documented_one():
    """These values are a promise: other implementations repeat them."""
    key = splitmix64(7, 0)
    expected = [(splitmix64(key, splitmix64(0, 3 * 2**40 + n)) >> 11) * 2.0**-53 for n in range(4)]
    generator = SymbolGenerator(7, 3)
    assert [generator.uniform() for _ in range(4)] == expected
    assert SymbolGenerator(0, 0).uniform() == 0.4236955102852141


def test_the_first_sample_is_meant_where_none_is_named():
    generator = SymbolGenerator(7)
    assert (generator.key, generator.counter) == (splitmix64(7, 0), 0)
    assert SymbolGenerator(7, 2).counter == 2 * 2**40
    generator.skip(3)
    generator.skip(2)
    assert generator.counter == 5


def test_draws_at_once_are_the_draws_one_by_one():
    one, many = SymbolGenerator(2**64 - 1, 2**24 - 1), SymbolGenerator(2**64 - 1, 2**24 - 1)
    expected = [one.uniform() for _ in range(100)]
    assert [*many.uniforms(60), *many.uniforms(39), many.uniform()] == expected


def test_draws_lie_in_the_unit_interval_and_are_uniform():
    draws = np.sort(SymbolGenerator(1).uniforms(10**6))
    assert draws[0] >= 0.0
    assert draws[-1] < 1.0
    # Kolmogorov-Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand seeds, and this is fixed.
    places = np.arange(1, 10**6 + 1) / 10**6
    assert np.abs(draws - places).max() < 1.95 / 1000


def test_streams_share_no_draw():
    """Neighbouring seeds and samples, and those whose sums agree, have no value in common."""
    gamma = 0x9E3779B97F4A7C15
    keys = [(rng, k) for rng in range(20) for k in range(20)]
    keys += [(gamma, 0), (gamma, 1), (2 * gamma % 2**64, 0), (2**40, 0), (2**64 - 1, 0)]
    draws = np.array([SymbolGenerator(*key).uniforms(500) for key in keys])
    # 202,500 values of 53 bits: two of independent ones agree with a chance of 2e-6.
    assert len(np.unique(draws)) == draws.size


def test_samples_do_not_run_into_each_other():
    first = SymbolGenerator(5, 0)
    first._counter = DRAW_LIMIT - 1
    first.uniform()
    assert first._counter == SymbolGenerator(5, 1)._counter  # only where the next one begins


def test_choice_follows_the_softmax():
    logits = np.array([0.0, -np.inf, 2.0, 1.0, -3.0, 0.5], np.float32)
    count = 10**6
    uniforms = SymbolGenerator(42).uniforms(count)
    ids, probabilities = choose_symbols(np.tile(logits, (1, 1)).repeat(count, axis=0), uniforms)
    expected = np.exp(logits.astype(np.float64))
    expected /= expected.sum()
    counts = np.bincount(ids, minlength=6)
    assert counts[1] == 0
    live = expected > 0
    chi_square = ((counts - count * expected)[live] ** 2 / (count * expected[live])).sum()
    # Four degrees of freedom: 18.5 is exceeded once in a thousand seeds, and this one is fixed.
    assert chi_square < 18.5
    # One exp and one division in float64.
    np.testing.assert_allclose(probabilities, expected[ids], rtol=1e-14)


def test_choice_is_the_first_id_whose_sum_exceeds_the_draw():
    logits = np.log(np.array([[0.5, 1.0, 0.5, 1.0]]))
    logits[0, 1] = -np.inf
    below_one = math.nextafter(1.0, 0.0)
    draws = [0.0, math.nextafter(0.25, 0.0), 0.25, math.nextafter(0.5, 0.0), 0.5, below_one]
    ids, _ = choose_symbols(logits.repeat(6, axis=0), draws)
    assert ids.tolist() == [0, 0, 2, 2, 3, 3]


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("draw", [0.0, 0.5, math.nextafter(1.0, 0.0)])
def test_a_symbol_without_probability_is_never_chosen(place, draw):
    for others in (-np.inf, -1e4):  # dropped, or so unlikely that its weight underflows
        logits = np.full((1, 5), others, np.float32)
        logits[0, place] = 1.0
        ids, probabilities = choose_symbols(logits, [draw])
        assert ids.tolist() == [place]
        assert probabilities.tolist() == [1.0]


def test_only_differences_of_logits_count():
    """Also where their exponentials would overflow, or vanish."""
    logits = np.log(np.array([[0.25, 0.75]]))
    for shift in (0.0, 1000.0, -1000.0):
        ids, probabilities = choose_symbols((logits + shift).repeat(2, axis=0), [0.2, 0.3])
        assert ids.tolist() == [0, 1]
        # A shift of 1000 leaves a logit 1e-13.
        np.testing.assert_allclose(probabilities, [0.25, 0.75], rtol=1e-12)


def test_rows_are_chosen_as_alone():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 5, (64, 101)).astype(np.float32)
    draws = generator.random(64)
    ids, probabilities = choose_symbols(logits, draws)
    for row in range(64):
        id_, probability = choose_symbols(logits[row : row + 1], draws[row : row + 1])
        assert (id_[0], probability[0]) == (ids[row], probabilities[row])


def test_generator_chooses_with_its_next_draw():
    logits = np.zeros(10, np.float32)
    generator, twin = SymbolGenerator(3, 1), SymbolGenerator(3, 1)
    assert [generator.choose(logits) for _ in range(50)] == [
        int(twin.uniform() * 10) for _ in range(50)
    ]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_output_that_is_not_finite_is_an_error(bad):
    logits = np.zeros((2, 3))
    logits[1, 2] = bad
    with pytest.raises(SamplingError, match="not finite"):
        choose_symbols(logits, [0.5, 0.5])
    with pytest.raises(SamplingError, match="not finite"):
        choose_symbols(np.full((1, 3), -np.inf), [0.5])


def test_what_a_form_costs_and_where_it_leaves_nothing():
    """By hand: of four alike a half costs one bit, and a quarter two; any row alone is an error."""
    allowed = np.array([[True, True, False, False], [False, False, False, True]])
    free = np.zeros((2, 4), np.float32)
    np.testing.assert_allclose(hold_to(free, allowed), [1.0, 2.0], rtol=1e-12)
    np.testing.assert_array_equal(np.isfinite(free), allowed)
    allowed[1] = False
    with pytest.raises(SamplingError, match="not finite"):
        hold_to(np.zeros((2, 4), np.float32), allowed)


@pytest.mark.parametrize(("rng", "index"), [(-1, 0), (2**64, 0), (0, -1), (0, 2**24)])
def test_seeds_out_of_range_are_refused(rng, index):
    with pytest.raises(SamplingError):
        SymbolGenerator(rng, index)
