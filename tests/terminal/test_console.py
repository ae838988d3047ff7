"""What colours are used, by option and environment; and the consoles made of it."""

from __future__ import annotations

import ctypes
import io
import sys
from typing import Any

import pytest
from rich.text import Text
from support.on_windows import MuteLibrary, msvcrt

from textgen.terminal.console import (
    ColorDepth,
    ColorMode,
    color_depth,
    make_console,
    make_consoles,
    obeys_escapes,
    prepare_stream,
)

AUTO, ALWAYS, NEVER = ColorMode.AUTO, ColorMode.ALWAYS, ColorMode.NEVER
NONE, STANDARD, EIGHT_BIT, TRUECOLOR = ColorDepth


@pytest.mark.parametrize(
    ("environ", "depth"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, TRUECOLOR),
        ({"TERM": "xterm", "COLORTERM": "24bit"}, TRUECOLOR),
        ({"TERM": "xterm-direct"}, TRUECOLOR),
        ({"TERM": "xterm-kitty"}, TRUECOLOR),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, TRUECOLOR),
        ({"TERM": "screen-256color"}, EIGHT_BIT),
        ({"TERM": "xterm-256color", "COLORTERM": ""}, EIGHT_BIT),
        ({"TERM": "xterm", "TERM_PROGRAM": "Apple_Terminal"}, EIGHT_BIT),
        ({"TERM": "xterm"}, STANDARD),
        ({"TERM": "linux"}, STANDARD),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, NONE),
        ({"TERM": "unknown"}, NONE),
        ({}, NONE),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, NONE),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, EIGHT_BIT),
        ({"TERM": "xterm-256color", "NO_COLOR": "0", "FORCE_COLOR": "3"}, NONE),
        ({"TERM": "xterm-256color", "FORCE_COLOR": "0"}, NONE),
        ({"TERM": "dumb", "FORCE_COLOR": "3"}, TRUECOLOR),
    ],
)
def test_a_terminal_gets_what_it_can_show(environ: dict[str, str], depth: ColorDepth) -> None:
    assert color_depth(AUTO, is_terminal=True, environ=environ, platform="linux") is depth


@pytest.mark.parametrize(
    ("environ", "depth"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, NONE),
        ({"TERM": "xterm-256color", "FORCE_COLOR": "yes"}, EIGHT_BIT),
        ({"FORCE_COLOR": "yes"}, STANDARD),
        ({"FORCE_COLOR": "2"}, EIGHT_BIT),
    ],
)
def test_a_file_gets_colours_only_by_force(environ: dict[str, str], depth: ColorDepth) -> None:
    assert color_depth(AUTO, is_terminal=False, environ=environ, platform="linux") is depth


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_option_beats_the_environment(is_terminal: bool) -> None:
    loud = {"TERM": "xterm", "COLORTERM": "truecolor", "FORCE_COLOR": "3"}
    quiet = {"TERM": "dumb", "NO_COLOR": "1"}
    assert color_depth(NEVER, is_terminal=is_terminal, environ=loud) is NONE
    assert color_depth(ALWAYS, is_terminal=is_terminal, environ=quiet) is STANDARD
    assert color_depth(ALWAYS, is_terminal=is_terminal, environ={**loud, "NO_COLOR": "1"}) is (
        TRUECOLOR
    )


def test_windows_names_no_terminal() -> None:
    def depth(environ: dict[str, str]) -> ColorDepth:
        return color_depth(AUTO, is_terminal=True, environ=environ, platform="win32")

    assert depth({}) is STANDARD
    assert depth({"WT_SESSION": "1"}) is TRUECOLOR


def test_depths_are_richs_systems() -> None:
    for depth in ColorDepth:
        assert ColorDepth.of_rich(depth.rich_name) is depth
    assert ColorDepth.of_rich("windows") is STANDARD


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("mode", "environ", "stream", "colored"),
    [
        (AUTO, {"TERM": "xterm"}, _Terminal, True),
        (AUTO, {"TERM": "xterm", "NO_COLOR": "1"}, _Terminal, False),
        (AUTO, {"TERM": "dumb"}, _Terminal, False),
        (AUTO, {"TERM": "xterm"}, io.StringIO, False),
        (ALWAYS, {"NO_COLOR": "1"}, io.StringIO, True),
        (NEVER, {"TERM": "xterm", "FORCE_COLOR": "1"}, _Terminal, False),
    ],
)
def test_a_console_without_colours_writes_no_escape(
    mode: ColorMode, environ: dict[str, str], stream: type[io.StringIO], colored: bool
) -> None:
    file = stream()
    console = make_console(file, mode, environ=environ, width=40)
    console.print(Text("x", "bold red on blue"), "[bold]:smile: 12[/bold]")
    assert ("\x1b" in file.getvalue()) is colored
    if not colored:
        assert file.getvalue() == "x [bold]:smile: 12[/bold]\n"


def test_a_poor_encoding_ends_nothing() -> None:
    raw = io.BytesIO()
    console = make_console(io.TextIOWrapper(raw, encoding="ascii"), environ={}, width=40)
    console.print("да")
    console.file.flush()
    assert raw.getvalue() == b"\\u0434\\u0430\n"


def test_products_and_talk_go_apart(capsys: pytest.CaptureFixture[str]) -> None:
    consoles = make_consoles(environ={})
    consoles.out.print("product")
    consoles.err.print("talk")
    assert capsys.readouterr() == ("product\n", "talk\n")


@pytest.mark.parametrize("odd", ["0", "00", "-5", "²", "many", "", "80.5", "10001", "9" * 5000])
def test_a_size_that_no_terminal_has_is_none(odd: str) -> None:
    """A terminal of no columns has no room for a character: a text would never be wrapped."""
    environ = {"COLUMNS": odd, "LINES": odd}
    console = make_console(io.StringIO(), AUTO, environ=environ)
    assert console.width == 80 and console.height == 25
    assert make_console(io.StringIO(), AUTO, environ={"COLUMNS": "40"}).width == 40


def in_code_page(**kind: Any) -> io.TextIOWrapper:
    """A stream as Python makes it of a pipe on a Russian Windows."""
    return io.TextIOWrapper(io.BytesIO(), encoding="cp1251", newline="\r\n", **kind)


def test_a_pipe_of_windows_gets_utf_8_and_single_line_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    as_it_is = "дом\r\n\\u65e5".encode("cp1251")
    for platform, expected in (("win32", "дом\n日".encode()), ("linux", as_it_is)):
        monkeypatch.setattr(sys, "platform", platform)
        stream = in_code_page()
        prepare_stream(stream)
        stream.write("дом\n日")
        stream.flush()
        assert stream.buffer.getvalue() == expected  # type: ignore[attr-defined]


def test_pythonioencoding_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "cp1251")
    monkeypatch.setattr(sys, "platform", "win32")
    stream = in_code_page()
    prepare_stream(stream)
    assert stream.encoding == "cp1251"
    prepare_stream(io.StringIO())  # no text of bytes, and no error


def test_a_pipe_that_is_read_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    stream = io.TextIOWrapper(io.BytesIO("дом\n".encode()), encoding="cp1251")
    monkeypatch.setattr(sys, "stdin", stream)
    prepare_stream(stream)
    assert stream.readline() == "дом\n" and stream.errors == "strict"


class OneConsole(MuteLibrary):
    """A console of Windows with a mode."""

    def __init__(self, *, is_console: bool = True, is_new: bool = True) -> None:
        self.mode, self._is_console, self._is_new = 3, is_console, is_new

    def GetConsoleMode(self, handle: Any, mode: Any) -> int:
        mode._obj.value = self.mode
        return self._is_console

    def SetConsoleMode(self, handle: Any, mode: int) -> int:
        self.mode = mode
        return self._is_new


@pytest.mark.parametrize("kind", [{}, {"is_console": False}, {"is_new": False}])
def test_a_console_of_windows_is_asked_to_obey(
    monkeypatch: pytest.MonkeyPatch, kind: dict[str, bool]
) -> None:
    library = OneConsole(**kind)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt())
    monkeypatch.setattr(ctypes, "WinDLL", lambda _: library, raising=False)
    with open("/dev/null", "w", encoding="utf-8") as stream:
        assert obeys_escapes(stream) is (not kind)
    assert library.mode == (3 if kind.get("is_console") is False else 7)


@pytest.mark.parametrize(("term", "obeys"), [("xterm", True), ("dumb", False), ("", False)])
def test_elsewhere_term_says_it(term: str, obeys: bool) -> None:
    assert obeys_escapes(io.StringIO(), {"TERM": term}) is obeys
