"""Lists of whole numbers as they are typed: `1,2,3`, `10..200:10`."""

from __future__ import annotations

import re

from textgen.errors import ConfigError

_PART = re.compile(r"(\d{1,9})(?:\.\.(\d{1,9})(?::(\d{1,9}))?)?")
#: More are a slip of the hand.
_MOST = 1000


def parse_numbers(text: str, option: str, *, least: int = 1) -> tuple[int, ...]:
    """The numbers in a list of numbers and ranges.

    Args:
        text: Numbers with commas between them; `A..B:S` is every S-th from A to B, `A..B` each.
        option: Where it was given, for messages.
        least: The smallest that may be in it.
    Raises:
        ConfigError: It is no such list, one is too small, or one stands there twice.
    """
    numbers: list[int] = []
    for part in text.replace(" ", "").split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ConfigError(
                f"{option} is '{text}'; it must be a list of whole numbers like 1,2,4 or a range "
                "like 10..200:10"
            )
        first, last, step = (int(group or 0) for group in match.groups())
        more = range(first, last + 1, max(1, step)) if match[2] else range(first, first + 1)
        if not more or len(numbers) + len(more) > _MOST:
            raise ConfigError(
                f"{option}: {part} are {len(more):,} numbers; give 1 to {_MOST:,} in all"
            )
        numbers += more
    for number in numbers:
        if number < least:
            raise ConfigError(f"{option} names {number}; each must be at least {least}")
    if len(set(numbers)) < len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        raise ConfigError(f"{option} names {twice} twice; once is enough")
    return tuple(numbers)
