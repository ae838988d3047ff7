"""The data of a page: a text, and a number for every character and row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Values are kept as whole numbers from 0 to this.
STEPS = 255


@dataclass(frozen=True, kw_only=True)
class PageRow:
    """What can colour the text: one quantity of a neuron, or the cost of each character.

    Args:
        name: In short, such as `0:137` or `surprise`.
        title: In full, such as `neuron 0:137 cell`.
        layer: Layer of the neuron; None if it is none.
        quantity: Such as `cell`.
        measure: Unit of the values, such as "bits"; "" for a pure number.
        minimum: The lowest: what 0 stands for in `Page.values`.
        maximum: The highest: what `STEPS` stands for.
        spread: How much it varies; the list begins with the highest.
        low: Value at the lower end of the colour scale.
        high: Value at its upper end, above `low`.
        note: One more line to show with it; "" for none.
    """

    name: str
    title: str
    layer: int | None
    unit: int | None
    quantity: str
    measure: str = ""
    mean: float
    sd: float
    minimum: float
    maximum: float
    spread: float
    low: float
    high: float
    note: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Page:
    """A page before it is drawn.

    Args:
        title: What the text is, such as a file's name.
        facts: Short facts on model and text, shown below the title.
        noun: What a piece is: "character" or "token".
        pieces: The text piece by piece, `T` of them.
        rows: What can colour it, in the order of `values`; at least one, the first that is a
            neuron (else the first) colours it when the page is opened.
        values: `(rows, T)`, as `quantise` makes them.
        bits: What each piece cost, `(T,)`, in bits.
        labels: The symbols that `next_labels` means.
        next_labels: The likeliest next symbols after each piece, best first, as numbers of
            `labels`, `(T, top)`.
        next_probabilities: Their probabilities, `(T, top)`.
        neurons_in_all: How many neurons there were to choose from.
        notice: Something to know of the page as a whole, such as what was left out; "" for none.
    Raises:
        ValueError: The sizes do not fit each other, or a scale has no extent.
    """

    title: str
    facts: tuple[str, ...]
    noun: str = "character"
    pieces: tuple[str, ...]
    rows: tuple[PageRow, ...]
    values: NDArray[np.uint8]
    bits: NDArray[np.floating]
    labels: tuple[str, ...]
    next_labels: NDArray[np.integer]
    next_probabilities: NDArray[np.floating]
    neurons_in_all: int
    notice: str = ""

    def __post_init__(self) -> None:
        count = len(self.pieces)
        if not self.rows or self.values.shape != (len(self.rows), count):
            raise ValueError(
                f"{len(self.rows)} rows and {count} pieces, but values {self.values.shape}"
            )
        if self.bits.shape != (count,):
            raise ValueError(f"{count} pieces, but costs {self.bits.shape}")
        shape = self.next_labels.shape
        if shape != self.next_probabilities.shape or shape[:1] != (count,):
            raise ValueError(
                f"{count} pieces, but next symbols {shape} and their probabilities "
                f"{self.next_probabilities.shape}"
            )
        for row in self.rows:
            if not row.low < row.high:
                raise ValueError(f"the scale {row.low}..{row.high} of {row.name} has no extent")

    @property
    def neurons(self) -> int:
        """How many neurons it shows."""
        return sum(row.layer is not None for row in self.rows)


def quantise(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """One row of values in 8 bits: 0 is the lowest of them, `STEPS` the highest.

    Read back as `minimum + number * (maximum - minimum) / STEPS`, a value is at most half a step
    off.
    """
    wide = np.asarray(values, np.float64)
    if not wide.size:
        return np.empty(0, np.uint8)
    low, high = wide.min(), wide.max()
    if not low < high:
        return np.zeros(wide.shape, np.uint8)
    result: NDArray[np.uint8] = np.rint((wide - low) * (STEPS / (high - low))).astype(np.uint8)
    return result
