"""Ctrl-C, SIGTERM, SIGHUP, Ctrl-Break: the program ends with one line, or saves a run first.

What answers a signal changes as the program goes on:

1. before a command begins, and after it: `end_at_once` of `first_signals.py`, which raises nothing;
2. while it works: `Interrupted` is raised, so that it tidies up; a second signal ends it at once;
3. while it trains: `StopSignals` notes the first one; the step is finished, or a long one given up,
   and the run is saved.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, NoReturn

from textgen.cli.first_signals import USUAL, end_at_once

#: Signals that this program answers; none where another program, or a test, calls a part of it.
_taken: tuple[int, ...] = ()
#: Signals whose exception was raised in the command, once for each time.
_raised: list[int] = []
#: Seconds after which the exception is raised again where nobody has noticed it, and how often it
#: is raised: after that the program ends without it.
_AGAIN_SECONDS, _MOST_RAISED = 0.5, 4
#: Functions in which compiled code calls Python and lets no exception out: parts of torch that
#: follow each operation of a network, and the loading of the range coder.
_LETS_NOTHING_OUT = ("torch.onnx.", "torch.export.", "textgen.compression.range_coder._library.")


class Interrupted(BaseException):
    """A signal arrived while there was nothing to finish.

    It is no `KeyboardInterrupt`, of which typer makes an end without a word.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    if _taken:
        if _raised:
            _end_now(signum)  # It is tidying up, and somebody cannot wait.
        _raised.append(signum)
        _end_where_nothing_gets_out(frame)
        _raise_again_later()
    raise Interrupted(signum)


def _end_where_nothing_gets_out(frame: FrameType | None) -> None:
    """End the program here where a module of torch is being loaded, or in `_LETS_NOTHING_OUT`.

    C++ would end the process with SIGABRT and pages of text, and Rust would write a line of its own
    and raise another error. What the program itself left to be tidied up at its end, as temporary
    folders, is.
    """
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        is_loading = frame.f_code.co_name == "<module>" and name.partition(".")[0] == "torch"
        if is_loading or f"{name}.{frame.f_code.co_name}.".startswith(_LETS_NOTHING_OUT):
            with suppress(BaseException):
                atexit._run_exitfuncs()
            _end_now(_raised[0])
        frame = frame.f_back


def _raise_again_later() -> None:
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)


def _interrupt_again(alarm: int, frame: FrameType | None) -> None:
    """Raise what a library has dropped with a bare `except`, or in C."""
    if len(_raised) >= _MOST_RAISED:
        _end_now(_raised[0])
    if _raised:
        _raised.append(_raised[0])
        _end_where_nothing_gets_out(frame)
        _raise_again_later()
        raise Interrupted(_raised[0])


def _end_now(signum: int, frame: FrameType | None = None) -> NoReturn:
    """End the program, whatever it is at. Of a line that moves nothing is left."""
    from textgen.cli.moving import moving_line

    moving_line().leave()
    end_at_once(signum, frame)


def _stop_raising() -> None:
    """The command is over: nothing need be raised again, and nothing is left to tidy up."""
    if sys.platform != "win32" and _taken:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    for signum in _taken:
        signal.signal(signum, _end_now)


@contextmanager
def signals_of_program(taken: Sequence[int]) -> Iterator[None]:
    """The block is the whole program, which answers the signals `taken` from now on.

    After it the program has nothing to do but to end, so a signal ends it there and then, without a
    traceback. A program that was interrupted ends there itself: taking down the libraries may last
    longer than its work did.
    """
    global _taken
    _taken = tuple(taken)
    sys.unraisablehook = deliver_again
    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, _interrupt_again)
    try:
        yield
    except SystemExit as end:
        if isinstance(end.code, int) and end.code - 128 in _taken:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError, AttributeError):
                    stream.flush()
            os._exit(end.code)
        raise
    except Interrupted as interrupted:
        _end_now(interrupted.signum)
    finally:
        for signum in taken:
            signal.signal(signum, signal.SIG_DFL)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the signals of the program raise `Interrupted` in the block, a command that works.

    Raises:
        Interrupted: Also where a signal became another error. Compiled code makes one of it: NumPy,
            while it is imported, an ImportError, and what is written in Rust a panic.
    """
    try:
        for signum in _taken:
            signal.signal(signum, _interrupt)
        yield
    except BaseException as error:
        if _raised and not isinstance(error, Interrupted):
            raise Interrupted(_raised[0]) from error
        raise
    finally:
        _stop_raising()


def deliver_again(lost: sys.UnraisableHookArgs) -> None:
    """Send a signal again whose exception was lost; a `sys.unraisablehook`.

    Python drops what is raised inside a finalizer (`__del__`, a callback of `weakref`), and Ctrl-C
    may arrive in one: the user would press it in vain. A thread waits until the finalizer is over.
    """
    import threading

    if issubclass(lost.exc_type, (KeyboardInterrupt, Interrupted)):
        signum = getattr(lost.exc_value, "signum", signal.SIGINT)
        _raised.clear()  # It is not a second signal.
        # To the main thread, so that a wait in it ends too; Windows has one way only.
        kill = getattr(signal, "pthread_kill", lambda _, signum: signal.raise_signal(signum))
        timer = threading.Timer(0.01, kill, (threading.main_thread().ident, signum))
        timer.daemon = True
        timer.start()
    else:
        sys.__unraisablehook__(lost)


class StopSignals:
    """Turns the first signal into a request to stop, the second into an end at once.

    Used as a context manager. Until `armed` is set a signal ends the program at once, because there
    is no step to finish. A signal that this process ignores stays ignored.

    Args:
        answer: What is said on stderr when the first signal comes, before anything else is done.
    """

    def __init__(self, answer: str = "") -> None:
        from textgen.cli.moving import moving_line

        self.armed = False
        self._answer = answer
        self._line = moving_line
        self.signum: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        for signum in USUAL:
            if signal.getsignal(signum) != signal.SIG_IGN:
                self._before[signum] = signal.signal(signum, self._receive)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if not self.armed or self.signum is not None:
            _interrupt(signum, frame)
        self.signum = signum
        if self._answer:
            self._line().say_at_once(self._answer)

    def requested(self) -> bool:
        """Whether to stop."""
        return self.signum is not None
