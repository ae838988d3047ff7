"""A training run: a folder, a plan, and the loop that yields what happens.

Nothing here prints, handles signals or looks at the clock to decide anything but what it reports:
evaluations and saves fall on step numbers, so a resumed run takes the same steps as one that was
never stopped.
"""

from __future__ import annotations

import json
import math
import platform
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from textgen import __version__
from textgen.checkpoint import MODEL_NAME, RESUME_NAME, SavedModel
from textgen.corpus.corpus import CorpusOptions
from textgen.corpus.windows import Windows
from textgen.errors import ConfigError, RunFolderError, StorageError, TrainingDivergedError
from textgen.files import FolderLock, append_line, atomic_write_text, make_folder
from textgen.model.network import LanguageModel
from textgen.model.numpy_network import NumpyNetwork
from textgen.ops import Path as ComputePath
from textgen.ops import select
from textgen.runtime import Choice, choose_device, choose_threads, computing_threads
from textgen.sampling import SampleOptions, generate_text
from textgen.training.calibrate import measure_evaluation, measure_step, probe_speed
from textgen.training.command import repeat_command
from textgen.training.data import TrainingData, corpus_record, open_data, reopen_data
from textgen.training.evaluate import nats_by_streams
from textgen.training.events import Ended, Event, Report, Sampled, Saved, Started
from textgen.training.finetune import extended_weights, parent_options
from textgen.training.options import TrainOptions
from textgen.training.plan import (
    DEFAULT_BUDGET,
    FINAL_EVALUATION,
    Draft,
    Plan,
    Timing,
    draft,
    finish,
)
from textgen.training.schedule import learning_rate_factor
from textgen.training.state import Arrays, Progress, RunState
from textgen.training.trainer import Trainer

METRICS_NAME = "metrics.jsonl"
#: Masked updates in a row after which a run is given up.
MOST_SKIPPED_IN_A_ROW = 10
#: Characters of a sample shown during training.
SAMPLE_LENGTH = 160
#: Asks whether to stop after the step that was just taken.
Stop = Callable[[], bool]


def run_folder(paths: Sequence[str | Path], out: str | Path | None) -> Path:
    """Where a run is kept: `out` as typed, else `checkpoints/NAME` after the first path."""
    if out is not None:
        return Path(out)
    if not paths:
        raise ConfigError("no text was named; type: textgen train corpus.txt")
    if str(paths[0]) == "-":
        return Path("checkpoints") / "stdin"
    name = Path(paths[0]).resolve().name
    for suffix in (".gz", ".txt"):
        name = name.removesuffix(suffix)
    return Path("checkpoints") / (name or "model")


def has_checkpoint(folder: Path) -> bool:
    """Whether a run lives in `folder`."""
    return any((folder / name).exists() for name in (MODEL_NAME, RESUME_NAME))


class Run:
    """A run that is ready to go on; made by `new_run` and `resumed_run`."""

    def __init__(
        self,
        *,
        folder: Path,
        plan: Plan,
        record: dict[str, Any],
        data: TrainingData,
        trainer: Trainer,
        progress: Progress,
        best: Arrays,
    ) -> None:
        self.folder = folder
        self.plan = plan
        self._record = record
        self._data = data
        self._trainer = trainer
        self._progress = progress
        self._best = best
        self._seconds_before = progress.seconds
        self._resumed_from = progress.step
        self._started = 0.0

    @property
    def command(self) -> str:
        """Repeats the run exactly."""
        return str(self._record["command"])

    def events(self, stop: Stop = lambda: False) -> Iterator[Event]:
        """Train to the end, or until `stop` says so after a step.

        Yields:
            `Started`, then `Report`, `Sampled` and `Saved` records, and `Ended` as the last.
        Raises:
            TrainingDivergedError: Loss or gradient was not finite several times in a row.
            StorageError: Something could not be written.
        """
        yield self._start_event()
        if self._progress.finished:
            yield self._end_event("already finished", self._figure(self._record.get("final")))
            return
        if self._progress.step == 0:
            self._save()  # From here on the folder belongs to this run, killed early or not.
        self._started = time.perf_counter()
        yield from self._train(stop)

    def _train(self, stop: Stop) -> Iterator[Event]:
        plan, trainer = self.plan, self._trainer
        since, steps_since = time.perf_counter(), 0
        reason = ""
        while trainer.step < plan.steps and not reason:
            trainer.advance()
            steps_since += 1
            step = trainer.step
            self._progress = replace(self._progress, step=step)
            last = step == plan.steps
            evaluating = last or step % plan.eval_every == 0
            stopping = stop()
            # A stop makes no report of its own: the run that goes on reports where any run would.
            if evaluating or step % plan.report_every == 0:
                counters = trainer.read_counters()
                seconds = time.perf_counter() - since
                self._progress = replace(
                    self._progress, skipped=self._progress.skipped + counters.skipped
                )
                if counters.skipped_in_a_row >= MOST_SKIPPED_IN_A_ROW:
                    raise self._diverged(counters.skipped_in_a_row)
                if evaluating:
                    self._evaluate()
                report = self._report(
                    counters.nats_per_token,
                    counters.grad_norm,
                    evaluating,
                    steps_since * plan.tokens_per_step / seconds,
                )
                append_line(self.folder / METRICS_NAME, json.dumps(report.to_dict()))
                yield report
                since, steps_since = time.perf_counter(), 0
            if plan.patience and self._progress.without_best >= plan.patience and evaluating:
                reason = "patience"
            elif stopping and not last:
                reason = "stopped"
            if not reason and not last:
                pause = time.perf_counter()
                if step % plan.sample_every == 0:
                    yield Sampled(step=step, text=self._sample())
                if step % plan.save_every == 0:
                    yield self._save()
                since += time.perf_counter() - pause  # The speed reported is that of training.
        yield from self._finish(reason or "finished")

    def _finish(self, reason: str) -> Iterator[Event]:
        if reason == "stopped":
            yield self._save()
            if not self._best:
                # Every run that ends leaves a model; this one is not part of the run's course.
                nats, tokens = self._validate()
                self._write_model(self._trainer.model.arrays(), nats, tokens)
                yield self._end_event(reason, (nats, tokens))
                return
            yield self._end_event(reason, self._figure(None))
            return
        if not self._best:
            raise self._diverged(0)
        yield Sampled(step=self._progress.step, text=self._sample())
        nats, tokens = self._validate(self._best)
        self._write_model(self._best, nats, tokens)
        self._record["final"] = [nats, tokens]
        self._progress = replace(self._progress, finished=True, reason=reason)
        yield self._save()
        yield self._end_event(reason, (nats, tokens))

    def _evaluate(self) -> None:
        nats, tokens = nats_by_streams(
            self._trainer.model, self._data.val, limit=self.plan.eval_tokens
        )
        before = self._progress.best_nats
        self._progress = self._progress.evaluated(nats)
        if self._progress.best_nats != before:
            self._best = self._trainer.model.arrays()
            self._write_model(self._best, nats, tokens)

    def _validate(self, weights: Arrays | None = None) -> tuple[float, int]:
        """Cost a token over the whole validation text, or as much of it as time allows."""
        model = self._trainer.model
        if weights is not None:
            model = LanguageModel(self.plan.model, model.path).to(model.embedding.weight.device)
            model.load_arrays(weights)
        limit = FINAL_EVALUATION * self.plan.eval_tokens
        return nats_by_streams(model, self._data.val, limit=limit)

    def _sample(self) -> str:
        network = NumpyNetwork(self.plan.model, self._trainer.model.arrays())
        return generate_text(
            network,
            self._data.corpus.vocabulary,
            SampleOptions(length=SAMPLE_LENGTH, rng=self.plan.rng),
            primer_ids=self._data.primer,
        )

    def _seconds(self) -> float:
        if not self._started:
            return self._seconds_before
        return self._seconds_before + time.perf_counter() - self._started

    def _bits(self, nats_per_token: float | None, chars_per_token: float) -> float | None:
        if nats_per_token is None or not math.isfinite(nats_per_token):
            return None
        return nats_per_token / chars_per_token / math.log(2)

    def _save(self) -> Saved:
        self._progress = replace(
            self._progress, steps_counted=self._trainer.steps_counted, seconds=self._seconds()
        )
        path = self.folder / RESUME_NAME
        RunState(
            plan=self.plan,
            record=self._record,
            vocabulary=self._data.corpus.vocabulary,
            normalization=self._data.corpus.normalization,
            primer=self._data.primer,
            progress=self._progress,
            tensors=self._trainer.tensors(),
            best=self._best,
        ).save(path)
        return Saved(step=self._progress.step, path=str(path))

    def _write_model(self, weights: Arrays, nats: float, tokens: int) -> None:
        progress, data = self._progress, self._data
        info = {
            **{key: self._record[key] for key in ("versions", "corpus", "choices", "command")},
            "parent": self._record.get("parent"),
            "metrics": {
                "step": progress.best_step or progress.step,
                "steps": self.plan.steps,
                "val_nats_per_token": nats,
                "val_bits_per_char": self._bits(nats, data.val_chars_per_token),
                "val_tokens": tokens,
                "chars_seen": self._chars_seen(progress.best_step or progress.step),
            },
        }
        SavedModel(
            config=self.plan.model,
            vocabulary=data.corpus.vocabulary,
            normalization=data.corpus.normalization,
            primer=data.primer,
            info=info,
            weights=weights,
        ).save(self.folder / MODEL_NAME)

    def _chars_seen(self, step: int) -> int:
        return round(step * self.plan.tokens_per_step * self._data.train_chars_per_token)

    def _diverged(self, skipped: int) -> TrainingDivergedError:
        """The error to end with; a model is left behind even if none was evaluated yet."""
        if not (self.folder / MODEL_NAME).exists():
            self._write_model(self._trainer.model.arrays(), math.log(self.plan.model.vocab_size), 0)
        what = (
            f"the loss or its gradient was not finite in {skipped} updates in a row"
            if skipped
            else "no evaluation gave a finite loss"
        )
        rate = self.plan.optimizer.learning_rate
        return TrainingDivergedError(
            f"training diverged at step {self._progress.step}: {what}. The last good model is "
            f"{self.folder / MODEL_NAME}; try again with a smaller --learning-rate (it was "
            f"{rate:g}; try {rate / 4:g})"
        )

    def _start_event(self) -> Started:
        data = self._data
        files = tuple(asdict(report) for report in data.corpus.files)
        return Started(
            folder=str(self.folder),
            resumed_from=self._resumed_from,
            steps=self.plan.steps,
            parameters=self.plan.model.num_parameters(),
            vocab_size=self.plan.model.vocab_size,
            train_tokens=len(data.train),
            val_tokens=len(data.val),
            encoding=data.corpus.files[0].encoding,
            confidence=min(report.confidence for report in data.corpus.files),
            files=files,
            notes=data.corpus.notes,
            choices=tuple(Choice(**choice) for choice in self._record["choices"]),
            command=self.command,
        )

    def _report(
        self, nats: float, grad_norm: float, evaluated: bool, tokens_per_second: float
    ) -> Report:
        progress, plan, data = self._progress, self.plan, self._data
        factor = learning_rate_factor(progress.step - 1, plan.steps, plan.warmup_steps)
        return Report(
            step=progress.step,
            steps=plan.steps,
            seconds=self._seconds(),
            train_bits_per_char=self._bits(nats, data.train_chars_per_token),
            val_bits_per_char=self._bits(progress.last_nats, data.val_chars_per_token),
            best_bits_per_char=self._bits(progress.best_nats, data.val_chars_per_token),
            evaluated=evaluated,
            chars_per_second=tokens_per_second * data.train_chars_per_token,
            learning_rate=plan.optimizer.learning_rate * factor,
            grad_norm=grad_norm if math.isfinite(grad_norm) else None,
            skipped=progress.skipped,
        )

    def _figure(self, final: Any) -> tuple[float, int]:
        """Nats a token of the best model and the tokens they were measured on."""
        if final is not None:
            return float(final[0]), int(final[1])
        best = self._progress.best_nats
        return (math.nan if best is None else best), self.plan.eval_tokens

    def _end_event(self, reason: str, figure: tuple[float, int]) -> Ended:
        progress, data = self._progress, self._data
        nats, tokens = figure
        seconds = self._seconds()
        chars = self._chars_seen(progress.step)
        return Ended(
            reason=reason,
            step=progress.step,
            steps=self.plan.steps,
            seconds=seconds,
            best_bits_per_char=nats / data.val_chars_per_token / math.log(2),
            best_step=progress.best_step or progress.step,
            val_tokens=tokens,
            chars_seen=chars,
            chars_per_second=chars / seconds if seconds else 0.0,
            skipped=progress.skipped,
            folder=str(self.folder),
            model=str(self.folder / MODEL_NAME),
            encoding=data.corpus.files[0].encoding,
            confidence=min(report.confidence for report in data.corpus.files),
        )


@contextmanager
def new_run(
    paths: Sequence[str | Path],
    options: TrainOptions,
    folder: Path,
    *,
    force: bool = False,
    parent: SavedModel | None = None,
    parent_name: str = "",
    cache: Path | None = None,
    stdin: BinaryIO | None = None,
) -> Iterator[Run]:
    """Prepare a run: read the text, choose what was left open, lock the folder.

    Args:
        paths: Files, folders, or `-` for `stdin`.
        options: What was asked for.
        folder: Where the run is kept.
        force: Replace a run that is there.
        parent: A model to train further (`--from`).
        parent_name: What to call it in the record.
        cache: The folder of encoded corpora; None is the user's.
        stdin: What `-` reads.
    Yields:
        The run; the folder is locked until the block is left.
    Raises:
        RunFolderError: There is a run already and `force` is not set, or the folder is locked.
        TextgenError: The text, an option or the device is unusable.
    """
    _refuse_occupied(folder, force)
    if parent is not None:
        options = parent_options(options, parent)
    device, device_choice = choose_device(options.device)
    threads = choose_threads(options.threads)
    data = open_data(
        paths,
        options,
        parent=None if parent is None else parent.vocabulary,
        cache=cache,
        stdin=stdin,
    )
    with computing_threads(threads.value):
        path = select(_cell(options), device, options.precision)
        plan, choices = _plan(options, data, path, device)
        make_folder(folder)
        with FolderLock(folder):
            _refuse_occupied(folder, force)
            model = LanguageModel(plan.model, path, torch.Generator().manual_seed(plan.rng))
            if parent is not None:
                model.load_arrays(
                    extended_weights(parent, plan.model, data.corpus.vocabulary, data.train)
                )
            trainer = Trainer(model.to(device), _windows(plan, data), plan)
            all_choices = (*_given(data, device_choice, threads, path), *choices)
            record = {
                "paths": [_absolute(p) for p in paths],
                "request": _request(options, parent_name),
                "corpus": corpus_record(data),
                "choices": [choice.to_dict() for choice in all_choices],
                "command": repeat_command(paths, options, plan)
                + (f" --from {shlex.quote(parent_name)}" if parent is not None else ""),
                "versions": _versions(),
                "threads": threads.value,
                "precision": path.precision,
                "device": device.type,
                "parent": parent_name or None,
            }
            if force:
                _clear(folder)
            yield Run(
                folder=folder,
                plan=plan,
                record=record,
                data=data,
                trainer=trainer,
                progress=Progress(),
                best={},
            )


@contextmanager
def resumed_run(
    folder: Path,
    *,
    asked: TrainOptions | None = None,
    paths: Sequence[str | Path] = (),
    parent_name: str = "",
    threads: int | None = None,
    cache: Path | None = None,
) -> Iterator[Run]:
    """Go on with a run where it was saved last.

    Args:
        folder: The run's folder.
        asked: The options of the command, to make sure that they are the run's own; None takes
            the run's.
        paths: The texts that the command names, to make sure of them too; none takes the run's.
        parent_name: The `--from` of the command, likewise.
        threads: Compute with so many instead (then not bit for bit the same).
        cache: The folder of encoded corpora; None is the user's.
    Yields:
        The run; the folder is locked until the block is left.
    Raises:
        StorageError: There is nothing to resume.
        RunFolderError: The run was started with other options or on another text, its text has
            changed, or the folder is locked.
    """
    path = folder / RESUME_NAME
    if not path.exists():
        raise StorageError(
            f"there is no run to resume in {folder} (no {RESUME_NAME}); start one: "
            f"textgen train corpus.txt --out {folder}"
        )
    with FolderLock(folder):
        state = RunState.load(path)
        record, plan = state.record, state.plan
        _refuse_other_text(folder, record, paths)
        if asked is not None:
            _refuse_other_options(folder, record["request"], _request(asked, parent_name))
        options = _options_of(record)
        device, _ = choose_device(record["device"])
        data = reopen_data(
            (record["corpus"]["keys"][0], record["corpus"]["keys"][1]),
            options.val,
            record["paths"],
            options,
            state.vocabulary,
            state.normalization,
            cache=cache,
        )
        with computing_threads(threads or int(record["threads"])):
            compute = select(plan.model.cell_spec, device, record["precision"])
            model = LanguageModel(plan.model, compute).to(device)
            trainer = Trainer(model, _windows(plan, data), plan)
            trainer.load(state.progress.step, state.progress.steps_counted, state.tensors)
            _cut_metrics(folder, state.progress.step)
            yield Run(
                folder=folder,
                plan=plan,
                record=record,
                data=data,
                trainer=trainer,
                progress=state.progress,
                best=state.best,
            )


def _cell(options: TrainOptions) -> Any:
    from textgen.cells import get_cell

    return get_cell(options.cell)


def _plan(
    options: TrainOptions, data: TrainingData, path: ComputePath, device: torch.device
) -> tuple[Plan, tuple[Choice, ...]]:
    budgeted = options.steps is None and options.epochs is None
    speed = None
    if budgeted and options.hidden_size is None:
        speed = probe_speed(path, device, options.cell)
    elif budgeted:
        speed = 1e11  # Only the number of passes over the text is guessed from it.
    drafted = draft(options, data.facts, speed)
    timing = _timing(drafted, options, data, path, device)
    plan, choices = finish(drafted, options, data.facts, timing)
    return plan, (*drafted.choices, *choices)


def _timing(
    drafted: Draft,
    options: TrainOptions,
    data: TrainingData,
    path: ComputePath,
    device: torch.device,
) -> Timing:
    budget = options.budget or DEFAULT_BUDGET
    if drafted.plan.steps:
        # Only the rhythm of saves and reports depends on it: a glance will do.
        step = measure_step(drafted.plan, data.train, path, device, 0.1)
        return Timing(step=step, evaluation=0.0, save=0.0)
    step = measure_step(drafted.plan, data.train, path, device, min(3.0, budget / 40))
    steps = max(1, int(budget / step))
    evaluation = measure_evaluation(drafted.plan, steps, data.val, path, device)
    # A save writes the weights, two moments and the best model: 16 bytes a parameter, and the
    # model once more at evaluations. 200 MB/s is slow for a disk that syncs.
    save = 0.05 + 20 * drafted.plan.model.num_parameters() / 200e6
    return Timing(step=step, evaluation=evaluation, save=save)


def _windows(plan: Plan, data: TrainingData) -> Windows:
    return Windows(
        data.train,
        seq_len=plan.seq_len,
        batch_size=plan.batch_size,
        sliding=plan.sliding,
        rng=plan.rng,
    )


def _given(
    data: TrainingData, device: Choice, threads: Choice, path: ComputePath
) -> tuple[Choice, ...]:
    encodings = tuple(
        Choice("encoding", report.encoding, f"{report.path}: {report.reason}")
        for report in data.corpus.files[:3]
    )
    vocabulary = data.corpus.vocabulary
    return (
        *encodings,
        Choice("vocabulary", len(vocabulary), f"symbols at level {vocabulary.level}, two marks"),
        Choice("validation", len(data.val), data.val_source),
        device,
        threads,
        Choice("path", path.name, path.reason),
        Choice("precision", path.precision, "of the products; sums and weights are float32"),
    )


def _versions() -> dict[str, str]:
    return {
        "textgen": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _absolute(path: str | Path) -> str:
    return "-" if str(path) == "-" else str(Path(path).absolute())


def _request(options: TrainOptions, parent_name: str) -> dict[str, Any]:
    return {**options.to_dict(), "from": parent_name or None}


def _options_of(record: Mapping[str, Any]) -> TrainOptions:
    request = dict(record["request"])
    request.pop("from", None)
    return TrainOptions(**{**request, "corpus": CorpusOptions(**request["corpus"])})


def _refuse_other_options(folder: Path, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """A resumed run goes on as it was planned; options that say otherwise are refused."""
    default, ours, theirs = map(_flat, (_request(TrainOptions(), ""), ours, theirs))
    for name, value in theirs.items():
        if value not in (default[name], ours.get(name)):
            raise RunFolderError(
                f"the run in {folder} was started with {name} = {ours.get(name)}, not {value}; "
                "resume it without that option, or start a new run with another --out"
            )


def _flat(request: Mapping[str, Any]) -> dict[str, Any]:
    """Each option by its own name, those on reading the text too."""
    rest = {name: value for name, value in request.items() if name != "corpus"}
    return {**rest, **request["corpus"]}


def _refuse_other_text(
    folder: Path, record: Mapping[str, Any], paths: Sequence[str | Path]
) -> None:
    asked = [_absolute(path) for path in paths]
    if asked and asked != record["paths"]:
        raise RunFolderError(
            f"the run in {folder} trains on {', '.join(record['paths'])}, not on "
            f"{', '.join(asked)}; resume it by its folder alone: textgen train "
            f"{shlex.quote(str(folder))} --resume, or start a new run with another --out"
        )


def _refuse_occupied(folder: Path, force: bool) -> None:
    if not force and has_checkpoint(folder):
        raise RunFolderError(
            f"{folder} holds a run already; go on with it: --resume, replace it: --force, or name "
            "another folder: --out DIR"
        )


def _clear(folder: Path) -> None:
    """Take the old run's files away, the resumable state first."""
    for name in (RESUME_NAME, MODEL_NAME, METRICS_NAME):
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot replace {folder / name}: {error.strerror}") from error


def _cut_metrics(folder: Path, step: int) -> None:
    """Drop reports of steps that a killed run took after its last save; they come again."""
    path = folder / METRICS_NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    kept = []
    for line in lines:
        try:
            if int(json.loads(line)["step"]) <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue  # A line that the kill cut short.
    if kept != lines:
        atomic_write_text(path, "".join(line + "\n" for line in kept))
