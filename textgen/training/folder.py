"""A run's folder: its name, what lies in it, and the state from which the run goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from textgen.checkpoint import MODEL_NAME, ModelHeader, has_checkpoint, shipped_at
from textgen.checkpoint.format import (
    LABELLED,
    Layout,
    naming,
    read_file,
    require_finite,
    require_tensors,
    write_file,
)
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import (
    CheckpointCorruptError,
    ConfigError,
    RunFolderError,
    StorageError,
    named,
)
from textgen.files import CURVE_NAME as CURVE_NAME
from textgen.files import METRICS_NAME as METRICS_NAME
from textgen.files import atomic_write_text, os_reason, read_plain
from textgen.messages import call
from textgen.plain_data import Count, Figure, from_plain
from textgen.progress import task
from textgen.settings import Setting
from textgen.training.events import Report
from textgen.training.plan import Plan
from textgen.training.run_record import RunRecord, options_of
from textgen.training.trainer import trainer_shapes

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """Where a run stands.

    Args:
        step: Steps taken.
        steps_counted: Of these, how many the trainer's counters have summed up.
        seconds: Wall time since the first step.
        skipped: Masked updates that were reported.
        best_nats: Validation cost of the best model, nats a token; None before the first.
        best_step: After which it was reached.
        last_nats: The last evaluation's.
        without_best: Evaluations since the best.
        finished: Whether there is nothing left to do.
        reason: Why it ended; "" while it has not.
    """

    step: Count = 0
    steps_counted: Count = 0
    seconds: Annotated[float, Setting(at_least=0)] = 0.0
    skipped: Count = 0
    best_nats: float | None = None
    best_step: Count = 0
    last_nats: Figure | None = None
    without_best: Count = 0
    finished: bool = False
    reason: str = ""

    def evaluated(self, nats: float) -> RunProgress:
        """After an evaluation; a cost that is not finite is never the best."""
        if np.isfinite(nats) and (self.best_nats is None or nats < self.best_nats):
            return replace(
                self, best_nats=nats, best_step=self.step, last_nats=nats, without_best=0
            )
        return replace(self, last_nats=nats, without_best=self.without_best + 1)


@dataclass(frozen=True, kw_only=True)
class RunHeader:
    """Everything about a run but its tensors.

    Args:
        plan: The run's settings.
        record: Plain data about the run: what was asked for, choices, corpus, command.
        vocabulary: The symbols.
        normalization: How texts are prepared.
        primer: Ids read before a sample without seed.
        progress: Where it stands.
    Raises:
        CheckpointCorruptError: The parts contradict each other.
    """

    plan: Plan
    record: RunRecord
    vocabulary: Vocabulary
    normalization: Normalization
    primer: tuple[int, ...]
    progress: RunProgress = RunProgress()

    def __post_init__(self) -> None:
        plan, progress = self.plan, self.progress
        # Which compares vocabulary, primer and shape.
        ModelHeader(
            config=plan.model,
            vocabulary=self.vocabulary,
            normalization=self.normalization,
            primer=self.primer,
        )
        options_of(self.record)
        if not plan.first_step <= progress.step <= plan.steps:
            raise CheckpointCorruptError(
                f"progress.step is {progress.step:,}; it must lie between plan.first_step, "
                f"{plan.first_step:,}, and plan.steps, {plan.steps:,}"
            )
        for name, times in (("steps_counted", 1), ("best_step", 1), ("skipped", plan.members)):
            if getattr(progress, name) > progress.step * times:
                raise CheckpointCorruptError(
                    f"progress.{name} is {getattr(progress, name):,}, more than the "
                    f"{progress.step:,} steps taken"
                )
        if plan.seq_len >= self.record["corpus"]["tokens"]:
            raise CheckpointCorruptError(
                f"plan.seq_len is {plan.seq_len:,}, and the text has "
                f"{self.record['corpus']['tokens']:,} tokens"
            )

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each tensor of the file."""
        shapes = {f"train.{name}": shape for name, shape in trainer_shapes(self.plan).items()}
        if self.progress.best_nats is not None:
            best = self.plan.model.tensor_shapes().items()
            shapes |= {f"best.{name}": shape for name, shape in best}
        return shapes


@dataclass(frozen=True, kw_only=True)
class RunState(RunHeader):
    """Everything a run needs to go on: complete by itself but for the text.

    Args:
        tensors: What `Trainer.tensors` gave; empty before the first save.
        best: The best model's weights so far; empty before the first evaluation.
    """

    tensors: Arrays = field(default_factory=dict)
    best: Arrays = field(default_factory=dict)

    @task("saving the run")
    def save(self, path: Path) -> None:
        """Write it in one rename.

        Raises:
            CheckpointCorruptError: A number is not finite; what was there before is untouched.
            StorageError: It could not be written, likewise.
        """
        header = {
            "plan": {**asdict(self.plan), "model": self.plan.model.to_dict()},
            "record": self.record,
            "vocabulary": self.vocabulary.to_dict(),
            "normalization": self.normalization.to_dict(),
            "primer": list(self.primer),
            "progress": asdict(self.progress),
        }
        tensors = {f"train.{name}": array for name, array in self.tensors.items()}
        tensors |= {f"best.{name}": array for name, array in self.best.items()}
        _check_numbers(tensors)
        version = LABELLED if self.plan.model.labels else 1
        write_file(path, kind="resume", header=header, tensors=tensors, version=version)

    @classmethod
    @task("loading the run")
    def load(cls, path: Path) -> RunState:
        """Read it back. Takes no memory before the sizes are known to agree.

        Raises:
            StorageError: There is no such file.
            CheckpointError: It is damaged, of a newer version, or something else.
        """
        headers: list[RunHeader] = []

        def check(layout: Layout) -> None:
            header = from_plain(RunHeader, layout.header)
            plan = header.plan
            # Before a name is made for each: a number alone must take neither time nor memory.
            if plan.members * plan.model.num_layers > len(layout.tensors):
                raise CheckpointCorruptError(
                    f"plan.members is {plan.members:,}, and the file has {len(layout.tensors)} "
                    "tensors"
                )
            require_tensors(layout.tensors, header.tensor_shapes(), "float32")
            headers.append(header)

        _, tensors = read_file(path, kind="resume", check=check)
        with naming(path, f"start again with {named('force')}"):
            _check_numbers(tensors, headers[0].progress.step)
        parts = {item.name: getattr(headers[0], item.name) for item in fields(RunHeader)}
        return cls(**parts, tensors=_strip(tensors, "train."), best=_strip(tensors, "best."))


def is_writable(tensors: Arrays) -> bool:
    """Whether `RunState.save` takes what `Trainer.tensors` gave: nothing in it is not finite."""
    try:
        _check_numbers({f"train.{name}": array for name, array in tensors.items()})
    except CheckpointCorruptError:
        return False
    return True


def _check_numbers(tensors: Arrays, steps: int | None = None) -> None:
    """Raise `CheckpointCorruptError` where tensors hold what no run comes to.

    The sums of losses and norms since the last report are the exception: finite ones may have a sum
    that is not.

    Args:
        tensors: By the names that they have in the file.
        steps: The steps taken; None where they are not compared.
    """
    counts = {name: array[2:] for name, array in tensors.items() if name.endswith("counters")}
    tensors = tensors | counts
    require_finite(tensors)
    for name, array in tensors.items():
        if name.endswith((".exp_avg_sq", ".step", "counters")) and (array < 0).any():
            raise CheckpointCorruptError(f"tensor '{name}' holds a number below zero")
    for name, array in counts.items():
        if steps is not None and (array > steps).any():
            raise CheckpointCorruptError(f"tensor '{name}' counts more than the steps taken")


def _strip(tensors: Mapping[str, NDArray[Any]], prefix: str) -> Arrays:
    return {
        name.removeprefix(prefix): array
        for name, array in tensors.items()
        if name.startswith(prefix)
    }


def run_folder(paths: Sequence[str | Path], out: str | Path | None) -> Path:
    """Where a run is kept: `out` as typed, else `checkpoints/NAME` after the first path."""
    if out is not None:
        return Path(out)
    if not paths:
        raise ConfigError(f"no text was named; give one: {call('train', 'corpus.txt')}")
    if str(paths[0]) == "-":
        return Path("checkpoints") / "stdin"
    name = Path(paths[0]).resolve().name
    for suffix in (".gz", ".txt"):
        name = name.removesuffix(suffix)
    return Path("checkpoints") / (name or "model")


def refuse_occupied(folder: Path, force: bool) -> None:
    """Raise `RunFolderError` where a run lives already and `force` is not set, or a model that
    comes with textgen, which is never replaced."""
    if shipped_at(folder) is not None:
        raise RunFolderError(
            f"{folder} contains a model that comes with textgen; use another folder: "
            f"{named('out', 'DIR')}"
        )
    if not force and has_checkpoint(folder):
        raise RunFolderError(
            f"{folder} already contains a run; continue it: "
            f"{call('train', str(folder), resume=True)}, train it for longer: "
            f"{call('train', str(folder), more='2m')}, replace it: {named('force', True)}, or use "
            f"another folder: {named('out', 'DIR')}"
        )


def clear_results(folder: Path) -> None:
    """Take away what an older run left beside its resumable state."""
    for name in (MODEL_NAME, METRICS_NAME, CURVE_NAME):
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot replace {folder / name}: {os_reason(error)}") from error


def cut_metrics(folder: Path, step: int) -> None:
    """Drop reports of steps that a killed run took after its last save; they come again."""
    path = folder / METRICS_NAME
    lines = _lines(path)
    kept = [line for line in lines if (report := _report(line)) is not None and report.step <= step]
    if kept != lines:
        atomic_write_text(path, "".join(f"{line.decode()}\n" for line in kept))


def read_reports(folder: Path) -> list[Report]:
    """What a run has reported, from its first part on; lines that hold no report are left out.

    Raises:
        StorageError: The reports cannot be read.
    """
    reports = map(_report, _lines(folder / METRICS_NAME))
    return [report for report in reports if report is not None]


def _lines(path: Path) -> list[bytes]:
    """The lines of a file; none where it is not there."""
    try:
        return read_plain(path).splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot read {path}: {os_reason(error)}") from error


def _report(line: bytes) -> Report | None:
    """The report that a line holds; None where it holds none, as one that a kill cut short."""
    try:
        data = json.loads(line.decode())
        if data.pop("event") != Report.name:
            return None
        return from_plain(Report, data)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def again_folder(folder: Path) -> Path:
    """Where a repeated run is kept: NAME-2 beside NAME, or the first number that is free."""
    if folder.name in ("", ".."):
        folder = folder.resolve()  # `.` has a name of its own.
    stem, dash, number = folder.name.rpartition("-")
    if not (dash and stem and number.isdecimal() and len(number) < 4):
        stem, number = folder.name or "run", "1"
    count = int(number) + 1
    while os.path.lexists(folder.parent / f"{stem}-{count}"):
        count += 1
    return folder.parent / f"{stem}-{count}"
