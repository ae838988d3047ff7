"""The fields of a request's JSON, each taken by its type; what is left over is refused."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import Any, NoReturn

from textgen.serving.refusal import Refusal
from textgen.settings import LARGEST

_SHOWN = 60


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
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(name, "a number")
        if abs(value) >= LARGEST:
            self.refuse(name, "a smaller number")
        return value

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
            near = get_close_matches(name, self._names, 1)
            shown = json.dumps(name[:_SHOWN])
            instead = f"did you mean {near[0]}?" if near else "leave it out"
            known = ", ".join(sorted(self._names))
            raise Refusal(
                f"the field {shown} is unknown; {instead} Known here: {known}",
                param=name[:_SHOWN],
                code="unknown_field",
            )


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _kind(value: object) -> str:
    kinds = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
