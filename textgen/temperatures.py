"""Temperatures that change while a text is written: in turns, or by parts of the text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from textgen.errors import ConfigError, SamplingError, named
from textgen.settings import quoted
from textgen.text_spans import Span, parse_span

#: What holds where nothing else is asked for.
USUAL_TEMPERATURE = 0.8

# No two runs of digits meet in it: a text is read in a time that grows as its length.
_NUMBER = r"\+?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_PART = re.compile(rf"\s*({_NUMBER})\s*(?:@([^,]*))?")


@dataclass(frozen=True)
class Temperatures:
    """Temperatures that change.

    Args:
        turns: One for each token, over and over; the first token has the first.
        parts: Those of parts of the text; where two hold, for one is told by sentences, the first
            counts, and elsewhere `USUAL_TEMPERATURE`. Either this or `turns` is empty.
    """

    turns: tuple[float, ...] = ()
    parts: tuple[tuple[float, Span], ...] = ()

    @property
    def counts_sentences(self) -> bool:
        """Whether one of the parts is told by sentences."""
        return any(span.by_sentence for _, span in self.parts)

    def next_change(self, char: int) -> int | None:
        """The first character after `char` at which a part begins or ends, sentences apart."""
        borders = (span.next_border(char) for _, span in self.parts)
        return min((border for border in borders if border is not None), default=None)

    def at(self, char: int, sentence: int) -> float:
        """The temperature of a character, from 0, in a sentence, from 1, by the parts."""
        holding = (value for value, span in self.parts if span.holds(char, sentence))
        return next(holding, USUAL_TEMPERATURE)

    def __str__(self) -> str:
        """As it is typed."""
        words = [repr(value) for value in self.turns]
        return ",".join(words or [f"{value!r}@{span}" for value, span in self.parts])


def parse_temperature(value: Any) -> Any:
    """A temperature as it is typed or given: a number, or the text of `Temperatures`.

    `0.5` is a number, and so is `0,5`. `1.0,0.2,0.5` are temperatures in turns, a token each.
    `0.4@0..100,1.0@100..` has one for each part of the text, which is written as for `steer`.

    Args:
        value: A number, a text, or a list of numbers; anything else comes back as it is.
    Raises:
        SamplingError: It cannot be read.
    """
    if isinstance(value, list | tuple):
        return _one_or_turns([_checked(each, value) for each in value], value)
    if not isinstance(value, str):
        return value
    found = [_PART.fullmatch(part) for part in value.replace("−", "-").split(",")]
    if any(part is None for part in found):
        raise _unread(value)
    pairs = [(part[1], part[2]) for part in found if part is not None]
    numbers = [_checked(number, value) for number, _ in pairs]
    if all(span is None for _, span in pairs):
        if len(pairs) > 1 and not any("." in number for number, _ in pairs):
            if len(pairs) == 2:  # A comma is the point of many languages.
                return _checked(".".join(number for number, _ in pairs), value)
            raise SamplingError(
                f"{named('temperature')} is {quoted(value)}; a fraction is written with a point, "
                "such as 0.8, and temperatures in turns have one each, such as 1.0,0.2,0.5"
            )
        return _one_or_turns(numbers, value)
    if any(span is None for _, span in pairs):
        raise SamplingError(
            f"{named('temperature')} is {quoted(value)}; give a part of the text to each "
            "temperature, such as 0.4@0..100,1.0@100.., or to none"
        )
    try:
        spans = [parse_span(span.strip()) for _, span in pairs]
    except ConfigError as error:
        raise SamplingError(f"{named('temperature')}: {error.marked}") from error
    parts = tuple(zip(numbers, spans, strict=True))
    for place, (_, span) in enumerate(parts):
        for _, other in parts[:place]:
            if span.may_meet(other):
                raise SamplingError(
                    f"{named('temperature')} is {quoted(value)}; '@{other}' and '@{span}' may hold "
                    "the same character; give them separate parts, such as @0..100 and @100.."
                )
    return str(Temperatures(parts=parts))


@lru_cache
def temperatures_of(value: float | str) -> Temperatures | None:
    """What `parse_temperature` made, where it changes; None where it is a number."""
    if not isinstance(value, str):
        return None
    if "@" not in value:
        return Temperatures(turns=tuple(map(float, value.split(","))))
    pairs = (part.split("@") for part in value.split(","))
    return Temperatures(parts=tuple((float(number), parse_span(span)) for number, span in pairs))


def _one_or_turns(numbers: Iterable[float], value: object) -> float | str:
    turns = tuple(numbers)
    if not turns:
        raise _unread(value)
    return turns[0] if len(turns) == 1 else str(Temperatures(turns=turns))


def _checked(number: Any, whole: object) -> float:
    try:
        value = float(number)
    except (TypeError, ValueError, OverflowError):
        raise _unread(whole) from None
    if isinstance(number, bool) or not (value >= 0.0 and math.isfinite(value)):
        raise _unread(whole)
    return value


def _unread(value: object) -> SamplingError:
    return SamplingError(
        f"{named('temperature')} is {quoted(value)}; it must be a number, like "
        f"{named('temperature', 0.8)}, and at least 0; or temperatures in turns, like 1.0,0.2,0.5; "
        "or one for each part of the text, like 0.4@0..100,1.0@100.."
    )
