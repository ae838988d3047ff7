"""The bar of a training run on stderr: how far it is, how long it still takes, and the loss."""

from __future__ import annotations

import shutil
import sys
from typing import Protocol

from textgen.terminal.format import rate

#: What the bar itself, its percentage and the time left take at least.
_BAR_COLUMNS = 32
#: Seconds between two drawings, where each replaces the one before, and in a file.
_ON_TERMINAL, _IN_FILE = 0.2, 1.0


class Figures(Protocol):
    """What is shown of a run: `textgen.training.events.Report` has it."""

    @property
    def step(self) -> int:
        """Steps taken."""

    @property
    def train_bits_per_char(self) -> float | None:
        """Mean training loss."""

    @property
    def val_bits_per_char(self) -> float | None:
        """Of the last evaluation."""

    @property
    def train_distance(self) -> float | None:
        """The loss where it is a distance."""

    @property
    def chars_per_second(self) -> float:
        """The speed."""

    @property
    def skipped(self) -> int:
        """Updates left out."""


def figures_of(report: Figures) -> list[str]:
    """The figures of a run in words, the most important first."""
    figures = []
    if report.val_bits_per_char is not None:
        figures.append(f"val {report.val_bits_per_char:.3f}")
    if report.train_bits_per_char is not None:
        figures.append(f"train {report.train_bits_per_char:.3f} bits/char")
    elif report.val_bits_per_char is not None:
        figures[-1] += " bits/char"
    if report.train_distance is not None:
        figures.append(f"distance {report.train_distance:.3f}")
    figures.append(rate(report.chars_per_second))
    if report.skipped:
        figures.append(f"{report.skipped} updates left out")
    return figures


class TrainingBar:
    """A bar over the steps of a run.

    Args:
        steps: The run's length.
        done: Steps taken before.
    """

    def __init__(self, steps: int, done: int = 0) -> None:
        from tqdm import tqdm

        self._bar = tqdm(
            total=steps,
            initial=done,
            file=sys.stderr,
            dynamic_ncols=True,
            mininterval=_ON_TERMINAL if sys.stderr.isatty() else _IN_FILE,
            bar_format="{percentage:3.0f}% |{bar}| {remaining} left{postfix}",
        )

    def report(self, report: Figures) -> None:
        """Move on, and show as many of the figures as fit; the last ones go first."""
        figures = figures_of(report)
        room = shutil.get_terminal_size().columns - _BAR_COLUMNS
        while len(figures) > 1 and len("  ".join(figures)) > room:
            del figures[-1]
        self._bar.set_postfix_str("  ".join(figures), refresh=False)
        self._bar.update(report.step - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()
