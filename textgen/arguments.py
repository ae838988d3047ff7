"""The door of the library: what a function is called with is made plain, or refused in words.

`checked` wraps a public function. An unknown name, a missing argument or a value of another type is
then a `ConfigError` with a suggestion, not a TypeError from the depths.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from glob import glob, has_magic
from typing import Any, ParamSpec, TypeVar, cast

from textgen.corpus.source import GivenText
from textgen.errors import ConfigError, StorageError
from textgen.messages import in_python
from textgen.other_names import check_names
from textgen.settings import described, kinds_of, plain_value, settings_of

StrPath = str | os.PathLike[str]
_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
P = ParamSpec("P")
R = TypeVar("R")

#: More characters, or words without the ending of a file's name after them, are no path.
_LONGEST_NAME, _MOST_WORDS = 255, 5
_SHOWN = 40


def checked(
    *sources: Any, without: Iterable[str] = (), title: str = "Settings, with their defaults:"
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Check how a function is called before it is, and document its settings.

    Arguments whose annotation is made of bool, int, float, str and None become plain values, and
    those annotated as `Callable` must be callable.

    Args:
        sources: Where the function's `**settings` are declared: dataclasses, or functions whose
            keyword-only arguments they are. Their names, defaults and descriptions go into the
            function's signature and docstring.
        without: Names among them that the function does not take.
        title: Stands over the settings in the docstring.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        own = inspect.signature(function)
        more = _settings(sources, {*own.parameters, *without})
        explicit = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        rest = next((p.name for p in own.parameters.values() if p.kind is p.VAR_KEYWORD), "")
        known = [p.name for p in (*explicit, *more.values()) if p.kind in _BY_NAME]
        # What comes from a dataclass of options is made plain there.
        plain = [*explicit, *_settings(filter(inspect.isfunction, sources), set()).values()]
        plain = [p for p in plain if p.kind is not p.VAR_POSITIONAL]
        kinds = {p.name: kinds for p in plain if (kinds := kinds_of(str(p.annotation)))}
        functions = {p.name for p in explicit if str(p.annotation).startswith("Callable[")}
        called = function.__qualname__
        is_method = next(iter(own.parameters), "") == "self"

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            # A method is that of the object's class, wherever it is written.
            place = f"{type(args[0]).__name__}.{function.__name__}" if is_method else called
            check_names(kwargs, known, place)
            try:
                bound = own.bind(*args, **kwargs)
            except TypeError as error:
                raise ConfigError(
                    f"{place}: {error}; help(textgen.{place}) says how it is called"
                ) from None
            for values in (bound.arguments, bound.arguments.get(rest, {})):
                for name in kinds.keys() & values.keys():
                    values[name] = plain_value(name, values[name], kinds[name])
                for name in functions & values.keys():
                    if values[name] is not None and not callable(values[name]):
                        raise ConfigError(
                            f"{name} is {_short(values[name])}; it must be a function"
                        )
            return function(*bound.args, **bound.kwargs)

        run.__signature__ = own.replace(  # type: ignore[attr-defined]
            parameters=[*explicit, *more.values()]
        )
        if more and function.__doc__:
            lines = [line for source in sources for line in _described(source, set(more))]
            run.__doc__ = "\n".join([inspect.cleandoc(function.__doc__), "", title, *lines])
        return run

    return decorate


def _settings(sources: Iterable[Any], taken: set[str]) -> dict[str, inspect.Parameter]:
    """Every setting that `sources` declare, as a keyword-only parameter."""
    return {
        parameter.name: parameter
        for source in sources
        for parameter in inspect.signature(source).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in taken
    }


def _described(source: Any, names: set[str]) -> Iterator[str]:
    """What the settings among `names` that a source declares do, each with its default."""
    texts = _texts_of(source)
    for name, parameter in _settings([source], set()).items():
        if name in names:
            # The name and its default stay on one line, by which docs/conf.py knows a setting.
            head = f"{name} = {parameter.default!r}:".replace(" ", "\0")
            lines = textwrap.wrap(
                f"{head} {texts.get(name, '')}",
                width=96,
                initial_indent=" " * 4,
                subsequent_indent=" " * 8,
                break_on_hyphens=False,
                break_long_words=False,
            )
            yield from (line.replace("\0", " ") for line in lines)


def _texts_of(source: Any) -> dict[str, str]:
    """The description of each setting: declared on a field, or in the docstring of a function."""
    if is_dataclass(source):
        return {item.name: described(item, in_python) for item in settings_of(cast(type, source))}
    texts: dict[str, list[str]] = {}
    lines: list[str] = []
    within = False
    for line in inspect.cleandoc(source.__doc__ or "").splitlines():
        if not line.startswith("    "):
            within = line == "Args:"
        elif within:
            if match := re.fullmatch(r"    (\w+): (.*)", line):
                lines = texts.setdefault(match[1], [])
                line = match[2]
            lines.append(line.strip())
    return {name: " ".join(parts) for name, parts in texts.items()}


def path_text(path: object, name: str) -> str:
    """A path as a string.

    Args:
        path: As a person gave it.
        name: What it is, for the message.
    Raises:
        ConfigError: It is no path.
    """
    if isinstance(path, str | bytes | os.PathLike):
        return os.fsdecode(path)
    raise ConfigError(f"{name} is {path!r}; it must be a path or a name")


def path_names(paths: Iterable[Any], function: str) -> list[str]:
    """The paths of texts as strings: out of paths, lists of paths and patterns such as `*.txt`.

    Args:
        paths: As a person gave them.
        function: What they were given to, for messages.
    Raises:
        ConfigError: One is no path. Where it is the text itself, or an open file, the message says
            how to hand that over.
        StorageError: No file matches a pattern.
    """
    return [name for path in paths for name in _names_of(path, function)]


def _names_of(path: Any, function: str) -> list[str]:
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if isinstance(path, str):
        return _matching(path, function)
    if hasattr(path, "read"):
        name = getattr(path, "name", None)
        instead = f"{function}({name!r})" if isinstance(name, str) else f"{function}(text=...)"
        raise ConfigError(
            f"{function} was given an open file, and it takes a path: {instead}; what was read "
            f"from a file goes in as {function}(text=...)"
        )
    if isinstance(path, Iterable) and not isinstance(path, Mapping):
        return [name for part in path for name in _names_of(part, function)]
    raise ConfigError(
        f"{function} was given {_short(path)}, and it takes the paths of texts, such as "
        f'{function}("corpus.txt")'
    )


def _matching(path: str, function: str) -> list[str]:
    if not path:
        raise ConfigError(f"{function} was given an empty path; name a file or a folder")
    if os.path.lexists(path):
        return [path]
    if _is_text(path):
        raise ConfigError(
            f"{function} takes the path of a file, and {_short(path)} looks like the text itself; "
            f"pass that by its name, {function}(text=...), or write it to a file"
        )
    if has_magic(path):
        found = sorted(glob(path, recursive=True))
        if not found:
            raise StorageError(f"no file matches {path}; paths are relative to {os.getcwd()}")
        return found
    return [path]


def _is_text(path: str) -> bool:
    """Whether a string that names no file is a text rather than a path."""
    if "\n" in path or "\0" in path or len(path) > _LONGEST_NAME:
        return True
    return len(path.split()) >= _MOST_WORDS and not re.search(r"\.\w{1,5}$|[/\\]", path)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def given_text(text: str, paths: list[str], encoding: object, function: str) -> GivenText:
    """A text that was given instead of files, as the bytes of a file in UTF-8.

    Raises:
        ConfigError: It cannot be encoded, or files or their encoding were given too.
    """
    if paths:
        raise ConfigError(f"{function} takes paths or text=..., not both")
    if encoding is not None:
        raise ConfigError("encoding says how the bytes of files are read; leave it out with text")
    try:
        return GivenText(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"character {error.start} of the text is U+{ord(text[error.start]):04X}, half of a "
            "surrogate pair, which is not a character; decode the text again from its bytes"
        ) from error
