"""What moves on a terminal while a command works: one line, the last one of stderr.

The core names its work (`textgen.progress`); here it is drawn, five times a second and by a thread
of its own, so that it moves however long a single call takes. It is wiped when nothing is going on,
so a command prints between two tasks as if there were no line, and within one through `say` or
`hidden`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from textgen.progress import Task, listening
from textgen.terminal.console import obeys_escapes

if TYPE_CHECKING:
    from textgen.terminal.bar import BarReading

#: Seconds between two drawings, and the least between two that are not due yet.
BEAT, SHORTEST = 0.2, 0.05
#: A task within another is shown when it has lasted so long: the line does not flicker.
PATIENCE = 0.3
#: On a terminal that cannot go back in a line: seconds before a task gets one, and between two.
PLAIN_PATIENCE, PLAIN_BEAT = 0.7, 10.0


def is_live(*, quiet: bool, json_output: bool) -> bool:
    """Whether anything moves: somebody looks, and asked neither for silence nor for JSON."""
    return speaks() and sys.stderr.isatty() and not (quiet or json_output)


def speaks() -> bool:
    """Whether this process shows how it goes: alone, or as the first of several of one training."""
    rank, world = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE"))
    return not (rank.isdecimal() and world.isdecimal() and 0 < int(rank) < int(world))


class MovingLine:
    """The line; a listener of `textgen.progress`.

    Args:
        live: Whether it is drawn at all.
    """

    def __init__(self, *, live: bool) -> None:
        self.live = live
        #: Figures shown beside the bar, the most important first.
        self.figures: Sequence[str] = ()
        #: Whether there is a line that moves, and not lines that are printed one below another.
        self.goes_back = live and obeys_escapes(sys.stderr)
        self._tasks: list[tuple[Task, float]] = []
        self._moved: dict[Task, float] = {}
        self._lock = threading.RLock()
        self._drawn = 0.0
        self._shown = False
        self._hidden = 0
        self._beat = 0
        self._said = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._listening = contextlib.ExitStack()

    def __enter__(self) -> MovingLine:
        if self.live:
            # Here and not when it is drawn first: two threads that import at once wait for another.
            import textgen.terminal.bar  # noqa: F401

            self._listening.enter_context(listening(self))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listening.close()
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._tasks.clear()
            self._wipe()

    def began(self, task: Task) -> None:
        """A task was opened: it is named at once, for the next call may hold everything up."""
        with self._lock:
            now = time.monotonic()
            self._tasks.append((task, now))
            self._moved[task] = now
            first = len(self._tasks) == 1
            if (first and now - self._drawn > SHORTEST) or (self._shown and not task.total):
                self._draw(now)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="moving line", daemon=True)
            self._thread.start()

    def moved(self, task: Task) -> None:
        """Its count has changed; it is drawn when it is due."""
        if task in self._moved:
            self._moved[task] = time.monotonic()

    def ended(self, task: Task) -> None:
        """A task is over; after the last one nothing is left of the line."""
        with self._lock:
            self._tasks = [own for own in self._tasks if own[0] is not task]
            self._moved.pop(task, None)
            if not self._tasks:
                self.figures = ()
                self._wipe()

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Nothing is drawn inside the block, which prints."""
        with self._lock:
            self._hidden += 1
            self._wipe()
        try:
            yield
        finally:
            with self._lock:
                self._hidden -= 1

    def say(self, text: str) -> None:
        """A line above the moving one."""
        with self.hidden():
            print(text, file=sys.stderr, flush=True)

    def say_at_once(self, text: str) -> None:
        """The same from within the handler of a signal."""
        with self._lock:
            self._wipe()
            _write(f"{text}\n")

    def leave(self) -> None:
        """Wipe it: the program ends now, whatever any thread is at."""
        if self._lock.acquire(timeout=SHORTEST):
            self._hidden += 1
            self._wipe()

    def _run(self) -> None:
        while not self._stopping.wait(BEAT):
            with self._lock:
                if self._tasks and not self._hidden:
                    self._draw(time.monotonic())

    def _draw(self, now: float) -> None:
        if self._hidden:
            return
        reading = self._reading(now)
        if not self.goes_back:
            self._draw_plainly(reading, now)
            return
        from textgen.terminal.bar import bar_line

        self._beat += 1
        # In the last column some terminals begin a new row.
        width = _columns() - 1
        line = bar_line(reading, width, encoding=sys.stderr.encoding or "utf-8")
        _write(f"\r{line}\x1b[K")
        self._drawn, self._shown = now, True

    def _draw_plainly(self, reading: BarReading, now: float) -> None:
        """A line for whatever is begun, and one from time to time."""
        is_new = reading.what != self._said
        if reading.seconds < PLAIN_PATIENCE or (not is_new and now - self._drawn < PLAIN_BEAT):
            return
        from textgen.terminal.bar import clock
        from textgen.terminal.text import visible

        parts = [visible(reading.what), "..." if reading.share is None else f"{reading.share:.0%}"]
        if reading.left is not None:
            parts.append(f"{clock(reading.left)} left")
        _write(f"{' '.join(parts)}\n")
        self._said, self._drawn = reading.what, now

    def _reading(self, now: float) -> BarReading:
        """The name of what is done, and what of it at the moment; the bar of the outermost task
        that is counted."""
        from textgen.terminal.bar import BarReading

        outer = self._tasks[0][0]
        # What is not counted may hold everything up, as an import does: it is named at once.
        inner, since = next(
            (own for own in reversed(self._tasks) if not own[0].total or now - own[1] >= PATIENCE),
            self._tasks[0],
        )
        what = outer.what if inner.what == outer.what else f"{outer.what}: {inner.what}"
        task, since = next((own for own in self._tasks if own[0].total), (inner, since))
        share, left = None, None
        if task.total:
            share = task.done / task.total
            if task.done > task.first:
                moved = self._moved.get(task, now)
                pace = (moved - since) / (task.done - task.first)
                left = max(pace * (task.total - task.done) - (now - moved), 0.0)
        return BarReading(
            what=what,
            share=share,
            seconds=now - since,
            left=left,
            figures=self.figures,
            beat=self._beat,
        )

    def _wipe(self) -> None:
        if self._shown:
            _write("\r\x1b[K")
            self._shown = False


def _write(text: str) -> None:
    """Write to stderr past its buffer, whose lock a handler of signals may have interrupted."""
    # A terminal that has gone is no reason to end the work.
    with contextlib.suppress(OSError, ValueError):
        data = text.encode(sys.stderr.encoding or "utf-8", "backslashreplace")
        # A console of Windows reads its descriptor in a code page, and this in UTF-8.
        raw = getattr(getattr(sys.stderr, "buffer", None), "raw", None)
        if raw is None:
            os.write(sys.stderr.fileno(), data)
        else:
            raw.write(data)


def _columns() -> int:
    """Of the terminal that stderr is: stdout may be a file."""
    with contextlib.suppress(OSError, ValueError):
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    return 80


_SILENT = MovingLine(live=False)
_CURRENT: list[MovingLine] = []


def moving_line() -> MovingLine:
    """The line of the command that runs."""
    return _CURRENT[-1] if _CURRENT else _SILENT


@contextlib.contextmanager
def moving(*, live: bool) -> Iterator[MovingLine]:
    """Draw what is being done inside the block."""
    with MovingLine(live=live) as line:
        _CURRENT.append(line)
        try:
            yield line
        finally:
            _CURRENT.remove(line)
