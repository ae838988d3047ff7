"""Work that is given up as soon as somebody asks for it."""

from __future__ import annotations

import hashlib
import signal
import threading
import time

import pytest

from textgen.training.learner import unless


def test_what_the_work_returns_comes_back() -> None:
    asked = threading.Event()

    def stop() -> bool:
        asked.set()
        return False

    def work() -> int:
        assert asked.wait(60)
        return 7

    assert unless(stop, work) == 7


def test_its_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        unless(lambda: False, lambda: 1 / 0)


def test_nobody_waits_for_what_is_given_up() -> None:
    goes_on, ended = threading.Event(), threading.Event()

    def work() -> int:
        goes_on.wait(60)
        ended.set()
        return 1

    try:
        assert unless(lambda: True, work) is None
        assert not ended.is_set()
    finally:
        goes_on.set()
    assert ended.wait(60)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")
def test_a_signal_is_answered_while_a_library_computes() -> None:
    """In a call of C, Python would answer it when the call is over."""
    answered: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: answered.append(time.monotonic()))
    ends: list[float] = []
    data = bytes(200_000_000)

    def work() -> None:
        hashlib.sha256(data).digest()
        ends.append(time.monotonic())

    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        unless(lambda: False, work)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert answered and answered[0] < ends[0]
