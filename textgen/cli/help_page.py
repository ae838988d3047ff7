"""The page that `--help` shows, and what commands and options are called on it and in messages.

Wide terminals get two columns, narrow ones one.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, cast, get_args

import typer

from textgen.settings import ADVANCED, PANELS

#: What the library that parses raises where a command line is wrong. It has no public name in all
#: versions.
UsageError = cast("type[Exception]", typer.BadParameter.__bases__[0])

#: Where the values as they were typed are kept, for messages.
TYPED = "textgen.typed"

#: Words for asking for help and for the version, where others have no dashes.
HELP_WORDS = frozenset(("help", "--help", "-h"))

#: What is typed after an option, where the option does not say it itself.
_VALUES: dict[Any, str] = {int: "N", float: "X"}
_CHOICES = re.compile(r"[a-z0-9-]+")

_OPTIONS, _ARGUMENTS, _COMMANDS = "Options", "Arguments", "Commands"
#: Lines longer than this are hard to read.
_WIDEST = 100
#: Below this width an explanation stands under its option, not beside it.
_TWO_COLUMNS = 60
#: A longer option has a line of its own.
_LONGEST_NAME = 26

Row = tuple[str, str]


def print_help(command: Any, context: Any) -> None:
    """Print the help page of a command or a group on stdout."""
    from rich.text import Text

    from textgen.terminal.console import make_console

    console = make_console(sys.stdout)
    page = Text()
    for line, style in _lines(command, context, min(console.width, _WIDEST)):
        page.append(line, style)
        page.append("\n")
    # Lines are broken here already. Only a command may be longer than the terminal is wide; it is
    # left whole, so that it can be copied.
    console.print(page, soft_wrap=True, end="")


def _lines(command: Any, context: Any, width: int) -> Iterator[tuple[str, str]]:
    """Each line of the page, with its style."""
    arguments = [argument_name(p) for p in command.params if p.param_type_name == "argument"]
    below = getattr(command, "subcommand_metavar", None)
    usage = " ".join([context.command_path, *arguments, *([below] if below else []), "[OPTIONS]"])
    yield from _plain(_wrapped(f"Usage: {usage}", width, indent="  ", first=""))
    example_before = False
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        is_example = paragraph.startswith("textgen ")
        if not (is_example and example_before):
            yield "", ""
        if is_example:
            yield f"  {paragraph}", "bold"
        else:
            yield from _plain(_wrapped(paragraph, width))
        example_before = is_example
    for title, rows in _panels(command, context):
        yield "", ""
        yield title, "bold"
        yield from _columns(rows, width)


def _plain(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        yield line, ""


def _wrapped(text: str, width: int, indent: str = "", first: str | None = None) -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()),
        max(width, 20),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _columns(rows: Sequence[Row], width: int) -> Iterator[tuple[str, str]]:
    """Names with what they do, beside them or beneath."""
    if width < _TWO_COLUMNS:
        for name, text in rows:
            yield f"  {name}", "bold"
            yield from _plain(_wrapped(text, width, "      "))
        return
    fitting = [len(name) for name, _ in rows if len(name) <= _LONGEST_NAME]
    column = max(fitting, default=_LONGEST_NAME) + 4
    for name, text in rows:
        lines = _wrapped(text, width, " " * column)
        if len(name) <= column - 4 and lines:
            lines[0] = f"  {name}".ljust(column) + lines[0].lstrip()
        else:
            yield f"  {name}", ""
        yield from _plain(lines)


def _panels(command: Any, context: Any) -> list[tuple[str, list[Row]]]:
    """The titles of the page in their order, each with its rows."""
    panels: dict[str, list[Row]] = {
        title: [] for title in (_ARGUMENTS, _OPTIONS, _COMMANDS, *PANELS)
    }
    advanced: list[Row] = []
    helping: list[Row] = []
    for param in command.get_params(context):
        if getattr(param, "hidden", False):
            continue
        if param.param_type_name == "argument":
            panels[_ARGUMENTS].append((argument_name(param), _explained(param)))
            continue
        row = (option_name(param), _explained(param))
        panel = getattr(param, "rich_help_panel", None) or _OPTIONS
        if param.name == "help":
            helping.append(row)
        elif panel == ADVANCED or "completion" in (param.name or ""):
            advanced.append(row)
        else:
            panels.setdefault(panel, []).append(row)
    panels[_OPTIONS] += helping
    panels[_COMMANDS] += getattr(command, "summaries", {}).items()
    # What one chooses among comes first, then the options of this command, then those of all.
    commands, options = panels.pop(_COMMANDS), panels.pop(_OPTIONS)
    ordered = [
        (_ARGUMENTS, panels.pop(_ARGUMENTS)),
        (_COMMANDS, commands),
        *panels.items(),
        (_OPTIONS, options),
        (ADVANCED, advanced),
    ]
    return [(title, rows) for title, rows in ordered if rows]


def _explained(param: Any) -> str:
    text = param.help or ""
    shown = getattr(param, "show_default", False)
    default = param.default
    if isinstance(shown, str):
        return f"{text} Default: {shown}."
    if not shown or default is None or isinstance(default, bool) or default in ((), [], ""):
        return text
    value = default.value if isinstance(default, Enum) else default
    return f"{text} Default: {value}."


def plain_name(name: str) -> str:
    """The name of an option, a choice or a command, however it was typed: `Seq_Len` -> `seq-len`.

    Names of one letter stay: `-V` is not `-v`.
    """
    return name if len(name) == 1 else name.lower().replace("_", "-")


def argument_name(param: Any) -> str:
    """An argument as usage shows it: `PATH...`, `[MODEL]`."""
    name: str = param.metavar or param.name.upper()
    return name if param.required or name.startswith("[") else f"[{name}]"


def option_name(param: Any) -> str:
    """An option as it is typed: `-c, --checkpoint MODEL`."""
    # Of several long names the first is the one to learn.
    short = [name for name in param.opts if not name.startswith("--")]
    names = ", ".join([*short, *[name for name in param.opts if name not in short][:1]])
    if param.secondary_opts:
        names += " / " + param.secondary_opts[0]
    value = value_name(param)
    return f"{names} {value}" if value else names


def value_name(param: Any) -> str:
    """What is typed after an option: `N`, `FILE`, `auto|cpu`; nothing after a switch."""
    if getattr(param, "is_flag", False):
        return ""
    return param.metavar or _VALUES.get(value_kind(param), "TEXT")


def value_kind(param: Any) -> Any:
    """The type that a value becomes: `int`, `float`, `str`, or another."""
    described = getattr(param, "type_descriptor", None)
    if described is None:
        # Older versions of the library that parses have another place for it.
        return {"integer": int, "float": float}.get(param.type.name, str)
    inside = get_args(described.annotation)
    return inside[0] if inside else described.annotation


def choices_of(param: Any) -> list[str]:
    """The words among which an option lets choose, where its help has them: `blank|line`."""
    parts = (param.metavar or "").split("|")
    return [part for part in parts if len(parts) > 1 and _CHOICES.fullmatch(part)]
