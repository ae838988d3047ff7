"""What a neuron is called: the same wherever it is printed, and what is printed can be typed."""

from __future__ import annotations

import re

#: The two states that a neuron can be asked for by a letter after its place: `0:75.c`.
STATES = {"c": "cell", "h": "hidden"}

_TYPED = re.compile(r"\s*([0-9]{1,9})\s*:\s*([0-9]{1,9})\s*(?:\.([ch]))?\s*")
#: What a neuron may have looked like elsewhere: `L0:75`, `0,75`, `0/75`, `layers.0.cell[75]`.
_NUMBERS = re.compile(r"[0-9]{1,9}")


def neuron_title(layer: int, unit: int, quantity: str) -> str:
    """One quantity of one neuron as every view shows it: `neuron 0:75 cell`."""
    return f"neuron {layer}:{unit} {quantity}"


def split_neuron(text: str) -> tuple[int, int, str | None] | None:
    """Read `LAYER:UNIT`, with `.c` or `.h` after it for the state that is meant.

    Args:
        text: What was typed.
    Returns:
        Layer, unit, and `cell`, `hidden` or None; None where it does not have this form.
    """
    match = _TYPED.fullmatch(text)
    if match is None:
        return None
    return int(match[1]), int(match[2]), STATES.get(match[3] or "")


def neuron_guess(text: str) -> str:
    """What to type for a neuron that was written in another way; "" where nothing can be said."""
    numbers = [int(number) for number in _NUMBERS.findall(text)]
    if len(numbers) == 2:
        return f"{numbers[0]}:{numbers[1]}"
    return f"0:{numbers[0]}" if len(numbers) == 1 else ""
