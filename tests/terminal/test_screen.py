"""A growing text with a line at the bottom, as a terminal shows it."""

from __future__ import annotations

import io
import os
import random

import pyte
import pytest
from rich.text import Text

from textgen.terminal import screen as screen_module
from textgen.terminal.console import ColorDepth
from textgen.terminal.screen import TextRows, TextScreen, terminal_size
from textgen.terminal.text import cells, each_row


class Wire(io.StringIO):
    """A stream to a terminal whose size is set by hand."""

    encoding = "utf-8"

    def fileno(self) -> int:
        return 7


class Watched:
    """A text screen, and the terminal that it draws on."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        columns: int = 20,
        lines: int = 5,
        depth: ColorDepth = ColorDepth.NONE,
    ) -> None:
        self.wire = Wire()
        self.terminal = pyte.Screen(columns, lines)
        self._stream = pyte.Stream(self.terminal)
        self._sent = 0
        self.screen = TextScreen(self.wire, depth)
        monkeypatch.setattr(
            screen_module,
            "terminal_size",
            lambda descriptor: (self.terminal.columns, self.terminal.lines),
        )

    def draw(self, bottom: str = "gauge") -> str:
        """Draw; what was sent for it."""
        self.screen.draw(lambda columns: Text(bottom[:columns]))
        return self.receive()

    def receive(self) -> str:
        sent = self.wire.getvalue()[self._sent :]
        self._sent += len(sent)
        self._stream.feed(sent)
        return sent

    @property
    def shown(self) -> list[str]:
        return [line.rstrip() for line in self.terminal.display]


def test_text_fills_the_screen_and_scrolls(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    watched.screen.add("раз два\nтри ")
    watched.draw()
    assert watched.shown == ["раз два", "три", "", "", "gauge"]
    watched.screen.add("четыре пять шесть семь")
    watched.draw("other")
    assert watched.shown == ["раз два", "три четыре пять", "шесть семь", "", "other"]
    watched.screen.add("\nвосемь\nдевять\nдесять")
    watched.draw()
    assert watched.shown == ["шесть семь", "восемь", "девять", "десять", "gauge"]


def test_only_what_changed_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    watched.screen.add("раз два\nтри")
    watched.draw()
    assert watched.draw() == ""
    watched.screen.add("!")
    sent = watched.draw()
    assert "три!" in sent and "раз" not in sent and "gauge" not in sent


def test_full_rows_keep_their_last_column(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, columns=10, lines=4)
    for char in "0123456789abcdefghij":
        watched.screen.add(char)
        watched.draw("gauge12345")
    assert watched.shown == ["0123456789", "abcdefghij", "", "gauge12345"]
    # Many terminals, other than this one, erase the last column when they are told to there.
    assert "j\x1b[K" not in watched.wire.getvalue() and "i\x1b[K" in watched.wire.getvalue()


def test_another_size_draws_all_of_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, columns=30, lines=6)
    watched.screen.add("раз два три четыре пять шесть семь восемь")
    watched.draw("a gauge of thirty columns or so")
    for columns, lines in ((12, 8), (40, 3), (9, 1), (30, 6)):
        watched.terminal.resize(lines, columns)
        watched.draw("gauge")
        assert watched.shown[-1] == "gauge"
        text = " ".join("".join(watched.shown[:-1]).split())
        assert "раз два три четыре пять шесть семь восемь".replace(" ", "").endswith(
            text.replace(" ", "")
        )
        assert lines == 1 or text


def test_nothing_of_the_text_steers_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, columns=40)
    watched.screen.add("a\x1b[2Jb\x07\u202e")
    watched.draw()
    assert watched.shown[0] == "a\\x1b[2Jb\\x07\\u202e"


def test_the_screen_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    with pytest.raises(RuntimeError), watched.screen:
        watched.screen.add("text")
        watched.draw()
        assert watched.wire.getvalue().startswith("\x1b[?1049h\x1b[?25l")
        raise RuntimeError
    watched.receive()
    assert watched.wire.getvalue().endswith("\x1b[?25h\x1b[?1049l")
    # A terminal that has one screen only, as this one, is left empty.
    assert watched.shown == [""] * 5
    assert not watched.terminal.cursor.hidden


def test_colours_of_the_bottom_line(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Text("held free")
    line.stylize("bold red", 0, 4)
    for depth, coloured in ((ColorDepth.NONE, False), (ColorDepth.STANDARD, True)):
        watched = Watched(monkeypatch, depth=depth)
        watched.screen.draw(lambda columns: line)
        sent = watched.receive()
        assert ("\x1b[1;31mheld" in sent) == coloured
        assert watched.shown[-1] == "held free"
        assert watched.terminal.buffer[4][0].bold == coloured
        assert not watched.terminal.buffer[4][5].bold


@pytest.mark.parametrize("width", [1, 2, 7, 20])
def test_rows_of_a_growing_text_are_those_of_the_whole(width: int) -> None:
    """Marks, wide characters, escapes and newlines included, however it comes in parts."""
    rng = random.Random(width)
    for _ in range(60):
        text = "".join(rng.choice("аб й\u0301\u0301日\n \x1b") for _ in range(rng.randint(1, 80)))
        grown = TextRows(width)
        rest = text
        while rest:
            count = rng.randint(1, 9)
            grown.add(rest[:count])
            rest = rest[count:]
        whole = [
            "".join(cell.shown for cell in row if not cell.ends_row)
            for row in each_row(cells([text]), width)
        ]
        assert [shown for shown, _ in grown.last(1000)] == whole


def test_a_terminal_that_does_not_say_its_size() -> None:
    read, write = os.pipe()
    assert terminal_size(write) == (80, 24)
    for end in (read, write):
        os.close(end)
