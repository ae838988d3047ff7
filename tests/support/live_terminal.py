"""A command in a pseudo terminal of its own: its screen is read, keys are pressed.

It waits for what is shown, never for time: on a busy machine all is slower and nothing else.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pyte

from support.small_runs import command, environment

#: What is not shown by then is not shown at all.
PATIENCE = 120.0
ENTERS, LEAVES = b"\x1b[?1049h", b"\x1b[?1049l"


class LiveTerminal:
    """A terminal in which a command runs.

    Args:
        words: Of `textgen`.
        cwd: Where it runs.
        stdout: Where its text goes, if not to the terminal.
        env: More of its environment.
    """

    def __init__(
        self,
        *words: str | Path,
        cwd: Path,
        columns: int = 100,
        lines: int = 30,
        stdout: IO[bytes] | None = None,
        **env: str,
    ) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.sent = b""
        self._person, self._program = os.openpty()
        self._set_size(columns, lines)
        self.before = termios.tcgetattr(self._program)
        self.running = subprocess.Popen(
            command(*words),
            stdin=self._program,
            stdout=self._program if stdout is None else stdout,
            stderr=self._program,
            cwd=cwd,
            env=environment(**{"TERM": "xterm-256color", **env}),
            start_new_session=True,
            # So that Ctrl-C, typed there, reaches it as a signal.
            preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0),
        )

    @property
    def settings(self) -> list[Any]:
        """How the terminal is set now."""
        return termios.tcgetattr(self._program)

    @property
    def gauge(self) -> str:
        """The last line."""
        return self.screen.display[-1].rstrip()

    @property
    def text(self) -> str:
        """What stands above it, without spaces: rows break anywhere."""
        return "".join("".join(self.screen.display[:-1]).split())

    @property
    def after(self) -> str:
        """What was written after its own screen was left."""
        _, _, rest = self.sent.partition(LEAVES)
        return rest.decode().replace("\r\n", "\n")

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._person, keys.encode())

    def kill(self, signum: signal.Signals) -> None:
        """Send a signal."""
        self.running.send_signal(signum)

    def resize(self, columns: int, lines: int) -> None:
        """Give it another size, as a window does."""
        self._set_size(columns, lines)
        self.screen.resize(lines, columns)

    def until(self, shown: Callable[[], bool], what: str) -> None:
        """Read until something is shown."""
        deadline = time.monotonic() + PATIENCE
        while not shown():
            if not self._read(0.2) and self.running.poll() is not None:
                raise AssertionError(f"it ended before {what}: {self._picture()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"never {what}: {self._picture()}")

    def until_written(self, chars: int) -> None:
        """Read until so many characters more than now stand on the screen, which has room."""
        self.until(lambda: ENTERS in self.sent and bool(self.gauge), "a screen of its own")
        size = len(self.text) + chars
        self.until(lambda: len(self.text) >= size, f"{size} characters")

    def finish(self) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(0.2) or self.running.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"it does not end: {self._picture()}")
        return self.running.wait()

    def close(self) -> None:
        """Leave nothing behind."""
        if self.running.poll() is None:
            self.running.kill()
            self.running.wait()
        os.close(self._person)
        os.close(self._program)

    def __enter__(self) -> LiveTerminal:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _read(self, seconds: float) -> bool:
        """Take what was sent; whether there was anything."""
        if not select.select([self._person], [], [], seconds)[0]:
            return False
        try:
            part = os.read(self._person, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        self.sent += part
        self._stream.feed(part)
        return bool(part)

    def _set_size(self, columns: int, lines: int) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._person, termios.TIOCSWINSZ, size)

    def _picture(self) -> str:
        return "\n".join(["", *(line.rstrip() for line in self.screen.display)])
