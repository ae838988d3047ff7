"""What a search looks through: settings of a run, each in a range or out of a few values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from textgen.comparison.variants import Variant
from textgen.errors import ConfigError, named
from textgen.options import TrainOptions
from textgen.settings import Option, kinds_of, settings_of

#: Settings of a run that can be searched. The others are the same for all that are compared: the
#: text, its split, the length of a run, the machine.
SEARCHED = (
    *("cell", "hidden_size", "num_layers", "embedding_size", "members", "tie", "residual"),
    *("dropout", "recurrent_dropout", "weight_decay", "learning_rate", "clip_norm"),
    *("seq_len", "history", "batch_size"),
)
EXAMPLE = "hidden=128..1024:log,dropout=0..0.5,cell=lstm|gru"
_RANGE = re.compile(r"(.+?)\.\.(.+?)(?::(.+))?")
_SWITCHES = {"yes": True, "no": False}
#: The most values of a list, and of trials in all.
MOST_TRIALS = 10_000

Value = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Searched:
    """A setting that is searched: in a range, or among some values.

    Args:
        name: The setting, as a field of `TrainOptions`.
        typed: As it is typed at the prompt.
        low: The smallest value of a range.
        high: The largest.
        log: Whether equal factors are equally likely.
        step: Only every so many-th value of whole numbers, or multiples of it.
        choices: The values, instead of a range.
    """

    name: str
    typed: str
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None
    choices: tuple[Value, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "choices": list(self.choices)}


def parse_space(text: str) -> tuple[Searched, ...]:
    """The settings in a text such as `hidden=128..1024:log,dropout=0..0.5,cell=lstm|gru`.

    A range is `LOW..HIGH`; `:log` after it makes equal factors equally likely, `:16` takes every
    sixteenth value. Values have `|` between them; one alone is the same in all runs.

    Raises:
        ConfigError: It is not such a text; a name is none, or none that can be searched; a range is
            empty, or has values that the setting does not take.
    """
    found: list[Searched] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        typed, equals, values = part.partition("=")
        if not (equals and values.strip()):
            raise ConfigError(f"{named('search')}: '{part}' is no setting; type it like {EXAMPLE}")
        item = _setting(typed.strip().lower())
        own = _searched(item, values.strip())
        if any(own.name == other.name for other in found):
            raise ConfigError(f"{named('search')} names {own.typed} twice; once is enough")
        _refuse_impossible(own)
        found.append(own)
    if not found:
        raise ConfigError(f"{named('search')} is empty; type it like {EXAMPLE}")
    return tuple(found)


def options_of_trial(base: TrainOptions, values: Mapping[str, Value]) -> TrainOptions:
    """What is asked of a run with these values, by the names of their settings.

    Raises:
        ConfigError: The values do not go together.
    """
    changes: dict[str, Any] = dict(values)
    if isinstance(cell := changes.get("cell"), str):
        name, _, nonlinearity = cell.partition(":")
        changes |= {"cell": name, "nonlinearity": nonlinearity or "tanh"}
    return replace(base, **changes)


def typed_name(item: Option) -> str:
    """What a setting is called at the prompt, without dashes."""
    return item.flag.removeprefix("--")


def _setting(typed: str) -> Option:
    """The setting of a name as it is typed, or as it is called in Python."""
    items = [item for item in settings_of(TrainOptions) if item.name in SEARCHED]
    names = {
        name: item
        for item in items
        for name in (typed_name(item), item.name, item.name.replace("_", "-"), *item.how.others)
    }
    if typed in names:
        return names[typed]
    other = next((o for o in settings_of(TrainOptions) if typed in (typed_name(o), o.name)), None)
    all_names = ", ".join(typed_name(item) for item in items)
    if other is not None:
        raise ConfigError(
            f"{typed} is the same for all runs that are compared and cannot be searched; what "
            f"can: {all_names}"
        )
    close = difflib.get_close_matches(typed, names, 1)
    meant = f"; did you mean {close[0]}?" if close else "."
    raise ConfigError(f"there is no setting '{typed}' to search{meant} There are: {all_names}")


def _searched(item: Option, values: str) -> Searched:
    typed, kinds = typed_name(item), kinds_of(item.annotation) or ()
    match = _RANGE.fullmatch(values)
    is_number = int in kinds or float in kinds
    if bool in kinds or not is_number:
        if match is not None:
            example = "no|yes" if bool in kinds else "lstm|gru"
            raise ConfigError(
                f"{typed}={values}: a range has numbers, and {typed} has none; type the values "
                f"with | between them, like {typed}={example}"
            )
        words = [word.strip().lower() for word in values.split("|")]
        if bool in kinds and not set(words) <= set(_SWITCHES):
            raise ConfigError(f"{typed}={values}: a switch is no or yes; type {typed}=no|yes")
        chosen: list[Value] = [_SWITCHES[word] if bool in kinds else word for word in words]
        return Searched(name=item.name, typed=typed, choices=tuple(dict.fromkeys(chosen)))
    whole = float not in kinds
    if match is None:
        numbers = [_number(typed, part, values, whole) for part in values.split("|")]
        return Searched(name=item.name, typed=typed, choices=tuple(dict.fromkeys(numbers)))
    low, high = (_number(typed, part, values, whole) for part in match.groups()[:2])
    if low >= high:
        raise ConfigError(
            f"{typed}={values} is no range: {low:g} is not below {high:g}; type the smaller number "
            f"first, like {typed}={min(low, high):g}..{max(low, high) + (low == high):g}"
        )
    kind = (match[3] or "").strip().lower()
    if kind == "log":
        if low <= 0:
            raise ConfigError(
                f"{typed}={values}: equal factors do not reach {low:g}; begin above zero, or leave "
                ":log out"
            )
        return Searched(name=item.name, typed=typed, low=low, high=high, log=True)
    step = _number(typed, kind, values, whole) if kind else None
    if step is not None and not 0 < step <= high - low:
        raise ConfigError(
            f"{typed}={values}: steps of {step:g} do not fit between {low:g} and {high:g}"
        )
    if step is not None:
        high = low + step * int((high - low) / step + 1e-9)
    return Searched(name=item.name, typed=typed, low=low, high=high, step=step)


def _number(typed: str, text: str, values: str, whole: bool) -> float | int:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not abs(number) < float("inf"):
        raise ConfigError(
            f"{typed}={values}: '{text.strip()}' is no number; type a range like {typed}=1..8, "
            f"{typed}=1..8:log or values like {typed}=1|2|4"
        )
    if whole and number != int(number):
        raise ConfigError(f"{typed}={values}: {typed} is a whole number, and {number:g} is none")
    return int(number) if whole else number


def _refuse_impossible(own: Searched) -> None:
    """Raise `ConfigError` where the setting does not take a value by itself."""
    values: Sequence[Value] = own.choices or (own.low, own.high)
    for value in values:
        if own.name == "cell":
            cell, _, nonlinearity = str(value).partition(":")
            Variant(cell, nonlinearity or "tanh")
        else:
            options_of_trial(TrainOptions(), {own.name: value})
