"""A text between its first character and its last, on the screen, under a person's keys."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from math import nan
from time import monotonic
from typing import TYPE_CHECKING

from rich.text import Text

from textgen.cli.boundary import StopSignals
from textgen.steering import LiveSteering
from textgen.terminal.console import ColorDepth, ColorMode, make_consoles
from textgen.terminal.gauge import GaugeReading, gauge_line
from textgen.terminal.screen import Keyboard, TextScreen

if TYPE_CHECKING:
    from textgen.sampling import LiveSymbol

#: Factor of a key that changes the speed; above the highest it goes as fast as it can.
_SPEED_STEP, _LEAST_SPEED, _HIGHEST_SPEED = 1.5, 1.0, 500.0
#: While it waits, a signal or another size of the terminal is seen after this time.
_PATIENCE_SECONDS = 0.1
_FRAME_SECONDS = 1 / 60

#: Keys by what they do; with the letters at the same places of a Russian keyboard.
KEYS = {
    **dict.fromkeys(("up", "+", "="), "raise"),
    **dict.fromkeys(("down", "-", "_"), "lower"),
    "0": "zero",
    **dict.fromkeys(("r", "p", "к", "з"), "release"),
    " ": "pause",
    **dict.fromkeys(("[", "<", ",", "left", "х", "б"), "slower"),
    **dict.fromkeys(("]", ">", ".", "right", "ъ", "ю"), "faster"),
    **dict.fromkeys(("q", "escape", "gone", "й"), "end"),
}


class LiveSession:
    """A text between its first character and its end.

    Args:
        symbols: What `Model.live_stream` gives.
        hand: What the keys change.
        speed: Characters a second; 0: as fast as it goes.
    """

    def __init__(self, symbols: Iterator[LiveSymbol], hand: LiveSteering, speed: float) -> None:
        self._symbols = symbols
        self.hand = hand
        self._speed = speed
        self._paused = False
        self._parts: list[str] = []
        self._last: LiveSymbol | None = None
        self.chars = 0

    @property
    def finish_reason(self) -> str | None:
        """Why the text ended by itself; None where a person or a signal ended it."""
        return None if self._last is None else self._last.finish_reason

    @property
    def text(self) -> str:
        """What was written after the seed."""
        return "".join(self._parts) + ("" if self._last is None else self._last.held)

    def run(self, seed: str, signals: StopSignals, color: ColorMode) -> None:
        """Write and read keys until the text ends, or somebody ends it."""
        consoles = make_consoles(color)
        stream, console = sys.stdout, consoles.out
        if not stream.isatty():
            stream, console = sys.stderr, consoles.err
        depth = ColorDepth.of_rich(console.color_system)
        encoding = stream.encoding or "utf-8"

        def bottom(columns: int) -> Text:
            return gauge_line(self._reading(), columns, depth, encoding=encoding)

        with ExitStack() as stack:
            stack.enter_context(signals)
            keyboard = stack.enter_context(Keyboard(sys.stdin.fileno()))
            screen = stack.enter_context(TextScreen(stream, depth))
            signals.armed = True
            screen.add(seed)
            screen.draw(bottom)
            due = drawn = monotonic()
            while not signals.requested():
                wait = _PATIENCE_SECONDS if self._paused else due - monotonic()
                keys = keyboard.read(min(max(wait, 0.0), _PATIENCE_SECONDS))
                if any(self._press(key) for key in keys):
                    return
                now = monotonic()
                if not self._paused and now >= due:
                    symbol = next(self._symbols, None)
                    if symbol is None or self._take(symbol, screen):
                        return
                    due = max(due, now) + (symbol.chars / self._speed if self._speed else 0.0)
                if keys or self._paused or now - drawn >= _FRAME_SECONDS:
                    screen.draw(bottom)
                    drawn = now

    def _take(self, symbol: LiveSymbol, screen: TextScreen) -> bool:
        """Add a symbol; whether it is the last."""
        self._last = symbol
        self._parts.append(symbol.text)
        self.chars += symbol.chars
        screen.add(symbol.text)
        return symbol.finish_reason is not None

    def _press(self, key: str) -> bool:
        """Do what a key says; whether that is to end."""
        does = KEYS.get(key.lower())
        hand = self.hand
        if does == "raise":
            hand.raise_()
        elif does == "lower":
            hand.lower()
        elif does == "zero":
            hand.zero()
        elif does == "release":
            hand.release()
        elif does == "pause":
            self._paused = not self._paused
        elif does in ("slower", "faster"):
            self._speed = _changed_speed(self._speed, faster=does == "faster")
        return does == "end"

    def _reading(self) -> GaugeReading:
        return GaugeReading(
            name=self.hand.target.name,
            dose=self.hand.dose,
            value=nan if self._last is None else self._last.value,
            speed=self._speed,
            paused=self._paused,
        )


def _changed_speed(speed: float, *, faster: bool) -> float:
    if not speed:
        return 0.0 if faster else _HIGHEST_SPEED
    speed = speed * _SPEED_STEP if faster else speed / _SPEED_STEP
    return 0.0 if speed > _HIGHEST_SPEED else max(speed, _LEAST_SPEED)
