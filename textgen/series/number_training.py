"""Training a network of numbers: the run, which tells how it goes.

The loss is the lecture's: the output after the last number of each window of `history` numbers,
less the next number, squared; the state is zero before each window.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textgen.checkpoint import MODEL_NAME, RESUME_NAME, has_checkpoint
from textgen.errors import RunFolderError, TrainingDivergedError, named
from textgen.files import FolderLock, atomic_write_text, make_folder
from textgen.options import RunOptions, command_text
from textgen.progress import Task, task
from textgen.runtime import Choice, choose_threads, computing_threads
from textgen.series.number_events import NumbersEnded, NumbersReport, NumbersStarted
from textgen.series.number_file import NumberSeries
from textgen.series.number_model import NumbersModel
from textgen.series.number_network import NumberNetwork, Weights, first_weights
from textgen.series.number_options import NumberOptions, SeriesOptions
from textgen.series.number_plan import NumberPlan, plan_numbers
from textgen.training.events import Event
from textgen.training.folder import CURVE_NAME, METRICS_NAME, again_folder, run_folder
from textgen.training.plan import learning_rate_factor
from textgen.version import __version__

#: L-BFGS ends where so many steps make the loss less by no more than this share of it, or where it
#: is no larger than rounding makes it.
_STALE_STEPS, _LEAST_GAIN, _ROUNDING = 20, 1e-4, 1e-28
#: What the loss is multiplied by for L-BFGS: torch leaves out a step whose curvature lies below
#: 1e-10, which near the end of a fit to float64's precision is every step.
_LOSS_FACTOR = 1e8
#: Gradients that a step of L-BFGS takes on average, its line search included.
_GRADIENTS_EACH = 2.5
#: What file names of series end with, which no folder's name needs.
_ENDINGS = (".gz", ".txt", ".csv", ".tsv", ".dat")

Stop = Callable[[], bool]


class NumberWindows:
    """The windows of a series, scaled, and cut into training and validation.

    Args:
        values: The series, `(S,)`.
        plan: Says how long the windows are and which validate.
    """

    def __init__(self, values: NDArray[np.float64], plan: NumberPlan) -> None:
        scaled = plan.scaling.apply(values)
        cut = np.lib.stride_tricks.sliding_window_view(scaled, plan.history + 1)
        windows = torch.tensor(np.ascontiguousarray(cut))
        inputs, targets = windows[:, :-1], windows[:, -1]
        count = len(windows) - plan.val_numbers
        self.train = inputs[:count], targets[:count]
        # A window reaches back into the training part; what it predicts does not stand there.
        self.val = (inputs[count:], targets[count:]) if plan.val_numbers else None

    def naive_rmse(self, part: tuple[Tensor, Tensor]) -> float:
        """The error of the last number of each window as the guess, scaled."""
        inputs, targets = part
        return _root((inputs[:, -1] - targets).square().mean())


class NumberRun:
    """A run that is ready to begin; its folder is locked.

    Args:
        series: What is trained on.
        plan: The run.
        folder: Where it is kept.
        choices: Every setting with its reason.
        command: Repeats the run.
    """

    def __init__(
        self,
        series: NumberSeries,
        plan: NumberPlan,
        folder: Path,
        choices: tuple[Choice, ...],
        command: str,
    ) -> None:
        self.series = series
        self.plan = plan
        self.folder = folder
        self.choices = choices
        self.command = command
        self._windows = NumberWindows(series.values, plan)
        self._network = NumberNetwork(plan.config, first_weights(plan.config, plan.rng))
        self._best: Weights = {}
        self._best_rmse, self._best_step, self._without_best = math.inf, 0, 0
        self._reports: list[NumbersReport] = []
        self._seconds = 0.0

    def events(self, stop: Stop = lambda: False) -> Iterator[Event]:
        """Train.

        Args:
            stop: Asked after every step; once it says True the run ends, its best model saved.
        Yields:
            `NumbersStarted`, `NumbersReport` records, and `NumbersEnded`.
        Raises:
            TrainingDivergedError: The loss is not finite; what was best before is saved.
            StorageError: The model could not be written.
        """
        plan = self.plan
        yield NumbersStarted(
            folder=str(self.folder),
            steps=plan.steps,
            parameters=sum(own.size for own in self._network.weights().values()),
            numbers=len(self.series.values),
            windows=len(self._windows.train[1]),
            choices=self.choices,
            notes=self.series.notes,
            command=self.command,
        )
        with task("training", plan.steps) as training:
            reason, step = yield from self._steps(stop, training)
        yield self._end(reason, step)

    def _steps(self, stop: Stop, training: Task) -> Generator[NumbersReport, None, tuple[str, int]]:
        """Take the steps; return why no more were taken, and how many were."""
        plan, begun = self.plan, time.perf_counter()
        learner = _adamw if plan.adamw else _lbfgs
        losses: list[float] = []
        reason = ""
        for loss in learner(self._network, *self._windows.train, plan):
            losses.append(loss)
            step = len(losses)
            self._seconds = time.perf_counter() - begun
            training.reach(step)
            if not math.isfinite(loss):
                raise self._diverged(step)
            if not plan.adamw and _is_settled(losses):
                reason = "converged"
            if stop():
                reason = "stopped"
            if reason or step == plan.steps or step % plan.eval_every == 0:
                report = self._report(step, losses[-plan.eval_every :])
                yield report
                if not reason and plan.patience and self._without_best >= plan.patience:
                    reason = "patience"
            if reason:
                break
        return reason or "finished", len(losses)

    def _report(self, step: int, losses: list[float]) -> NumbersReport:
        """Measure, and keep the weights where they are the best."""
        windows, divisor = self._windows, self.plan.scaling.divisor
        val = None if windows.val is None else self._rmse(windows.val)
        # Of a batch the loss is known before its step; of all windows it costs no more to ask.
        train = math.sqrt(float(np.mean(losses))) if self.plan.adamw else self._rmse(windows.train)
        measured = self._rmse(windows.train) if val is None else val
        if not math.isfinite(measured):
            raise self._diverged(step)
        if measured < self._best_rmse:
            self._best, self._best_rmse = self._network.weights(), measured
            self._best_step, self._without_best = step, 0
        else:
            self._without_best += 1
        report = NumbersReport(
            step=step,
            steps=self.plan.steps,
            seconds=self._seconds,
            train_rmse=train * divisor,
            val_rmse=None if val is None else val * divisor,
            best_rmse=self._best_rmse * divisor,
        )
        self._reports.append(report)
        return report

    def _rmse(self, part: tuple[Tensor, Tensor]) -> float:
        """The root of the mean squared error, scaled."""
        inputs, targets = part
        with torch.no_grad():
            return _root((self._network.predict(inputs) - targets).square().mean())

    def _end(self, reason: str, step: int) -> NumbersEnded:
        """Save the best model, and say how good it is."""
        plan, windows, divisor = self.plan, self._windows, self.plan.scaling.divisor
        self._network.load(self._best)
        val = windows.val
        last = tuple(float(number) for number in self.series.values[-plan.history :])
        path = self.folder / MODEL_NAME
        model = NumbersModel(
            config=plan.config,
            history=plan.history,
            scaling=plan.scaling,
            last=last,
            weights=self._best,
            path=path,
        )
        ended = NumbersEnded(
            reason=reason,
            step=step,
            steps=plan.steps,
            seconds=self._seconds,
            train_rmse=self._rmse(windows.train) * divisor,
            val_rmse=None if val is None else self._rmse(val) * divisor,
            naive_train_rmse=windows.naive_rmse(windows.train) * divisor,
            naive_val_rmse=None if val is None else windows.naive_rmse(val) * divisor,
            val_numbers=plan.val_numbers,
            best_step=self._best_step,
            equation=model.equation,
            weights=model.own_weights,
            example=last,
            folder=str(self.folder),
            model=str(path),
        )
        figures = {
            key: getattr(ended, key)
            for key in ("step", "steps", "best_step", "train_rmse", "val_rmse")
        }
        naive = {key: getattr(ended, key) for key in ("naive_train_rmse", "naive_val_rmse")}
        info = {
            "series": {
                "path": self.series.source,
                "column": self.series.column,
                "layout": self.series.layout,
                "numbers": len(self.series.values),
            },
            "metrics": {**figures, **naive, "reason": reason},
            "choices": [choice.to_dict() for choice in self.choices],
            "command": self.command,
            "versions": {
                "textgen": __version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        }
        replace(model, info=info).save(path)
        lines = (json.dumps(report.to_dict()) for report in self._reports)
        atomic_write_text(self.folder / METRICS_NAME, "".join(f"{line}\n" for line in lines))
        # Of a run that was replaced: it cannot be gone on with.
        for name in (RESUME_NAME, CURVE_NAME):
            (self.folder / name).unlink(missing_ok=True)
        return ended

    def _diverged(self, step: int) -> TrainingDivergedError:
        saved = ""
        if self._best:
            self._end("diverged", step)
            saved = f"; the best model before, of step {self._best_step}, is in {self.folder}"
        return TrainingDivergedError(
            f"the loss is not finite after step {step}: the network's numbers grew without bound"
            f"{saved}; try another {named('rng', self.plan.rng + 1)}, fewer units or a shorter "
            f"{named('history')}"
        )


def _lbfgs(
    network: NumberNetwork, inputs: Tensor, targets: Tensor, plan: NumberPlan
) -> Iterator[float]:
    """Steps of L-BFGS on all windows at once; yields the loss before each.

    Source: Liu and Nocedal 1989; `torch.optim.LBFGS`.
    """
    optimizer = torch.optim.LBFGS(
        list(network.tensors.values()),
        max_iter=1,
        max_eval=25,
        history_size=20,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def gradient() -> Tensor:
        optimizer.zero_grad()
        loss = _LOSS_FACTOR * _loss(network, inputs, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    for _ in range(plan.steps):
        yield float(optimizer.step(gradient)) / _LOSS_FACTOR  # type: ignore[no-untyped-call]


def _adamw(
    network: NumberNetwork, inputs: Tensor, targets: Tensor, plan: NumberPlan
) -> Iterator[float]:
    """Steps of AdamW, on shuffled batches of windows; yields the loss of each batch before it."""
    parameters = list(network.tensors.values())
    optimizer = torch.optim.AdamW(parameters, weight_decay=plan.weight_decay)
    generator = np.random.Generator(np.random.PCG64(plan.rng))
    warmup = min(200, plan.steps // 20)
    order: list[int] = []
    for step in range(plan.steps):
        if not order:
            order = generator.permutation(len(targets)).tolist()
        batch, order = order[: plan.batch_size], order[plan.batch_size :]
        for group in optimizer.param_groups:
            factor = learning_rate_factor(step, plan.steps, warmup)
            group["lr"] = plan.learning_rate * factor
        optimizer.zero_grad()
        loss = _loss(network, inputs[batch], targets[batch])
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, plan.clip_norm)
        optimizer.step()
        yield float(loss.detach())


def _loss(network: NumberNetwork, inputs: Tensor, targets: Tensor) -> Tensor:
    """The mean squared error of the output after the last number of each window, scaled."""
    return (network.predict(inputs) - targets).square().mean()


def _is_settled(losses: list[float]) -> bool:
    """Whether more steps of L-BFGS would gain nothing."""
    if losses[-1] <= _ROUNDING:
        return True
    before = losses[-1 - _STALE_STEPS :]
    return len(before) > _STALE_STEPS and losses[-1] > (1.0 - _LEAST_GAIN) * before[0]


def _root(mean: Tensor) -> float:
    return math.sqrt(float(mean)) if torch.isfinite(mean) else math.nan


@contextmanager
def open_number_run(
    series: NumberSeries, options: NumberOptions, out: str | Path | None = None, *, force: bool
) -> Iterator[NumberRun]:
    """Prepare a run on a series.

    Args:
        series: The numbers.
        options: What was asked for.
        out: The folder of the run; None names it after the series' file.
        force: Replace the run that is there.
    Yields:
        The run; the folder is locked until the block is left.
    Raises:
        RunFolderError: There is a run already and `force` is not set, or the folder is locked.
        ConfigError: A setting contradicts the series or another setting.
        CorpusError: There are too few numbers.
    """
    folder = number_folder(series.source, out)
    _refuse_occupied(folder, force)
    # More threads than one would only wait for one another: the products are small.
    threads = Choice("threads", 1, "the products are small")
    if options.threads is not None:
        threads = choose_threads(options.threads)
    with computing_threads(threads.value):
        speed = partial(_seconds_a_step, series.values)
        plan, choices = plan_numbers(series, options, speed)
        make_folder(folder)
        with FolderLock(folder):
            _refuse_occupied(folder, force)
            command = ""
            if series.source:
                command = _repeat_command(series, options, plan, again_folder(folder))
            yield NumberRun(series, plan, folder, (*choices, threads), command)


def _refuse_occupied(folder: Path, force: bool) -> None:
    """Raise where a run lives already: one of numbers can only be replaced."""
    if not force and has_checkpoint(folder):
        raise RunFolderError(
            f"{folder} already contains a run; replace it: {named('force', True)}, or use another "
            f"folder: {named('out', 'DIR')}"
        )


def number_folder(source: str, out: str | Path | None) -> Path:
    """Where a run is kept: `out`, else `checkpoints/NAME` after the file, without its ending."""
    if out is not None:
        return Path(out)
    if not source:
        return Path("checkpoints") / "numbers"
    if source == "-":
        return run_folder(["-"], None)
    path = Path(source).resolve()
    for ending in _ENDINGS:
        if path.name != ending and path.name.lower().endswith(ending):
            path = path.with_name(path.name[: -len(ending)])
    return run_folder([path], None)


def _seconds_a_step(values: NDArray[np.float64], plan: NumberPlan) -> float:
    """Measured on the windows of a few steps."""
    network = NumberNetwork(plan.config, first_weights(plan.config, plan.rng))
    inputs, targets = (part[: plan.batch_size] for part in NumberWindows(values, plan).train)
    seconds = []
    with task("measuring the speed"):
        for _ in range(4):
            begun = time.perf_counter()
            _loss(network, inputs, targets).backward()  # type: ignore[no-untyped-call]
            seconds.append(time.perf_counter() - begun)
    return sorted(seconds)[1] * (1.0 if plan.adamw else _GRADIENTS_EACH)


def _repeat_command(
    series: NumberSeries, options: NumberOptions, plan: NumberPlan, folder: Path
) -> str:
    """`textgen train` with all that was chosen."""
    own = replace(
        options,
        budget=None,
        epochs=None,
        steps=plan.steps,
        hidden_size=plan.config.hidden_size,
        num_layers=plan.config.num_layers,
        history=plan.history,
        batch_size=plan.batch_size if plan.adamw else None,
        learning_rate=plan.learning_rate if plan.adamw else None,
    )
    which = SeriesOptions(numbers=True, column=series.column)
    return command_text("train", [series.source], which, own, RunOptions(out=str(folder)))
