"""Ctrl-C and SIGTERM: the program ends with one line, or a step is finished first."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, NoReturn

#: Signals whose exception was raised and is not known to have ended the command.
_raised: list[int] = []
#: Whether this is the program itself, and not a test or another program that calls a part of it.
_is_program = False
#: Seconds after which the exception is raised again where nobody has noticed it.
_AGAIN_SECONDS = 1.0


class Interrupted(BaseException):
    """A signal arrived while there was nothing to finish.

    It is no `KeyboardInterrupt`, of which typer makes an end without a word.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    if _is_program:
        _raised.append(signum)
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    raise Interrupted(signum)


def _interrupt_again(alarm: int, frame: FrameType | None) -> None:
    """Raise what a library has dropped with a bare `except`, or in C."""
    if _raised:
        _interrupt(_raised[-1], frame)


def _notice() -> None:
    """The exception has arrived where the command ends: it need not be raised again."""
    _raised.clear()
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, 0.0)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM raise `Interrupted` in the block, the whole program.

    A signal that the caller has this process ignore stays ignored. After the block the program has
    nothing to do but to end, so a signal ends it there and then, without a traceback.
    """
    global _is_program
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    taken = [signum for signum in usual if signal.getsignal(signum) == usual[signum]]
    sys.unraisablehook = deliver_again
    try:
        _is_program = True
        if sys.platform != "win32":
            signal.signal(signal.SIGALRM, _interrupt_again)
        for signum in taken:
            signal.signal(signum, _interrupt)
        yield
    finally:
        _notice()
        for signum in taken:
            signal.signal(signum, signal.SIG_DFL)


@contextmanager
def unmasked() -> Iterator[None]:
    """Raise `Interrupted` where a signal arrived in the block and became another error.

    Extensions in C do that while they are imported: NumPy makes an ImportError of it.
    """
    try:
        if _raised:  # It was dropped before the command began.
            raise Interrupted(_raised[-1])
        yield
    except Interrupted:
        _notice()
        raise
    except Exception as error:
        if _raised:
            signum = _raised[-1]
            _notice()
            raise Interrupted(signum) from error
        raise


def deliver_again(lost: sys.UnraisableHookArgs) -> None:
    """Send a signal again whose exception was lost; a `sys.unraisablehook`.

    Python drops what is raised inside a finalizer (`__del__`, a callback of `weakref`), and Ctrl-C
    may arrive in one: the user would press it in vain. A thread waits until the finalizer is over.
    """
    import threading

    if issubclass(lost.exc_type, (KeyboardInterrupt, Interrupted)):
        signum = getattr(lost.exc_value, "signum", signal.SIGINT)
        # To the main thread, so that a wait in it ends too; Windows has one way only.
        kill = getattr(signal, "pthread_kill", lambda _, signum: signal.raise_signal(signum))
        timer = threading.Timer(0.01, kill, (threading.main_thread().ident, signum))
        timer.daemon = True
        timer.start()
    else:
        sys.__unraisablehook__(lost)


class StopSignals:
    """Turns the first Ctrl-C or SIGTERM into a request to stop, the second into an end at once.

    Used as a context manager. Until `armed` is set a signal ends the program at once, because there
    is no step to finish.

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
        for signum in (signal.SIGINT, signal.SIGTERM):
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
        """Whether to stop after this step."""
        return self.signum is not None
