"""Single keys from a terminal, as soon as they are pressed."""

from __future__ import annotations

import codecs
import os
import re
import select
import signal
import sys
import time
from types import TracebackType
from typing import Any

if sys.platform != "win32":
    import termios

#: Time in which the rest of an arrow's sequence arrives, after its escape.
_SEQUENCE_SECONDS = 0.05
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~])")
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
#: On Windows a key without a character is one of these two, and then a code.
_NO_CHARACTER = ("\0", "\xe0")
_CONSOLE_ARROWS = {"H": "up", "P": "down", "M": "right", "K": "left"}
#: Seconds between two looks whether a key was pressed, where nothing tells.
_LOOK_SECONDS = 0.01


class Keyboard:
    """While entered, keys come one by one and are not shown; Ctrl-C is still a signal.

    Ctrl-Z does nothing, because the shell would get the screen as it is. At the end the terminal
    gets its old settings, and keys that were not read are dropped.

    Args:
        descriptor: The file descriptor of a terminal; on Windows the console's keys are read,
            whatever it is.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._before: list[Any] = []

    def __enter__(self) -> Keyboard:
        if sys.platform != "win32":
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
        if sys.platform == "win32":
            forget_typed(self._descriptor)
        else:
            termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._before)

    def read(self, seconds: float) -> list[str]:
        """The keys pressed since the last call.

        Args:
            seconds: How long to wait for the first one.
        Returns:
            Characters, and `up`, `down`, `left`, `right`, `escape`; `gone` where the terminal is.
        """
        return _console_keys(seconds) if sys.platform == "win32" else self._sent(seconds)

    def _sent(self, seconds: float) -> list[str]:
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


def forget_typed(descriptor: int) -> None:
    """Drop what was typed while nobody read: it answers a question that was not asked yet.

    Args:
        descriptor: Of a terminal.
    """
    if sys.platform == "win32":
        import msvcrt

        while msvcrt.kbhit():
            msvcrt.getwch()
    else:
        termios.tcflush(descriptor, termios.TCIFLUSH)


def _console_keys(seconds: float) -> list[str]:
    """The keys of the console of Windows, as `Keyboard.read` gives them."""
    keys: list[str] = []
    if sys.platform == "win32":
        import msvcrt

        until = time.perf_counter() + seconds
        while not msvcrt.kbhit():
            left = until - time.perf_counter()
            if left <= 0:
                return keys
            time.sleep(min(left, _LOOK_SECONDS))
        while msvcrt.kbhit():
            key = msvcrt.getwch()
            if key in _NO_CHARACTER and msvcrt.kbhit():  # else the letter that has this code
                name = _CONSOLE_ARROWS.get(msvcrt.getwch())
                keys += [] if name is None else [name]
            elif key == "\x03":  # The console makes no signal of it while a key is read.
                signal.raise_signal(signal.SIGINT)
            else:
                keys.append("escape" if key == "\x1b" else key)
    return keys


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
