"""Keys, one by one, from a pseudo terminal."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator

import pytest
from support.on_windows import msvcrt

from textgen.terminal.keys import Keyboard, parse_keys

termios = pytest.importorskip("termios", reason="this system has no termios")


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    """The two ends of a pseudo terminal: the person's, the program's."""
    person, program = os.openpty()
    yield person, program
    os.close(person)
    os.close(program)


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("q", ["q"]),
        ("+-0", ["+", "-", "0"]),
        ("й", ["й"]),
        ("\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        ("\x1bOA\x1bOB", ["up", "down"]),
        ("\x1b[1;2A", ["up"]),
        ("\x1b[5~\x1b[200~r\x1bOP", ["r"]),
        ("\x1bq", ["escape", "q"]),
        ("\x1b\x1b[A", ["escape", "up"]),
    ],
    ids=repr,
)
def test_keys_have_names(sent: str, keys: list[str]) -> None:
    assert parse_keys(sent) == (keys, "")


@pytest.mark.parametrize("rest", ["\x1b", "\x1b[", "\x1b[1;2", "\x1bO"], ids=repr)
def test_a_sequence_that_is_not_complete_is_kept(rest: str) -> None:
    assert parse_keys(f"a{rest}") == (["a"], rest)


def test_reading(pair: tuple[int, int]) -> None:
    person, program = pair
    with Keyboard(program) as keyboard:
        assert keyboard.read(0.0) == []
        os.write(person, "+\x1b[Aй".encode())
        assert keyboard.read(10.0) == ["+", "up", "й"]
        # A key without a line end is there at once, and an escape alone is the key.
        os.write(person, b"\x1b")
        assert keyboard.read(10.0) == ["escape"]
        # A letter of several bytes that come apart.
        letter = "й".encode()
        os.write(person, letter[:1])
        assert keyboard.read(10.0) == []
        os.write(person, letter[1:])
        assert keyboard.read(10.0) == ["й"]
        # No key is shown: the person gets nothing back.
        os.set_blocking(person, False)
        with pytest.raises(BlockingIOError):
            os.read(person, 100)


def test_the_terminal_is_set_back(pair: tuple[int, int]) -> None:
    person, program = pair
    before = termios.tcgetattr(program)
    with pytest.raises(RuntimeError), Keyboard(program):
        within = termios.tcgetattr(program)
        assert not within[3] & (termios.ICANON | termios.ECHO)
        assert within[3] & termios.ISIG, "Ctrl-C is a signal"
        assert within[6][termios.VSUSP] != before[6][termios.VSUSP], "Ctrl-Z does nothing"
        os.write(person, b"typed ahead\n")
        assert select.select([program], [], [], 10.0)[0]
        raise RuntimeError
    assert termios.tcgetattr(program) == before
    # What nobody read does not reach the shell.
    os.set_blocking(program, False)
    with pytest.raises(BlockingIOError):
        os.read(program, 100)


def console(monkeypatch: pytest.MonkeyPatch, *keys: str) -> Keyboard:
    """A keyboard of Windows, where keys were pressed."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt(keys))
    return Keyboard(0)


def test_keys_of_a_console_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    arrows = ("\xe0", "H", "\0", "P", "\xe0", "K", "\xe0", "M")
    with console(monkeypatch, "q", *arrows, "\0", ";", "й", "\x1b", " ") as keyboard:
        assert keyboard.read(0.0) == ["q", "up", "down", "left", "right", "й", "escape", " "]
        assert keyboard.read(0.02) == []


def test_a_letter_with_the_code_of_an_arrow(monkeypatch: pytest.MonkeyPatch) -> None:
    with console(monkeypatch, "\xe0") as keyboard:
        assert keyboard.read(0.0) == ["à"]


def test_ctrl_c_as_a_key_is_the_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    with console(monkeypatch, "q", "\x03") as keyboard:
        assert keyboard.read(0.0) == ["q"]
    assert raised == [signal.SIGINT]


def test_keys_that_were_not_read_are_dropped_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    with console(monkeypatch, "a", "b"):
        pass
    import msvcrt as installed

    assert not installed.kbhit()
