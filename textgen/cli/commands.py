"""How a command line is read: what is meant by it, and what is answered where it is wrong.

Every command is a `Command` and every group of commands a `Group`, so that the rules below hold for
all options of all commands: an underscore is a dash, capitals do not matter in the name of an
option or a choice, and a comma may stand for the decimal point.
"""

from __future__ import annotations

import os
import re
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NoReturn, cast, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from textgen.cli.boundary import close_quietly, refuse
from textgen.cli.help_page import (
    HELP_WORDS,
    TYPED,
    UsageError,
    choices_of,
    plain_name,
    print_help,
    value_kind,
)
from textgen.errors import TextgenError

_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+%?")
_PERCENT = re.compile(r"\d*\.?\d+ ?%")
#: In what an option takes: a name in the file system, which is left as the system gave it.
_PATH = re.compile(r"\b(PATH|FILE|DIR|MODEL|CHECKPOINT)\b")


SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "token_normalize_func": plain_name,
}


def _meant(value: Any, param: Any) -> Any:
    """A value as the option wants it."""
    if isinstance(value, (list, tuple)):
        return type(value)(_meant(entry, param) for entry in value)
    if not isinstance(value, str):
        return value
    if value_kind(param) is str and not _PATH.search(param.metavar or ""):
        value = _text(value)
    if value_kind(param) is float and _DECIMAL_COMMA.fullmatch(value):
        value = value.replace(",", ".")
    if value_kind(param) is float and _PERCENT.fullmatch(value):
        return f"{float(value[:-1]) / 100:.12g}"
    return value.lower() if value.lower() in choices_of(param) else value


def _text(value: str) -> str:
    """A typed text as it reads: where the locale is POSIX, its letters arrive as single bytes."""
    if value.isascii() or not any(0xDC80 <= ord(char) < 0xDD00 for char in value):
        return value
    try:
        return os.fsencode(value).decode("utf-8")
    except UnicodeError:
        return value


class _Converter:
    """Makes the value of what was typed, as `typer` does, which loads a slow library for it.

    Args:
        param: An option or argument.
    """

    def __init__(self, param: Any) -> None:
        kind = value_kind(param)
        self._kind = get_args(kind)[0] if get_origin(kind) is list else kind
        is_parsed = getattr(param.type_descriptor.parameter_info, "parser", None) is not None
        self.knows = not is_parsed and issubclass(self._kind, str | int | float | Path | Enum)

    def coerce(self, value: Any, *, param: Any, ctx: Any) -> Any:
        """The value; raises `typer.BadParameter` where it is none."""
        if value is None:
            return None
        if isinstance(value, list | tuple):
            return [self._one(part, param, ctx) for part in value]
        return self._one(value, param, ctx)

    def _one(self, value: Any, param: Any, ctx: Any) -> Any:
        if isinstance(value, self._kind):
            return value
        try:
            return self._kind(value)
        except ValueError:
            message = f"{value!r} is not a valid {self._kind.__name__}."
            raise typer.BadParameter(message, ctx=ctx, param=param) from None


class _Reading:
    """What commands and groups have in common: reading their words, and showing their help."""

    def make_parser(self, ctx: Any) -> Any:
        """The parser of the library, with the values put in order before they are converted."""
        parser: Any = super().make_parser(ctx)  # type: ignore[misc]
        read = parser.parse_args
        params = {param.name: param for param in cast(Any, self).get_params(ctx)}
        for param in params.values():
            if getattr(param, "_runtime_param", 0) is None and (own := _Converter(param)).knows:
                param._runtime_param = own

        def parse_args(args: list[str]) -> tuple[dict[str, Any], list[str], list[Any]]:
            values, rest, order = read(args)
            ctx.meta[TYPED] = dict(values)
            for name, value in values.items():
                values[name] = _meant(value, params[name])
            return values, rest, order

        parser.parse_args = parse_args
        return parser

    def read(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, and raise what the library raises."""
        rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        return rest

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse; a mistake ends the program with one line that says what to type."""
        words = list(args)  # the parser empties the list that it gets
        if not ctx.resilient_parsing:
            from textgen.cli.mistakes import one_dash, split_length, wrong_dashes

            if message := (wrong_dashes(ctx, words) or split_length(words) or one_dash(ctx, words)):
                refuse(message, words)
        try:
            return self.read(ctx, args)
        except BrokenPipeError:
            close_quietly()  # `--help | head`: nobody reads on, and that is no failure
        except UsageError as error:
            if ctx.resilient_parsing:
                raise
            answer(error, ctx, words)
        except TextgenError as error:
            refuse(str(error), words)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help page."""
        print_help(self, ctx)


def answer(error: Exception, ctx: Any, words: list[str]) -> NoReturn:
    """End the program with what is wrong with `words`."""
    from textgen.cli.mistakes import mistake

    refuse(mistake(error, ctx, words), words)


class Command(_Reading, TyperCommand):
    """A command."""

    def __init__(self, *args: Any, context_settings: dict[str, Any] | None = None, **kw: Any):
        super().__init__(*args, context_settings={**SETTINGS, **(context_settings or {})}, **kw)


class Commands(dict[str, Any]):
    """Commands by name; each is loaded when it is asked for.

    Args:
        places: Where each is, such as `textgen.cli.train:train_command`.
    """

    def __getitem__(self, name: str) -> Any:
        found = super().__getitem__(name)
        if isinstance(found, str):
            found = self[name] = _load(name, found)
        return found

    def get(self, name: str, default: Any = None) -> Any:
        """The command, or `default` where there is none of that name."""
        if name not in self:
            return default
        return self[name]

    def items(self) -> Any:
        """All commands with their names."""
        return {name: self[name] for name in self}.items()

    def values(self) -> Any:
        """All commands."""
        return dict(self.items()).values()


def _load(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        command: Any = get_group(found)
    else:
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(cls=Command)(found)
        command = get_command(alone)
    command.name = name
    return command


class Group(_Reading, TyperGroup):
    """A group of commands. `COMMAND help` and `help COMMAND` are `COMMAND --help`."""

    #: Where each command is, and what it does: the first sentence of its help.
    below: ClassVar[dict[str, tuple[str, str]]] = {}

    def __init__(self, *args: Any, context_settings: dict[str, Any] | None = None, **kw: Any):
        super().__init__(*args, context_settings={**SETTINGS, **(context_settings or {})}, **kw)
        self.commands = Commands({name: place for name, (place, _) in self.below.items()})
        self.summaries = {name: summary for name, (_, summary) in self.below.items()}

    def read(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse; no words at all ask for help."""
        args = self._with_help(ctx, args) or ["--help"]
        _, rest, _ = self.make_parser(ctx).parse_args(list(args))
        if rest and plain_name(rest[0]) not in self.commands and not ctx.resilient_parsing:
            args = self.meant(ctx, args[: len(args) - len(rest)], rest)
        return super().read(ctx, args)

    def meant(self, ctx: Any, before: list[str], rest: list[str]) -> list[str]:
        """The words that were meant where the first of `rest`, after those `before`, is no command.

        A group that knows nothing better leaves them as they are: the library refuses the word.
        """
        return [*before, *rest]

    def _with_help(self, ctx: Any, args: list[str]) -> list[str]:
        """`help` as a command of its own becomes `--help` of the command that follows it."""
        if not args or args[0] != "help":
            return args
        words = [word for word in args[1:] if word not in HELP_WORDS]
        path, command = ctx.command_path, cast(Any, self)
        for word in words:
            below = getattr(command, "commands", {})
            if plain_name(word) not in below:
                if ctx.parent or command is not self:  # of the program itself `meant` knows more
                    from textgen.cli.mistakes import no_help

                    refuse(no_help(path, below, word), args)
                break
            path, command = f"{path} {plain_name(word)}", below[plain_name(word)]
        return [*words, "--help"]
