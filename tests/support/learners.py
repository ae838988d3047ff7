"""Learners of every kind, for tests that all of them must pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from support.fake_native import FakeAdamW, FakeNetwork
from support.models import REFERENCE, random_weights
from textgen.corpus.windows import Windows
from textgen.model.engine import choose_engine, open_network
from textgen.model.initialise import Masks, draw_masks
from textgen.model.network import Engine
from textgen.native.library import missing_reason, supported_isas
from textgen.training import trainer as trainer_module
from textgen.training.learner import Learner, NativeLearner
from textgen.training.plan import Plan
from textgen.training.ranks import ALONE, Crew
from textgen.training.trainer import Trainer, open_learner

#: `fake` is the native learner upon an engine that a test plays, so that it is tested everywhere.
KINDS = ("reference", "torch", "fake", "native")


def make_learner(
    kind: str,
    plan: Plan,
    weights: Mapping[str, NDArray[np.float32]] | None = None,
    threads: int = 1,
    ranks: Crew = ALONE,
) -> Learner:
    """A learner in float32; the test is skipped where the native engine is not built.

    Args:
        kind: One of `KINDS`.
        plan: Of its run.
        weights: To start from; None is `random_weights`.
        threads: Of the native engine.
        ranks: Of its run.
    """
    weights = dict(random_weights(plan.model) if weights is None else weights)
    if kind == "fake":
        network = FakeNetwork(plan.model, weights)
        optimizer = FakeAdamW(network, plan.optimizer)
        return NativeLearner(network, optimizer, plan)  # type: ignore[arg-type]
    network = open_network(plan.model, path_of(kind, plan, threads), weights)
    return open_learner(network, plan, ranks)


def path_of(kind: str, plan: Plan, threads: int = 1) -> Engine:
    """The path by which a learner of that kind computes, in float32."""
    if kind == "native":
        if not supported_isas():
            pytest.skip(missing_reason())
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TEXTGEN_PATH", "native")
            return choose_engine(plan.model.cell_spec, "cpu", "fp32", threads)
    return replace(REFERENCE, name=kind)


def make_trainer(kind: str, plan: Plan, text: NDArray[np.uint8], threads: int = 1) -> Trainer:
    """A trainer of `plan` on `text`, with random weights."""
    windows = Windows(
        text,
        seq_len=plan.seq_len,
        batch_size=plan.batch_size,
        sliding=plan.sliding,
        rng=plan.rng,
    )
    return Trainer([make_learner(kind, plan, threads=threads)], windows, plan)


def break_steps(patch: pytest.MonkeyPatch, is_broken: Callable[[int], bool]) -> None:
    """Make the loss of some steps NaN, whatever computes it: dropout's masks are.

    Args:
        patch: Undoes it.
        is_broken: Says so by the number of the step, counted over all trainers from 0.
    """
    calls = iter(range(10**6))

    def draw(config, batch_size: int, seed: int, recurrent: float) -> Masks | None:
        masks = draw_masks(config, batch_size, seed, recurrent)
        if not is_broken(next(calls)):
            return masks
        layers = np.ones((config.num_layers, batch_size, config.hidden_size), np.float32)
        return Masks(np.full(config.embedding_size, np.nan, np.float32), layers)

    patch.setattr(trainer_module, "draw_masks", draw)
