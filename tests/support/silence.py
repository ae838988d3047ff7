"""A command on a pseudo terminal, and how long it says nothing."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support.small_runs import environment

SLOW_MACHINE = Path(__file__).with_name("slow_machine.py")
#: What has not ended by then does not end.
PATIENCE = 300.0


@dataclass
class Watched:
    """What a command wrote on a terminal.

    Args:
        sent: All of it.
        code: What it ended with.
        silence: The longest time without output between its first and its last: what Python loads
            before and takes down after is no matter of a command.
        after: The end of what stood there before that.
        answer: How long after a Ctrl-C its next output came, where one was sent.
        slowness: How many times as long as on an idle machine it took to compute meanwhile.
    """

    sent: str = ""
    code: int | None = None
    silence: float = 0.0
    after: str = ""
    answer: float | None = None
    slowness: float = 1.0
    _parts: list[bytes] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """What was drawn, one drawing below another."""
        return self.sent.replace("\x1b[K", "").replace("\r", "\n").splitlines()


def watch(
    words: Sequence[str | Path],
    cwd: Path,
    *,
    slow: float = 0.0,
    columns: int = 80,
    interrupt: str = "",
    stdout: Path | None = None,
    **env: str,
) -> Watched:
    """Run a command on a terminal and note its silences.

    Args:
        words: Of `textgen`.
        cwd: Where it runs.
        slow: Seconds that each place which works sleeps first (see `slow_machine.py`).
        columns: Of the terminal.
        interrupt: Send Ctrl-C once this has been written.
        stdout: Where its text goes, if not to the terminal.
        env: More of its environment.
    """
    person, program = os.openpty()
    fcntl.ioctl(person, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    start = [str(SLOW_MACHINE), str(slow)] if slow else ["-m", "textgen"]
    out = program if stdout is None else os.open(stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    running = subprocess.Popen(
        [sys.executable, *start, *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=program,
        cwd=cwd,
        env=environment(**{"TERM": "xterm-256color", **env}),
    )
    os.close(program)
    if stdout is not None:
        os.close(out)
    seen = Watched()
    stopped = threading.Event()
    computing = threading.Thread(target=_compute, args=(seen, stopped))
    computing.start()
    try:
        _read(person, running, seen, interrupt)
    finally:
        stopped.set()
        computing.join()
        if running.poll() is None:
            running.kill()
        os.close(person)
    seen.code = running.wait()
    return seen


def _read(person: int, running: subprocess.Popen[bytes], seen: Watched, interrupt: str) -> None:
    began = last = time.monotonic()
    asked: float | None = None
    while time.monotonic() - began < PATIENCE:
        ready, _, _ = select.select([person], [], [], 0.05)
        now = time.monotonic()
        part = b""
        if ready:
            try:
                part = os.read(person, 65536)
            except OSError:
                break  # It has ended, and the terminal with it.
        if part:
            _note(seen, now - last)
            last = now
            seen._parts.append(part)
            seen.sent = b"".join(seen._parts).decode("utf-8", "replace")
            if asked is not None and seen.answer is None:
                seen.answer = now - asked
            if interrupt and asked is None and interrupt in seen.sent:
                asked = now
                running.send_signal(signal.SIGINT)
        elif running.poll() is not None:
            break


def _note(seen: Watched, silence: float) -> None:
    if seen._parts and silence > seen.silence:
        seen.silence, seen.after = silence, seen.sent[-200:]


def _compute(seen: Watched, stopped: threading.Event) -> None:
    """Compute a little from time to time, and see how long it takes."""
    computed = passed = 0.0
    while not stopped.wait(0.2):
        began, own = time.perf_counter(), time.thread_time()
        while time.thread_time() - own < 0.002:
            pass
        computed += time.thread_time() - own
        passed += time.perf_counter() - began
        seen.slowness = passed / computed
