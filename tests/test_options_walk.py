"""Every field of every options class: changed, it is in the command, which parses back to it."""

from __future__ import annotations

import inspect
import shlex
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.main import get_command

from textgen.cli.app import app
from textgen.cli.naming import UsageError
from textgen.errors import ConfigError
from textgen.repeat import command_text
from textgen.settings import Option, kinds_of, settings_of, value_of, with_values

PROGRAM: Any = get_command(app)
#: What another value needs beside it, so that the two do not contradict each other.
BESIDE: dict[str, dict[str, Any]] = {
    "nonlinearity": {"cell": "rnn"},
    "loss": {"vectors": "word2vec"},
    "distance": {"vectors": "word2vec", "loss": "distance"},
    "by": {"show": "influence"},
    "target": {"show": "influence"},
    "positive": {"negative": "other.txt"},
    "negative": {"positive": "other.txt"},
    "positive_label": {"labels": "table.tsv"},
}
#: What a command needs, whatever else is typed.
NEEDED = {"inspect find": ["--regex", "x"]}
#: The settings of which such a command takes one.
EITHER = {"labels", "positive", "negative", "regex", "feature"}
#: Values of settings whose type does not say what is allowed.
VALUES = {
    "cell": "gru",
    "documents": "line",
    "ending": ".srt",
    "nonlinearity": "relu",
    "val": "0.25",
    "encoding": "cp1251",
}


def commands(group: Any, path: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, command in group.commands.items():
        own = f"{path} {name}".strip()
        found += [(own, command), *(commands(command, own) if hasattr(command, "commands") else [])]
    return found


def classes_of(command: Any) -> dict[str, type]:
    """The options classes that the function of a command takes, by the names of its parameters."""
    function = inspect.unwrap(command.callback)
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    found = {own.name: (get_args(own.annotation) or (own.annotation,))[0] for own in parameters}
    return {name: cls for name, cls in found.items() if is_dataclass(cls)}


CASES = [
    pytest.param(path, command, cls, item, id=f"{path} {item.name}")
    for path, command in commands(PROGRAM)
    for cls in classes_of(command).values()
    for item in settings_of(cls)
    if any(item.flag in param.opts for param in command.params)
]


def other_value(item: Option) -> Any:
    """A value that is not the default, made from the type, the choices and the range."""
    how, default = item.how, item.default
    if item.name in VALUES:
        return VALUES[item.name]
    if how.choices:
        return next(type(default)(one) if isinstance(default, Enum) else one
                    for one in how.choices if one != default)  # fmt: skip
    if item.annotation.startswith("tuple"):
        if "int" in item.annotation:
            return (1, 2)
        return ("a b", "-x\n" if how.escapes else "-x")
    kinds = kinds_of(item.annotation) or (type(default),)
    if bool in kinds:
        return not default
    if int in kinds or float in kinds:
        numbers = (7, 3, 1, 0.5, 0.25, 5_000) if float in kinds else (7, 3, 5_000)
        return next(n for n in numbers if n != default and allowed(n, item))
    if "Path" in item.annotation:
        return Path("some file.txt")
    return "2m" if how.parse else "some text.txt"


def allowed(number: float, item: Option) -> bool:
    how = item.how
    return (
        (how.at_least is None or number >= how.at_least)
        and (how.above is None or number > how.above)
        and (how.at_most is None or number <= how.at_most)
        and (how.below is None or number < how.below)
    )


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
