"""Parts of a text that is written, as people type them: `@0..60`, `@60..`, `@s1`, `@s2..`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from textgen.errors import ConfigError


@dataclass(frozen=True)
class Span:
    """A part of a generated text, in which something acts.

    Args:
        start: Its first character, from 0, or its first sentence, from 1.
        stop: The first one after it; None is never.
        by_sentence: Whether sentences are counted instead of characters.
    Raises:
        ConfigError: It is empty.
    """

    start: int
    stop: int | None = None
    by_sentence: bool = False

    def __post_init__(self) -> None:
        if self.by_sentence and self.start < 1:
            raise ConfigError(f"'@{self}': sentences are counted from 1, so write @s1")
        if self.stop is not None and self.stop <= self.start:
            raise ConfigError(
                f"'@{self}' is empty: the end is not included, so it must lie after the start"
            )

    def __str__(self) -> str:
        mark = "s" if self.by_sentence else ""
        if self.stop == self.start + 1:
            return f"{mark}{self.start}"
        return f"{mark}{self.start}..{'' if self.stop is None else f'{mark}{self.stop}'}"

    def holds(self, char: int, sentence: int) -> bool:
        """Whether a character lies in it, by its number and that of its sentence."""
        place = sentence if self.by_sentence else char
        return self.start <= place and (self.stop is None or place < self.stop)

    def may_meet(self, other: Span) -> bool:
        """Whether the two may share a character. Where one counts sentences, nobody knows."""
        if self.by_sentence != other.by_sentence:
            return ALWAYS in (self, other)
        starts = max(self.start, other.start)
        return all(span.stop is None or starts < span.stop for span in (self, other))

    def next_border(self, char: int) -> int | None:
        """The first character after `char` at which it begins or ends; None where there is none,
        and for sentences, whose places are not known beforehand."""
        if self.by_sentence:
            return None
        borders = [self.start, *(() if self.stop is None else (self.stop,))]
        return min((border for border in borders if border > char), default=None)


#: All of the text.
ALWAYS = Span(0)


def parse_span(text: str) -> Span:
    """Read a span as users type it.

    `0..60` (the end not included), `60..`, `60` (that character alone), and for sentences
    `s1..s3`, `s2..`, `s1`.

    Raises:
        ConfigError: It cannot be read.
    """
    match = re.fullmatch(r"(s?)([0-9]{1,9})(\.\.(?:(s?)([0-9]{1,9}))?)?", text)
    if match is None or (match[5] is not None and match[4] not in ("", match[1])):
        raise ConfigError(
            f"'@{text}' is not a part of a text; write characters @0..60 or @60.., or "
            "sentences @s1 or @s2.."
        )
    start = int(match[2])
    if match[3] is None:
        stop: int | None = start + 1
    else:
        stop = None if match[5] is None else int(match[5])
    return Span(start, stop, by_sentence=bool(match[1]))
