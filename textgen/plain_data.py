"""Plain data from a file as its type says: every value is checked, a wrong one named by its key.

The type of a record is a dataclass, of which an instance is made, or a `TypedDict`, whose data stay
as they are. A range stands in an annotation, declared as that of an option is; a dataclass there
says that an instance of it can be made of the data:

    class RunRecord(TypedDict):
        threads: Annotated[int, Setting(at_least=1)]
        parent: NotRequired[str | None]

pydantic was not chosen: options have a declaration of types and ranges already, it would be one
more dependency (typer does not bring it in all versions that we allow), and it takes 0.1 s to load.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NotRequired,
    Required,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from textgen.errors import CheckpointCorruptError, CheckpointFormatError, TextgenError
from textgen.settings import LARGEST, Setting, quoted, refused

T = TypeVar("T")

#: Numbers beyond are none that NumPy could hold.
_LARGEST_FLOAT = 1.7e308
_SCALARS: dict[Any, str] = {
    bool: "true or false",
    int: f"a whole number of {LARGEST:,} at most",
    float: "a finite number",
    str: "a text",
    types.NoneType: "null",
}

#: A whole number that counts something.
Count = Annotated[int, Setting(at_least=0)]
#: A whole number of one or more.
Some = Annotated[int, Setting(at_least=1)]
#: A share that is never all.
Share = Annotated[float, Setting(at_least=0, below=1)]


class AnyNumber:
    """In an annotation: a number that may be infinite, or none at all (NaN)."""


#: A figure that was measured: that of a run that diverged is not finite.
Figure = Annotated[float, AnyNumber]


def from_plain(kind: type[T], value: object, key: str = "") -> T:
    """Return plain data as a type says.

    Args:
        kind: A dataclass, a `TypedDict`, or any type that stands in an annotation of theirs. What
            a dataclass with a method `from_dict` holds, that method says.
        value: What the file has, as `json.loads` gives it. Keys of a `TypedDict` that are not
            declared stay, as a newer version may have written them.
        key: The way to the value within the file, such as `plan.optimizer`.
    Returns:
        The instance of a dataclass, or the value itself; lists become tuples where the type is one.
    Raises:
        CheckpointCorruptError: A value is of another type, out of range or missing, or a dataclass
            has no field of that name. The message names the key.
    """
    return cast(T, _read(kind, value, key))


def fields_from_plain(cls: type[T], value: object, key: str = "") -> T:
    """Return an instance of a dataclass, as `from_plain` does, whatever its `from_dict` says."""
    data = _object(value, key)
    annotations = _annotations(cast(Any, cls))
    known = {item.name: item for item in fields(cast(Any, cls))}
    if unknown := sorted(set(data) - set(known)):
        raise CheckpointCorruptError(f"{_below(key, unknown[0])} is not known to this version")
    made = {}
    for name, item in known.items():
        if name in data:
            made[name] = _read(annotations[name], data[name], _below(key, name))
        elif item.default is MISSING and item.default_factory is MISSING:
            raise _missing(_below(key, name))
    return cast(T, _made(lambda: cls(**made), key))


def _read(kind: Any, value: Any, key: str) -> Any:
    if kind is Any:
        return value
    # Most are of this kind; to look another one up takes the hash of all that is annotated.
    if isinstance(kind, type) and kind in _SCALARS:
        if _is_scalar(kind, value):
            return value
        raise _wrong(key, value, _SCALARS[kind])
    origin, args = get_origin(kind), get_args(kind)
    if origin in (NotRequired, Required, ClassVar):
        return _read(args[0], value, key)
    if origin is Annotated:
        return _in_range(args[0], args[1], value, key)
    if origin in (Union, types.UnionType):
        return _one_of(args, value, key)
    if origin is dict:
        for name, inner in _object(value, key).items():
            _read(args[1], inner, _below(key, name))
        return value
    if origin is Literal:
        if type(value) is str and value in args:
            return value
        raise _wrong(key, value, f"one of {', '.join(args)}")
    if origin in (list, tuple):
        return _sequence(origin, args, value, key)
    if is_typeddict(kind):
        return _typed(kind, value, key)
    if hasattr(kind, "from_dict"):
        data = _object(value, key)
        return _made(lambda: kind.from_dict(data), key)
    assert is_dataclass(kind), kind
    return fields_from_plain(cast(Any, kind), value, key)


def _is_scalar(kind: Any, value: Any) -> bool:
    if kind is float:
        return type(value) in (int, float) and -_LARGEST_FLOAT <= value <= _LARGEST_FLOAT
    return type(value) is kind and (kind is not int or abs(value) <= LARGEST)


def _in_range(kind: Any, limits: Any, value: Any, key: str) -> Any:
    if limits is AnyNumber:
        if type(value) is float:
            return value
        return _read(kind, value, key)
    plain = _read(kind, value, key)
    if is_dataclass(limits) and isinstance(limits, type):
        _read(limits, value, key)
        return plain
    if plain is not None and (expected := refused(plain, limits)):
        raise _wrong(key, value, expected)
    return plain


def _one_of(kinds: tuple[Any, ...], value: Any, key: str) -> Any:
    errors = []
    for kind in kinds:
        try:
            return _read(kind, value, key)
        except CheckpointCorruptError as error:
            errors.append(error)
    if value is not None and len(kinds) == 2 and types.NoneType in kinds:
        raise errors[kinds.index(types.NoneType) - 1]
    expected = (_SCALARS.get(kind, "another structure") for kind in kinds)
    raise _wrong(key, value, " or ".join(dict.fromkeys(expected)))


def _sequence(origin: Any, args: tuple[Any, ...], value: Any, key: str) -> Any:
    if not isinstance(value, list | tuple):
        raise _wrong(key, value, "a list")
    kinds = args
    if origin is list or args[1:] == (...,):
        kinds = args[:1] * len(value)
    elif len(value) != len(args):
        raise _wrong(key, value, f"a list of {len(args)}")
    parts = [
        _read(kind, part, _below(key, number))
        for number, (kind, part) in enumerate(zip(kinds, value, strict=True))
    ]
    return value if origin is list else tuple(parts)


def _typed(kind: Any, value: Any, key: str) -> Any:
    data = _object(value, key)
    for name, annotation in _annotations(kind).items():
        if name in data:
            _read(annotation, data[name], _below(key, name))
        elif kind.__total__ and get_origin(annotation) is not NotRequired:
            raise _missing(_below(key, name))
    return value


@cache
def _annotations(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _made(make: Callable[[], Any], key: str) -> Any:
    """What `make` gives; its complaints about the data become one that names the key."""
    try:
        return make()
    except CheckpointFormatError:
        raise
    except CheckpointCorruptError as error:
        raise CheckpointCorruptError(f"{key}.{error.marked}" if key else error.marked) from error
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        told = error.marked if isinstance(error, TextgenError) else str(error)
        told = told if len(told) < 500 else f"{error!s:.300}"  # A mark must not be cut in two.
        raise CheckpointCorruptError(f"{key}: {told}" if key else told) from error


def _object(value: object, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(key, value, "an object of names and values")
    return value


def shown_key(name: object) -> str:
    """A name from a file in a message: one that is no word may hold anything, and is escaped."""
    word = str(name) if str(name).replace(".", "_").isidentifier() else quoted(name)
    return word[:80]


def _below(key: str, name: object) -> str:
    return f"{key}.{shown_key(name)}" if key else shown_key(name)


def _missing(key: str) -> CheckpointCorruptError:
    return CheckpointCorruptError(f"{key} is missing")


def _wrong(key: str, value: object, expected: str) -> CheckpointCorruptError:
    return CheckpointCorruptError(f"{key or 'it'} is {quoted(value)}; it must be {expected}")
