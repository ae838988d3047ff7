"""The engine's updates of flat arrays against their formulas in float64: AdamW, and descent."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from textgen.native.library import supported_isas
from textgen.native.net import AdamW, Descent

ISAS = supported_isas()
#: Fewer than a vector has, no multiple of any vector's length, and several to each thread.
SIZES = (5, 33, 1003)
RATE, BETA1, BETA2, DECAY, EPS = 0.02, 0.8, 0.95, 0.3, 1e-8
#: A few roundings of 24 bits a step, over a few steps.
BOUND = 2e-6

Floats = NDArray[np.float32]


@pytest.fixture(autouse=True)
def _needs_library() -> None:
    if not ISAS:
        pytest.skip("the native library is not built")


def opened(parameters: Floats, gradient: Floats, decayed: int, isa: str, **changed: Any) -> AdamW:
    settings = {"beta1": BETA1, "beta2": BETA2, "weight_decay": DECAY, "clip_norm": 1e9}
    return AdamW(parameters, gradient, decayed, isa=isa, **{**settings, "threads": 1, **changed})


def drawn(size: int, seed: int = 0, scale: float = 1.0) -> Floats:
    return (scale * np.random.default_rng(seed).standard_normal(size)).astype(np.float32)


@pytest.mark.parametrize("clip", [0.5, 1e9], ids=["clipped", "unclipped"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("isa", ISAS)
def test_adamw_is_the_published_update(isa: str, size: int, threads: int, clip: float) -> None:
    """Loshchilov and Hutter 2019, algorithm 2, with the bias of both moments corrected."""
    decayed = 2 * size // 3
    parameters, gradient = drawn(size), np.empty(size, np.float32)
    optimizer = opened(parameters, gradient, decayed, isa, threads=threads, clip_norm=clip)
    wanted = parameters.astype(np.float64)
    m, v = np.zeros(size), np.zeros(size)
    decay = np.where(np.arange(size) < decayed, DECAY, 0.0)
    for step in range(1, 6):
        # From step to step another size: with one, a moment without its correction looks right.
        gradient[:] = drawn(size, step, scale=0.5 * step)
        g = gradient.astype(np.float64)
        norm = float(np.linalg.norm(g))
        masked, found = optimizer.step(1.0, RATE / step)
        assert not masked
        assert found == pytest.approx(norm, rel=1e-6)
        g *= min(1.0, clip / norm)
        m = BETA1 * m + (1 - BETA1) * g
        v = BETA2 * v + (1 - BETA2) * g * g
        corrected = m / (1 - BETA1**step) / (np.sqrt(v / (1 - BETA2**step)) + EPS)
        wanted += -RATE / step * (decay * wanted + corrected)
        np.testing.assert_allclose(parameters, wanted, rtol=BOUND, atol=BOUND)
        np.testing.assert_allclose(optimizer.exp_avg, m, rtol=BOUND, atol=BOUND)
        np.testing.assert_allclose(optimizer.exp_avg_sq, v, rtol=BOUND, atol=BOUND)
    assert optimizer.steps == 5


@pytest.mark.parametrize("isa", ISAS)
def test_the_first_step_of_adamw_goes_as_far_as_the_rate_says(isa: str) -> None:
    """Whatever the gradient's size: that is what the correction of both moments is for."""
    parameters, gradient = np.zeros(40, np.float32), drawn(40, scale=1e-3)
    opened(parameters, gradient, 0, isa).step(1.0, RATE)
    # The divisor has 1e-8 beside the gradient's size, which is 1e-5 or more.
    np.testing.assert_allclose(parameters, -RATE * np.sign(gradient), rtol=1e-3)


@pytest.mark.parametrize("place", ["loss", "first", "last"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("isa", ISAS)
def test_what_is_not_finite_changes_nothing(isa: str, value: float, place: str) -> None:
    parameters, gradient = drawn(37), drawn(37, 1)
    optimizer = opened(parameters, gradient, 20, isa, threads=2)
    optimizer.step(1.0, RATE)
    before = [a.copy() for a in (parameters, optimizer.exp_avg, optimizer.exp_avg_sq)]
    if place != "loss":
        gradient[0 if place == "first" else -1] = value
    masked, _ = optimizer.step(value if place == "loss" else 1.0, RATE)
    assert masked
    assert optimizer.steps == 1
    after = (parameters, optimizer.exp_avg, optimizer.exp_avg_sq)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("most", [0.01, 1e9], ids=["scaled down", "as far as it likes"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("isa", ISAS)
def test_a_descent_is_pulled_back_to_its_start(
    isa: str, size: int, threads: int, most: float
) -> None:
    pull, rates = 0.25, np.array([0.1, 0.03, 0.2], np.float32)
    stops = [1, size // 2, size]
    rate = np.repeat(rates.astype(np.float64), np.diff([0, *stops]))
    parameters, gradient = drawn(size), np.empty(size, np.float32)
    start = parameters.astype(np.float64)
    settings: dict[str, Any] = {"pull": pull, "most": most, "isa": isa, "threads": threads}
    descent = Descent(parameters, gradient, stops, rates.tolist(), **settings)
    wanted = start.copy()
    for number in range(4):
        gradient[:] = drawn(size, number + 1)
        assert not descent.step()
        step = rate * gradient
        step *= min(1.0, most / float(np.sqrt(np.mean(step**2))))
        wanted = wanted - step
        wanted += pull * (start - wanted)
        np.testing.assert_allclose(parameters, wanted, rtol=BOUND, atol=BOUND)
    gradient[size // 2] = math.nan
    assert descent.step()
    np.testing.assert_allclose(parameters, wanted, rtol=BOUND, atol=BOUND)
