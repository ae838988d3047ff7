"""The runs of a comparison: trained one after the other through the ordinary training."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from textgen.checkpoint import MODEL_NAME, SavedModel
from textgen.comparison.events import Halted, RunEvent
from textgen.comparison.variant import Variant
from textgen.corpus.corpus import CorpusOptions
from textgen.errors import ConfigError, RunFolderError, TrainingDivergedError, named
from textgen.model.base import Network
from textgen.model.opening import open_network
from textgen.ops.select import select
from textgen.runtime import choose_device, choose_threads
from textgen.training.events import Ended, Report
from textgen.training.folder import has_checkpoint, run_folder
from textgen.training.opening import open_run
from textgen.training.options import TrainOptions
from textgen.training.plan import DEFAULT_BUDGET

#: Asks whether to stop after the step that was just taken.
Stop = Callable[[], bool]

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

    @property
    def summary(self) -> str:
        """Cost, speed and time in a few words."""
        cost = "diverged" if self.bits_per_char is None else f"{self.bits_per_char:.3f} bits/char"
        return f"{cost}, {self.chars_per_second:,.0f} chars/s, {self.seconds:.0f} s"


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


def open_saved(saved: SavedModel, options: TrainOptions) -> Network:
    """The model on the path that `options` ask for, in float32."""
    device, _ = choose_device(options.device)
    path = select(saved.config.cell_spec, device, "fp32", choose_threads(options.threads).value)
    return open_network(saved.config, path, saved.weights)


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
    )
