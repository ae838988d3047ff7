"""A bar and a curve of training in a notebook, drawn again in one place while the run goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

from textgen.notebook.parts import Part, ProgressBar
from textgen.notebook.shown import Shown
from textgen.terminal.bar import clock
from textgen.terminal.chart import loss_chart

#: Seconds between two drawings: each takes some milliseconds, here and in the browser.
_EVERY = 0.5
#: Points of the curve that are drawn at most.
_MOST_POINTS = 400


def in_notebook() -> bool:
    """Whether the shell that runs this is that of a notebook, which can show HTML.

    It is asked of IPython where that runs, and nothing is imported otherwise. A shell with a kernel
    draws elsewhere than in this terminal; `ipython` in a terminal has none.
    """
    shell = sys.modules.get("IPython")
    running = None if shell is None else shell.get_ipython()
    return getattr(running, "kernel", None) is not None


class NotebookBar(Shown):
    """What a notebook shows of a run while it goes on.

    Args:
        title: What is trained.
        steps: The run's length.
        done: Steps taken before.
    """

    def __init__(self, title: str, steps: int, done: int = 0) -> None:
        from IPython.display import display

        self._steps, self._first, self._done = steps, done, done
        self._title = title
        self._began = self._drawn = time.monotonic()
        self._figures: list[str] = []
        self._train: list[tuple[float, float]] = []
        self._validation: list[tuple[float, float]] = []
        self._place: Any = display(self, display_id=True)

    def add(self, step: int, train: float | None, val: float | None) -> None:
        """More of the curve.

        Args:
            step: Steps taken.
            train: The loss on the training text; None where it is not known.
            val: That on the validation text, where it was measured at this step.
        """
        for loss, points in ((train, self._train), (val, self._validation)):
            if loss is not None:
                points.append((float(step), loss))

    def report(self, step: int, figures: list[str]) -> None:
        """Move on to a step, and show the figures."""
        self._done, self._figures = step, figures
        if time.monotonic() - self._drawn >= _EVERY:
            self._draw()

    def close(self) -> None:
        """Draw the end, which stays."""
        self._draw()

    def _draw(self) -> None:
        self._place.update(self)
        self._drawn = time.monotonic()

    @property
    def headline(self) -> str:
        """What is trained."""
        return f"training {self._title}"

    def parts(self) -> Iterable[Part]:
        """The bar with its figures, and the curve as soon as it has two points."""
        share = (self._done - self._first) / max(self._steps - self._first, 1)
        words = [f"{self._done:,} of {self._steps:,} steps"]
        if 0.0 < share < 1.0:
            taken = time.monotonic() - self._began
            words.append(f"{clock(taken * (1.0 - share) / share)} left")
        yield ProgressBar(self._done, self._steps, ", ".join([*words, *self._figures]))
        chart = loss_chart(_thinned(self._train), self._validation)
        if chart is not None:
            yield chart


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points, or means of neighbours where there are many."""
    size = -(-len(points) // _MOST_POINTS)
    if size <= 1:
        return points
    parts = (points[start : start + size] for start in range(0, len(points), size))
    return [(part[-1][0], sum(loss for _, loss in part) / len(part)) for part in parts]
