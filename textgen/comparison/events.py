"""What a comparison tells while it goes on: typed records, the result as the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from textgen.training import events as training

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class RunEvent:
    """Something happened in one of the runs.

    Args:
        label: The run's name within the comparison, such as `lstm, rng 1`.
        number: Which of the runs it is, from 1.
        runs: How many there are.
        event: What `textgen.training` tells of it.
    """

    label: str
    number: int
    runs: int
    event: training.Event


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something the person should know, once: how a width came about, what is trained on."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A run is over, and what it is compared by was measured.

    Args:
        label: As in `RunEvent`.
        number: Which of the runs it is, from 1.
        runs: How many there are.
        summary: Its figures in a few words.
    """

    label: str
    number: int
    runs: int
    summary: str


@dataclass(frozen=True, kw_only=True)
class Halted:
    """The comparison was stopped; the run that went on is saved, and `resume` goes on with it.

    Args:
        label: The run that was stopped.
        number: Which of the runs it is, from 1.
        runs: How many there are.
    """

    label: str
    number: int
    runs: int


@dataclass(frozen=True)
class Compared(Generic[Result]):
    """All runs are over."""

    result: Result
