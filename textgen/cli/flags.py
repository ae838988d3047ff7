"""What is typed for a setting: the names of the library in the words of the prompt."""

from __future__ import annotations

from typing import Any

from textgen.messages import Call, Named, marks_of, told
from textgen.options import RunOptions, TrainOptions
from textgen.settings import Option, settings_of
from textgen.terminal.text import quote, quote_path

_OPTIONS: dict[str, Option] = {
    item.name: item for cls in (TrainOptions, RunOptions) for item in settings_of(cls)
}
#: Settings that are typed in another way than their name says, the usual way first. `PATH` is typed
#: without an option.
_FLAGS: dict[str, tuple[str, ...]] = {
    "layers": ("--layer",),
    "length": ("--length", "--chars"),
    "neurons": ("--neuron",),
    "out": ("--out", "--html"),
    "paths": ("PATH", "--file"),
    "protocol": ("--state",),
    "quantity": ("--show",),
    "seed": ("--seed", "--generate"),
}


def flags_of(name: str, value: object = None) -> tuple[str, ...]:
    """What is typed for a setting, by the name of its field; in some commands one of the later.

    The `value` `False` may have an option of its own.
    """
    if name in _FLAGS:
        return _FLAGS[name]
    item = _OPTIONS.get(name)
    if item is None:
        return ("--" + name.strip("_").replace("_", "-"),)
    return (item.off or item.flag if value is False else item.flag,)


def at_prompt(part: Named | Call) -> str:
    """What is marked in a message, in the words of the prompt."""
    if isinstance(part, Named):
        return " ".join(_typed(part.setting, part.value))
    words = [word for name, value in part.settings.items() for word in _typed(name, value)]
    return " ".join(["textgen", part.command, *map(quote_path, part.paths), *words])


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
