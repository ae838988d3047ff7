"""What happens in the runs of a comparison, before its result: plain records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from textgen.training.events import Event

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, kw_only=True)
class _OfRun:
    """What concerns one of the runs.

    Args:
        label: The name of the run within the comparison, such as `lstm, rng 1`.
        number: Which of the runs it is, from 1.
        runs: How many there are.
    """

    label: str
    number: int
    runs: int


@dataclass(frozen=True, kw_only=True)
class RunEvent(_OfRun):
    """Something happened in one of the runs; `event` is what `textgen.training` tells of it."""

    event: Event


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something that a person should know, once."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Measured(_OfRun):
    """A run is over and measured; `summary` has its figures in a few words."""

    summary: str


@dataclass(frozen=True, kw_only=True)
class Failed(_OfRun):
    """A run ended with an error, `reason`; where workers share out the runs, the others go on."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Halted(_OfRun):
    """The comparison was stopped in this run, which is saved; `resume` goes on with it."""


@dataclass(frozen=True)
class Compared(Generic[Outcome]):
    """All runs are over."""

    result: Outcome


#: What happens in the runs, before the result.
Happening = RunEvent | Note | Measured | Failed | Halted
