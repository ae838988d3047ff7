"""The runs of a comparison: planned together, then trained one after the other as usual."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from textgen.checkpoint import MODEL_NAME, SavedModel
from textgen.comparison.events import Halted, RunEvent
from textgen.comparison.record import record_head
from textgen.comparison.variant import Variant
from textgen.corpus.corpus_options import CorpusOptions
from textgen.errors import ConfigError, RunFolderError, TrainingDivergedError, named
from textgen.files import atomic_write_text, make_folder
from textgen.options import TrainOptions
from textgen.progress import Task, task
from textgen.training.data import TrainingData
from textgen.training.events import Ended, Report
from textgen.training.folder import METRICS_NAME, has_checkpoint, run_folder
from textgen.training.sizing import DEFAULT_BUDGET
from textgen.training.speed import plan_together
from textgen.training.start import open_run

#: Asks whether to stop after the step that was just taken.
Stop = Callable[[], bool]

#: How many steps each kind of run takes, in the comparison's folder: it goes on with as many.
PLAN_NAME = "plan.json"
#: Speeds of a run are compared where it has made so many reports, which come once a second.
LEAST_REPORTS = 6
#: A machine whose speed has changed by more than this share during a run is told of.
SPEED_MOVED = 0.1

#: A run that is taken up again must have been started with every one of these.
_SETTINGS = {field.name for field in (*fields(TrainOptions), *fields(CorpusOptions))} - {"corpus"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of a comparison.

    Args:
        variant: The network's cell.
        label: The run's name, to people.
        folder: Where it is kept.
        paths: The text.
        options: What is asked of it.
    """

    variant: Variant
    label: str
    folder: Path
    paths: tuple[str, ...]
    options: TrainOptions

    @property
    def kind(self) -> str:
        """What runs have in common that differ by their seed: the folder's name without it."""
        return self.folder.name.rpartition("-")[0]


@dataclass(frozen=True, kw_only=True)
class RunFigures:
    """What a run came to.

    Args:
        folder: Where it is kept.
        rng: Its seed.
        hidden_size: Units of a layer.
        embedding_size: Width of a symbol's vector.
        parameters: Numbers it learned.
        learning_rate: The peak of its schedule.
        steps: Updates it made.
        seconds: Wall time from the first step to the end.
        chars_seen: Characters learned from, repetitions included.
        chars_per_second: Mean over the run, its evaluations and saves included.
        bits_per_char: Validation cost of the best model; None where training diverged, which is an
            outcome too, and does not end the comparison.
        val_tokens: Tokens that this was measured on.
        path: What computed it, such as `native (avx512)`.
        threads: With how many threads.
        speed_moved: By which share the speed of its last third differs from that of its first,
            evaluations and saves left out; None for a run too short to say. The machine did other
            things besides.
    """

    folder: str
    rng: int
    hidden_size: int
    embedding_size: int
    parameters: int
    learning_rate: float
    steps: int
    seconds: float
    chars_seen: int
    chars_per_second: float
    bits_per_char: float | None
    val_tokens: int
    path: str
    threads: int
    speed_moved: float | None = None

    @property
    def has_moved(self) -> bool:
        """Whether the speed has changed so much that its seconds say little."""
        return self.speed_moved is not None and abs(self.speed_moved) > SPEED_MOVED

    @property
    def summary(self) -> str:
        """Cost, speed and time in a few words."""
        cost = "diverged" if self.bits_per_char is None else f"{self.bits_per_char:.3f} bits/char"
        return f"{cost}, {self.speed_text}"

    @property
    def speed_text(self) -> str:
        """Speed and time, and whether the machine kept its own."""
        text = f"{self.chars_per_second:,.0f} chars/s, {self.seconds:.0f} s"
        if self.has_moved:
            text += f"; the machine's speed moved by {self.speed_moved:+.0%} meanwhile"
        return text


@dataclass(frozen=True)
class Trained:
    """A run that is over.

    Args:
        figures: What it came to.
        saved: Its best model, or the last before it diverged.
    """

    figures: RunFigures
    saved: SavedModel


def comparison_folder(paths: Sequence[str], out: str | Path | None, kind: str = "") -> Path:
    """Where a comparison is kept: `out`, else `checkpoints/compare-NAME` after the first text.

    Args:
        paths: The texts.
        out: As typed.
        kind: Put before the name, so that two kinds of comparison do not share a folder.
    Raises:
        ConfigError: There is no text, or it can be read only once.
    """
    if not paths:
        raise ConfigError("no text was named; type: textgen compare corpus.txt")
    if "-" in paths:
        raise ConfigError("every run reads the text anew; give a file, not standard input")
    name = f"compare-{kind}{run_folder(paths, None).name}"
    return Path("checkpoints") / name if out is None else Path(out)


def run_length(base: TrainOptions) -> tuple[str, bool]:
    """How long each run is, in words, and whether that is wall time."""
    if base.steps is not None:
        return f"{base.steps:,} steps", False
    if base.epochs is not None:
        return f"{base.epochs:g} passes over the text", False
    return f"{base.budget or DEFAULT_BUDGET:g} s", True


def check_folders(folders: Iterable[Path], *, resume: bool, force: bool) -> None:
    """Refuse before the first run what would fail after hours.

    Args:
        folders: Of the runs.
        resume: Go on with what is there.
        force: Replace it.
    Raises:
        ConfigError: Two wishes contradict each other.
        RunFolderError: A run lives where one is to be made.
    """
    if resume and force:
        raise ConfigError(
            f"{named('resume')} goes on with a comparison, {named('force')} replaces it; give one"
        )
    taken = [folder for folder in folders if has_checkpoint(folder)]
    if taken and not (resume or force):
        raise RunFolderError(
            f"{taken[0]} holds a run already; go on with the comparison: {named('resume')}, "
            f"replace it: {named('force')}, or name another folder: {named('out')}"
        )


def plan_jobs(
    jobs: Sequence[Job], data: TrainingData, folder: Path, *, resume: bool
) -> Sequence[Job]:
    """The jobs with the steps that their budget comes to, which is measured for all together.

    Jobs that differ by their seed take equally many. The steps are kept in the folder, and a
    comparison that is taken up again takes them from there.

    Args:
        jobs: The runs, all with the same budget; they are left as they are if a number of steps
            is asked for.
        data: Their text.
        folder: The comparison's.
        resume: Whether it goes on with what is there.
    Raises:
        RunFolderError: It was begun with another budget.
    """
    first = jobs[0].options
    if first.steps is not None or first.epochs is not None:
        return jobs
    budget = first.budget or DEFAULT_BUDGET
    kinds = {job.kind: job.options for job in jobs}
    path = folder / PLAN_NAME
    steps = _read_plan(path, budget) if resume else {}
    if resume and not steps and any(has_checkpoint(job.folder) for job in jobs):
        return jobs  # Begun by a version that planned each run when it came to it.
    if set(kinds) - set(steps):
        found = dict(zip(kinds, plan_together(list(kinds.values()), data), strict=True))
        # Kinds that are added later get as much time as the others had.
        level = fmean([steps[kind] / found[kind] for kind in kinds if kind in steps] or [1.0])
        steps = {kind: max(1, round(level * count)) for kind, count in found.items()} | steps
        make_folder(folder)
        record = {**record_head("plan"), "budget": budget, "steps": steps}
        atomic_write_text(path, json.dumps(record, indent=1) + "\n")
    return [
        replace(job, options=replace(job.options, budget=None, steps=steps[job.kind]))
        for job in jobs
    ]


def _read_plan(path: Path, budget: float) -> dict[str, int]:
    """The steps of each kind of run; none where nothing was planned."""
    try:
        record = json.loads(path.read_text("utf-8"))
        begun, steps = float(record["budget"]), dict(record["steps"])
        if not all(type(count) is int and count > 0 for count in steps.values()):
            raise ValueError
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{path} is damaged, which says how many steps each run takes; start the comparison "
            f"anew with {named('force')}, or in another folder: {named('out')} DIR"
        ) from error
    if begun != budget:
        raise RunFolderError(
            f"the comparison in {path.parent} was begun with {begun:g} s for each run, and "
            f"{budget:g} s are asked for now; go on with {named('budget')} {begun:g}s, or start "
            f"anew with {named('force')}"
        )
    return steps


def run_task(job: Job, number: int, runs: int) -> AbstractContextManager[Task]:
    """The task of training a run and of measuring it."""
    return task(f"{number}/{runs} {job.label}")


def train_job(
    job: Job, number: int, runs: int, *, resume: bool, force: bool, stop: Stop
) -> Generator[RunEvent | Halted, None, Trained | None]:
    """Train one run, or take it up again; one that is finished is only read.

    Args:
        job: The run.
        number: Which of the runs it is, from 1.
        runs: How many there are.
        resume: Go on with what is there.
        force: Replace it.
        stop: Asked after every step.
    Yields:
        What happens; `Halted` as the last where it was stopped.
    Returns:
        The outcome; None where it was stopped.
    """
    there = has_checkpoint(job.folder)
    opened = open_run(
        job.paths,
        job.options,
        job.folder,
        resume=resume and there,
        force=force and there,
        given=_SETTINGS,
        compared=True,
    )
    ended: Ended | None = None
    last: Report | None = None
    try:
        with opened as run:
            for event in run.events(stop):
                yield RunEvent(label=job.label, number=number, runs=runs, event=event)
                if isinstance(event, Ended):
                    ended = event
                elif isinstance(event, Report):
                    last = event
    except TrainingDivergedError:
        pass  # `ended` is None.
    if stop() or (ended is not None and ended.reason == "stopped"):
        yield Halted(label=job.label, number=number, runs=runs)
        return None
    saved = SavedModel.load(job.folder / MODEL_NAME)
    return Trained(_figures(job, ended, last, saved), saved)


def _figures(job: Job, ended: Ended | None, last: Report | None, saved: SavedModel) -> RunFigures:
    chosen: dict[str, Any] = {choice["name"]: choice["value"] for choice in saved.info["choices"]}
    config = saved.config
    steps, seconds, chars_per_second, chars_seen, bits, val_tokens = 0, 0.0, 0.0, 0, None, 0
    if ended is not None:
        steps, seconds, chars_per_second = ended.step, ended.seconds, ended.chars_per_second
        chars_seen, val_tokens = ended.chars_seen, ended.val_tokens
        bits = ended.best_bits_per_char if math.isfinite(ended.best_bits_per_char) else None
    elif last is not None:
        steps, seconds, chars_per_second = last.step, last.seconds, last.chars_per_second
    return RunFigures(
        folder=str(job.folder),
        rng=job.options.rng,
        hidden_size=config.hidden_size,
        embedding_size=config.embedding_size,
        parameters=config.num_parameters(),
        learning_rate=float(chosen["learning_rate"]),
        steps=steps,
        seconds=seconds,
        chars_seen=chars_seen,
        chars_per_second=chars_per_second,
        bits_per_char=bits,
        val_tokens=val_tokens,
        path=str(chosen["path"]),
        threads=int(chosen["threads"]),
        speed_moved=speed_change(_speeds(job.folder)),
    )


def _speeds(folder: Path) -> list[float]:
    """What a run has reported, from its first part on."""
    try:
        lines = (folder / METRICS_NAME).read_text(encoding="utf-8").splitlines()
        return [float(json.loads(line)["chars_per_second"]) for line in lines]
    except (OSError, ValueError, KeyError):
        return []


def speed_change(speeds: Sequence[float]) -> float | None:
    """By which share the last third of some speeds differs from the first; None of few.

    Args:
        speeds: Of spans of equal length, one after the other.
    """
    if len(speeds) < LEAST_REPORTS:
        return None
    third = len(speeds) // 3
    return fmean(speeds[-third:]) / fmean(speeds[:third]) - 1.0
