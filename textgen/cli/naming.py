"""How commands, options and what is typed after them are called."""

from __future__ import annotations

import re
from typing import Any, cast, get_args

import typer

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
