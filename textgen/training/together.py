"""How many steps runs take that are compared at equal time: planned together, before the first.

A run's length is fixed in steps when it begins, by the speed of its steps just then. Runs that
begin one after the other meet different moments of a machine that does other things too, and the
one whose moment was bad reads half as much text as the others. So the steps of all of them are
measured here in turns, within the same seconds, and one measurement plans all.
"""

from __future__ import annotations

from collections.abc import Sequence

from textgen.cells import get_cell
from textgen.ops.select import select
from textgen.runtime import choose_device, choose_threads, computing_threads
from textgen.training.calibrate import (
    measure_evaluation,
    measure_in_turns,
    probe_speed,
    saving_seconds,
)
from textgen.training.data import TrainingData
from textgen.training.options import TrainOptions
from textgen.training.plan import DEFAULT_BUDGET, Timing, draft, finish


def plan_together(requests: Sequence[TrainOptions], data: TrainingData) -> list[int]:
    """The steps that each of several runs takes in the same time.

    Args:
        requests: What is asked of each run: one budget, one device, one number of threads; with
            `hidden_size`.
        data: The text of all of them.
    Returns:
        For each the steps that fill the budget with its evaluations and saves.
    Raises:
        TextgenError: An option or the device is unusable.
    """
    first = requests[0]
    device, _ = choose_device(first.device)
    threads: int = choose_threads(first.threads).value
    paths = [
        select(get_cell(asked.cell, asked.nonlinearity), device, asked.precision, threads)
        for asked in requests
    ]
    budget = first.budget or DEFAULT_BUDGET
    with computing_threads(threads, torch=any(path.name != "native" for path in paths)):
        # Of one cell for all: of what is drafted, nothing but the dropout depends on it.
        speed = probe_speed(paths[0], first.cell, first.nonlinearity)
        drafts = [draft(asked, data.facts, speed) for asked in requests]
        seconds = measure_in_turns(
            [drafted.plan for drafted in drafts],
            data.train,
            paths,
            min(3.0, max(0.5, budget / 40)) * len(requests),
        )
        planned = []
        for asked, drafted, path, step in zip(requests, drafts, paths, seconds, strict=True):
            steps = max(1, int(budget / step))
            timing = Timing(
                step=step,
                evaluation=measure_evaluation(drafted.plan, steps, data.val, path),
                save=saving_seconds(drafted.plan.model),
            )
            planned.append(finish(drafted, asked, data.facts, timing)[0].steps)
    return planned
