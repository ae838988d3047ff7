"""The fields of a request's JSON, each taken by its type; what is left over is refused.

A setting of an options class is a field of the same name: its type, its range and what it means are
declared there alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from math import isfinite
from types import NoneType
from typing import Any, NoReturn

from textgen.messages import Call, Named, in_python
from textgen.serving.refusal import Refusal
from textgen.settings import LARGEST, Option, kinds_of, settings_of

_SHOWN = 60
#: A setting's text has so many characters at most; a list of them so many texts, and each of these
#: so many characters: a text is compared with them at each character, and forms are made of them.
LONGEST_SETTING, MOST_TEXTS, LONGEST_TEXT = 4096, 16, 256
#: What OpenAI calls what has another name in Python.
FIELD_NAMES = {"length": "max_tokens", "rng": "seed", "seed": "prompt", "count": "n"}
#: What each type is called, alone and in a list.
_KINDS = {
    bool: ("true or false", "true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a string", "strings"),
}


class JsonFields:
    """A JSON object whose fields are taken one by one.

    A field that is null counts as not given, as OpenAI's servers have it.

    Args:
        body: The bytes of the request.
    Raises:
        Refusal: They are no JSON object.
    """

    def __init__(self, body: bytes) -> None:
        try:
            given = json.loads(body.decode("utf-8"), parse_constant=_no_number)
        except UnicodeDecodeError:
            raise Refusal("the body is not UTF-8; send JSON in UTF-8") from None
        except (ValueError, RecursionError) as error:
            raise Refusal(
                f"the body is no JSON ({str(error)[:_SHOWN]}); send an object, such as "
                '{"prompt": "Once"}'
            ) from None
        if not isinstance(given, dict):
            raise Refusal(
                f"the body is {_kind(given)}; send a JSON object, such as " + '{"prompt": "Once"}'
            )
        self._given = {name: value for name, value in given.items() if value is not None}
        self._names: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def take(self, name: str) -> Any:
        """The value as it was sent; None where there is none."""
        self._names.add(name)
        return self._given.get(name)

    def text(self, name: str) -> str | None:
        """A string."""
        value = self.take(name)
        if value is not None and not isinstance(value, str):
            self.refuse(name, "a string")
        return value

    def flag(self, name: str) -> bool | None:
        """True or false."""
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            self.refuse(name, "true or false")
        return value

    def number(self, name: str) -> float | None:
        """A number; its range is for others to check."""
        value = self.take(name)
        if value is not None and not _is_number(value):
            self.refuse(name, "a number")
        return None if value is None else self._bounded(name, value)

    def whole(
        self, name: str, *, at_least: int | None = None, at_most: int | None = None, why: str = ""
    ) -> int | None:
        """A whole number.

        Args:
            name: Of the field.
            at_least: The smallest that is allowed; None: for others to check.
            at_most: The largest.
            why: Who says so, where it is not plain.
        """
        value = self.number(name)
        if value is None:
            return None
        if value != int(value):
            self.refuse(name, "a whole number")
        low = at_least is not None and value < at_least
        if low or (at_most is not None and value > at_most):
            self.refuse(name, f"in {at_least}..{at_most}{why}")
        return int(value)

    def texts(self, name: str) -> list[str] | None:
        """A string, or a list of them."""
        value = self.take(name)
        if isinstance(value, str):
            return [value]
        if value is not None and not (
            isinstance(value, list) and all(isinstance(each, str) for each in value)
        ):
            self.refuse(name, "a string or a list of strings")
        return value

    def settings(
        self,
        cls: type,
        names: Collection[str] | None = None,
        *,
        without: Mapping[str, str] = {},
        most: int = MOST_TEXTS,
    ) -> dict[str, Any]:
        """The settings of an options class that were sent, each of its type.

        Those that name a file are refused: it would be one of the machine that serves.

        Args:
            cls: The class.
            names: Of the settings that are taken; None: all.
            without: Settings that are not taken, and what is to be sent instead of each.
            most: Entries of a list at most.
        """
        found: dict[str, Any] = {}
        for item in settings_of(cls):
            if names is not None and item.name not in names:
                continue
            instead = without.get(item.name)
            if item.is_path:
                instead = "it names a file, and a request reads none of the server's"
            if instead is None:
                found[item.name] = self._setting(item, most)
            elif item.name in self:
                self.refuse(item.name, f"left out: {instead}")
        return {name: value for name, value in found.items() if value is not None}

    def _setting(self, item: Option, most: int) -> Any:
        """The value of a setting as its class takes it; None where it was not sent."""
        listed = re.fullmatch(r"tuple\[(\w+), \.\.\.\]", item.annotation)
        kinds = kinds_of(listed[1] if listed else item.annotation)
        assert kinds is not None, f"{item.name} is {item.annotation}, which is no type of JSON"
        value = self.take(item.name)
        if value is None:
            return None
        values = value if listed and isinstance(value, list) else [value]
        plain = [_as_one_of(kinds, each) for each in values]
        if None in plain:
            words = [_KINDS[kind] for kind in kinds if kind is not NoneType]
            expected = " or ".join(one for one, _ in words)
            many = " or ".join(several for _, several in words)
            self.refuse(item.name, f"{expected} or a list of {many}" if listed else expected)
        for each in plain:
            self._bounded(item.name, each, LONGEST_TEXT if listed else LONGEST_SETTING)
        if len(plain) > most:
            self.refuse(item.name, f"a list of at most {most:,}")
        return tuple(plain) if listed else plain[0]

    def _bounded(self, name: str, value: Any, longest: int = LONGEST_SETTING) -> Any:
        """A value that is not beyond what is counted anywhere."""
        if isinstance(value, str) and len(value) > longest:
            self.refuse(name, f"of {longest:,} characters at most")
        if _is_number(value) and abs(value) >= LARGEST:
            self.refuse(name, "a smaller number")
        return value

    def refuse(self, name: str, expected: str) -> NoReturn:
        """Raise that a field is not what was expected."""
        value = json.dumps(self._given[name])
        shown = value if len(value) <= _SHOWN else f"{value[: _SHOWN - 1]}…"
        raise Refusal(f"{name} is {shown}; it must be {expected}", param=name)

    def refuse_rest(self) -> None:
        """Refuse a field that nobody has taken: it would have no effect.

        Raises:
            Refusal: There is one.
        """
        for name in self._given.keys() - self._names:
            near = get_close_matches(name[:_SHOWN], self._names, 1)
            shown = json.dumps(name[:_SHOWN])
            instead = f"did you mean {near[0]}?" if near else "leave it out."
            known = ", ".join(sorted(self._names))
            raise Refusal(
                f"the field {shown} is unknown; {instead} Known here: {known}",
                param=name[:_SHOWN],
                code="unknown_field",
            )


def in_fields(part: Named | Call) -> str:
    """What is marked in a message, in the words of a request."""
    if not isinstance(part, Named):
        return in_python(part)
    name = FIELD_NAMES.get(part.setting, part.setting)
    value = json.dumps(part.value, ensure_ascii=False)
    return name if part.value is None else f'"{name}": {value}'


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_one_of(kinds: Collection[type], value: Any) -> Any:
    """A value of JSON as a plain one of these types; None where it is none."""
    if isinstance(value, bool):
        return value if bool in kinds else None
    if isinstance(value, str):
        return value if str in kinds else None
    if not _is_number(value) or not {int, float} & set(kinds):
        return None
    if float in kinds or isinstance(value, int):
        return value
    return int(value) if isfinite(value) and value == int(value) else None


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _kind(value: object) -> str:
    kinds = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
