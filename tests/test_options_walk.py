"""Every field of every options class: changed, it is in the command, which parses back to it."""

from __future__ import annotations

import inspect
import shlex
from dataclasses import is_dataclass
from typing import Any, get_args

import pytest
from support.other_values import BESIDE, other_value
from typer.main import get_command

from textgen.cli.app import app
from textgen.cli.help_page import UsageError
from textgen.cli.parameters import Only
from textgen.errors import ConfigError
from textgen.options import command_text
from textgen.settings import Option, settings_of, value_of, with_values

PROGRAM: Any = get_command(app)
#: What a command needs, whatever else is typed.
NEEDED = {"inspect find": ["--regex", "x"]}
#: The settings of which such a command takes one.
EITHER = {"labels", "positive", "negative", "regex", "feature"}


def commands(group: Any, path: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, command in group.commands.items():
        own = f"{path} {name}".strip()
        found += [(own, command), *(commands(command, own) if hasattr(command, "commands") else [])]
    return found


def options_of(command: Any) -> list[tuple[type, Option]]:
    """The options classes that the function of a command takes, with each setting that it takes."""
    found = []
    function = inspect.unwrap(command.callback)
    for own in inspect.signature(function, eval_str=True).parameters.values():
        cls, *extra = get_args(own.annotation) or (own.annotation,)
        if is_dataclass(cls):
            names = [name for only in extra if isinstance(only, Only) for name in only.names]
            found += [(cls, item) for item in settings_of(cls) if not names or item.name in names]
    return found


CASES = [
    pytest.param(path, command, cls, item, id=f"{path} {item.name}")
    for path, command in commands(PROGRAM)
    for cls, item in options_of(command)
]


def parsed(command: Any, words: list[str]) -> dict[str, Any]:
    """The options instances that a command gets; it is not run."""
    needed = ["x" for p in command.params if p.param_type_name == "argument" and p.required]
    context = command.context_class(command, info_name="textgen")
    with context.scope(cleanup=False):
        command.read(context, [*words, *needed])
    made: dict[str, Any] = command.callback.made_of(context.params)
    return made


def test_there_are_commands_with_options() -> None:
    assert len(CASES) > 60
    assert {path.values[0] for path in CASES} >= {"train", "sample", "eval"}


@pytest.mark.parametrize(("path", "command", "cls", "item"), CASES)
def test_what_is_changed_is_in_the_command_and_comes_back(
    path: str, command: Any, cls: type, item: Option
) -> None:
    value = other_value(item)
    assert value != item.default
    names = {own.name for own in settings_of(cls)}
    beside = {name: own for name, own in BESIDE.get(item.name, {}).items() if name in names}
    needed = NEEDED.get(path, [])
    if needed and names & EITHER and not {item.name, *beside} & EITHER:
        beside["regex"] = "x"
    options = with_values(cls, {**beside, item.name: value})
    words = shlex.split(command_text(path, [], options))[1 + len(path.split()) :]
    assert item.flag in words or item.off in words
    if not names & EITHER:
        words += needed
    (back,) = (own for own in parsed(command, words).values() if type(own) is cls)
    assert value_of(back, item.name) == value_of(options, item.name)
    assert back == options


@pytest.mark.parametrize(
    ("words", "error"), [(["--hidden", "0"], ConfigError), (["--hidden"], UsageError)], ids=str
)
def test_what_is_refused(words: list[str], error: type[Exception]) -> None:
    with pytest.raises(error):
        parsed(PROGRAM.commands["train"], words)
