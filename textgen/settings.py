"""What a setting is called where a person types it: declared once, on its dataclass field.

An options class declares a field with `setting(...)` where its flag is not simply its name with
dashes. The command line, the command that repeats a run and the messages of errors follow from it.
A field of a type that holds settings itself (`TrainOptions.corpus`) stands for those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any

_KEY = "setting"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How one setting is typed.

    Args:
        flag: Its option; None is its name with dashes.
        off: The option that says False, where that is another one.
        inverted: Whether the flag says False: `--no-nfc`.
        parse: Makes the value of what was typed.
        joint: Where one option says several fields: the property of the options that gives what is
            typed for all of them, `""` for nothing.
    """

    flag: str | None = None
    off: str | None = None
    inverted: bool = False
    parse: Callable[[str], Any] | None = None
    joint: str | None = None


def setting(default: Any, **how: Any) -> Any:
    """A dataclass field with a default, and a `Setting` with these arguments."""
    return field(default=default, metadata={_KEY: Setting(**how)})


@dataclass(frozen=True, kw_only=True)
class Named:
    """A setting with its names.

    Args:
        name: Of the field.
        default: Of the field.
        flag: The option.
        how: The rest.
    """

    name: str
    default: Any
    flag: str
    how: Setting

    @property
    def parameter(self) -> str:
        """The option's name as a parameter of a function: `--keep-newlines`, `keep_newlines`."""
        return self.flag.removeprefix("--").replace("-", "_")


def settings_of(options: Any) -> Iterator[Named]:
    """The settings of an options class, or of an instance, those of nested classes included."""
    for item in fields(options):
        nested = _nested(item)
        if nested is not None:
            yield from settings_of(nested)
            continue
        how: Setting = item.metadata.get(_KEY, Setting())
        flag = how.flag or "--" + item.name.replace("_", "-")
        yield Named(name=item.name, default=item.default, flag=flag, how=how)


def value_of(options: Any, name: str) -> Any:
    """The value of a setting, wherever it lies."""
    for item in fields(options):
        if item.name == name:
            return getattr(options, name)
        if _nested(item) is not None:
            inner = getattr(options, item.name)
            if any(other.name == name for other in settings_of(inner)):
                return value_of(inner, name)
    raise AttributeError(f"{type(options).__name__} has no setting {name!r}")


def with_values(cls: type, values: Mapping[str, Any]) -> Any:
    """Options of the class `cls` from the values of settings by name; others are at their default.

    Raises:
        ConfigError: The class refuses a value.
    """
    made: dict[str, Any] = {}
    for item in fields(cls):
        nested = _nested(item)
        if nested is not None:
            made[item.name] = with_values(nested, values)
        elif item.name in values:
            made[item.name] = values[item.name]
    return cls(**made)


def typed_words(options: Any) -> list[str]:
    """What is typed on a command line for everything that is not at its default."""
    words: list[str] = []
    said: set[str] = set()
    for item in settings_of(options):
        value = value_of(options, item.name)
        if item.how.joint is not None:
            text = str(getattr(options, item.how.joint))
            if text and item.flag not in said:
                words += [item.flag, text]
            said.add(item.flag)
        elif value != item.default:
            words += _typed(item, value)
    return words


def _typed(item: Named, value: Any) -> list[str]:
    if isinstance(value, bool):
        if item.how.off is not None and not value:
            return [item.how.off]
        return [item.flag] if value != item.how.inverted else []
    if isinstance(value, tuple | list):
        return [word for part in value for word in (item.flag, str(part))]
    return [item.flag, str(value)]


def _nested(item: Field[Any]) -> Any:
    """The options class whose instance the field holds; None for a setting."""
    factory = item.default_factory
    return factory if factory is not MISSING and is_dataclass(factory) else None
