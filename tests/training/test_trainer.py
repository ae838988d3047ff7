"""The training step: what it learns, carries, masks, counts, and how it goes on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import REFERENCE, make_model, make_plan
from torch.nn import functional as F

from textgen.cells import LSTMCell
from textgen.corpus.windows import Windows
from textgen.model.config import ModelConfig
from textgen.ops import select
from textgen.ops.select import _bf16_works
from textgen.runtime import computing_threads
from textgen.training import trainer as trainer_module
from textgen.training.plan import Plan
from textgen.training.schedule import learning_rate_factor
from textgen.training.trainer import Trainer, tensor_shapes

CONFIG = ModelConfig(vocab_size=12, embedding_size=5, hidden_size=8, dropout=0.3)
CPU = torch.device("cpu")
FAST = select(LSTMCell(), CPU, "fp32")


def tokens() -> np.ndarray:
    """Random text of several documents."""
    text = np.random.default_rng(2).integers(1, 12, 100).astype(np.uint8)
    text[[20, 21, 60]] = 0
    return text


def make_trainer(plan: Plan, path: Any = REFERENCE, text: np.ndarray | None = None) -> Trainer:
    windows = Windows(
        tokens() if text is None else text,
        seq_len=plan.seq_len,
        batch_size=plan.batch_size,
        sliding=plan.sliding,
        rng=plan.rng,
    )
    return Trainer(make_model(plan.model, path=path), windows, plan)


def assert_bits_equal(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name, array in a.items():
        np.testing.assert_array_equal(array, b[name], err_msg=name)


@pytest.mark.parametrize("sliding", [False, True])
def test_a_step_is_what_one_would_write_by_hand(sliding: bool) -> None:
    plan = make_plan(replace(CONFIG, dropout=0.0), sliding=sliding, rng=5)
    trainer = make_trainer(plan)
    model = make_model(plan.model)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.01},
            {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
        ],
        betas=(0.9, plan.optimizer.beta2),
    )
    windows = Windows(tokens(), seq_len=4, batch_size=3, sliding=sliding, rng=5)
    state = model.zero_state(3)
    for step in range(12):
        batch = windows.batch(step)
        if sliding:
            state = model.zero_state(3)
        logits = []
        # Token by token, so that the resets are plain assignments.
        for ids_B, resets_B in zip(batch.inputs_TB, batch.resets_TB, strict=True):
            keep = torch.from_numpy(~resets_B)[:, None]
            state = [{n: torch.where(keep, v, 0.0) for n, v in layer.items()} for layer in state]
            logits_TBV, state = model(torch.from_numpy(ids_B)[None], state)
            logits.append(logits_TBV)
        targets = torch.from_numpy(batch.targets_TB)
        loss = F.cross_entropy(torch.cat(logits).flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan.optimizer.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * learning_rate_factor(step, plan.steps, plan.warmup_steps)
        optimizer.step()
        optimizer.zero_grad()
        state = [{name: value.detach() for name, value in layer.items()} for layer in state]

        trainer.advance()
        assert trainer.read_counters().nats_per_token == pytest.approx(loss.item(), rel=1e-5)
    for name, expected in model.arrays().items():
        # Twelve steps, each of which AdamW normalises: roundings move a weight by a small share
        # of the learning rate, 0.01.
        np.testing.assert_allclose(trainer.model.arrays()[name], expected, atol=2e-4, rtol=0)


def test_training_learns() -> None:
    text = np.tile(np.array([2, 3, 4, 5, 6], np.uint8), 40)
    plan = make_plan(replace(CONFIG, dropout=0.0), steps=100)
    plan = replace(plan, optimizer=replace(plan.optimizer, learning_rate=0.03))
    trainer = make_trainer(plan, FAST, text)
    for _ in range(90):
        trainer.advance()
    trainer.read_counters()
    for _ in range(10):
        trainer.advance()
    # Each symbol follows from the one before it; chance would cost log(5) = 1.6.
    assert trainer.read_counters().nats_per_token < 0.2


def test_streams_carry_their_state_and_windows_do_not() -> None:
    for sliding in (False, True):
        trainer = make_trainer(make_plan(CONFIG, sliding=sliding))
        trainer.advance()
        arrays = trainer.tensors()
        assert bool(arrays["state.0.h"].any()) != sliding
        assert bool(arrays["state.0.c"].any()) != sliding


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("path", [REFERENCE, FAST], ids=["reference", "torch"])
def test_a_run_goes_on_bit_for_bit(path: Any, threads: int) -> None:
    plan = make_plan(replace(CONFIG, num_layers=2))
    with computing_threads(threads):
        whole = make_trainer(plan, path)
        for _ in range(6):
            whole.advance()
        stored, counted = whole.tensors(), whole.steps_counted
        kept = {name: array.copy() for name, array in stored.items()}
        for _ in range(6):
            whole.advance()
        assert_bits_equal(stored, kept)  # copies: what is stored does not change any more
        resumed = make_trainer(plan, path)
        resumed.load(6, counted, stored)
        for _ in range(6):
            resumed.advance()
        assert_bits_equal(resumed.tensors(), whole.tensors())
        assert resumed.read_counters() == whole.read_counters()
        assert resumed.step == whole.step == 12
    assert_bits_equal(stored, kept)


def test_the_shapes_of_what_is_stored_are_known_beforehand() -> None:
    for config in (replace(CONFIG, num_layers=2), replace(CONFIG, embedding_size=8, tie=True)):
        plan = make_plan(config)
        arrays = make_trainer(plan).tensors()
        assert {name: array.shape for name, array in arrays.items()} == tensor_shapes(plan)


@pytest.mark.skipif(not _bf16_works(CPU), reason="torch cannot run its LSTM in bf16 on this CPU")
def test_everything_stored_is_float32_in_bf16_too() -> None:
    plan = make_plan(replace(CONFIG, num_layers=2))
    trainer = make_trainer(plan, select(LSTMCell(), CPU, "bf16"))
    trainer.advance()
    assert {array.dtype for array in trainer.tensors().values()} == {np.dtype(np.float32)}


def dropout_draws(plan: Plan, steps: range) -> list[list[float]]:
    """The first numbers that dropout draws in each of `steps`."""
    trainer = make_trainer(plan)
    trainer.step = steps.start
    draws = []
    forward = trainer.model.forward

    def spy(ids, state, resets, generator):
        draws.append(torch.rand(4, generator=generator.clone_state()).tolist())
        return forward(ids, state, resets, generator)

    trainer.model.forward = spy  # type: ignore[method-assign]
    for _ in steps:
        trainer.advance()
    return draws


def test_dropout_depends_on_the_seed_and_the_step_alone() -> None:
    plan = make_plan(CONFIG)
    draws = dropout_draws(plan, range(8))
    assert dropout_draws(plan, range(5, 8)) == draws[5:]
    other = dropout_draws(replace(plan, rng=2), range(8))
    flat = [tuple(draw) for draw in draws + other]
    assert len(set(flat)) == 16, "every step of every run has masks of its own"


def test_no_dropout_draws_nothing_into_the_weights() -> None:
    """The seed of a run without dropout and shuffling has no say after the first weights."""
    plan = make_plan(replace(CONFIG, dropout=0.0))
    arrays = []
    for rng in (1, 2):
        trainer = make_trainer(replace(plan, rng=rng))
        for _ in range(3):
            trainer.advance()
        arrays.append(trainer.tensors())
    assert_bits_equal(*arrays)


@pytest.fixture
def broken_steps(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Steps (by number of the call) whose loss is made NaN."""
    broken: set[int] = set()
    real = F.cross_entropy
    calls = iter(range(10**6))

    def loss(*args: Any, **kwargs: Any) -> torch.Tensor:
        value = real(*args, **kwargs)
        return value * math.nan if next(calls) in broken else value

    monkeypatch.setattr(trainer_module.F, "cross_entropy", loss)
    return broken


def test_a_masked_step_changes_no_weight_and_drops_the_carried_state(
    broken_steps: set[int],
) -> None:
    trainer = make_trainer(make_plan(CONFIG))
    for _ in range(4):
        trainer.advance()
    before = trainer.tensors()
    assert before["state.0.h"].any()
    broken_steps.add(4)
    trainer.advance()
    after = trainer.tensors()
    for name, array in after.items():
        if name.startswith(("model.", "optimizer.")):
            np.testing.assert_array_equal(array, before[name], err_msg=name)
        if name.startswith("state."):
            assert not array.any(), name
    assert trainer.step == 5
    trainer.advance()
    assert not np.array_equal(trainer.tensors()["model.head.bias"], before["model.head.bias"])
    assert trainer.tensors()["state.0.h"].any()


def test_a_state_that_overflowed_is_not_carried_on() -> None:
    trainer = make_trainer(make_plan(CONFIG))
    trainer.advance()
    trainer._state[0]["c"].fill_(math.nan)
    weights = trainer.model.arrays()
    trainer.advance()
    assert_bits_equal(trainer.model.arrays(), weights)
    assert trainer.read_counters().skipped == 1
    trainer.advance()
    counters = trainer.read_counters()
    assert counters.skipped == 0 and math.isfinite(counters.nats_per_token)


def test_counters(broken_steps: set[int]) -> None:
    trainer = make_trainer(make_plan(CONFIG))
    broken_steps.update({1, 2, 5, 6, 7, 8})
    for _ in range(7):
        trainer.advance()
    first = trainer.read_counters()
    assert (first.steps, first.skipped, first.skipped_in_a_row) == (7, 4, 2)
    assert 0 < first.nats_per_token < 10 and 0 < first.grad_norm < 100
    trainer.advance()
    second = trainer.read_counters()
    # The run began before the last reading and goes on.
    assert (second.steps, second.skipped, second.skipped_in_a_row) == (1, 1, 3)
    assert math.isnan(second.nats_per_token) and math.isnan(second.grad_norm)
    for _ in range(2):
        trainer.advance()
    third = trainer.read_counters()
    assert (third.steps, third.skipped, third.skipped_in_a_row) == (2, 1, 4)
    trainer.advance()
    fourth = trainer.read_counters()
    assert (fourth.steps, fourth.skipped, fourth.skipped_in_a_row) == (1, 0, 0)


def test_a_run_of_masked_steps_is_counted_across_a_resume(broken_steps: set[int]) -> None:
    plan = make_plan(CONFIG)
    trainer = make_trainer(plan)
    broken_steps.update(range(2, 10))
    for _ in range(4):
        trainer.advance()
    resumed = make_trainer(plan)
    resumed.load(4, trainer.steps_counted, trainer.tensors())
    resumed.advance()
    counters = resumed.read_counters()
    assert (counters.steps, counters.skipped, counters.skipped_in_a_row) == (5, 3, 3)
