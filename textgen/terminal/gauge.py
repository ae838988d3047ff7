"""The line below a text that a person steers: the dose, and what the target does.

`sentiment  +1.5  -3 ──────┼━━━●◇──── +3  +1.21  30/s  ↑↓ dose  0 mean  r free  q end`
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text

from textgen.terminal.console import ColorDepth
from textgen.terminal.palette import DIVERGING
from textgen.terminal.text import char_width, visible

#: Ends of the bar, in standard deviations.
REACH = 3


@dataclass(frozen=True, kw_only=True)
class GaugeReading:
    """What a gauge shows.

    Args:
        name: The name of the target.
        dose: What it is clamped at, in standard deviations from its mean; None: it is free.
        value: Its value on the same scale; `nan` where that is unknown.
        speed: Characters per second; 0 is as fast as possible.
        paused: Whether the writing waits.
    """

    name: str
    dose: float | None
    value: float
    speed: float
    paused: bool = False


@dataclass(frozen=True)
class _Signs:
    """What a bar is drawn with."""

    track: str
    middle: str
    filled: str
    value: str
    dose: str
    both: str
    below: str
    above: str
    arrows: str
    cut: str


_SIGNS = _Signs("─", "┼", "━", "●", "◇", "◆", "◀", "▶", "↑↓", "…")
_ASCII = _Signs("-", "|", "=", "o", "^", "@", "<", ">", "+-", "~")

_LONGEST_NAME = 24

#: What the line shows in addition, in this order, while it fits: `bar` is the columns per standard
#: deviation, `hints` how many keys are named.
_MORE: tuple[dict[str, int], ...] = (
    {"bar": 2},
    {"value": 1},
    {"state": 1},
    {"name": _LONGEST_NAME},
    {"hints": 1},
    {"ends": 1},
    {"bar": 3},
    {"hints": 2},
    {"bar": 4},
    {"bar": 5},
)


def gauge_line(
    reading: GaugeReading,
    width: int,
    depth: ColorDepth = ColorDepth.NONE,
    *,
    encoding: str = "utf-8",
) -> Text:
    """The gauge in one line of at most `width` columns; a wider one says more.

    Args:
        reading: What it shows.
        width: The columns of the terminal.
        depth: The colours of the terminal.
        encoding: The encoding of the stream; ASCII signs replace those that it lacks.
    """
    known = all(char_width(sign, encoding) == 1 for sign in "".join(vars(_SIGNS).values()))
    signs = _SIGNS if known else _ASCII
    parts = _Line(reading, signs, depth, encoding)
    for change in _MORE:
        parts.try_change(width, **change)
    line = parts.line()
    line.truncate(width)
    return line


class _Line:
    """The parts of the line; it begins with the shortest form."""

    def __init__(
        self, reading: GaugeReading, signs: _Signs, depth: ColorDepth, encoding: str
    ) -> None:
        self._reading, self._signs, self._depth = reading, signs, depth
        self._name = visible(reading.name, encoding=encoding)
        self._shown: dict[str, int] = dict.fromkeys(("value", "state", "hints", "ends"), 0)
        self._shown |= {"name": 8, "bar": 1}

    def try_change(self, width: int, **change: int) -> None:
        """Show more, if it fits."""
        before = self._shown
        self._shown = {**before, **change}
        if self.line().cell_len > width:
            self._shown = before

    def line(self) -> Text:
        reading, shown = self._reading, self._shown
        words = [
            (_cut(self._name, shown["name"], self._signs.cut), "bold"),
            (f"{_dose(reading.dose):>5}", self._style(reading.dose)),
        ]
        line = Text(no_wrap=True, end="")
        for word, style in words:
            line.append(word, style if self._depth else "").append(" ")
        if shown["ends"]:
            line.append(f"-{REACH} ")
        self._append_bar(line, shown["bar"])
        if shown["ends"]:
            line.append(f" +{REACH}")
        if shown["value"]:
            # Where only one fits, the pause is more important.
            waits = reading.paused and not shown["state"]
            line.append(" " + ("paused" if waits else _value(reading.value)).rjust(6))
        if shown["state"]:
            line.append("  " + _state(reading).ljust(6))
        if shown["hints"]:
            hints = self._hints(short=shown["hints"] == 1)
            line.append("  " + hints, "dim" if self._depth else "")
        return line

    def _append_bar(self, line: Text, columns: int) -> None:
        signs, reading = self._signs, self._reading
        middle = REACH * columns
        bar = [signs.track] * middle + [signs.middle] + [signs.track] * middle
        place = _place(reading.value, columns)
        if place is not None:
            for column in range(min(place, middle), max(place, middle) + 1):
                if column != middle:
                    bar[column] = signs.filled
            outside = abs(reading.value) > REACH + 0.5 / columns
            end = signs.above if reading.value > 0 else signs.below
            bar[place] = end if outside else signs.value
        held = None if reading.dose is None else _place(reading.dose, columns)
        if held is not None:
            bar[held] = signs.both if held == place else signs.dose
        for column, sign in enumerate(bar):
            style: Style | str = ""
            if sign not in (signs.track, signs.middle):
                style = self._style(reading.dose if column == held else reading.value)
            line.append(sign, style)

    def _style(self, value: float | None) -> Style | str:
        """The colour of a sign."""
        if not self._depth or value is None or math.isnan(value) or value == 0.0:
            return ""
        # The palette's ends stand out from black and from white.
        style = DIVERGING.style(0.8 if value > 0 else 0.2, self._depth)
        return Style(color=style.bgcolor, bold=True)

    def _hints(self, *, short: bool) -> str:
        arrows = self._signs.arrows
        if short:
            return f"{arrows} dose  0 mean  r free  q end"
        go = "go on" if self._reading.paused else "pause"
        return f"{arrows} dose  0 mean  r free  space {go}  [ ] speed  q end"


def _dose(dose: float | None) -> str:
    return "free" if dose is None else f"{dose:+.4g}"


def _value(value: float) -> str:
    return "?" if math.isnan(value) else f"{value:+.2f}"


def _state(reading: GaugeReading) -> str:
    if reading.paused:
        return "paused"
    return f"{reading.speed:.3g}/s" if reading.speed else "full"


def _cut(name: str, width: int, sign: str) -> str:
    if cell_len(name) <= width:
        return name
    return set_cell_size(name, width - 1) + sign


def _place(value: float, columns: int) -> int | None:
    """The column of the bar for a value; None for `nan`."""
    if math.isnan(value):
        return None
    # Rounded as it is printed, so that a clamped value stands where its dose does.
    return round((min(max(round(value, 2), -REACH), REACH) + REACH) * columns)
