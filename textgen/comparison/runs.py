"""The runs of a comparison: planned together, trained one after the other, measured, recorded."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Generic, TypeVar

from textgen.checkpoint import MODEL_NAME, SavedModel
from textgen.comparison.variants import Variant, equally_large
from textgen.corpus.corpus_options import CorpusOptions
from textgen.errors import ConfigError, RunFolderError, TrainingDivergedError, named
from textgen.files import atomic_write_text, make_folder
from textgen.options import TrainOptions
from textgen.progress import task
from textgen.table import Table, finite
from textgen.training.data import TrainingData
from textgen.training.events import Ended, Event, Report
from textgen.training.folder import METRICS_NAME, has_checkpoint, run_folder
from textgen.training.run import Stop as Stop
from textgen.training.sizing import DEFAULT_BUDGET
from textgen.training.speed import plan_together
from textgen.training.start import open_run

Result = TypeVar("Result")

#: How many steps each kind of run takes, in the folder of the comparison, for when it goes on.
PLAN_NAME = "plan.json"
#: The result of the comparison, beside its runs.
RECORD_NAME = "comparison.json"
#: Grows when a key of the record changes its meaning or goes.
SCHEMA_VERSION = 1
#: The fewest reports, which come once a second, from which a change of speed is computed.
LEAST_REPORTS = 6
#: People are told of a machine whose speed has changed by more than this share during a run.
SPEED_MOVED = 0.1

#: A run that goes on must have been started with every one of these.
_SETTINGS = {field.name for field in (*fields(TrainOptions), *fields(CorpusOptions))} - {"corpus"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of a comparison.

    Args:
        variant: The cell of the network.
        label: The name of the run, for people.
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
        """The name of the folder without the seed; the same for runs that differ by their seed."""
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
        bits_per_char: Bits per character of the best model on the validation text; None where
            training diverged, which is a result too and does not end the comparison.
        val_tokens: Tokens that this was measured on.
        path: What computed it, such as `native (avx512)`.
        threads: How many threads computed it.
        speed_moved: By which share the speed of the last third of the run differs from that of the
            first, without evaluations and saves; None for a run that is too short. A large share
            means that the machine did other things besides.
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
        """Bits per character, speed and time in a few words."""
        cost = "diverged" if self.bits_per_char is None else f"{self.bits_per_char:.3f} bits/char"
        return f"{cost}, {self.speed_text}"

    @property
    def speed_text(self) -> str:
        """Speed and time, and whether the speed of the machine changed."""
        text = f"{self.chars_per_second:,.0f} chars/s, {self.seconds:.0f} s"
        if self.has_moved:
            text += f"; the machine's speed moved by {self.speed_moved:+.0%} meanwhile"
        return text


@dataclass(frozen=True, kw_only=True)
class _OfRun:
    """What concerns one of the runs.

    Args:
        label: The name of the run within the comparison, such as `lstm, rng 1`.
        number: Which of the runs it is, from 1.
        runs: How many there are.
    """

    label: str
    number: int
    runs: int


@dataclass(frozen=True, kw_only=True)
class RunEvent(_OfRun):
    """Something happened in one of the runs; `event` is what `textgen.training` tells of it."""

    event: Event


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something that a person should know, once."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Measured(_OfRun):
    """A run is over and measured; `summary` has its figures in a few words."""

    summary: str


@dataclass(frozen=True, kw_only=True)
class Halted(_OfRun):
    """The comparison was stopped in this run, which is saved; `resume` goes on with it."""


@dataclass(frozen=True)
class Compared(Generic[Result]):
    """All runs are over."""

    result: Result


@dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """A run with what it is compared by.

    Args:
        figures: What training came to.
    """

    figures: RunFigures

    @property
    def summary(self) -> str:
        """Its figures in a few words."""
        return self.figures.summary


Run = TypeVar("Run", bound=MeasuredRun)


@dataclass(frozen=True, kw_only=True)
class CellRuns(Generic[Run]):
    """One cell with all its seeds.

    Args:
        variant: The cell.
        runs: In the order of the seeds.
    """

    variant: Variant
    runs: tuple[Run, ...]


def in_rows(
    variants: Sequence[Variant], jobs: Sequence[Job], runs: Sequence[Run]
) -> Iterator[tuple[Variant, tuple[Run, ...]]]:
    """Each variant with its runs, which are in the order of the jobs."""
    for variant in variants:
        yield (
            variant,
            tuple(run for job, run in zip(jobs, runs, strict=True) if job.variant == variant),
        )


@dataclass(frozen=True, kw_only=True)
class Comparison(ABC):
    """The result of a comparison.

    Args:
        folder: Where the runs are kept.
        params: Parameters asked for.
        length: How long each run was, in words, such as `60 s` or `500 steps`.
    """

    folder: Path
    params: int
    length: str

    @abstractmethod
    def figures(self) -> list[RunFigures]:
        """What training came to, run by run."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The whole result as plain data."""

    @abstractmethod
    def table(self) -> Table:
        """The figures of every run."""

    @abstractmethod
    def summary(self) -> tuple[Table, ...]:
        """The tables that people read, with notes below the last one."""

    def speed_note(self) -> tuple[str, ...]:
        """A note on the runs during which the speed of the machine changed."""
        moved = [
            f"{Path(run.folder).name} ({run.speed_moved:+.0%})"
            for run in self.figures()
            if run.has_moved
        ]
        if not moved:
            return ()
        return (
            f"The machine's speed moved by more than {SPEED_MOVED:.0%} between the first third and "
            f"the last of: {', '.join(moved)}. Their seconds and chars/s say little; the text that "
            "they read is as planned.",
        )


Kind = TypeVar("Kind", bound=Comparison)


def run_all(
    jobs: Sequence[Job],
    measure: Callable[[Job, RunFigures, SavedModel], Run],
    finish: Callable[[list[Run]], Kind],
    *,
    resume: bool,
    force: bool,
    stop: Stop,
) -> Iterator[RunEvent | Measured | Halted | Compared[Kind]]:
    """Train and measure each run of a comparison, or take it up again.

    `measure` is asked for each run that is over, `finish` makes the result of all of them, which is
    written into its folder.
    """
    done: list[Run] = []
    for number, job in enumerate(jobs, 1):
        place: dict[str, Any] = {"label": job.label, "number": number, "runs": len(jobs)}
        with task(f"{number}/{len(jobs)} {job.label}"):
            trained = yield from _train(job, place, resume=resume, force=force, stop=stop)
            if trained is None:
                yield Halted(**place)
                return
            done.append(measure(job, *trained))
        yield Measured(**place, summary=done[-1].summary)
        if stop() and number < len(jobs):
            yield Halted(**place)
            return
    result = finish(done)
    _save_record(result.folder, result.to_json())
    yield Compared(result)


def _train(
    job: Job, place: Mapping[str, Any], *, resume: bool, force: bool, stop: Stop
) -> Generator[RunEvent, None, tuple[RunFigures, SavedModel] | None]:
    """Train one run, or take it up again; a run that is finished is only read.

    Returns:
        What it came to, and its best model or the last before it diverged; None where it was
        stopped.
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
                yield RunEvent(**place, event=event)
                if isinstance(event, Ended):
                    ended = event
                elif isinstance(event, Report):
                    last = event
    except TrainingDivergedError:
        pass  # `ended` is None.
    if stop() or (ended is not None and ended.reason == "stopped"):
        return None
    saved = SavedModel.load(job.folder / MODEL_NAME)
    return _figures(job, ended, last, saved), saved


def comparison_folder(paths: Sequence[str], out: str | Path | None, kind: str = "") -> Path:
    """Where a comparison is kept: `out`, else `checkpoints/compare-NAME` after the first text.

    `kind` stands before the name, so that two kinds of comparison do not share a folder.

    Raises:
        ConfigError: There is no text, or it can be read only once.
    """
    if not paths:
        raise ConfigError("no text was named; give the path of one, such as corpus.txt")
    if "-" in paths:
        raise ConfigError("every run reads the text again; give a file, not standard input")
    name = f"compare-{kind}{run_folder(paths, None).name}"
    return Path("checkpoints") / name if out is None else Path(out)


def run_length(base: TrainOptions) -> tuple[str, bool]:
    """How long each run is, in words, and whether that is wall time."""
    if base.steps is not None:
        return f"{base.steps:,} steps", False
    if base.epochs is not None:
        return f"{base.epochs:g} passes over the text", False
    return f"{base.budget or DEFAULT_BUDGET:g} s", True


def check_folders(jobs: Iterable[Job], *, resume: bool, force: bool) -> None:
    """Refuse before the first run what would fail after hours.

    Raises:
        ConfigError: Two wishes contradict each other.
        RunFolderError: A run lives where one is to be made.
    """
    if resume and force:
        raise ConfigError(
            f"{named('resume')} goes on with a comparison, {named('force')} replaces it; give one"
        )
    taken = [job.folder for job in jobs if has_checkpoint(job.folder)]
    if taken and not (resume or force):
        raise RunFolderError(
            f"{taken[0]} already contains a run; continue the comparison: {named('resume', True)}, "
            f"replace it: {named('force', True)}, or use another folder: {named('out', 'DIR')}"
        )


def size_jobs(jobs: Sequence[Job], params: int, data: TrainingData) -> list[Job]:
    """The jobs with networks of the same number of layers, and of `params` parameters at most."""
    variants = dict.fromkeys(job.variant for job in jobs)
    size = equally_large(variants, jobs[0].options, params, len(data.corpus.vocabulary))
    return [replace(job, options=replace(job.options, **size[job.variant])) for job in jobs]


def plan_jobs(
    jobs: Sequence[Job], data: TrainingData, folder: Path, *, resume: bool
) -> Sequence[Job]:
    """The jobs with the steps that their budget comes to, which is measured for all together.

    Jobs that differ by their seed take equally many. The steps are kept in the folder, and a
    comparison that is taken up again takes them from there. Where a number of steps is asked for,
    nothing is planned.

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
            f"{path}, which says how many steps each run takes, is damaged; start the comparison "
            f"again with {named('force', True)}, or in another folder: {named('out', 'DIR')}"
        ) from error
    if begun != budget:
        raise RunFolderError(
            f"the comparison in {path.parent} was begun with {begun:g} s for each run, and "
            f"{budget:g} s are asked for now; go on with {named('budget', f'{begun:g}s')}, or "
            f"start again with {named('force', True)}"
        )
    return steps


def _figures(job: Job, ended: Ended | None, last: Report | None, saved: SavedModel) -> RunFigures:
    chosen: dict[str, Any] = {choice["name"]: choice["value"] for choice in saved.info["choices"]}
    config = saved.config
    # A run that diverged has no end, but reports; a short one not even those.
    told = ended or last
    bits = math.nan if ended is None else ended.best_bits_per_char
    return RunFigures(
        folder=str(job.folder),
        rng=job.options.rng,
        hidden_size=config.hidden_size,
        embedding_size=config.embedding_size,
        parameters=config.num_parameters(),
        learning_rate=float(chosen["learning_rate"]),
        steps=told.step if told else 0,
        seconds=told.seconds if told else 0.0,
        chars_seen=ended.chars_seen if ended else 0,
        chars_per_second=told.chars_per_second if told else 0.0,
        bits_per_char=bits if math.isfinite(bits) else None,
        val_tokens=ended.val_tokens if ended else 0,
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


def record_head(kind: str) -> dict[str, Any]:
    """The keys that say what a record is."""
    return {"schema": f"textgen.compare.{kind}", "version": SCHEMA_VERSION}


def _save_record(folder: Path, record: Mapping[str, Any]) -> None:
    text = json.dumps(finite(record), ensure_ascii=False, indent=1, allow_nan=False)
    # A path may hold bytes that are no text; JSON can say them escaped.
    atomic_write_text(
        folder / RECORD_NAME, text.encode("utf-8", "backslashreplace").decode() + "\n"
    )


def spread(mean: float | None, deviation: float | None = None) -> str:
    """`2.251 ± 0.012`, or the mean alone; `diverged` where there is none."""
    if mean is None:
        return "diverged"
    return f"{mean:.3f}" if deviation is None else f"{mean:.3f} ± {deviation:.3f}"
