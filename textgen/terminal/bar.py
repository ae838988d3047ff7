"""The line that moves while something is done: its name, a bar, the time left, figures.

`⠹ training  45% |████████▉           | 12 s left  val 2.341  train 2.102 bits/char`
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size

from textgen.terminal.text import char_width, visible

#: A sign that turns says that the program lives, even where nothing can be counted.
_TURNING, _TURNING_ASCII = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
_EIGHTHS = " ▏▎▍▌▋▊▉█"

#: Columns of the bar: none is drawn below the first, none is longer than the second.
_SHORTEST, _LONGEST = 4, 40
#: Columns that the name keeps before the bar gets any.
_NAME = 16


@dataclass(frozen=True, kw_only=True)
class BarReading:
    """What the line shows.

    Args:
        what: What is being done.
        share: How much of it is done, from 0 to 1; None where that is unknown.
        seconds: How long it has been going on.
        left: Seconds that it will still take; None where that is unknown.
        figures: More to say, the most important first.
        beat: A number that grows, to turn the sign by.
    """

    what: str
    share: float | None
    seconds: float
    left: float | None = None
    figures: Sequence[str] = field(default=())
    beat: int = 0


def bar_line(reading: BarReading, width: int, *, encoding: str = "utf-8") -> str:
    """The line, in at most `width` columns: what does not fit is left out, the figures first.

    Args:
        reading: What it shows.
        width: The columns of the terminal.
        encoding: The encoding of the stream; ASCII signs replace those that it lacks.
    """
    known = all(char_width(sign, encoding) == 1 for sign in _TURNING + _EIGHTHS)
    signs = _TURNING if known else _TURNING_ASCII
    sign = signs[reading.beat % len(signs)]
    what = visible(reading.what, encoding=encoding)
    if reading.share is None:
        tail = f"  {clock(reading.seconds)}" if reading.seconds >= 1.0 else ""
        return _fit(f"{sign} {_cut(what, width - 2 - len(tail))}{tail}", width)
    share = min(max(reading.share, 0.0), 1.0)
    percent = f"{int(100 * share):3d}%"
    left = "" if reading.left is None else f" {clock(reading.left)} left"
    room = width - len(f"{sign}  {percent}{left}")
    # A short bar and the name come before the figures, and the name before the bar.
    what = _cut(what, max(room - _SHORTEST - 3, min(room, _NAME), 1))
    room -= cell_len(what)
    figures = list(reading.figures)
    while figures and len(_joined(figures)) + _SHORTEST + 3 > room:
        del figures[-1]
    tail = _joined(figures)
    columns = min(room - len(tail) - 3, _LONGEST)
    bar = f" |{draw_bar(share, columns, ascii_only=not known)}|" if columns >= _SHORTEST else ""
    return _fit(f"{sign} {what} {percent}{bar}{left}{tail}", width)


def clock(seconds: float) -> str:
    """Whole seconds as a clock that runs shows them: `7 s`, `3:05`, `2:07:00`."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _joined(figures: Sequence[str]) -> str:
    return "".join(f"  {figure}" for figure in figures)


def draw_bar(share: float, columns: int, *, ascii_only: bool) -> str:
    """A bar that fills a share of its columns, to an eighth of one."""
    if ascii_only:
        return ("#" * round(share * columns)).ljust(columns)
    whole, part = divmod(round(share * columns * 8), 8)
    bar = "█" * whole + (_EIGHTHS[part] if part else "")
    return bar.ljust(columns)


def _cut(text: str, columns: int) -> str:
    """The text in at most `columns` columns; the end of a longer one is left out."""
    if cell_len(text) <= columns:
        return text
    return set_cell_size(text, max(columns - 2, 0)).rstrip() + ".." if columns > 2 else ""


def _fit(line: str, width: int) -> str:
    return line if cell_len(line) <= width else set_cell_size(line, width)


#: What the bar itself, its percentage and the time left take at least.
_BAR_COLUMNS = 32
#: Seconds between two drawings, where each replaces the one before, and in a file.
_ON_TERMINAL, _IN_FILE = 0.2, 1.0


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

    def report(self, step: int, figures: list[str]) -> None:
        """Move on to a step, and show the figures that fit, the most important ones first."""
        room = shutil.get_terminal_size().columns - _BAR_COLUMNS
        while len(figures) > 1 and len("  ".join(figures)) > room:
            del figures[-1]
        self._bar.set_postfix_str("  ".join(figures), refresh=False)
        self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Stop drawing and leave the bar as it is."""
        self._bar.close()
