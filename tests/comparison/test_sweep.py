"""Runs that several workers share out: each is trained once, and the record is one worker's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import command, environment
from support.sweeps import generations, timeless

import textgen.comparison.runs
from textgen.comparison import (
    Compared,
    Failed,
    Halted,
    Measured,
    RunEvent,
    compare_cells,
    compare_history,
    compare_task,
    sweep,
    sweep_status,
)
from textgen.errors import ConfigError, FolderInUseError, RunFolderError, TrainingDivergedError
from textgen.files import FolderLock
from textgen.options import TrainOptions
from textgen.training.events import Report, Saved
from textgen.training.run import Run

BASE = TrainOptions(steps=6, batch_size=4, seq_len=16, threads=1, save_every=2)
SWEEP = Path("shared/sweep")


def compare(base: TrainOptions = BASE, **more: Any) -> list[Any]:
    settings: dict[str, Any] = {"params": 3000, "out": "shared", "join": True}
    return list(compare_cells(["text.txt"], "gru,rnn", base, **{**settings, **more}))


def record(folder: str = "shared") -> Any:
    return json.loads(Path(folder, "comparison.json").read_text("utf-8"))


@pytest.fixture
def alone(corpus: str) -> Any:
    """The record of an ordinary comparison."""
    compare(out="alone", join=False)
    return timeless(record("alone"))


def test_two_workers_share_out_the_runs(alone: Any) -> None:
    found: list[list[Any]] = [[], []]
    threads = [threading.Thread(target=lambda mine=mine: mine.extend(compare())) for mine in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    labels = [e.label for mine in found for e in mine if isinstance(e, Measured)]
    assert sorted(labels) == ["gru, rng 1", "rnn, rng 1"]
    assert all(isinstance(mine[-1], Compared) for mine in found)
    assert timeless(record()) == alone
    assert set(generations(SWEEP).values()) == {1}
    assert not list((SWEEP / "beats").iterdir())
    # Who comes later only draws the table.
    (again,) = [e for e in compare() if not hasattr(e, "text")]
    assert timeless(json.loads(json.dumps(again.result.to_json()))) == alone


def test_other_kinds_of_comparison(corpus: str) -> None:
    """What their runs come to is read back as it was."""
    (*_, plain) = compare_history([corpus], [1, 2], BASE, params=2000, out="one")
    (*_, ours) = compare_history([corpus], [1, 2], BASE, params=2000, out="two", join=True)
    assert timeless(ours.result.to_json()) == timeless(plain.result.to_json())
    few: dict[str, Any] = {"pairs": 200, "questions": 5, "params": 2000}
    (*_, plain) = compare_task("copy", [2, 3], "gru", BASE, out="three", **few)
    (*_, ours) = compare_task("copy", [2, 3], "gru", BASE, out="four", join=True, **few)
    assert timeless(ours.result.to_json()) == timeless(plain.result.to_json())
    with pytest.raises(RunFolderError, match=r"begun with lags = \[2, 3\], not \[2, 4\]"):
        list(compare_task("copy", [2, 4], "gru", BASE, out="four", join=True, **few))


def test_a_worker_with_other_settings_is_refused(corpus: str) -> None:
    compare()
    for wrong, said in (
        ({"base": replace(BASE, steps=7)}, "begun with steps = 6, not 7"),
        ({"base": replace(BASE, threads=2)}, "begun with threads = 1, not 2"),
        ({"params": 2500}, "begun with params = 3000, not 2500"),
        ({"rngs": (1, 2)}, "begun without gru-2"),
        ({"rngs": (2,)}, "begun with"),
    ):
        with pytest.raises(RunFolderError, match=said):
            compare(**wrong)
    for other in ("resume", "force"):
        with pytest.raises(ConfigError, match=f"leave {other}=True out"):
            compare(**{other: True})
    Path("text.txt").write_text("Another text. " * 500)
    with pytest.raises(RunFolderError, match="another text"):
        compare()


def test_threads_that_are_left_open_are_those_of_the_first_worker(
    corpus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All runs round alike, whatever machines share them out."""
    open_ = replace(BASE, threads=None)
    compare(open_)
    plan = json.loads((SWEEP / "plan.json").read_text())
    first = plan["settings"]["threads"]
    assert first and record()["cells"][0]["runs"][0]["threads"] == first
    plan["settings"]["threads"] = first + 1
    (SWEEP / "plan.json").write_text(json.dumps(plan))
    compare(open_)


def test_a_run_goes_on_where_a_worker_left_it(alone: Any) -> None:
    """One that was stopped; one that died is below."""
    told: list[Any] = []

    def saved_once() -> bool:
        return any(isinstance(e, RunEvent) and isinstance(e.event, Saved) for e in told[4:])

    settings: dict[str, Any] = {"params": 3000, "out": "shared", "join": True}
    for event in compare_cells(["text.txt"], "gru,rnn", BASE, stop=saved_once, **settings):
        told.append(event)
    assert isinstance(told[-1], Halted)
    (left,) = [run for run in sweep_status(Path("shared")).runs if run.state == "left"]
    assert left.times == 1 and left.step is not None
    events = compare()
    resumed = [
        event.event.resumed_from
        for event in events
        if isinstance(event, RunEvent) and hasattr(event.event, "resumed_from")
    ]
    assert max(resumed) > 0
    assert timeless(record()) == alone
    assert sorted(generations(SWEEP).values()) == [1, 2]


def test_a_run_that_fails_holds_up_no_other(alone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again by whoever comes later."""
    train_run = textgen.comparison.runs.train_run

    def failing(paths: Any, job: Any, *rest: Any, **more: Any) -> Any:
        if job.folder.name == "gru-1":
            raise RunFolderError("the disk is full")
        return train_run(paths, job, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(textgen.comparison.runs, "train_run", failing)
        told: list[Any] = []
        with pytest.raises(RunFolderError, match="gru-1 failed: the disk is full; the other runs"):
            settings: dict[str, Any] = {"params": 3000, "out": "shared"}
            for event in compare_cells(["text.txt"], "gru,rnn", BASE, join=True, **settings):
                told.append(event)
    assert [event.reason for event in told if isinstance(event, Failed)] == ["the disk is full"]
    status = sweep_status(Path("shared"))
    assert status.counts == {"failed": 1, "done": 1}
    assert status.runs[0].reason == "the disk is full" and status.runs[0].host
    compare()
    assert timeless(record()) == alone
    assert sweep_status(Path("shared")).counts == {"done": 2}


def test_a_run_that_diverged_after_a_kill_is_told_alike(
    corpus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last report may be of the worker that died."""
    events_of = Run.events

    def events(self: Run, stop: Any = lambda: False) -> Iterator[Any]:
        for event in events_of(self, stop):
            if getattr(event, "reason", "") in ("finished", "already finished"):
                raise TrainingDivergedError("training diverged")
            yield event

    monkeypatch.setattr(Run, "events", events)
    compare()
    first = timeless(record())
    for result in (SWEEP / "results").iterdir():
        result.unlink()
    assert first["cells"][0]["runs"][0]["steps"] == 6
    compare()
    assert timeless(record()) == first


def test_a_folder_in_which_somebody_is_at_work_is_waited_for(
    corpus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a comparison that does not share its runs out."""
    monkeypatch.setattr(sweep, "LOOK", 0.01)
    Path("shared/gru-1").mkdir(parents=True)
    with FolderLock(Path("shared/gru-1")):
        asked = 0

        def stop() -> bool:
            nonlocal asked
            asked += (SWEEP / "results/rnn-1.json").exists()
            return asked > 3

        *_, last = compare(stop=stop)
        assert isinstance(last, Halted) and last.label == "gru, rng 1"
        assert generations(SWEEP)["gru-1"] == 1
    assert isinstance(compare()[-1], Compared)


def test_what_is_begun_again_forgets_what_was_shared_out(corpus: str) -> None:
    compare()
    assert SWEEP.exists()
    compare(replace(BASE, steps=2), join=False, force=True)
    assert not SWEEP.exists()


def test_what_a_worker_has_is_not_begun_again(corpus: str) -> None:
    events = compare_cells(["text.txt"], "gru", BASE, params=3000, out="shared", join=True)
    for event in events:
        if isinstance(event, RunEvent) and isinstance(event.event, Report):
            break
    with pytest.raises(FolderInUseError, match=f"process {os.getpid()} .* has the run gru-1"):
        compare(rngs=(1,), join=False, force=True)
    assert sweep_status(Path("shared")).counts == {"running": 1}
    del events


@pytest.mark.slow
def test_workers_that_are_killed(alone: Any, tmp_path: Path) -> None:
    """A few kills at moments that are spread; `benchmarks/workers.py` does so at random."""
    words = ["compare", "text.txt", "--cells", "gru,rnn", "--params", "3k"]
    words += ["--steps", "6", "--batch-size", "4", "--seq-len", "16", "--threads", "1", "--join"]
    words += ["--out", "shared", "-q"]
    env = environment(TEXTGEN_CACHE=str(tmp_path / "cache"))
    begun = 0
    for wanted in (1, 2):
        worker = subprocess.Popen(command(*words), env=env, stdout=subprocess.DEVNULL)
        while worker.poll() is None and len(list(SWEEP.glob("claims/*.*"))) < wanted + begun:
            time.sleep(0.005)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        begun = wanted
    compare(replace(BASE, save_every=None), join=True)
    assert timeless(record()) == alone
    assert all(len(list(SWEEP.glob(f"results/{name}.json"))) == 1 for name in generations(SWEEP))
