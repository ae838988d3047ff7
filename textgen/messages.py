"""What a message calls things, for a reader in Python and for one at a prompt.

A library names the settings of its functions, the command line its options. A message marks them,
and whoever shows it chooses the words:

    named("top_p")                        top_p                    --top-p
    named("encoding", "cp1251")           encoding='cp1251'        --encoding cp1251
    call("train", "my.txt", resume=True)  textgen.train('my.txt', resume=True)
                                          textgen train my.txt --resume
    call("inspect find", labels="FILE")   textgen inspect find
                                          textgen inspect find --labels FILE

Every error can carry marks (`textgen.errors`). Any other text that does is a `Message`, which is a
string in the words of Python.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_MARK = "\x1d"
_PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*(\.[a-z]+)?")


@dataclass(frozen=True)
class Named:
    """A setting in a message.

    Args:
        setting: The name of its field or argument.
        value: What it is to be; None where the message gives no value.
    """

    setting: str
    value: Any = None


@dataclass(frozen=True)
class Call:
    """Something to do, in a message.

    Args:
        command: The command, without `textgen`: `train`, `inspect find`.
        paths: What comes first, without names.
        settings: By the names of their fields.
    """

    command: str
    paths: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def named(setting: str, value: Any = None) -> str:
    """A setting for a message, with the value to give it.

    Args:
        setting: The name of its field or argument.
        value: Plain data. A word in capitals, such as `FILE`, stands for what the reader fills in.
    """
    return _marked(["named", setting, value])


def call(command: str, *paths: str, **settings: Any) -> str:
    """A function or command for a message, with what it is given; see `Call`."""
    return _marked(["call", command, list(map(str, paths)), settings])


def told(text: str, words: Callable[[Named | Call], str]) -> str:
    """A text with marks in it, in the words of a reader."""
    parts = text.split(_MARK)
    return "".join(words(_read(part)) if i % 2 else part for i, part in enumerate(parts))


def in_python(part: Named | Call) -> str:
    """The words for a reader in Python."""
    if isinstance(part, Named):
        return part.setting if part.value is None else _argument(part.setting, part.value)
    if " " in part.command:  # a view of `textgen inspect`, which is no function of this package
        return f"textgen {part.command}"
    given = [_value(path) for path in part.paths]
    given += [_argument(name, value) for name, value in part.settings.items()]
    return f"textgen.{part.command}({', '.join(given)})"


class Message(str):
    """A text that may have marks in it: as a string it is in the words of Python.

    Args:
        text: With marks.
    """

    marked: str

    def __new__(cls, text: str) -> Message:
        made = super().__new__(cls, told(text, in_python))
        made.marked = text
        return made

    def __getnewargs__(self) -> tuple[str]:
        return (self.marked,)


def marks_of(text: str) -> str:
    """A text with its marks, to become part of another one."""
    return text.marked if isinstance(text, Message) else text


def _marked(part: list[Any]) -> str:
    return f"{_MARK}{json.dumps(part)}{_MARK}"


def _read(part: str) -> Named | Call:
    kind, *rest = json.loads(part)
    return Named(*rest) if kind == "named" else Call(*rest)


def _argument(name: str, value: Any) -> str:
    return f"{name}={_value(value)}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) and _PLACEHOLDER.fullmatch(value) else repr(value)
