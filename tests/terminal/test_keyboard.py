"""Keys, one by one, from a pseudo terminal."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest

from textgen.terminal.screen import Keyboard, parse_keys

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
