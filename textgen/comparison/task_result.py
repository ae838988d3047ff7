"""What `compare_task` finds: the accuracy of each cell at each lag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from textgen.comparison.jobs import RunFigures
from textgen.comparison.record import Entry, record_head
from textgen.comparison.variant import Variant
from textgen.tasks import Example


@dataclass(frozen=True, kw_only=True)
class LagScore:
    """How a network does at one lag.

    Args:
        lag: Characters of filler.
        questions: How many it was asked.
        fresh: Of how many of these the prompt is none that was trained on: where the lag is short
            there may be few others.
        accuracy: Share answered exactly.
        similarity: Mean `textgen.evaluation.exact_match.edit_similarity` of its answer and the
            right one.
    """

    lag: int
    questions: int
    fresh: int
    accuracy: float
    similarity: float


@dataclass(frozen=True, kw_only=True)
class TaskRun:
    """One run of one cell.

    Args:
        figures: What training came to.
        scores: At each lag, rising.
    """

    figures: RunFigures
    scores: tuple[LagScore, ...]


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """One cell with all its seeds."""

    variant: Variant
    runs: tuple[TaskRun, ...]

    def accuracies(self, place: int) -> tuple[float, ...]:
        """Of each seed, at the lag of that place."""
        return tuple(run.scores[place].accuracy for run in self.runs)


@dataclass(frozen=True, kw_only=True)
class TaskComparison:
    """The outcome of `compare_task`.

    Args:
        folder: Where the runs and their pairs are kept.
        task: Name of the task.
        description: What it asks.
        example: A question and its answer.
        chance: Share that the best constant answer gets right.
        params: Parameters asked for.
        length: How long each run was, in words.
        trained_to: The largest lag that was trained on.
        lags: The lags asked, rising.
        rows: The cells, in the order asked for.
    """

    folder: Path
    task: str
    description: str
    example: Example
    chance: float
    params: int
    length: str
    trained_to: int
    lags: tuple[int, ...]
    rows: tuple[TaskRow, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data: `textgen.compare.task`, version 1."""
        return {
            **record_head("task"),
            "folder": str(self.folder),
            "task": self.task,
            "description": self.description,
            "example": asdict(self.example),
            "chance": self.chance,
            "params": self.params,
            "length": self.length,
            "trained_to": self.trained_to,
            "lags": list(self.lags),
            "cells": [
                {
                    "cell": row.variant.cell,
                    "nonlinearity": row.variant.nonlinearity,
                    "runs": [
                        {**asdict(run.figures), "scores": [asdict(s) for s in run.scores]}
                        for run in row.runs
                    ],
                }
                for row in self.rows
            ],
        }

    def to_rows(self) -> Iterator[tuple[Entry, ...]]:
        """A row for each run and lag."""
        yield ("cell", "nonlinearity", "rng", "lag", "accuracy", "similarity", "questions", "fresh")
        for row in self.rows:
            for run in row.runs:
                for score in run.scores:
                    yield (
                        *(row.variant.cell, row.variant.nonlinearity, run.figures.rng, score.lag),
                        *(score.accuracy, score.similarity, score.questions, score.fresh),
                    )
