"""Single keys from a terminal, as they are pressed. Linux, macOS and their like alone."""

from __future__ import annotations

import codecs
import os
import re
import select
import sys
from types import TracebackType
from typing import Any

if sys.platform != "win32":
    import termios

#: Time in which the rest of an arrow's sequence arrives, after its escape.
_SEQUENCE_SECONDS = 0.05
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~])")
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}


class Keyboard:
    """While entered, keys come one by one and are not shown; Ctrl-C is still a signal.

    Ctrl-Z does nothing, for it would leave the screen to the shell as it is. At the end the
    terminal is set as it was, and keys that nobody has read are dropped.

    Args:
        descriptor: Of a terminal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._before: list[Any] = []

    def __enter__(self) -> Keyboard:
        self._before = termios.tcgetattr(self._descriptor)
        mode = termios.tcgetattr(self._descriptor)
        mode[3] &= ~(termios.ICANON | termios.ECHO)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        disabled = bytes([os.fpathconf(self._descriptor, "PC_VDISABLE") & 0xFF])
        mode[6][termios.VSUSP] = disabled
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, mode)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._before)

    def read(self, seconds: float) -> list[str]:
        """The keys pressed meanwhile.

        Args:
            seconds: How long to wait for the first one.
        Returns:
            Characters, and `up`, `down`, `left`, `right`, `escape`; `gone` where the terminal is.
        """
        text, rest, wait = "", "", seconds
        keys: list[str] = []
        while select.select([self._descriptor], [], [], wait)[0]:
            read = os.read(self._descriptor, 4096)
            if not read:
                return [*keys, "gone"]
            text = rest + self._decoder.decode(read)
            found, rest = parse_keys(text)
            keys += found
            if not rest:
                return keys
            wait = _SEQUENCE_SECONDS
        return [*keys, "escape"] if rest else keys


def parse_keys(text: str) -> tuple[list[str], str]:
    """The keys in what a terminal sent, and a sequence at its end that is not complete.

    Sequences of keys that have no name here are left out.
    """
    keys: list[str] = []
    place = 0
    while place < len(text):
        if match := _SEQUENCE.match(text, place):
            name = _ARROWS.get(match[0][-1])
            keys += [] if name is None else [name]
            place = match.end()
            continue
        if _BEGUN.match(text, place):
            return keys, text[place:]
        keys.append("escape" if text[place] == "\x1b" else text[place])
        place += 1
    return keys, ""
