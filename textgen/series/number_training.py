"""Training a network of numbers: what is chosen for a series, and the run that tells how it goes.

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
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textgen.cells import get_cell
from textgen.checkpoint import MODEL_NAME, RESUME_NAME, has_checkpoint
from textgen.errors import (
    ConfigError,
    EmptyCorpusError,
    RunFolderError,
    TrainingDivergedError,
    named,
)
from textgen.files import FolderLock, atomic_write_text, make_folder
from textgen.model.config import ModelConfig
from textgen.options import RunOptions, command_text, validation_share
from textgen.progress import Task, task
from textgen.runtime import Choice, choose_threads, computing_threads
from textgen.series.number_events import NumbersEnded, NumbersReport, NumbersStarted
from textgen.series.number_file import NumberSeries
from textgen.series.number_model import NumbersModel
from textgen.series.number_network import NumberNetwork, Weights, first_weights
from textgen.series.number_options import ADAMW, NumberOptions, SeriesOptions
from textgen.series.number_shape import has_readout, number_config, weight_shapes
from textgen.series.scaling import Scaling, choose_scaling
from textgen.training.events import Event
from textgen.training.folder import (
    CURVE_NAME,
    METRICS_NAME,
    again_folder,
    run_folder,
)
from textgen.training.plan import learning_rate_factor
from textgen.version import __version__

#: Numbers and units that are chosen at most, where nothing is said.
_LONGEST_HISTORY, _MOST_UNITS = 16, 16
#: Windows up to which every step reads all of them.
_FULL_BATCH = 2048
_BATCH, _RATE, _CLIP = 256, 0.01, 1.0
_LBFGS_STEPS, _ADAMW_STEPS = 200, 2000
#: Evaluations in a run.
_EVALUATIONS = 100
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


@dataclass(frozen=True, kw_only=True)
class NumberPlan:
    """A run on numbers, resolved.

    Args:
        config: The network's shape.
        history: Numbers in a window.
        val_numbers: Numbers at the end of the series that validate.
        scaling: Between the series and the network.
        adamw: Whether AdamW trains, on batches; else L-BFGS, on all windows at once.
        steps: Steps at most.
        batch_size: Windows that a step reads.
        learning_rate: The peak of AdamW's schedule.
        weight_decay: Of AdamW.
        clip_norm: Of AdamW.
        eval_every: Steps between evaluations; the last step is always evaluated.
        patience: Evaluations without a new best after which the run ends; 0 is off.
        rng: Seed of every random choice.
    """

    config: ModelConfig
    history: int
    val_numbers: int
    scaling: Scaling
    adamw: bool
    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    clip_norm: float
    eval_every: int
    patience: int
    rng: int


class _Windows:
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
        self._windows = _Windows(series.values, plan)
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
        plan, choices = plan_numbers(series, options)
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


def plan_numbers(
    series: NumberSeries, options: NumberOptions
) -> tuple[NumberPlan, tuple[Choice, ...]]:
    """Choose what was left open, for a series.

    Returns:
        The plan, and every choice with its reason.
    Raises:
        ConfigError: A setting contradicts the series.
        EmptyCorpusError: There are too few numbers.
    """
    count = len(series.values)
    where = series.source if series.source not in ("", "-") else "the series"
    if count < 2:
        many = "no number" if count == 0 else "one number only"
        raise EmptyCorpusError(
            f"{where} has {many}; a series of at least 2 is expected, so that there is one to "
            "predict, and better of 10 or more"
        )
    val_numbers, validation = _validation(count, options)
    history, history_choice = _history(count, val_numbers, options)
    windows = count - val_numbers - history
    config, shape_choices = _shape(windows, options)
    train = series.values[: count - val_numbers]
    readout = has_readout(config)
    scaling = choose_scaling(train, readout=readout, nonlinearity=config.nonlinearity)
    adamw = options.asks_for_adamw or windows > _FULL_BATCH
    batch_size = min(options.batch_size or _BATCH, windows) if adamw else windows
    plan = NumberPlan(
        config=config,
        history=history,
        val_numbers=val_numbers,
        scaling=scaling,
        adamw=adamw,
        steps=1,
        batch_size=batch_size,
        learning_rate=options.learning_rate or _RATE,
        weight_decay=options.weight_decay or 0.0,
        clip_norm=options.clip_norm or _CLIP,
        eval_every=1,
        patience=options.patience,
        rng=options.rng,
    )
    steps, steps_choice = _steps(series.values, plan, windows, options)
    plan = replace(
        plan, steps=steps, eval_every=options.eval_every or max(1, steps // _EVALUATIONS)
    )
    named_in = f" in {series.source}" if series.source else ""
    shift = f" - {scaling.shift:.6g}" if scaling.shift > 0 else f" + {-scaling.shift:.6g}"
    shifted = f"(x{shift})" if scaling.shift else "x"
    scaled = f"{shifted} / {scaling.divisor:.6g}"
    return plan, (
        Choice("series", count, f"numbers{named_in}, {series.layout}"),
        history_choice,
        validation,
        Choice(
            "scaling",
            scaled,
            f"{scaling.reason}; undone in all that is told and written",
        ),
        *shape_choices,
        Choice("loss", "squared error", "of the last output of each window, the state zero before"),
        _optimizer_choice(plan, windows, options),
        steps_choice,
        Choice("precision", "float64", "numbers are to be exact"),
    )


def _validation(count: int, options: NumberOptions) -> tuple[int, Choice]:
    """How many numbers at the end validate."""
    share = validation_share(options.val)
    if share is None:
        raise ConfigError(
            f"{named('val')} is {options.val}; of a series of numbers the end validates: give its "
            f"share, such as {named('val', '0.1')}"
        )
    numbers = math.floor(share * count + 1e-9)
    if not numbers:
        reason = (
            f"{share:g} of {count} numbers is less than one: all of them train, and the errors are "
            "those of the training windows"
        )
        return 0, Choice("validation", 0, reason)
    what = "the last number" if numbers == 1 else f"the last {numbers:,} numbers"
    reason = f"{what} of the series, a share of {share:g}: never trained on"
    return numbers, Choice("validation", numbers, reason)


def _history(count: int, val_numbers: int, options: NumberOptions) -> tuple[int, Choice]:
    """How many numbers a window has."""
    most = count - val_numbers - 1
    if options.history is None:
        if most < 1:
            raise ConfigError(
                f"{named('val')} {options.val} leaves {count - val_numbers} of {count} numbers to "
                "train on, and at least 2 are needed; give a smaller share"
            )
        history = min(_LONGEST_HISTORY, max(1, count // 5), most)
        why = (
            "as far back as a prediction sees"
            if history == _LONGEST_HISTORY
            else (f"a fifth of a series of {count} numbers")
        )
        return history, Choice("history", history, f"{why}; others are worth trying")
    if options.history > most:
        rest = f", of which {val_numbers} validate" if val_numbers else ""
        fits = f"give at most {named('history', most)}" if most > 0 else "give more numbers"
        raise ConfigError(
            f"{named('history')} is {options.history}, and the series has {count} numbers{rest}: a "
            f"window of {options.history} and the number after it do not fit; {fits}"
        )
    return options.history, Choice("history", options.history, "asked for")


def _shape(windows: int, options: NumberOptions) -> tuple[ModelConfig, tuple[Choice, ...]]:
    """The network's shape."""
    layers = options.num_layers or (2 if _needs_two(options) else 1)

    def config(units: int) -> ModelConfig:
        return number_config(options.cell, options.nonlinearity, units, layers)

    units, why = options.hidden_size, "asked for"
    if units is None:
        sizes = range(_MOST_UNITS, 0, -1)
        units = next((size for size in sizes if _parameters(config(size)) < windows), 1)
        why = f"as many as keep the weights fewer than the {windows:,} windows"
        if units == _MOST_UNITS:
            why = "enough for most series"
        elif units == 1:
            why = f"a series of {windows:,} windows has no room for more weights"
    chosen = config(units)
    asked = "asked for" if options.num_layers else "one is enough for most series"
    if layers == 2 and not options.num_layers:
        asked = f"the cell {options.cell} links two layers"
    readout = Choice("readout", "linear", "makes the prediction of the last layer's output")
    if not has_readout(chosen):
        readout = Choice("readout", "none", "the output of the one unit is the prediction")
    return chosen, (
        Choice("hidden_size", units, why),
        Choice("num_layers", layers, asked),
        readout,
    )


def _needs_two(options: NumberOptions) -> bool:
    return bool(get_cell(options.cell, options.nonlinearity).below_names)


def _parameters(config: ModelConfig) -> int:
    return sum(math.prod(shape) for shape in weight_shapes(config).values())


def _optimizer_choice(plan: NumberPlan, windows: int, options: NumberOptions) -> Choice:
    if not plan.adamw:
        return Choice(
            "optimizer",
            "L-BFGS",
            f"on all {windows:,} windows at once, with a line search: it needs no learning rate",
        )
    given = [named(name) for name in ADAMW if getattr(options, name) is not None]
    why = f"{given[0]} belongs to it" if given else f"{windows:,} windows are many"
    reason = (
        f"on {plan.batch_size:,} windows at a time, learning rate {plan.learning_rate:g}; {why}"
    )
    return Choice("optimizer", "AdamW", reason)


def _steps(
    values: NDArray[np.float64], plan: NumberPlan, windows: int, options: NumberOptions
) -> tuple[int, Choice]:
    """How many steps are taken at most."""
    ends = "" if plan.adamw else "at most; fewer where the loss no longer falls"
    if options.steps is not None:
        return options.steps, Choice("steps", options.steps, ends or "asked for")
    if options.epochs is not None:
        steps = max(1, math.ceil(options.epochs * windows / plan.batch_size))
        reason = f"read all windows {options.epochs:g} times"
        return steps, Choice("steps", steps, reason)
    if options.budget is not None:
        seconds = _seconds_a_step(values, plan)
        steps = max(1, round(options.budget / seconds))
        reason = f"about {options.budget:g} s, at {1000 * seconds:.3g} ms a step on this machine"
        return steps, Choice("steps", steps, f"{reason}; {ends}" if ends else reason)
    steps = _ADAMW_STEPS if plan.adamw else _LBFGS_STEPS
    return steps, Choice("steps", steps, ends or "the default")


def _seconds_a_step(values: NDArray[np.float64], plan: NumberPlan) -> float:
    """Measured on the windows of a few steps."""
    network = NumberNetwork(plan.config, first_weights(plan.config, plan.rng))
    inputs, targets = (part[: plan.batch_size] for part in _Windows(values, plan).train)
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
