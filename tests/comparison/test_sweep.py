"""Runs that several workers share out: each is trained once, and the record is one worker's."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
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
    claims,
    compare_cells,
    compare_history,
    compare_task,
    sweep,
    sweep_status,
)
from textgen.comparison.claims import Worker, make_claims
from textgen.comparison.sweep import Sweep
from textgen.errors import (
    ConfigError,
    FolderInUseError,
    RunFolderError,
    StorageError,
    TrainingDivergedError,
)
from textgen.files import FolderLock
from textgen.options import TrainOptions
from textgen.systems import try_lock
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


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "LOOK", 0.01)


@pytest.mark.usefixtures("quick_looks")
def test_a_folder_in_which_somebody_is_at_work_is_waited_for(corpus: str) -> None:
    """Such as a comparison that does not share its runs out. The same worker takes the run then."""
    Path("shared/gru-1").mkdir(parents=True)
    lock, asked = FolderLock(Path("shared/gru-1")), 0
    lock.__enter__()

    def stop() -> bool:
        nonlocal asked
        asked += (SWEEP / "results/rnn-1.json").exists()
        if asked == 4:
            lock.__exit__()
        return asked > 50

    assert isinstance(compare(stop=stop)[-1], Compared)
    assert set(generations(SWEEP).values()) == {1}


@dataclass(frozen=True, kw_only=True)
class Came:
    """What a run came to that trains nothing."""

    summary: str


def at_once(name: str, *_: Any) -> Generator[RunEvent, None, Came]:
    """A run that is over when it begins."""
    yield from ()
    return Came(summary=f"trained {name}")


def soon() -> Callable[[], bool]:
    """A stop that is asked for at the fourth look."""
    looks = count()
    return lambda: next(looks) >= 3


@pytest.mark.usefixtures("quick_looks")
def test_who_waits_for_runs_can_be_stopped(tmp_path: Path) -> None:
    ours = Sweep(tmp_path, Came)
    with ours.worker() as other:
        assert other.take("one", None)
        events = list(ours.work({"one": "first"}, at_once, soon()))
    assert events == [Halted(label="first", number=1, runs=1)]


def test_who_waits_looks_soon_at_first_and_then_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last run of another worker is mostly over in a moment; many workers do not all look."""
    slept: list[float] = []
    monkeypatch.setattr(sweep, "time", SimpleNamespace(sleep=slept.append))
    ours = Sweep(tmp_path, Came)
    with ours.worker() as other:
        assert other.take("one", None)
        looks = count()
        labels = {"one": "first", "two": "second"}
        list(ours.work(labels, at_once, lambda: next(looks) >= 7))
        assert slept == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
        slept.clear()
        for number in range(40):
            assert other.take(f"more-{number}", None)
        looks = count()
        many = {f"more-{number}": "" for number in range(40)}
        list(ours.work(many, at_once, lambda: next(looks) >= 7))
        assert slept == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_steps_are_measured_by_one_worker(corpus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where those of another cell are there already. Who waits for that can be stopped."""
    make_claims(SWEEP)
    plan = {"budget": 60.0, "steps": {"gru": 6}}
    Path("shared/plan.json").write_text(json.dumps(plan))
    monkeypatch.setattr(textgen.comparison.runs, "plan_together", None)
    monkeypatch.setattr(claims, "time", SimpleNamespace(**vars(time) | {"sleep": lambda _: None}))
    with Worker(SWEEP) as other:
        assert other.take(sweep.PLANNING, None)
        *_, last = compare(replace(BASE, steps=None, budget=60), stop=soon())
    assert last == Halted(label="gru, rng 1", number=1, runs=2)
    assert json.loads(Path("shared/plan.json").read_text()) == plan


def test_what_was_done_meanwhile_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker saves what its run came to, and ends, while this one looks at who lives."""
    ours = Sweep(tmp_path, Came)
    is_free = Sweep._is_free

    def late(*about: Any) -> bool:
        ours._save("one", Came(summary="by another"))
        return is_free(*about)

    monkeypatch.setattr(Sweep, "_is_free", staticmethod(late))
    events = list(ours.work({"one": "first", "two": "second"}, at_once, lambda: False))
    assert [event.summary for event in events if isinstance(event, Measured)] == ["trained two"]
    assert ours.result("one") == Came(summary="by another")


@pytest.mark.parametrize("place", ["sweep", "sweep/claims", "sweep/beats", "sweep/results"])
def test_nothing_is_written_through_a_link(tmp_path: Path, place: str) -> None:
    """The folder of a comparison may come from somebody else."""
    (tmp_path / "outside").mkdir()
    link = tmp_path / "shared" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "outside", target_is_directory=True)
    with pytest.raises(StorageError, match="is a symbolic link"):
        list(Sweep(tmp_path / "shared", Came).work({"one": "first"}, at_once, lambda: False))
    assert not list((tmp_path / "outside").iterdir())


def test_what_a_dead_worker_elsewhere_has_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its heart stood still for long; who still has the lock is never taken for dead."""
    ours = Sweep(tmp_path, Came)
    with ours.worker():
        (ours.path / "plan.json").write_text("{}")
    owner = {"worker": "far-17", "host": "far", "process": 17, "machine": "another"}
    for name in ("one", "two"):
        (ours.path / f"claims/{name}.1").write_text(json.dumps(owner))
    (ours.path / "beats/far-17").write_text("1")
    ticks = count()
    monkeypatch.setattr(claims, "clock", lambda: next(ticks))
    monkeypatch.setattr(claims, "_LOOK", 0)
    with open(ours.path / "beats/far-17", "r+b") as beat:
        assert try_lock(beat.fileno())
        said = f"process 17 on far has the run one .*delete {re.escape(str(ours.path))}"
        with pytest.raises(FolderInUseError, match=said):
            ours.clear()
    ours.clear()
    assert not ours.path.exists()


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
