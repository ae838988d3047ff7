"""How fast this machine trains, so that a budget of seconds can be turned into steps.

The number of steps is fixed before a run begins, by the speed at that moment. Runs that are
compared begin at different moments of a machine that does other things too, and one that began at
a bad moment would read half as much text. So their steps are measured in turns, within the same
seconds, before the first of them (`plan_together`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from textgen.cells import get_cell
from textgen.corpus.windows import Tokens
from textgen.evaluation.nll import nll_in_streams
from textgen.model.engine import choose_engine, open_network
from textgen.model.network import Engine
from textgen.options import TrainOptions
from textgen.progress import task
from textgen.runtime import choose_device, choose_threads, computing_threads
from textgen.training.data import TrainingData
from textgen.training.learner import fit_head_scale
from textgen.training.plan import Plan
from textgen.training.ranks import ALONE, Crew
from textgen.training.sizing import (
    DEFAULT_BUDGET,
    TextFacts,
    Timing,
    cell_of,
    draft,
    evaluation_tokens,
    finish,
    flops_per_token,
    tokens_charged,
)
from textgen.training.trainer import Trainer, first_weights, open_trainer

#: The model that measures the arithmetic: so wide that products and not calls take the time.
PROBE_HIDDEN, PROBE_VOCABULARY = 384, 96
#: Where several models are measured: seconds of a turn, and the share of the turns that is taken to
#: be undisturbed.
_TURN, _UNDISTURBED = 0.005, 0.25


def probe_speed(path: Engine, cell: str, nonlinearity: str, ranks: Crew = ALONE) -> float:
    """Floating-point operations a second that training reaches here, by all processes together;
    takes about half a second."""
    tokens = np.random.default_rng(0).integers(2, PROBE_VOCABULARY, 8192, dtype=np.uint8)
    options = TrainOptions(
        cell=cell,
        nonlinearity=nonlinearity,
        hidden_size=PROBE_HIDDEN,
        num_layers=1,
        dropout=0.0,
        recurrent_dropout=0.0,
        steps=1000,
    )
    facts = TextFacts(train_tokens=len(tokens), val_tokens=1, vocab_size=PROBE_VOCABULARY)
    plan = draft(options, facts, None).plan
    step = measure_step(plan, tokens, path, 0.4, at_least=4, ranks=ranks)
    return flops_per_token(plan.model) * plan.tokens_per_step / step


def measure_timing(
    plan: Plan,
    data: TrainingData,
    path: Engine,
    budget: float | None,
    *,
    step: float | None = None,
    ranks: Crew = ALONE,
) -> Timing:
    """Measure what the length and the rhythm of a run depend on.

    With a `budget` of None, where the length is given otherwise, only the rhythm of saves and
    reports depends on the speed, and a glance is enough. `step` is one update in seconds, where
    that is measured already. Several processes have the figures of the first one.
    """
    if budget is None:
        step = measure_step(plan, data.train, path, 0.1, ranks=ranks)
        return Timing(step=step, evaluation=0.0, save=0.0)
    if step is None:
        step = measure_step(plan, data.train, path, min(3.0, budget / 40), ranks=ranks)
    steps = max(1, int(budget / step))
    return Timing(
        step=step,
        evaluation=measure_evaluation(plan, steps, data.val, path, ranks),
        # Weights, two moments and the best model are 16 bytes a parameter, and evaluations write
        # the model once more. 200 MB/s is slow for a disk that syncs.
        save=0.05 + 20 * plan.model.num_parameters() / 200e6,
    )


def measure_evaluation(
    plan: Plan, steps: int, tokens: Tokens, path: Engine, ranks: Crew = ALONE
) -> float:
    """Seconds of one evaluation of a run of `steps` steps, scaled up from a part of it."""
    network = open_network(plan.model, path, first_weights(plan))
    wanted = evaluation_tokens(len(tokens), tokens_charged(plan, steps))
    part = min(wanted, 16384)
    nll_in_streams(network, tokens, limit=min(part, 2048))
    started = time.perf_counter()
    read = nll_in_streams(network, tokens, limit=part, share=ranks.share).tokens
    seconds = (time.perf_counter() - started) * wanted / max(1, read * ranks.world)
    started = time.perf_counter()
    fit_head_scale(network, tokens)
    return float(ranks.broadcast(seconds + time.perf_counter() - started))


def plan_together(requests: Sequence[TrainOptions], data: TrainingData) -> list[int]:
    """The steps that each of several runs takes in the same time, evaluations and saves included.

    All of them have one budget, one device, one number of threads, one text, and a `hidden_size`.

    Raises:
        TextgenError: An option or the device is unusable.
    """
    first = requests[0]
    device, _ = choose_device(first.device)
    threads: int = choose_threads(first.threads).value
    paths = [
        choose_engine(
            get_cell(cell_of(asked), asked.nonlinearity), device, asked.precision, threads
        )
        for asked in requests
    ]
    budget = first.budget or DEFAULT_BUDGET
    with computing_threads(threads, torch=any(path.name != "native" for path in paths)):
        # One cell stands for all: only the dropout of a draft depends on its speed.
        speed = probe_speed(paths[0], cell_of(first), first.nonlinearity)
        drafts = [draft(asked, data.facts, speed) for asked in requests]
        seconds = measure_in_turns(
            [drafted.plan for drafted in drafts],
            data.train,
            paths,
            min(3.0, max(0.5, budget / 40)) * len(requests),
        )
        planned = []
        for asked, drafted, path, step in zip(requests, drafts, paths, seconds, strict=True):
            timing = measure_timing(drafted.plan, data, path, budget, step=step)
            planned.append(finish(drafted, asked, data.facts, timing)[0].steps)
    return planned


def measure_step(
    plan: Plan,
    tokens: Tokens,
    path: Engine,
    seconds: float,
    *,
    at_least: int = 3,
    ranks: Crew = ALONE,
) -> float:
    """The median seconds of one update of a copy of the planned model, without the first one."""
    return measure_in_turns([plan], tokens, [path], seconds, at_least=at_least, ranks=ranks)[0]


def measure_in_turns(
    plans: Sequence[Plan],
    tokens: Tokens,
    paths: Sequence[Engine],
    seconds: float,
    *,
    at_least: int = 10,
    ranks: Crew = ALONE,
) -> list[float]:
    """Seconds of one update of each of several models, measured within the same seconds.

    They take turns of a few updates, for `seconds` in all and `at_least` so many turns. Whatever
    disturbs the machine meets all of them, so the ratios between them hold even while the speed
    changes. Several processes take each update together, and the first one's clock counts.
    """
    turns: list[list[float]] = []
    spent = 0.0
    with task("measuring the speed of this machine", seconds) as measuring:
        trainers = [
            _trainer(plan, tokens, path, ranks) for plan, path in zip(plans, paths, strict=True)
        ]
        steps = [1] * len(plans)
        if len(plans) > 1:
            steps = [max(1, int(_TURN / _seconds_of(trainer, 1))) for trainer in trainers]
        while len(turns) < at_least or (spent < seconds and len(turns) < 1000):
            turn = [
                _seconds_of(trainer, count) / count
                for trainer, count in zip(trainers, steps, strict=True)
            ]
            turn = ranks.broadcast(turn)
            turns.append(turn)
            spent += sum(time * count for time, count in zip(turn, steps, strict=True))
            measuring.reach(min(spent, seconds))
    times_TM = np.array(turns)
    # A disturbance makes an update longer, never shorter: the fastest turns have the true ratios.
    # The level is that of the machine as it is.
    own_M = np.quantile(times_TM, _UNDISTURBED, axis=0)
    return [float(time) for time in own_M / own_M.sum() * np.median(times_TM.sum(axis=1))]


def _trainer(plan: Plan, tokens: Tokens, path: Engine, ranks: Crew) -> Trainer:
    """A copy of the planned model, after its first update."""
    windows = plan.windows(tokens, share=ranks.share)
    trainer = open_trainer(plan, path, windows, first_weights(plan), ranks)
    _seconds_of(trainer, 1)
    return trainer


def _seconds_of(trainer: Trainer, steps: int) -> float:
    started = time.perf_counter()
    for _ in range(steps):
        trainer.advance()
    trainer.wait()
    return time.perf_counter() - started
