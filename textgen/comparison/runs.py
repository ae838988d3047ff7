"""The runs of a comparison: planned together, trained one after the other, measured, recorded."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from textgen.checkpoint import MODEL_NAME, SavedModel, has_checkpoint
from textgen.comparison.claims import Worker
from textgen.comparison.happening import Compared, Halted, Happening, Measured, RunEvent
from textgen.comparison.sweep import PLANNING, RECORD_NAME, Sweep, agreed
from textgen.comparison.variants import Variant, equally_large
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.source import check_paths
from textgen.errors import (
    ConfigError,
    RunFolderError,
    StorageError,
    TrainingDivergedError,
    named,
)
from textgen.files import atomic_write_text, is_link_at, make_folder, os_reason, read_plain
from textgen.notebook import Part, Shown
from textgen.options import TrainOptions
from textgen.progress import task
from textgen.runtime import choose_threads, computing_threads
from textgen.table import Table, finite
from textgen.terminal.humanize import plural
from textgen.training.data import TrainingData, open_data
from textgen.training.events import Ended, Report
from textgen.training.folder import read_reports, run_folder
from textgen.training.resume import absolute
from textgen.training.run import Stop as Stop
from textgen.training.sizing import DEFAULT_BUDGET
from textgen.training.speed import plan_together
from textgen.training.start import check_request, open_run

if TYPE_CHECKING:
    from textgen.terminal.chart import Chart

Result = TypeVar("Result", bound="Comparison[Any]")

#: How many steps each kind of run takes, in the folder of the comparison, for when it goes on.
PLAN_NAME = "plan.json"
#: Grows when a key of the record changes its meaning or goes.
SCHEMA_VERSION = 1
#: The fewest reports, which come once a second, from which a change of speed is computed.
LEAST_REPORTS = 6
#: People are told of a machine whose speed has changed by more than this share during a run.
SPEED_MOVED = 0.1

#: A run that goes on must have been started with every one of these.
_SETTINGS = {own.name for own in (*fields(TrainOptions), *fields(CorpusOptions))} - {"corpus"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of a comparison.

    Args:
        variant: The cell of the network.
        label: The name of the run, for people.
        folder: Where it is kept.
        options: What is asked of it.
    """

    variant: Variant
    label: str
    folder: Path
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
        hidden_size: Neurons of a layer.
        embedding_size: The size of a token's embedding vector.
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
class MeasuredRun:
    """A run with what it is compared by.

    Args:
        variant: Its cell.
        figures: What training came to.
    """

    variant: Variant
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

    @classmethod
    def of(cls, runs: Iterable[Run]) -> tuple[Self, ...]:
        """The runs of each cell, in the order in which the cells come first."""
        found: dict[Variant, list[Run]] = {}
        for run in runs:
            found.setdefault(run.variant, []).append(run)
        return tuple(cls(variant=variant, runs=tuple(own)) for variant, own in found.items())


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison(Shown, Generic[Run]):
    """The result of a comparison.

    Args:
        folder: Where the runs are kept.
        params: Parameters asked for.
        length: How long each run was, in words, such as `60 s` or `500 steps`.
        wall_time: Whether the length is time, and not steps.
        runs: In the order in which they were trained.
    """

    folder: Path
    params: int
    length: str
    wall_time: bool
    runs: tuple[Run, ...]

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The whole result as plain data."""

    @abstractmethod
    def table(self) -> Table:
        """The figures of every run."""

    @abstractmethod
    def chart(self) -> Chart:
        """What people see first."""

    @abstractmethod
    def summary(self) -> tuple[Table, ...]:
        """The tables that people read, with notes below the last one."""

    @property
    def headline(self) -> str:
        """What was compared, and for how long."""
        names = ", ".join(dict.fromkeys(run.variant.name for run in self.runs))
        runs = plural(len(self.runs), "run")
        return f"{names} in {runs} of {self.length}, at most {self.params:,} parameters each"

    def parts(self) -> Iterable[Part]:
        """The chart, then the tables."""
        yield self.chart()
        yield from self.summary()

    def speed_note(self) -> tuple[str, ...]:
        """A note on the runs during which the speed of the machine changed."""
        moved = [
            f"{Path(run.figures.folder).name} ({run.figures.speed_moved:+.0%})"
            for run in self.runs
            if run.figures.has_moved
        ]
        if not moved:
            return ()
        return (
            f"The machine's speed moved by more than {SPEED_MOVED:.0%} between the first third and "
            f"the last of: {', '.join(moved)}. Their seconds and chars/s say little; the text that "
            "they read is as planned.",
        )


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs of a comparison: checked here, then planned together and trained one by one.

    Args:
        folder: The folder of the comparison.
        paths: The text, the same for all runs. It may be made after the checks.
        jobs: The runs, each with what is asked of it; the sizes of the networks follow.
        params: Parameters of each network at most.
        resume: Go on where a comparison was interrupted.
        force: Replace the runs that are there.
        stop: Asked after every step; once it says True the run is saved and the comparison ends.
        join: Share out the runs with all workers that join: see `textgen.comparison.sweep`.
        asked: What else all workers must be asked for, as plain data by name.
    Raises:
        ConfigError: A run cannot be made so, or two settings contradict each other.
        RunFolderError: A run lives where one is to be made.
    """

    folder: Path
    paths: Sequence[str]
    jobs: Sequence[Job]
    params: int
    resume: bool
    force: bool
    stop: Stop
    join: bool = False
    asked: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # What is asked of all runs is the same, but for their cells and windows.
        check_request([], self.jobs[0].options)
        if self.join and (self.resume or self.force):
            other = named("resume" if self.resume else "force", True)
            raise ConfigError(
                f"{named('join', True)} goes on with the runs that are there by itself; leave "
                f"{other} out"
            )
        if self.resume and self.force:
            raise ConfigError(
                f"{named('resume')} goes on with a comparison, {named('force')} replaces it; give "
                "one"
            )
        taken = [job.folder for job in self.jobs if has_checkpoint(job.folder)]
        if self.force:
            Sweep(self.folder, object).clear()
        if taken and not (self.resume or self.force or self.join):
            raise RunFolderError(
                f"{taken[0]} already contains a run; continue the comparison: "
                f"{named('resume', True)}, replace it: {named('force', True)}, or use another "
                f"folder: {named('out', 'DIR')}"
            )

    @cached_property
    def data(self) -> TrainingData:
        """The text."""
        return open_data(self.paths, self.jobs[0].options)

    @cached_property
    def planned(self) -> Sequence[Job]:
        """The runs with the sizes of their networks and, where a time was asked for, their steps.

        Raises:
            RunFolderError: The comparison was begun with another budget.
        """
        variants = dict.fromkeys(job.variant for job in self.jobs)
        vocab_size = len(self.data.corpus.vocabulary)
        size = equally_large(variants, self.jobs[0].options, self.params, vocab_size)
        jobs = [
            replace(job, options=replace(job.options, **size[job.variant])) for job in self.jobs
        ]
        if not self.join:
            return plan_jobs(jobs, self.data, self.folder, resume=self.resume)
        return self._shared_plan(jobs)

    def _shared_plan(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """The same, on which all workers agree: the first of them measures the speeds."""
        sweep = Sweep(self.folder, object)
        asked = agreed(
            [absolute(path) for path in self.paths],
            self.data.corpus.sha256,
            {job.folder.name: job.options for job in jobs},
            params=self.params,
            **self.asked,
        )
        plan = sweep.agree(asked, choose_threads(None).value)
        threads = plan["settings"]["threads"]
        jobs = [replace(job, options=replace(job.options, threads=threads)) for job in jobs]
        if self.wall_time:
            with sweep.worker() as worker:
                worker.alone(
                    PLANNING,
                    lambda: not _unplanned(jobs, self.folder),
                    lambda: plan_jobs(jobs, self.data, self.folder, resume=True),
                    self.stop,
                )
            if self.stop():
                return jobs  # None of which is begun then.
        return plan_jobs(jobs, self.data, self.folder, resume=True)

    @property
    def wall_time(self) -> bool:
        """Whether the length of a run is a time."""
        return self.jobs[0].options.steps is None and self.jobs[0].options.epochs is None

    @property
    def length(self) -> str:
        """How long each run is, in words."""
        return length_of(self.jobs[0].options)

    def events(
        self,
        measure: Callable[[Job, RunFigures, SavedModel], Run],
        finish: Callable[..., Result],
        kind: type[Run],
    ) -> Iterator[Happening | Compared[Result]]:
        """Train and measure each run, or take it up again, and write the record.

        Args:
            measure: Makes what is compared of a run that is over.
            finish: Makes the result of the fields of `Comparison`.
            kind: What `measure` makes.
        """
        # What is measured of a run computes with as many threads as its training.
        with computing_threads(choose_threads(self.planned[0].options.threads).value, torch=False):
            if self.join:
                yield from self._shared(measure, finish, kind)
            else:
                yield from self._in_order(measure, finish)

    def _in_order(
        self,
        measure: Callable[[Job, RunFigures, SavedModel], Run],
        finish: Callable[..., Result],
    ) -> Iterator[Happening | Compared[Result]]:
        """Train and measure one run after the other, as the only worker."""
        done: list[Run] = []
        jobs = self.planned
        for number, job in enumerate(jobs, 1):
            place: dict[str, Any] = {"label": job.label, "number": number, "runs": len(jobs)}
            with task(f"{number}/{len(jobs)} {job.label}"):
                trained = yield from train_run(
                    self.paths,
                    job,
                    place,
                    self.stop,
                    resume=self.resume,
                    force=self.force,
                )
                if trained is None:
                    yield Halted(**place)
                    return
                done.append(measure(job, *trained))
            yield Measured(**place, summary=done[-1].summary)
            if self.stop() and number < len(jobs):
                yield Halted(**place)
                return
        result = self._finished(finish, done)
        save_record(self.folder, result.to_json())
        yield Compared(result)

    def _finished(self, finish: Callable[..., Result], done: Sequence[Run]) -> Result:
        return finish(
            folder=self.folder,
            params=self.params,
            length=self.length,
            wall_time=self.wall_time,
            runs=tuple(done),
        )

    def _shared(
        self,
        measure: Callable[[Job, RunFigures, SavedModel], Run],
        finish: Callable[..., Result],
        kind: type[Run],
    ) -> Iterator[Happening | Compared[Result]]:
        """Train and measure the runs that no other worker has; whoever is last draws the table."""
        jobs = {job.folder.name: job for job in self.planned}
        if self.stop():
            yield Halted(label=self.jobs[0].label, number=1, runs=len(jobs))
            return
        sweep = Sweep(self.folder, kind)

        def perform(
            name: str, place: Mapping[str, Any], worker: Worker
        ) -> Generator[RunEvent, None, Run | None]:
            def stop() -> bool:
                worker.check()
                return self.stop()

            job = jobs[name]
            with task(f"{place['number']}/{len(jobs)} {job.label}"):
                trained = yield from train_run(self.paths, job, place, stop, resume=True)
                return None if trained is None else measure(job, *trained)

        labels = {name: job.label for name, job in jobs.items()}
        done = yield from sweep.work(labels, perform, self.stop)
        if done is None:
            return
        runs = [
            # Another worker may have typed the folder in another way.
            replace(run, figures=replace(run.figures, folder=str(jobs[name].folder)))
            for name, run in done.items()
        ]
        result = self._finished(finish, runs)
        save_record(self.folder, result.to_json())
        yield Compared(result)


def length_of(options: TrainOptions) -> str:
    """How long a run is, in words."""
    if options.steps is not None:
        return plural(options.steps, "step")
    if options.epochs is not None:
        passes = "pass" if options.epochs == 1 else "passes"
        return f"{options.epochs:g} {passes} over the text"
    return f"{options.budget or DEFAULT_BUDGET:g} s"


def train_run(
    paths: Sequence[str],
    job: Job,
    place: Mapping[str, Any],
    stop: Stop,
    *,
    resume: bool = False,
    force: bool = False,
) -> Generator[RunEvent, None, tuple[RunFigures, SavedModel] | None]:
    """Train one run, or take it up again; a run that is finished is only read.

    Args:
        paths: The text.
        job: The run.
        place: Its label and its number among the others, for the events.
        stop: Asked after every step.
        resume: Go on with the run, if it is there.
        force: Replace it, if it is there.
    Returns:
        What it came to, and its best model or the last before it diverged; None where it was
        stopped.
    """
    if is_link_at(job.folder):  # The comparison may come from somebody else.
        raise StorageError(
            f"{job.folder} is a symbolic link, and none is followed in the folder of a "
            "comparison; put the folder itself in its place"
        )
    there = has_checkpoint(job.folder)
    opened = open_run(
        paths,
        job.options,
        job.folder,
        resume=resume and there,
        force=force and there,
        given=_SETTINGS,
        compared=True,
    )
    ended: Ended | None = None
    try:
        with opened as run:
            for event in run.events(stop):
                yield RunEvent(**place, event=event)
                if isinstance(event, Ended):
                    ended = event
    except TrainingDivergedError:
        pass  # `ended` is None.
    if stop() or (ended is not None and ended.reason == "stopped"):
        return None
    saved = SavedModel.load(job.folder / MODEL_NAME)
    return figures_of(job, ended, saved), saved


def comparison_folder(paths: Sequence[str], out: str | Path | None, kind: str = "") -> Path:
    """Where a comparison is kept: `out`, else `checkpoints/compare-NAME` after the first text.

    `kind` stands before the name, so that two kinds of comparison do not share a folder.

    Raises:
        ConfigError: There is no text, or it can be read only once.
        StorageError: A text is missing.
    """
    if not paths:
        raise ConfigError("no text was named; give the path of one, such as corpus.txt")
    if "-" in paths:
        raise ConfigError("every run reads the text again; give a file, not standard input")
    check_paths(paths)
    name = f"compare-{kind}{run_folder(paths, None).name}"
    return Path("checkpoints") / name if out is None else Path(out)


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
    if resume and _is_without_plan(jobs, steps):
        return jobs
    if set(kinds) - set(steps):
        found = dict(zip(kinds, plan_together(list(kinds.values()), data), strict=True))
        # Kinds that are added later get as much time as the others had.
        level = fmean([steps[kind] / found[kind] for kind in kinds if kind in steps] or [1.0])
        steps = {kind: max(1, round(level * count)) for kind, count in found.items()} | steps
        record = {**record_head("plan"), "budget": budget, "steps": steps}
        with task("writing the plan"):
            make_folder(folder)
            atomic_write_text(path, json.dumps(record, indent=1) + "\n")
    return [
        replace(job, options=replace(job.options, budget=None, steps=steps[job.kind]))
        for job in jobs
    ]


def _is_without_plan(jobs: Sequence[Job], steps: Mapping[str, int]) -> bool:
    """Whether runs were begun by a version that planned each of them when it came to it."""
    return not steps and any(has_checkpoint(job.folder) for job in jobs)


def _unplanned(jobs: Sequence[Job], folder: Path) -> set[str]:
    """The kinds of runs whose steps are still to be measured."""
    steps = _read_plan(folder / PLAN_NAME, jobs[0].options.budget or DEFAULT_BUDGET)
    return set() if _is_without_plan(jobs, steps) else {job.kind for job in jobs} - set(steps)


def _read_plan(path: Path, budget: float) -> dict[str, int]:
    """The steps of each kind of run; none where nothing was planned."""
    try:
        record = json.loads(read_plain(path))
        begun, steps = float(record["budget"]), dict(record["steps"])
        if not all(type(count) is int and count > 0 for count in steps.values()):
            raise ValueError
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StorageError(f"cannot read {path}: {os_reason(error)}") from error
    except (ValueError, KeyError, TypeError) as error:
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


def figures_of(job: Job, ended: Ended | None, saved: SavedModel) -> RunFigures:
    """What a run came to: where it ended, or where it has none, by its last report."""
    chosen: dict[str, Any] = {choice["name"]: choice["value"] for choice in saved.info["choices"]}
    config = saved.config
    reports = _reports(job.folder)
    # A run that diverged has no end, but reports; a short one not even those.
    told = ended or (reports[-1] if reports else None)
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
        speed_moved=speed_change([report.chars_per_second for report in reports]),
    )


def _reports(folder: Path) -> list[Report]:
    """What a run has reported; nothing where that cannot be read."""
    try:
        return read_reports(folder)
    except StorageError:
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


def save_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a comparison."""
    text = json.dumps(finite(record), ensure_ascii=False, indent=1, allow_nan=False)
    # A path may hold bytes that are no text; JSON can say them escaped.
    text = text.encode("utf-8", "backslashreplace").decode()
    with task("writing the figures"):
        atomic_write_text(folder / RECORD_NAME, text + "\n")


def spread(mean: float | None, deviation: float | None = None) -> str:
    """`2.251 ± 0.012`, or the mean alone; `diverged` where there is none."""
    if mean is None:
        return "diverged"
    return f"{mean:.3f}" if deviation is None else f"{mean:.3f} ± {deviation:.3f}"
