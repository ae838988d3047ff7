"""Equal time: all runs are planned together, before the first, by speeds measured in turns."""

from __future__ import annotations

import errno
import itertools
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from textgen.comparison import (
    CellComparison,
    Compared,
    Halted,
    TaskComparison,
    Variant,
    compare_cells,
    compare_history,
    parse_variants,
)
from textgen.comparison import runs as runs_module
from textgen.comparison.runs import PLAN_NAME, SPEED_MOVED, RunFigures, speed_change
from textgen.comparison.task import TaskRun
from textgen.errors import RunFolderError, StorageError
from textgen.options import TrainOptions
from textgen.tasks import Example
from textgen.training import speed

BASE = TrainOptions(budget=0.4, batch_size=4, seq_len=16, threads=1)
VARIANTS = parse_variants("rnn,lstm,gru")


def compare(corpus: str, base: TrainOptions = BASE, **more: Any) -> list[Any]:
    settings = {"params": 6000, "rngs": (1, 2), **more}
    return list(compare_cells([corpus], VARIANTS, base, **settings))


def steps_of(events: list[Any]) -> list[list[int]]:
    assert isinstance(events[-1], Compared)
    result = events[-1].result
    assert isinstance(result, CellComparison)
    return [[run.figures.steps for run in row.runs] for row in result.rows]


class Model:
    """A trainer whose steps take as long as they are told to, on a clock of the test's own."""

    def __init__(self, clock: list[float], seconds: float, load: list[float]) -> None:
        self._clock, self._seconds, self._load = clock, seconds, load

    def advance(self) -> None:
        self._clock[0] += self._seconds * self._load[0]

    def wait(self) -> None:
        return None


def measured(monkeypatch: pytest.MonkeyPatch, loads: list[float], seconds: float) -> list[float]:
    """What is measured of three models of 1, 2 and 4 ms while the machine's load goes on so."""
    clock, load = [0.0], [1.0]
    times = iter([0.001, 0.002, 0.004])
    going = itertools.cycle(loads)

    def tick() -> float:
        # Each look at the clock is a moment later, and the load another.
        load[0] = next(going)
        return clock[0]

    monkeypatch.setattr(
        speed, "_trainer", lambda plan, tokens, path, ranks: Model(clock, next(times), load)
    )
    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=tick))
    anything: Any = [None] * 3
    return speed.measure_in_turns(anything, None, anything, seconds)  # type: ignore[arg-type]


def test_speeds_are_measured_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, [1.0], 1.0) == pytest.approx([0.001, 0.002, 0.004], rel=1e-6)


def test_a_load_that_comes_and_goes_leaves_the_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the time everything takes twice as long; measured one after the other the first
    model would seem as slow as the second."""
    loads = [1.0] * 30 + [2.0] * 30
    rnn, lstm, gru = measured(monkeypatch, loads, 5.0)
    assert lstm / rnn == pytest.approx(2.0, rel=0.05)
    assert gru / rnn == pytest.approx(4.0, rel=0.05)


@pytest.mark.slow
def test_the_seeds_of_a_cell_take_equally_many_steps(corpus: str) -> None:
    events = compare(corpus)
    steps = steps_of(events)
    assert all(first == second for first, second in steps)
    folder = events[-1].result.folder
    plan = json.loads((folder / PLAN_NAME).read_text("utf-8"))
    assert plan["budget"] == 0.4
    assert plan["steps"] == dict(
        zip(("rnn", "lstm", "gru"), (own[0] for own in steps), strict=True)
    )


def test_all_are_planned_before_the_first_run(corpus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine does later changes nothing: the steps are those of one measurement."""
    asked: list[list[str]] = []

    def plan_together(requests: list[TrainOptions], data: object) -> list[int]:
        asked.append([own.cell for own in requests])
        return [3, 5, 7]

    monkeypatch.setattr(runs_module, "plan_together", plan_together)
    assert steps_of(compare(corpus)) == [[3, 3], [5, 5], [7, 7]]
    assert asked == [["rnn", "lstm", "gru"]]


def test_histories_are_planned_together(corpus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "plan_together", lambda requests, data: [3, 5, 7])
    events = list(compare_history([corpus], (2, 4), BASE, params=6000))
    assert [run.figures.steps for run in events[-1].result.runs] == [3, 5, 7]


def test_going_on_takes_the_steps_of_the_plan(corpus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "plan_together", lambda requests, data: [3, 5, 7])
    steps = iter(range(100))
    assert isinstance(compare(corpus, stop=lambda: next(steps) >= 4)[-1], Halted)
    monkeypatch.setattr(runs_module, "plan_together", lambda requests, data: [30, 50, 70])
    assert steps_of(compare(corpus, resume=True)) == [[3, 3], [5, 5], [7, 7]]
    with pytest.raises(RunFolderError, match=r"begun with 0\.4 s .* budget='0\.4s'"):
        compare(corpus, replace(BASE, budget=0.8), resume=True)


def test_a_cell_that_comes_later_gets_as_much_time(
    corpus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine is three times as fast by now, which the cells that were there did not have."""
    monkeypatch.setattr(runs_module, "plan_together", lambda requests, data: [3, 6])
    list(compare_cells([corpus], VARIANTS[:2], BASE, params=6000))
    monkeypatch.setattr(runs_module, "plan_together", lambda requests, data: [9, 18, 12])
    events = list(compare_cells([corpus], VARIANTS, BASE, params=6000, resume=True))
    assert steps_of(events) == [[3], [6], [4]]


@pytest.mark.slow
def test_a_comparison_of_an_older_version_goes_on_as_it_was(
    corpus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its runs were begun with the budget, each by itself, and there is no plan."""
    with monkeypatch.context() as older:
        older.setattr(runs_module, "plan_jobs", lambda jobs, data, folder, resume: jobs)
        begun = steps_of(compare(corpus, rngs=(1,)))
    assert steps_of(compare(corpus, rngs=(1,), resume=True)) == begun


def test_a_damaged_plan_is_told(corpus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read is a failing disk."""
    folder = compare(corpus, rngs=(1,))[-1].result.folder
    (folder / PLAN_NAME).write_text('{"budget": 0.4, "steps": {"rnn": "many"}}')
    with pytest.raises(RunFolderError, match=r"plan\.json.*is damaged.*again with force=True"):
        compare(corpus, rngs=(1,), resume=True)

    def fail(path: Path, *_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(runs_module, "read_plain", fail)
    with pytest.raises(StorageError, match=r"cannot read .*plan\.json: the disk reports"):
        compare(corpus, rngs=(1,), resume=True)


@pytest.mark.parametrize(
    ("speeds", "change"),
    [
        ([100.0] * 9, 0.0),
        ([100.0, 100.0, 90.0, 80.0, 50.0, 50.0], -0.5),
        ([100.0, 100.0, 1.0, 1.0, 1.0, 130.0, 130.0], 0.3),
        ([100.0] * 5, None),
        ([], None),
    ],
)
def test_how_much_the_speed_moved(speeds: list[float], change: float | None) -> None:
    assert speed_change(speeds) == (None if change is None else pytest.approx(change))


@pytest.mark.parametrize(
    ("moved", "told"), [(-0.23, "-23%"), (0.12, "+12%"), (0.09, ""), (None, "")]
)
def test_a_machine_that_slowed_down_is_told_of(moved: float | None, told: str) -> None:
    figures = RunFigures(
        folder="checkpoints/compare-text/lstm-1",
        rng=1,
        hidden_size=1,
        embedding_size=1,
        parameters=1,
        learning_rate=0.1,
        steps=1,
        seconds=30.0,
        chars_seen=1,
        chars_per_second=1.0,
        bits_per_char=2.0,
        val_tokens=1,
        path="native",
        threads=1,
        speed_moved=moved,
    )
    assert figures.has_moved == bool(told)
    assert (f"moved by {told}" in figures.summary) == bool(told)
    result = TaskComparison(
        folder=Path("checkpoints"),
        task="recall",
        description="",
        example=Example("anna?", "1"),
        chance=0.1,
        params=1,
        length="3 steps",
        wall_time=False,
        trained_to=1,
        lags=(),
        runs=(TaskRun(variant=Variant("lstm"), figures=figures, scores=()),),
    )
    assert (f"lstm-1 ({told})" in "".join(result.speed_note())) == bool(told)
    assert SPEED_MOVED == 0.1
