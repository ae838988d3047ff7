"""What training on numbers tells while it goes on: plain records, as `textgen.training.events`."""

from __future__ import annotations

from dataclasses import dataclass

from textgen.runtime import Choice
from textgen.training.events import Event


@dataclass(frozen=True, kw_only=True)
class NumbersStarted(Event):
    """The first step is about to be taken.

    Args:
        folder: The run's folder.
        steps: Steps at most.
        parameters: Numbers the network learns.
        numbers: How many numbers the series has.
        windows: Windows to train on.
        choices: Every setting with its reason.
        notes: What else should be known of the file.
        command: Repeats the run; "" for numbers that a program gave.
    """

    name = "start"
    folder: str
    steps: int
    parameters: int
    numbers: int
    windows: int
    choices: tuple[Choice, ...]
    notes: tuple[str, ...]
    command: str


@dataclass(frozen=True, kw_only=True)
class NumbersReport(Event):
    """How training goes. Errors are root mean squares (RMSE), in the units of the series.

    Args:
        step: Steps taken.
        steps: Steps at most.
        seconds: Since the first step.
        train_rmse: On the training windows; with AdamW on those since the last report.
        val_rmse: On the validation part; None where there is none.
        best_rmse: The least so far, on what the network is measured on.
    """

    name = "report"
    step: int
    steps: int
    seconds: float
    train_rmse: float
    val_rmse: float | None
    best_rmse: float

    def figures(self) -> list[str]:
        """The figures in words, the most important first."""
        val = [] if self.val_rmse is None else [f"val {self.val_rmse:.4g}"]
        return [*val, f"train {self.train_rmse:.4g} RMSE"]


@dataclass(frozen=True, kw_only=True)
class NumbersEnded(Event):
    """The run is over; its best model is saved. Errors are RMSE in the units of the series.

    Args:
        reason: `finished`, `converged` (the loss no longer falls), `patience` or `stopped`.
        step: Steps taken.
        steps: Steps at most.
        seconds: Since the first step.
        train_rmse: Of the best model, on the training windows.
        val_rmse: Of the best model, on the validation part; None where there is none.
        naive_train_rmse: Of the guess that the next number is the last one, on the same windows.
        naive_val_rmse: The same on the validation part.
        val_numbers: How many numbers validate.
        best_step: After which the best model was reached.
        equation: What the network of one unit without a readout computes, in words; "" for others.
        weights: Its w, b and v in the units of the series, by name; empty for others.
        example: The last numbers of the series, as many as the network reads.
        folder: The run's folder.
        model: The model's file.
    """

    name = "end"
    reason: str
    step: int
    steps: int
    seconds: float
    train_rmse: float
    val_rmse: float | None
    naive_train_rmse: float
    naive_val_rmse: float | None
    val_numbers: int
    best_step: int
    equation: str
    weights: dict[str, float]
    example: tuple[float, ...]
    folder: str
    model: str
