"""Measures this machine, so that a budget of seconds can be turned into steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

import numpy as np

from textgen.corpus.windows import Tokens, Windows
from textgen.evaluation.nll import nll_in_streams
from textgen.model.base import Network
from textgen.model.config import ModelConfig
from textgen.model.initialise import initial_weights
from textgen.model.opening import open_network
from textgen.ops.path import Path
from textgen.progress import task
from textgen.training.learner import open_learner
from textgen.training.plan import (
    BATCH_SIZE,
    SEQ_LEN,
    OptimizerPlan,
    Plan,
    evaluation_tokens,
    flops_per_token,
)
from textgen.training.scale import refit_scale
from textgen.training.trainer import Trainer

#: The probe's model: wide enough that products and not calls take the time.
PROBE_HIDDEN, PROBE_VOCABULARY = 384, 96
#: Where several models are measured: seconds of a turn, turns at least, and the share of them that
#: nothing is thought to have disturbed.
_TURN, _LEAST_TURNS, _UNDISTURBED = 0.005, 10, 0.25
#: What is being done, to people.
_MEASURING = "measuring the speed of this machine"


def probe_speed(path: Path, cell: str, nonlinearity: str) -> float:
    """Floating-point operations a second that training reaches here; takes about half a second.

    Args:
        path: What computes, and where.
        cell: Name of the cell.
        nonlinearity: The cell's, where it has a choice.
    """
    config = ModelConfig(
        vocab_size=PROBE_VOCABULARY,
        embedding_size=64,
        hidden_size=PROBE_HIDDEN,
        cell=cell,
        nonlinearity=nonlinearity,
    )
    plan = Plan(
        model=config,
        optimizer=OptimizerPlan(learning_rate=1e-3, beta2=0.99, weight_decay=0.0, clip_norm=1.0),
        batch_size=BATCH_SIZE,
        seq_len=SEQ_LEN,
        sliding=False,
        steps=1000,
        warmup_steps=0,
        report_every=1,
        eval_every=1000,
        eval_tokens=1,
        save_every=1000,
        sample_every=1000,
        patience=0,
        rng=0,
    )
    tokens = np.random.default_rng(0).integers(2, PROBE_VOCABULARY, 8192, dtype=np.uint8)
    step = _seconds_a_step(plan, tokens, path, at_least=4, seconds=0.4)
    return flops_per_token(config) * plan.tokens_per_step / step


def measure_step(plan: Plan, tokens: Tokens, path: Path, seconds: float) -> float:
    """Seconds of one update of the planned model, on a copy that is thrown away.

    Args:
        plan: A plan, or a draft's.
        tokens: The training text.
        path: What computes, and where.
        seconds: How long to measure, at least three steps.
    """
    return _seconds_a_step(plan, tokens, path, at_least=3, seconds=seconds)


def measure_evaluation(plan: Plan, steps: int, tokens: Tokens, path: Path) -> float:
    """Seconds of one evaluation, were the run `steps` long: scaled up from a part of it."""
    network = _network(plan, path)
    wanted = evaluation_tokens(len(tokens), steps * plan.tokens_per_step)
    part = min(wanted, 16384)
    nll_in_streams(network, tokens, limit=min(part, 2048))
    started = time.perf_counter()
    read = nll_in_streams(network, tokens, limit=part).tokens
    seconds = (time.perf_counter() - started) * wanted / read
    started = time.perf_counter()
    refit_scale(network, tokens)
    return seconds + time.perf_counter() - started


def _network(plan: Plan, path: Path) -> Network:
    return open_network(plan.model, path, initial_weights(plan.model, 0))


def measure_in_turns(
    plans: Sequence[Plan], tokens: Tokens, paths: Sequence[Path], seconds: float
) -> list[float]:
    """Seconds of one update of each of several models, measured within the same seconds.

    They take turns of a few updates. What the machine does besides meets all of them, so that the
    ratios between them hold even while their level moves.

    Args:
        plans: Plans, or a draft's.
        tokens: The training text of all of them.
        paths: What computes each, and where.
        seconds: How long to measure all of them together, at least `_LEAST_TURNS` turns.
    """
    turns: list[list[float]] = []
    spent = 0.0
    with task(_MEASURING, seconds) as measuring:
        trainers = [_trainer(plan, tokens, path) for plan, path in zip(plans, paths, strict=True)]
        steps = [max(1, int(_TURN / _seconds_of(trainer, 1))) for trainer in trainers]
        while len(turns) < _LEAST_TURNS or (spent < seconds and len(turns) < 1000):
            turn = [
                _seconds_of(trainer, count) / count
                for trainer, count in zip(trainers, steps, strict=True)
            ]
            turns.append(turn)
            spent += sum(time * count for time, count in zip(turn, steps, strict=True))
            measuring.reach(min(spent, seconds))
    times_TM = np.array(turns)
    # What disturbs an update makes it longer, never shorter: undisturbed ones have the ratios. The
    # level is that of the machine as it is.
    own_M = np.quantile(times_TM, _UNDISTURBED, axis=0)
    result: list[float] = (own_M / own_M.sum() * np.median(times_TM.sum(axis=1))).tolist()
    return result


def saving_seconds(model: ModelConfig) -> float:
    """Seconds of a save, which writes the weights, two moments and the best model: 16 bytes a
    parameter, and the model once more at evaluations. 200 MB/s is slow for a disk that syncs."""
    return 0.05 + 20 * model.num_parameters() / 200e6


def _trainer(plan: Plan, tokens: Tokens, path: Path) -> Trainer:
    """A copy of the planned model, after its first update, which is not to be counted."""
    windows = Windows(
        tokens,
        seq_len=plan.seq_len,
        batch_size=plan.batch_size,
        sliding=plan.sliding,
        reset_every=plan.reset_every,
        rng=plan.rng,
    )
    trainer = Trainer(open_learner(_network(plan, path), plan), windows, plan)
    trainer.advance()
    trainer.wait()
    return trainer


def _seconds_of(trainer: Trainer, steps: int) -> float:
    started = time.perf_counter()
    for _ in range(steps):
        trainer.advance()
    trainer.wait()
    return time.perf_counter() - started


def _seconds_a_step(
    plan: Plan, tokens: Tokens, path: Path, *, at_least: int, seconds: float
) -> float:
    """The median of single steps, the first of which is not counted."""
    times: list[float] = []
    with task(_MEASURING, seconds) as measuring:
        trainer = _trainer(plan, tokens, path)
        while len(times) < at_least or (sum(times) < seconds and len(times) < 1000):
            times.append(_seconds_of(trainer, 1))
            measuring.reach(min(sum(times), seconds))
    return median(times)
