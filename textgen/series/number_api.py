"""The library for series of numbers: what `textgen train` and `sample` do with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from textgen.arguments import checked
from textgen.errors import ConfigError
from textgen.keywords import NumberSettings, StrPath
from textgen.notebook import Part, Shown
from textgen.runtime import parse_duration, require_torch
from textgen.series.number_file import given_series, read_series
from textgen.series.number_model import NumbersModel, locate_numbers
from textgen.series.number_options import NumberOptions
from textgen.table import Column, Table

if TYPE_CHECKING:
    from textgen.series.number_events import NumbersEnded
    from textgen.training.events import Event


@dataclass(frozen=True, repr=False)
class NumbersResult(Shown):
    """What training on numbers gave.

    Args:
        folder: The run's folder.
        model: The best model's file.
        ended: The last event: errors in the units of the series, those of the naive guess, steps.
    """

    folder: Path
    model: Path
    ended: NumbersEnded

    @property
    def headline(self) -> str:
        """The folder, and what came out."""
        ended = self.ended
        return f"{self.folder}: {ended.reason} after {ended.step:,} steps in {ended.seconds:.1f} s"

    def parts(self) -> Iterable[Part]:
        """The errors beside those of the naive guess; of one unit its equation."""
        ended = self.ended
        rows = [
            ("training", ended.train_rmse, ended.naive_train_rmse),
            ("validation", ended.val_rmse, ended.naive_val_rmse),
        ]
        columns = ("numbers", Column("rmse", "RMSE"), Column("naive", "naive guess"))
        yield Table(columns, [row for row in rows if row[1] is not None])
        if ended.equation:
            weights = ", ".join(f"{name} = {value:.6g}" for name, value in ended.weights.items())
            yield f"{ended.equation}; {weights}"

    def load(self) -> NumbersModel:
        """The best model."""
        return NumbersModel.load(self.model)


@checked(
    NumberOptions,
    without=("budget",),
    title="Settings, with their defaults; None is chosen for the series:",
)
def train_numbers(
    series: StrPath | Iterable[float],
    *,
    column: str | None = None,
    out: StrPath | None = None,
    force: bool = False,
    budget: float | str | timedelta | None = None,
    on_event: Callable[[Event], object] | None = None,
    stop: Callable[[], bool] = lambda: False,
    **settings: Unpack[NumberSettings],
) -> NumbersResult:
    """Train a recurrent network on a series of numbers, by squared error.

    Args:
        series: The numbers, or a file of them: one on each line, separated by white space, or a
            table.
        column: Which column of a table, by its name or its number from 1.
        out: The run's folder; by default `checkpoints/NAME` after the file, and
            `checkpoints/numbers` for numbers.
        force: Replace the run that is there.
        budget: Wall time: seconds, a text like `"10s"`, or a `datetime.timedelta`.
        on_event: Called with every event of `textgen.series.number_events`.
        stop: Asked after every step; once it says True the best model is saved and the run ends.
        settings: Any of those below, by name.
    Returns:
        Where the model is and how good it is.
    Raises:
        TextgenError: See `textgen.errors`; the class says what was wrong.
    Example:
        >>> fibonacci = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55]
        >>> result = textgen.train_numbers(fibonacci, cell="rnn", nonlinearity="identity")
        >>> print(result.load().next_numbers(length=3))
    """
    from textgen.series.number_events import NumbersEnded

    require_torch("training on numbers")
    from textgen.series.number_training import open_number_run

    given: dict[str, Any] = dict(settings)
    options = NumberOptions(budget=None if budget is None else parse_duration(budget), **given)
    if isinstance(series, str | os.PathLike):
        numbers = read_series(
            Path(series),
            column,
            encoding=options.encoding,
            encoding_errors=options.encoding_errors,
        )
    elif column is not None:
        raise ConfigError("column chooses a column of a file; leave it out with numbers")
    else:
        numbers = given_series(series)
    folder = None if out is None else Path(out)
    ended: NumbersEnded | None = None
    with open_number_run(numbers, options, folder, force=force) as run:
        for event in run.events(stop):
            if on_event is not None:
                on_event(event)
            if isinstance(event, NumbersEnded):
                ended = event
    assert ended is not None, "every run that is not ended by an error yields NumbersEnded"
    return NumbersResult(run.folder, Path(ended.model), ended)


@checked()
def load_numbers(checkpoint: StrPath | NumbersModel | NumbersResult | None = None) -> NumbersModel:
    """Load a model of a series of numbers.

    Args:
        checkpoint: A file, a run's folder, or a name under `./checkpoints`; None is the newest
            model of numbers there. What `train_numbers` returned is loaded too, and a model is
            returned as it is.
    Raises:
        StorageError: There is no such model.
        CheckpointError: The file is no model of numbers, damaged, or by a newer version.
    """
    if isinstance(checkpoint, NumbersModel):
        return checkpoint
    if isinstance(checkpoint, NumbersResult):
        return checkpoint.load()
    return NumbersModel.load(locate_numbers(None if checkpoint is None else Path(checkpoint)))
