"""What a run on numbers does, resolved: what was left open is chosen for the series."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from textgen.cells import get_cell
from textgen.errors import ConfigError, EmptyCorpusError, named
from textgen.model.config import ModelConfig
from textgen.options import validation_share
from textgen.runtime import Choice
from textgen.series.number_file import NumberSeries
from textgen.series.number_options import ADAMW, NUMBER_CELL, NumberOptions
from textgen.series.number_shape import has_readout, number_config, weight_shapes
from textgen.series.scaling import Scaling, choose_scaling

#: Numbers and units that are chosen at most, where nothing is said.
_LONGEST_HISTORY, _MOST_UNITS = 16, 16
#: Windows up to which every step reads all of them.
_FULL_BATCH = 2048
_BATCH, _RATE, _CLIP = 256, 0.01, 1.0
_LBFGS_STEPS, _ADAMW_STEPS = 200, 2000
#: Evaluations in a run.
_EVALUATIONS = 100


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


def plan_numbers(
    series: NumberSeries,
    options: NumberOptions,
    seconds_a_step: Callable[[NumberPlan], float],
) -> tuple[NumberPlan, tuple[Choice, ...]]:
    """Choose what was left open, for a series.

    Args:
        series: The numbers.
        options: What was asked for.
        seconds_a_step: Measures how long a step takes; called where a budget is given.
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
    steps, steps_choice = _steps(plan, windows, options, seconds_a_step)
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
        return number_config(options.cell or NUMBER_CELL, options.nonlinearity, units, layers)

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
        asked = f"the cell {options.cell or NUMBER_CELL} links two layers"
    readout = Choice("readout", "linear", "makes the prediction of the last layer's output")
    if not has_readout(chosen):
        readout = Choice("readout", "none", "the output of the one unit is the prediction")
    return chosen, (
        Choice("hidden_size", units, why),
        Choice("num_layers", layers, asked),
        readout,
    )


def _needs_two(options: NumberOptions) -> bool:
    return bool(get_cell(options.cell or NUMBER_CELL, options.nonlinearity).below_names)


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
    plan: NumberPlan,
    windows: int,
    options: NumberOptions,
    seconds_a_step: Callable[[NumberPlan], float],
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
        seconds = seconds_a_step(plan)
        steps = max(1, round(options.budget / seconds))
        reason = f"about {options.budget:g} s, at {1000 * seconds:.3g} ms a step on this machine"
        return steps, Choice("steps", steps, f"{reason}; {ends}" if ends else reason)
    steps = _ADAMW_STEPS if plan.adamw else _LBFGS_STEPS
    return steps, Choice("steps", steps, ends or "the default")
