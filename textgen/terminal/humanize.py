"""Numbers and lists as people read them. One way to write each kind, for tables, bars, messages."""

from __future__ import annotations

import math
from collections.abc import Sequence

_PREFIXES = ("", "k", "M", "G", "T")


def short(number: float) -> str:
    """About three digits with a prefix: `987`, `12.3 k`, `1.50 M`."""
    power = 0
    size = abs(number)
    # 999.5 would print as 1000, so it goes to the next prefix.
    while size >= 999.5 and power < len(_PREFIXES) - 1:
        size /= 1000.0
        power += 1
    digits = 0 if power == 0 or size >= 99.95 else 1 if size >= 9.995 else 2
    sign = "-" if number < 0 else ""
    return f"{sign}{size:.{digits}f} {_PREFIXES[power]}".rstrip()


def plural(count: int, one: str, many: str = "") -> str:
    """A number of things: `1 file`, `2,000 files`.

    Args:
        count: How many.
        one: What one is called; a verb may follow: `file is`.
        many: What several are called; "" is `one` with an s.
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def times(count: float) -> str:
    """How often: `once`, `12 times`."""
    if count == 1:
        return "once"
    return f"{count:,} times" if isinstance(count, int) else f"{count:g} times"


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are: `a, b, c and 4 more`."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def quoted(names: Sequence[str], most: int = 20) -> str:
    """The same of names that may have commas or spaces in them: `'a', 'b, c'`."""
    return listed([f"'{name}'" for name in names], most)


def rate(per_second: float, noun: str = "chars") -> str:
    """`12.3 k chars/s`."""
    return f"{short(per_second)} {noun}/s"


def size(number_of_bytes: float) -> str:
    """Decimal units: `512 B`, `12.3 kB`, `1.50 GB`."""
    text = short(number_of_bytes)
    return f"{text}B" if text[-1].isalpha() else f"{text} B"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 m 05 s`, `2 h 07 m`."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} m"


def percent(share: float) -> str:
    """`12.3 %` of 0.123."""
    return f"{100 * share:.1f} %"


def number(value: float) -> str:
    """Three significant digits, as short as they come: `0.00123`, `1.5`, `-12`, `1.2e+06`."""
    text = f"{value:.3g}"
    return "0" if text in ("-0", "0") else text
