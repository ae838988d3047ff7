"""Numbers as people type them, for an option's `parser`."""

from __future__ import annotations

import re
from contextlib import suppress

import typer

_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+")
_GROUPED = re.compile(r"[-+]?\d{1,3}([,.'\u202f\u00a0 ]\d{3})+")


def number(typed: str | float) -> float:
    """A number: `0.8`, with a decimal comma `0,8`, or as a percentage `80%`.

    Raises:
        typer.BadParameter: It is none.
    """
    text = str(typed).strip()
    digits = text.removesuffix("%").rstrip()
    if _DECIMAL_COMMA.fullmatch(digits):
        digits = digits.replace(",", ".")
    try:
        return float(digits) / (100.0 if text.endswith("%") else 1.0)
    except ValueError:
        raise typer.BadParameter(f"'{typed}' is not a number; type one such as 0.8") from None


def whole_number(typed: str | int) -> int:
    """A whole number; what is nearly one is answered with what to type.

    Raises:
        typer.BadParameter: It is none.
    """
    text = str(typed).strip()
    with suppress(ValueError):
        return int(text)
    hint = "one such as 10"
    if _GROUPED.fullmatch(text):
        hint = re.sub(r"[^-+\d]", "", text)
    else:
        with suppress(typer.BadParameter, OverflowError, ValueError):
            hint = str(int(number(text)))
    raise typer.BadParameter(f"'{typed}' is not a whole number; type {hint}")
