"""The two consoles of the command line: stdout for what was asked for, stderr for talk about it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TextIO, cast

from rich.console import Console

from textgen.terminal.color import ColorMode, color_depth

_RichSystem = Literal["standard", "256", "truecolor"]


@dataclass(frozen=True)
class Consoles:
    """Where the command line writes.

    Args:
        out: Products: generated text, tables that were asked for. On stdout.
        err: Talk: progress, notes, summaries, errors. On stderr.
    """

    out: Console
    err: Console


def make_consoles(
    mode: ColorMode = ColorMode.AUTO, *, environ: Mapping[str, str] | None = None
) -> Consoles:
    """Consoles for this process's stdout and stderr.

    Args:
        mode: The user's wish on colours.
        environ: Environment variables; None: those of this process.
    """
    return Consoles(
        make_console(sys.stdout, mode, environ=environ),
        make_console(sys.stderr, mode, environ=environ),
    )


#: What a stream may do with a character that its encoding lacks, other than fail. All else fails
#: for some of them: "surrogateescape", which a POSIX locale has, for every ordinary character.
_NEVER_FAIL = frozenset(
    ("backslashreplace", "ignore", "namereplace", "replace", "xmlcharrefreplace")
)


def escape_what_is_lacking(stream: object) -> None:
    """Let a stream write a character that its encoding lacks escaped, and never fail on it.

    Args:
        stream: A standard stream; one that is no stream of text is left as it is.
    """
    if isinstance(stream, io.TextIOWrapper) and stream.errors not in _NEVER_FAIL:
        stream.reconfigure(errors="backslashreplace")


class _PipeConsole(Console):
    """Tells of a closed pipe instead of ending the program: that is for the command to decide."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


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
        mode: The user's wish on colours.
        environ: Environment variables; None: those of this process.
        width: Columns; None: those of the terminal, or 80.
    """
    environ = os.environ if environ is None else environ
    escape_what_is_lacking(stream)
    is_terminal = stream.isatty()
    depth = color_depth(mode, is_terminal=is_terminal, environ=environ)
    return _PipeConsole(
        file=stream,
        color_system=cast("_RichSystem | None", depth.rich_name),
        # Rich would decide these by the environment; it was read already.
        force_terminal=is_terminal,
        no_color=False,
        width=width,
        markup=False,
        emoji=False,
        highlight=False,
        _environ=environ,
    )
