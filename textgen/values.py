"""Settings as people give them: turned into plain values, or refused with what to write instead.

A class of options calls `make_plain` first in its `__post_init__`. After that every field holds a
plain Python value of its declared type, so its own checks compare numbers with numbers. A function
that takes settings by name calls `check_names`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import operator
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any

from textgen.errors import ConfigError, named
from textgen.other_names import OTHER_NAMES

#: Settings that name one of a few things: `LSTM` is `lstm`, and `cross_entropy` `cross-entropy`.
NAMED = frozenset({"cell", "nonlinearity", "loss", "distance", "device", "precision", "level"})

#: Settings whose text may be given as a number: a share of the text, or a file.
NUMBER_OR_TEXT = frozenset({"val"})

#: Settings that are a text themselves, never the path of one.
TEXTS = frozenset({"text", "seed"})

#: As much of a value as a message quotes.
_QUOTED = 60
_LARGEST = 2**64


def check_names(
    given: Iterable[str],
    known: Iterable[str],
    where: str,
    error: type[ConfigError] = ConfigError,
) -> None:
    """Refuse a setting that a function does not have.

    Args:
        given: Names of the settings given.
        known: Names of all that there are.
        where: The function, such as `train`, for the message.
        error: The class of error.
    Raises:
        ConfigError: One is not known; the message suggests the right name.
    """
    names = list(known)
    unknown = [name for name in given if name not in names]
    if not unknown:
        return
    parts = []
    for name in unknown:
        right = closest_name(name, names)
        if right is not None:
            parts.append(f"'{name}' (did you mean '{right}'?)")
        elif "temperature" in names and "count" in (name, *OTHER_NAMES.get(name, ())):
            parts.append(f"'{name}' (generate_many writes several texts)")
        else:
            parts.append(f"'{name}'")
    plural = "s" if len(parts) > 1 else ""
    raise error(
        f"{where} has no setting{plural} {', '.join(parts)}; help(textgen.{where}) lists all"
    )


def closest_name(name: str, known: Iterable[str]) -> str | None:
    """The setting among `known` that `name` most likely means; None if nothing comes near."""
    names = list(known)
    plain = name.strip().strip("-").lower().replace("-", "_")
    for candidate in (plain, f"{plain}_", *OTHER_NAMES.get(plain, ())):
        if candidate in names:
            return candidate
    near = difflib.get_close_matches(plain, names, n=1, cutoff=0.6)
    if near:
        return near[0]
    if plain in OTHER_NAMES:
        return None
    # Another name with a slip in it, such as `hiden` for `hidden`.
    for other in difflib.get_close_matches(plain, OTHER_NAMES, n=3, cutoff=0.8):
        for candidate in OTHER_NAMES[other]:
            if candidate in names:
                return candidate
    return None


def make_plain(
    options: Any,
    error: type[ConfigError] = ConfigError,
    **convert: Callable[[Any], Any],
) -> None:
    """Give every field of a dataclass of options a plain value of its declared type, in place.

    NumPy's and torch's scalars become Python's, paths become text, `"LSTM"` becomes `"lstm"`.
    Fields whose type is something else than a number, a switch or a text stay as they are.

    Args:
        options: The dataclass instance; it may be frozen.
        error: The class of error.
        convert: By the name of a field: what makes a number of a value that is none yet.
    Raises:
        ConfigError: A value has another type. The message names the field, says what it must be,
            and where it can, what to write. Whether a number is in range, and finite, is left to
            the class.
    """
    for name, kinds in _kinds_of(type(options)).items():
        value = given = getattr(options, name)
        if name in convert and not isinstance(value, int | float | None):
            value = convert[name](value)
        plain = plain_value(name, value, kinds, error)
        if plain is not given:
            object.__setattr__(options, name, plain)


def plain_value(
    name: str, value: Any, kinds: tuple[type, ...], error: type[ConfigError] = ConfigError
) -> Any:
    """`value` as a plain one of `kinds`, which are among bool, int, float, str and NoneType.

    Raises:
        ConfigError: It is none of them.
    """
    if not isinstance(value, bool | int | float | str) and getattr(value, "shape", None) == ():
        value = value.item()  # A scalar of NumPy or torch.
    if value is None and types.NoneType in kinds:
        return None
    for kind in kinds:
        plain = _as_kind(name, value, kind)
        if plain is not None:
            return plain
    raise error(f"{named(name)} is {_quoted(value)}; it must be {_expected(name, value, kinds)}")


def _as_kind(name: str, value: Any, kind: type) -> Any:
    """`value` as a `kind`, None where it is none."""
    if isinstance(value, bool):
        return value if kind is bool else None
    if kind is int:
        return _as_whole(value)
    if kind is float and isinstance(value, int | float | Real):
        return _as_float(value)
    if kind is str:
        return _as_text(name, value)
    return None


def _as_whole(value: Any) -> int | None:
    """The whole number; one beyond `_LARGEST` is none that anything could be counted in."""
    if isinstance(value, str | float):
        return None
    try:
        number = operator.index(value)
    except TypeError:
        return None
    return number if abs(number) <= _LARGEST else None


def _as_float(value: Any) -> float | int | None:
    """The number; a whole one stays whole. What is too large for a float is none."""
    try:
        number = float(value)
    except OverflowError:
        return None
    return value if type(value) is int else number


def _as_text(name: str, value: Any) -> str | None:
    if isinstance(value, os.PathLike) and name not in TEXTS:
        value = os.fspath(value)
    if isinstance(value, int | float) and name in NUMBER_OR_TEXT:
        value = repr(float(value)) if isinstance(value, float) else str(int(value))
    if not isinstance(value, str):
        return None
    return value.strip().lower().replace("_", "-") if name in NAMED else str(value)


def _expected(name: str, value: Any, kinds: tuple[type, ...]) -> str:
    """What a setting must be, with an example made of what was given."""
    if bool in kinds:
        return "True or False"
    if name in NUMBER_OR_TEXT:
        return "a share such as 0.1, or the path of a file"
    if int not in kinds and float not in kinds:
        if isinstance(value, os.PathLike):
            return f"a text, and this is the path of one: {named(name)}=path.read_text()"
        return f"a text{_or_none(kinds)}"
    whole = float not in kinds
    what = ("a whole number" if whole else "a number") + _or_none(kinds)
    number = _number_in(value)
    if number is None:
        return what
    if abs(number) > _LARGEST:
        return f"{what} of {_LARGEST:,} at most"
    if not whole:
        return f"{what}: {named(name)}={number:g}"
    if number == int(number):
        return f"{what}: {named(name)}={int(number)}"
    return f"{what}, such as {named(name)}={round(number)}"


def _or_none(kinds: tuple[type, ...]) -> str:
    return ", or None" if types.NoneType in kinds else ""


def _number_in(value: Any) -> float | None:
    """The finite number that a text, or a number of another kind, holds."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value.strip().replace(",", ".") if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _quoted(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"


#: The outcome of `_kinds_of` for each class that was asked for: annotations are slow to resolve.
_KINDS: dict[type, Mapping[str, tuple[type, ...]]] = {}


def _kinds_of(options: type) -> Mapping[str, tuple[type, ...]]:
    """The fields of a dataclass that hold a number, a switch or a text, and what they may be."""
    if options not in _KINDS:
        hints = typing.get_type_hints(options)
        simple = {bool, int, float, str, types.NoneType}
        members = {
            field.name: typing.get_args(hints[field.name]) or (hints[field.name],)
            for field in dataclasses.fields(options)
        }
        _KINDS[options] = {name: kinds for name, kinds in members.items() if set(kinds) <= simple}
    return _KINDS[options]
