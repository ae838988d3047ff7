"""An option, declared once: on the field of its options class.

    hidden_size: int | None = setting(
        None,
        help="The number of neurons in each layer.",
        panel=MODEL,
        by_default="chosen from the text and the time",
        at_least=1,
        flag="hidden",
    )

The check of its value, the parameter of the command, the help page, the command that repeats a run,
the words of errors and the documentation of the Python functions are made from this.
"""

from __future__ import annotations

import math
import operator
import os
import re
import types
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from functools import cache
from numbers import Real
from typing import Any, cast

from textgen.errors import ConfigError, named
from textgen.messages import Call, Named, told

#: The panels of a help page, in their order. Options without a panel follow; those that few people
#: need come last.
COMPARED, LENGTH, RUN = "What is compared", "How long", "The run"
TEXT, MODEL = "The text", "The model"
CHOICE, AMONG = "How it chooses", "What it chooses among"
END, STEERING, ADVANCED = "Where it ends", "Steering", "Advanced"
FORM = "What it keeps to"
PROPERTY, SAVED = "What to look for", "Output files"
PANELS = (COMPARED, PROPERTY, LENGTH, RUN, TEXT, MODEL, CHOICE, AMONG, END, FORM, STEERING, SAVED)

#: Settings that name one of a few things: `LSTM` is `lstm`, and `cross_entropy` `cross-entropy`.
NAMED = frozenset({"cell", "nonlinearity", "loss", "distance", "device", "precision", "level"})
#: Settings whose text may be given as a number: a share of the text, or a file.
NUMBER_OR_TEXT = frozenset({"val"})
#: Settings that are a text themselves, never the path of one.
TEXTS = frozenset({"text", "seed"})

_KEY = "setting"
_KINDS: dict[str, type] = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "None": types.NoneType,
}
#: What stands on the help page for a value that names something on the disk.
_PATHS = frozenset({"FILE", "DIR", "PATH"})
#: As much of a value as a message quotes.
_QUOTED = 60
#: Of whole numbers: more than that is counted nowhere.
LARGEST = 2**64


@dataclass(frozen=True)
class Joint:
    """One option at the prompt that says several settings.

    Args:
        name: The option, without dashes.
        metavar: What is typed after it.
        help: What it does.
        parse: The values of the settings, by name, from what was typed.
        typed: What is typed for the values that an instance of the options has; "" for nothing.
    """

    name: str
    metavar: str
    help: str
    parse: Callable[[str], dict[str, Any]]
    typed: Callable[[Any], str]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """All that is declared of a setting beside its name, its type and its default.

    Args:
        help: What it does, in one or more sentences. Other settings are marked in it with
            `textgen.messages.named`.
        panel: The part of the help page where it stands.
        by_default: What the default means, in words; without it the default itself is shown.
        metavar: What stands for its value on the help page.
        choices: The values that are allowed.
        at_least: The smallest value that is allowed.
        at_most: The largest value that is allowed.
        above: All allowed values are above this one.
        below: All allowed values are below this one.
        flag: Its option, without dashes; None is its name with dashes for underscores.
        short: The letter of its short option.
        others: Other names of the option, without dashes.
        off: The option that says False, where that is another one.
        inverted: Whether the option says False: `no-nfc`.
        typed_help: The help text of an option that says something else than the setting.
        joint: The option that says this setting and others.
        parse: Makes the value of a text.
        escapes: Whether a typed backslash and `n` mean a line end.
        accepts: The type that Python functions accept, where it is wider than the field's.
    """

    help: str = ""
    panel: str | None = None
    by_default: str = ""
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None
    flag: str | None = None
    short: str | None = None
    others: tuple[str, ...] = ()
    off: str | None = None
    inverted: bool = False
    typed_help: str | None = None
    joint: Joint | None = None
    parse: Callable[[str], Any] | None = None
    escapes: bool = False
    accepts: str | None = None


def setting(default: Any, **how: Any) -> Any:
    """A dataclass field with a default, and a `Setting` with these arguments."""
    return field(default=default, metadata={_KEY: Setting(**how)})


def setting_like(cls: type, name: str, **changes: Any) -> Any:
    """A field like the setting `name` of another options class, with changes to its `Setting`."""
    (item,) = (item for item in settings_of(cls) if item.name == name)
    default = changes.pop("default", item.default)
    return field(default=default, metadata={_KEY: replace(item.how, **changes)})


@dataclass(frozen=True, kw_only=True)
class Option:
    """A setting with its field.

    Args:
        name: Of the field.
        annotation: The type of the field.
        default: Of the field.
        how: The rest.
    """

    name: str
    annotation: str
    default: Any
    how: Setting

    @property
    def flag(self) -> str:
        """What is typed for it."""
        if self.how.joint is not None:
            return f"--{self.how.joint.name}"
        return f"--{self.how.flag or self.name.strip('_').replace('_', '-')}"

    @property
    def is_path(self) -> bool:
        """Whether its value names a file or a folder, or may do so."""
        shown = (self.how.joint or self.how).metavar or ""
        return bool(_PATHS & set(shown.split("|"))) or "Path" in self.annotation

    @property
    def off(self) -> str | None:
        """What is typed to say False, where that is another option."""
        return None if self.how.off is None else f"--{self.how.off}"


def settings_of(options: type) -> tuple[Option, ...]:
    """The settings of an options class, with those of the options classes that its fields hold."""
    return _settings_of(options)


@cache
def _settings_of(options: Hashable) -> tuple[Option, ...]:
    found: list[Option] = []
    for item in fields(cast(Any, options)):
        if (nested := _nested(item)) is not None:
            found += settings_of(nested)
            continue
        how = item.metadata.get(_KEY, Setting())
        found.append(
            Option(name=item.name, annotation=str(item.type), default=item.default, how=how)
        )
    return tuple(found)


def described(item: Option, words: Callable[[Named | Call], str]) -> str:
    """What a setting does and what its default means, in the words of a reader."""
    default = f" Default: {item.how.by_default}." if item.how.by_default else ""
    return told(f"{item.how.help}{default}", words)


def value_of(options: Any, name: str) -> Any:
    """The value of a setting in an instance, or in one that a field holds."""
    for item in fields(options):
        if item.name == name:
            return getattr(options, name)
        if (nested := _nested(item)) and any(own.name == name for own in settings_of(nested)):
            return value_of(getattr(options, item.name), name)
    raise AttributeError(f"{type(options).__name__} has no setting {name!r}")


def with_values(cls: type, values: Mapping[str, Any]) -> Any:
    """Options of the class `cls` from the values of settings by name; others have their default.

    Raises:
        ConfigError: The class refuses a value.
    """
    made: dict[str, Any] = {}
    for item in fields(cls):
        if (nested := _nested(item)) is not None:
            made[item.name] = with_values(nested, values)
        elif item.name in values:
            made[item.name] = values[item.name]
    return cls(**made)


def _nested(item: Field[Any]) -> Any:
    """The options class whose instance the field holds; None for a setting."""
    factory = item.default_factory
    return factory if factory is not MISSING and is_dataclass(factory) else None


def check(options: Any, error: type[ConfigError] = ConfigError) -> None:
    """Give every field of an options instance a plain value of its type, and check its range.

    NumPy's and torch's scalars become Python's, paths become text, `"LSTM"` becomes `"lstm"`.
    Fields of other types than numbers, switches and texts stay as they are.

    Args:
        options: The instance; it may be frozen.
        error: The class of error.
    Raises:
        ConfigError: A value has another type, is not among the choices, or out of range. The
            message names the field, says what it must be, and where it can, what to write.
    """
    for item in settings_of(type(options)):
        kinds = kinds_of(item.annotation)
        if kinds is None or item.name not in options.__dict__:
            continue
        value = given = getattr(options, item.name)
        if item.how.parse is not None and not isinstance(value, int | float | None):
            value = item.how.parse(value)
        plain = plain_value(item.name, value, kinds, error)
        if plain is not given:
            object.__setattr__(options, item.name, plain)
        if plain is not None and (expected := refused(plain, item.how)):
            raise error(f"{named(item.name)} is {_shown(plain)}; it must be {expected}")


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def refused(value: Any, how: Setting) -> str:
    """What a value must be, where it is not; "" where it is allowed."""
    if how.choices:
        return "" if value in how.choices else f"one of {', '.join(how.choices)}"
    if isinstance(value, str):
        return ""  # Limits are those of numbers.
    limits = (
        (how.at_least, operator.ge, "at least"),
        (how.above, operator.gt, "above"),
        (how.at_most, operator.le, "at most"),
        (how.below, operator.lt, "below"),
    )
    wanted = [(limit, keeps, words) for limit, keeps, words in limits if limit is not None]
    finite = not isinstance(value, float) or math.isfinite(value)
    if not wanted or (finite and all(keeps(value, limit) for limit, keeps, _ in wanted)):
        return ""
    expected = " and ".join(f"{words} {limit}" for limit, _, words in wanted)
    return expected if finite else f"a finite number, {expected}"


def kinds_of(annotation: str) -> tuple[type, ...] | None:
    """The types in an annotation that has nothing but bool, int, float, str and None, else None."""
    names = annotation.split(" | ")
    return tuple(_KINDS[name] for name in names) if set(names) <= _KINDS.keys() else None


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
    raise error(f"{named(name)} is {quoted(value)}; it must be {_expected(name, value, kinds)}")


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
    """The whole number; one beyond `LARGEST` is none that anything could be counted in."""
    if isinstance(value, str | float):
        return None
    try:
        number = operator.index(value)
    except TypeError:
        return None
    return number if abs(number) <= LARGEST else None


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
    if abs(number) > LARGEST:
        return f"{what} of {LARGEST:,} at most"
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


def quoted(value: Any) -> str:
    """A value as a message quotes it: escaped, and cut where it is long."""
    if isinstance(value, str | list | tuple):
        value = value[: _QUOTED + 1]  # The rest is not shown, however long it is.
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        return "a number too long to be shown"
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"


def typed_words(options: Any, usual: Any = None, always: Collection[str] = ()) -> list[str]:
    """What is typed on a command line for everything that is not at its default.

    Args:
        options: An instance of an options class.
        usual: An instance whose values are the defaults, where it has the setting.
        always: Settings that are typed even at their default.
    """
    words: list[str] = []
    said: set[str] = set()
    for item in settings_of(type(options)):
        if item.how.joint is not None:
            text = item.how.joint.typed(options)
            if text and item.flag not in said:
                words += [item.flag, text]
            said.add(item.flag)
            continue
        default = getattr(usual, item.name, item.default)
        value = value_of(options, item.name)
        if item.name in always or value != default:
            words += typed_setting(item, value)
    return words


def typed_setting(item: Option, value: Any) -> list[str]:
    """What is typed to give a setting this value."""
    if isinstance(value, bool):
        if item.off is not None and not value:
            return [item.off]
        return [item.flag] if value != item.how.inverted else []
    values = value if isinstance(value, tuple | list) else [value]
    typed = [escape(part) if item.how.escapes else str(part) for part in values]
    return [word for part in typed for word in (item.flag, part)]


_ESCAPES = {"\n": r"\n", "\t": r"\t", "\\": r"\\"}
_MEANINGS = {typed: char for char, typed in _ESCAPES.items()}


def escape(text: str) -> str:
    """What is typed for a text, where a shell hands on no line ends and tabs."""
    return "".join(_ESCAPES.get(char, char) for char in text)


def unescape(typed: str) -> str:
    r"""The text that was meant: `\n` is a line end, `\t` a tab, `\\` a backslash."""
    return re.sub(r"\\[nt\\]", lambda match: _MEANINGS[match[0]], typed)
