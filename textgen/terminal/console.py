"""The two consoles of the command line: results on stdout, messages on stderr; their colours."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


class ColorMode(StrEnum):
    """When to write colours."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class ColorDepth(IntEnum):
    """How many colours a terminal has; a greater value means more."""

    NONE = 0
    STANDARD = 4
    EIGHT_BIT = 8
    TRUECOLOR = 24

    @property
    def rich_name(self) -> str | None:
        """What rich calls it: the value of a console's `color_system`."""
        return _RICH_NAMES[self]

    @classmethod
    def of_rich(cls, color_system: str | None) -> ColorDepth:
        """The depth of a rich console by its `color_system`; the old Windows console has 16."""
        return _DEPTHS.get(color_system, cls.STANDARD)


_RICH_NAMES: dict[ColorDepth, str | None] = {
    ColorDepth.NONE: None,
    ColorDepth.STANDARD: "standard",
    ColorDepth.EIGHT_BIT: "256",
    ColorDepth.TRUECOLOR: "truecolor",
}
_DEPTHS = {name: depth for depth, name in _RICH_NAMES.items()}

#: Terminals that show 24-bit colours without saying so in COLORTERM, by the start of TERM.
_TRUECOLOR_TERMS = ("xterm-kitty", "alacritty", "wezterm", "foot", "xterm-ghostty", "iterm2")
#: The same by TERM_PROGRAM.
_TRUECOLOR_PROGRAMS = ("iTerm.app", "WezTerm", "vscode", "ghostty", "mintty")
_NO_TERMS = ("dumb", "unknown")
#: What a console of Windows is asked for: ENABLE_VIRTUAL_TERMINAL_PROCESSING.
_OBEY_ESCAPES = 4
_FORCED = {
    "0": ColorDepth.NONE,
    "false": ColorDepth.NONE,
    "1": ColorDepth.STANDARD,
    "2": ColorDepth.EIGHT_BIT,
    "3": ColorDepth.TRUECOLOR,
}


def color_depth(
    mode: ColorMode,
    *,
    is_terminal: bool,
    environ: Mapping[str, str] | None = None,
    platform: str = sys.platform,
) -> ColorDepth:
    """How many colours to use on a stream.

    `always` and `never` are obeyed whatever the environment says. With `auto`, in this order:
    NO_COLOR (not empty) means none, as https://no-color.org has it; FORCE_COLOR (not empty) means
    colours even into a file, `1`, `2` and `3` for 16, 256 and 24-bit, `0` for none; a stream that
    is not a terminal, or TERM=dumb, gets none; else COLORTERM, TERM and TERM_PROGRAM tell how many.

    Args:
        mode: What the user asked for.
        is_terminal: Whether the stream is one.
        environ: Environment variables; None takes those of this process.
        platform: As `sys.platform`.
    """
    environ = os.environ if environ is None else environ
    if mode is ColorMode.NEVER:
        return ColorDepth.NONE
    capable = _capability(environ, platform)
    if mode is ColorMode.ALWAYS:
        return max(capable, ColorDepth.STANDARD)
    if environ.get("NO_COLOR"):
        return ColorDepth.NONE
    forced = environ.get("FORCE_COLOR", "").lower()
    if forced:
        return _FORCED.get(forced, max(capable, ColorDepth.STANDARD))
    return capable if is_terminal else ColorDepth.NONE


def _capability(environ: Mapping[str, str], platform: str) -> ColorDepth:
    """What the terminal can do, by what it says of itself."""
    term = environ.get("TERM", "").strip().lower()
    if term in _NO_TERMS:
        return ColorDepth.NONE
    if (
        environ.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit")
        or term.endswith(("-direct", "-truecolor"))
        or term.startswith(_TRUECOLOR_TERMS)
        or environ.get("TERM_PROGRAM", "") in _TRUECOLOR_PROGRAMS
        or environ.get("WT_SESSION")
    ):
        return ColorDepth.TRUECOLOR
    if "256color" in term or environ.get("TERM_PROGRAM") == "Apple_Terminal":
        return ColorDepth.EIGHT_BIT
    if not term and platform != "win32":
        return ColorDepth.NONE
    return ColorDepth.STANDARD


#: The most columns and lines that are taken for the size of a terminal.
_LARGEST = 10_000


@dataclass(frozen=True)
class Consoles:
    """Where the command line writes.

    Args:
        out: Results, on stdout: generated text, tables.
        err: Messages, on stderr: progress, notes, summaries, errors.
    """

    out: Console
    err: Console


def make_consoles(
    mode: ColorMode = ColorMode.AUTO, *, environ: Mapping[str, str] | None = None
) -> Consoles:
    """Consoles for this process's stdout and stderr.

    Args:
        mode: What the user asked for.
        environ: Environment variables; None takes those of this process.
    """
    return Consoles(
        make_console(sys.stdout, mode, environ=environ),
        make_console(sys.stderr, mode, environ=environ),
    )


#: Ways to write a character that an encoding lacks, none of which fails. "surrogateescape", which a
#: POSIX locale has, fails for every ordinary character.
_NEVER_FAIL = frozenset(
    ("backslashreplace", "ignore", "namereplace", "replace", "xmlcharrefreplace")
)


def obeys_escapes(stream: TextIO, environ: Mapping[str, str] | None = None) -> bool:
    """Whether a terminal obeys escape sequences: colours, and going back in a line.

    A console of Windows does when it is asked to, which is done here; one before Windows 10 never
    does, and rich draws on it by other calls.

    Args:
        stream: Writes to the terminal.
        environ: Environment variables; None takes those of this process.
    """
    if sys.platform == "win32":
        import ctypes
        import msvcrt

        console = ctypes.WinDLL("kernel32")
        handle = ctypes.c_void_p(msvcrt.get_osfhandle(stream.fileno()))
        mode = ctypes.c_uint32()
        if not console.GetConsoleMode(handle, ctypes.byref(mode)):
            return False
        return bool(console.SetConsoleMode(handle, mode.value | _OBEY_ESCAPES))
    else:
        environ = os.environ if environ is None else environ
        return environ.get("TERM", "") not in ("", *_NO_TERMS)


def prepare_stream(stream: object) -> None:
    """Make a standard stream write, or read, what the same command does on any other system.

    On Windows a pipe and a file would get the letters of a code page, which has no Cyrillic or
    nothing else, and two characters at each line end. `PYTHONIOENCODING` says otherwise, as usual.

    Args:
        stream: A standard stream; one that is not text is left as it is.
    """
    if sys.platform == "win32" and isinstance(stream, io.TextIOWrapper):
        if stream.isatty():  # Python writes Unicode to consoles.
            with suppress(OSError, ValueError):
                obeys_escapes(stream)
        else:
            said = os.environ.get("PYTHONIOENCODING")
            stream.reconfigure(encoding=None if said else "utf-8", newline="\n")
    if stream is not sys.stdin:
        escape_what_is_lacking(stream)


def escape_what_is_lacking(stream: object) -> None:
    """Let a stream escape the characters that its encoding lacks, instead of failing.

    Args:
        stream: A standard stream; a stream that is not text is left as it is.
    """
    if isinstance(stream, io.TextIOWrapper) and stream.errors not in _NEVER_FAIL:
        stream.reconfigure(errors="backslashreplace")


@cache
def _pipe_console() -> type[Console]:
    """A console that raises where its pipe is closed, instead of ending the program."""
    from rich.console import Console

    class PipeConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return PipeConsole


def make_console(
    stream: TextIO,
    mode: ColorMode = ColorMode.AUTO,
    *,
    environ: Mapping[str, str] | None = None,
    width: int | None = None,
) -> Console:
    """A console on `stream` that writes no escape sequence at all where there are no colours.

    A character that the stream's encoding lacks is written escaped. Markup, emoji names and
    highlighting are off: what is printed is text from corpora.

    Args:
        stream: Where to write.
        mode: What the user asked for.
        environ: Environment variables; None takes those of this process.
        width: Columns; None takes those of the terminal, or 80.
    """
    environ = os.environ if environ is None else environ
    # As in other programs, a size of 0 says nothing of the terminal; rich would take its word.
    odd = {name for name in ("COLUMNS", "LINES") if not _is_size(environ.get(name, ""))}
    environ = {name: value for name, value in environ.items() if name not in odd}
    escape_what_is_lacking(stream)
    is_terminal = stream.isatty()
    depth = color_depth(mode, is_terminal=is_terminal, environ=environ)
    color_system: Any = depth.rich_name
    return _pipe_console()(
        file=stream,
        color_system=color_system,
        # Rich would decide these by the environment; it was read already.
        force_terminal=is_terminal,
        no_color=False,
        width=width,
        markup=False,
        emoji=False,
        highlight=False,
        _environ=environ,
    )


def _is_size(text: str) -> bool:
    """Whether it says how many columns or lines a terminal has: as many as anybody can see."""
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST))
    return digits and 0 < int(text) <= _LARGEST
