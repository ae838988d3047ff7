"""The parameters of commands, made from options classes; settings in the words of the prompt."""

from __future__ import annotations

import functools
import inspect
import operator
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast, get_args

import typer

from textgen.messages import Call, Named, marks_of, told
from textgen.options import RunOptions, TrainOptions
from textgen.settings import (
    ADVANCED,
    Option,
    kinds_of,
    setting,
    settings_of,
    unescape,
    with_values,
)
from textgen.terminal.console import ColorMode
from textgen.terminal.text import quote, quote_path

if TYPE_CHECKING:
    from textgen.api import Model

F = TypeVar("F", bound=Callable[..., Any])


class Only:
    """The settings of an options class that a command takes; the others keep their default.

    Args:
        names: Of the fields.
    """

    def __init__(self, *names: str) -> None:
        self.names = names


def with_options(command: F) -> F:
    """Let a command take options classes, whose settings become its options.

    The command gets the instances, made of what was typed and checked. Where it takes only some of
    the settings of a class, `Only` names them. Below `guarded`, so that a value that is refused
    becomes a message:

        @guarded
        @with_options
        def compare_command(
            context: typer.Context,
            paths: PathsArgument = None,
            *,
            training: Annotated[TrainOptions, Only("level", "fold", "num_layers")],
            reading: FileOptions,
            output: OutputOptions,
        ) -> None:
            if "num_layers" in spelled(context, TrainOptions): ...
    """
    signature = inspect.signature(command, eval_str=True)
    classes: dict[str, tuple[type, list[Option]]] = {}
    parameters: dict[str, inspect.Parameter] = {}
    for own in signature.parameters.values():
        cls, *extra = get_args(own.annotation) or (own.annotation,)
        if not (is_dataclass(cls) and isinstance(cls, type)):
            parameters[own.name] = own.replace(kind=own.KEYWORD_ONLY)
            continue
        names = next((only.names for only in extra if isinstance(only, Only)), None)
        items = [item for item in settings_of(cls) if names is None or item.name in names]
        classes[own.name] = cls, items
        for item in items:
            parameters.setdefault(parameter_name(item), _parameter(item, cls))

    def made_of(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: _made(cls, items, values) for name, (cls, items) in classes.items()}

    @functools.wraps(command)
    def run(**values: Any) -> Any:
        mine = {name: value for name, value in values.items() if name in signature.parameters}
        return command(**mine, **made_of(values))

    run.made_of = made_of  # type: ignore[attr-defined]
    run.__signature__ = signature.replace(parameters=list(parameters.values()))  # type: ignore[attr-defined]
    run.__annotations__ = {name: own.annotation for name, own in parameters.items()}
    return cast(F, run)


def parameter_name(item: Option) -> str:
    """The parameter of a command that takes a setting."""
    return item.name if item.how.joint is None else item.how.joint.name


def spelled(context: typer.Context, cls: type) -> set[str]:
    """The settings of an options class that the command line spells out, by name."""

    def is_typed(name: str) -> bool:
        source = context.get_parameter_source(name)
        return source is not None and source.name == "COMMANDLINE"

    return {item.name for item in settings_of(cls) if is_typed(parameter_name(item))}


def _parameter(item: Option, cls: type) -> inspect.Parameter:
    """The parameter of a command that `typer` makes an option of."""
    how, joint = item.how, item.how.joint
    names = [f"{item.flag}/{item.off}" if item.off else item.flag]
    names += [f"--{name}" for name in how.others]
    if how.short:
        names.append(f"-{how.short}")
    # The name that the setting has in Python is understood too.
    in_python = [own.name for own in settings_of(cls) if joint and own.how.joint is joint]
    for name in in_python or [item.name]:
        alias = "--" + name.strip("_").replace("_", "-")
        if not how.inverted and item.off is None and alias not in names:
            names.append(alias)
    kinds = kinds_of(item.annotation)
    default, kind = item.default, _TYPES.get(item.annotation, type(item.default))
    if how.inverted:
        default = False
    elif item.annotation.startswith("tuple["):
        default = None
    if joint is not None or how.parse is not None:
        kind = str | None
    elif kinds is not None:
        kind = functools.reduce(operator.or_, kinds)
    option = typer.Option(
        *names,
        help=told(joint.help if joint else how.typed_help or how.help, at_prompt),
        metavar=(joint.metavar if joint else how.metavar) or "|".join(how.choices) or None,
        show_default=told(how.by_default, at_prompt) or not how.inverted,
        rich_help_panel=how.panel,
    )
    return inspect.Parameter(
        parameter_name(item),
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, option],
    )


#: What `typer` makes of the types that are no plain ones.
_TYPES: dict[str, Any] = {
    "Path | None": Path | None,
    "tuple[str, ...]": list[str] | None,
    "tuple[int, ...]": list[int] | None,
}


def _made(cls: type, items: list[Option], typed: Mapping[str, Any]) -> Any:
    """An options instance from what was typed.

    Raises:
        ConfigError: The class refuses a value.
    """
    values: dict[str, Any] = {}
    for item in items:
        value, how = typed[parameter_name(item)], item.how
        if how.joint is not None:
            values |= {} if value is None else how.joint.parse(value)
            continue
        if how.inverted:
            value = not value
        elif how.parse is not None and value is not None:
            value = how.parse(value)
        elif item.annotation.startswith("tuple["):
            value = tuple(unescape(part) if how.escapes else part for part in value or ())
        elif how.escapes and value is not None:
            value = unescape(value)
        values[item.name] = value
    return with_values(cls, values)


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """How a command shows its result."""

    json_output: bool = setting(
        False, help="Print the result as JSON.", panel=ADVANCED, flag="json"
    )
    quiet: bool = setting(False, help="Print only the result and errors.", short="q")
    color: ColorMode = setting(
        ColorMode.AUTO,
        help="When to print colours. auto: on a terminal, unless NO_COLOR is set.",
        panel=ADVANCED,
        choices=tuple(ColorMode),
    )


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The model that a command reads."""

    checkpoint: str | None = setting(
        None,
        help="The model: its file, its folder, or its name under ./checkpoints.",
        metavar="MODEL",
        by_default="the newest one there, or else a model that comes with textgen",
        short="c",
    )

    def load(self, text: str = "", *, quiet: bool = False) -> Model:
        """The model; where none was named, a line on stderr says which one it is.

        Args:
            text: What it is to read or to continue.
            quiet: Say nothing.
        Raises:
            TextgenError: There is no such model, or its file is damaged.
        """
        from textgen.api import load
        from textgen.series.number_model import locate_text

        path = locate_text(self.checkpoint, text=text)
        model = load(path)
        for line in which_model(path) if self.checkpoint is None and not quiet else ():
            print(line, file=sys.stderr, flush=True)
        return model


def which_model(path: Path) -> Iterator[str]:
    """Which model was taken where none was named, in lines for whoever may need them.

    Args:
        path: Of a file that `locate_text` found.
    """
    from textgen.checkpoint import locate_model, shipped_at
    from textgen.terminal.text import visible

    shipped, newest = shipped_at(path), locate_model()
    if shipped is None and newest != path:
        yield (
            f"the newest model of text: {visible(str(path))}; {visible(str(newest))} is of numbers"
        )
    elif shipped is None and sys.stderr.isatty():
        yield f"the newest model: {visible(str(path))}"
    if shipped is not None:
        if shipped_at(newest) is None:
            yield f"{visible(str(newest))} is a model of numbers, and another one is taken"
        yield f"model: {shipped.name}, which comes with textgen; your own: textgen train my.txt"


_PATHS: Any = typer.Argument(
    metavar="PATH...",
    help="Text files in any encoding (.gz too), folders of .txt files, or - for stdin.",
    show_default=False,
)
PathsArgument = Annotated[list[str] | None, _PATHS]
NeededPaths = Annotated[list[str], _PATHS]

_OPTIONS: dict[str, Option] = {
    item.name: item for cls in (TrainOptions, RunOptions) for item in settings_of(cls)
}
#: Settings that are typed in another way than their name says, the usual way first. `PATH` is typed
#: without an option; `evaluate_pairs` is a function in Python.
_FLAGS: dict[str, tuple[str, ...]] = {
    "evaluate_pairs": ("--pairs",),
    "layers": ("--layer",),
    "length": ("--length", "--chars"),
    "neurons": ("--neuron",),
    "out": ("--out", "--html"),
    "paths": ("PATH", "--file"),
    "protocol": ("--state",),
    "quantity": ("--show",),
    "seed": ("--seed", "--generate"),
}

#: Functions of the library that are a command with a switch, or with another name.
_COMMANDS = {
    "train_numbers": ("train", ("--numbers",)),
    "load_numbers": ("sample", ("--numbers",)),
    "describe_corpus": ("corpus", ()),
}


def flags_of(name: str, value: object = None) -> tuple[str, ...]:
    """What is typed for a setting, by the name of its field; in some commands one of the later.

    The `value` `False` may have an option of its own.
    """
    if name in _FLAGS:
        return _FLAGS[name]
    item = _OPTIONS.get(name)
    if item is None:
        return (("--no-" if value is False else "--") + name.strip("_").replace("_", "-"),)
    return (item.off or item.flag if value is False else item.flag,)


def at_prompt(part: Named | Call) -> str:
    """What is marked in a message, in the words of the prompt."""
    if isinstance(part, Named):
        return " ".join(_typed(part.setting, part.value))
    command, switches = _COMMANDS.get(part.command, (part.command, ()))
    words = [word for name, value in part.settings.items() for word in _typed(name, value)]
    return " ".join(["textgen", command, *map(quote_path, part.paths), *switches, *words])


def in_flags(text: str) -> str:
    """A text in the words of the prompt: a note, a reason, anything that may have marks in it."""
    return told(marks_of(text), at_prompt)


def _typed(name: str, value: Any) -> list[str]:
    """The option and its value, quoted for a shell."""
    flag = flags_of(name, value)[0]
    return [flag] if value is None or isinstance(value, bool) else [flag, quote(str(value))]


def label(name: str) -> str:
    """How the command line calls what was chosen: a setting by its flag, all else by its name."""
    return flags_of(name)[0] if name in _OPTIONS or name == "from" else name
