"""The learning rate: up, down, and never zero."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models import make_plan

from textgen.model.config import ModelConfig
from textgen.training.plan import learning_rate_factor


def test_it_rises_and_falls_in_straight_lines() -> None:
    factors = [learning_rate_factor(step, 10, 3) for step in range(10)]
    rise, fall = [1 / 4, 2 / 4, 3 / 4], [7 / 7, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7]
    assert factors == pytest.approx(rise + fall)


def test_without_a_rise_it_starts_at_the_peak() -> None:
    assert learning_rate_factor(0, 5, 0) == 1.0
    assert learning_rate_factor(0, 1, 0) == 1.0


def test_after_the_last_step_it_stays() -> None:
    """A measurement of speed takes more steps than a short plan has; none may go uphill."""
    last = learning_rate_factor(9, 10, 3)
    assert [learning_rate_factor(step, 10, 3) for step in (10, 11, 5000)] == [last] * 3


@given(data=st.data(), total=st.integers(1, 10_000))
def test_it_stays_above_zero_and_at_most_one(data: st.DataObject, total: int) -> None:
    warmup = data.draw(st.integers(0, total - 1))
    step = data.draw(st.integers(0, total - 1))
    factor = learning_rate_factor(step, total, warmup)
    assert 0.0 < factor <= 1.0
    if step + 1 < total:
        after = learning_rate_factor(step + 1, total, warmup)
        assert after > factor if step + 1 <= warmup else after < factor


@pytest.mark.parametrize(("total", "warmup"), [(1, 1), (1, 5), (3, 3)])
def test_a_rise_as_long_as_the_run_does_not_divide_by_nothing(total: int, warmup: int) -> None:
    factors = [learning_rate_factor(step, total, warmup) for step in range(total + 2)]
    rise = [min((step + 1) / (warmup + 1), 1.0) for step in range(total + 2)]
    assert factors == pytest.approx([*rise[:warmup], *[1.0] * (total + 2 - warmup)][: total + 2])


def test_a_plan_multiplies_its_peak() -> None:
    plan = make_plan(ModelConfig(vocab_size=9, embedding_size=3, hidden_size=4))
    factors = [learning_rate_factor(step, 20, 2) for step in range(20)]
    assert [plan.learning_rate(step) for step in range(20)] == [0.01 * f for f in factors]


def test_a_second_schedule_begins_after_the_first() -> None:
    """Steps 20 to 29 have the rates that a run of ten has."""
    plan = make_plan(ModelConfig(vocab_size=9, embedding_size=3, hidden_size=4))
    longer, own = replace(plan, first_step=20, steps=30), replace(plan, steps=10)
    rates = [longer.learning_rate(20 + step) for step in range(10)]
    assert rates == [own.learning_rate(step) for step in range(10)]
    assert rates[2] == 0.01 and rates[-1] == pytest.approx(0.01 / 8)
