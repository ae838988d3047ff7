"""A run's folder: its name, what lies in it, and the state from which the run goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.checkpoint import MODEL_NAME, has_checkpoint, shipped_at
from textgen.checkpoint.format import read_file, write_file
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.errors import (
    CheckpointCorruptError,
    ConfigError,
    RunFolderError,
    StorageError,
    TextgenError,
    named,
)
from textgen.files import CURVE_NAME as CURVE_NAME
from textgen.files import METRICS_NAME as METRICS_NAME
from textgen.files import atomic_write_text, os_reason, read_plain
from textgen.messages import call
from textgen.progress import task
from textgen.training.plan import Plan
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

    step: int = 0
    steps_counted: int = 0
    seconds: float = 0.0
    skipped: int = 0
    best_nats: float | None = None
    best_step: int = 0
    last_nats: float | None = None
    without_best: int = 0
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
class RunState:
    """Everything a run needs to go on: complete by itself but for the text.

    Args:
        plan: The run's settings.
        record: Plain data about the run: what was asked for, choices, corpus, command.
        vocabulary: The symbols.
        normalization: How texts are prepared.
        primer: Ids read before a sample without seed.
        progress: Where it stands.
        tensors: What `Trainer.tensors` gave; empty before the first save.
        best: The best model's weights so far; empty before the first evaluation.
    """

    plan: Plan
    record: dict[str, Any]
    vocabulary: Vocabulary
    normalization: Normalization
    primer: tuple[int, ...]
    progress: RunProgress = RunProgress()
    tensors: Arrays = field(default_factory=dict)
    best: Arrays = field(default_factory=dict)

    @task("saving the run")
    def save(self, path: Path) -> None:
        """Write it in one rename."""
        header = {
            "plan": asdict(self.plan),
            "record": self.record,
            "vocabulary": self.vocabulary.to_dict(),
            "normalization": self.normalization.to_dict(),
            "primer": list(self.primer),
            "progress": asdict(self.progress),
        }
        tensors = {f"train.{name}": array for name, array in self.tensors.items()}
        tensors |= {f"best.{name}": array for name, array in self.best.items()}
        write_file(path, kind="resume", header=header, tensors=tensors)

    @classmethod
    @task("loading the run")
    def load(cls, path: Path) -> RunState:
        """Read it back.

        Raises:
            StorageError: There is no such file.
            CheckpointError: It is damaged, of a newer version, or something else.
        """
        header, tensors = read_file(path, kind="resume")
        try:
            plan = Plan.from_dict(header["plan"])
            state = cls(
                plan=plan,
                record=dict(header["record"]),
                vocabulary=Vocabulary.from_dict(header["vocabulary"]),
                normalization=Normalization.from_dict(header["normalization"]),
                primer=tuple(int(i) for i in header["primer"]),
                progress=RunProgress(**header["progress"]),
                tensors=_strip(tensors, "train."),
                best=_strip(tensors, "best."),
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, TextgenError):
                raise
            raise CheckpointCorruptError(
                f"{path} is not a complete run: {error}; start again with {named('force')}"
            ) from error
        best = plan.model.tensor_shapes() if state.best else {}
        for kind, arrays, shapes in (
            ("train", state.tensors, trainer_shapes(plan)),
            ("best", state.best, best),
        ):
            for name, shape in shapes.items():
                if name not in arrays or arrays[name].shape != shape:
                    raise CheckpointCorruptError(
                        f"{path}: the tensor {kind}.{name} is missing or not of shape {shape}; "
                        f"start again with {named('force')}"
                    )
        return state


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
    try:
        lines = read_plain(path).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"cannot read {path}: {os_reason(error)}") from error
    kept = []
    for line in lines:
        try:
            if int(json.loads(line)["step"]) <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue  # A line that the kill cut short.
    if kept != lines:
        atomic_write_text(path, "".join(line + "\n" for line in kept))


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
