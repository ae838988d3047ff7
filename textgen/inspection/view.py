"""A text and the values that colour it, as plain data: neurons, or the surprise of each character.

The surprise of a token is `-log2 p(token | all before)`, in bits. A character outside the
vocabulary costs the escape of `textgen.evaluation.nll` on top. The sum is the length of the text in
an ideal code made by the model, and equals what `eval` reports.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Ids, Vocabulary
from textgen.evaluation.nll import charge_escapes
from textgen.inspection.neuron_stats import neuron_name
from textgen.inspection.trace import Neuron, Trace, as_chunks
from textgen.model.neuron import neuron_title
from textgen.table import Table

#: Share of the values that a robust scale covers; the rest are drawn in its last colour.
ROBUST_SHARE = 0.99


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatRow:
    """One line of colours beneath, or behind, the text.

    Args:
        name: Such as `layers.0.cell[137]`, or `surprise`; a key of JSON, CSV and NumPy files.
        values: One number for each piece of the view, `(len(pieces),)`, in float32.
        mean: Mean of the values.
        sd: Their standard deviation.
        minimum: The lowest.
        maximum: The highest.
        low: Value at the lower end of the colour scale; `-high` where the sign matters.
        high: Value at its upper end. Values beyond an end take its colour.
        layer: Layer of the neuron; None if it is none.
        unit: Its unit; None if it is none.
        quantity: What is shown of the neuron, such as `cell`.
        measure: Unit of the values, such as "bits"; "" for a pure number.
        note: One more line to print with it; "" for none.
    """

    name: str
    values: NDArray[np.float32]
    mean: float
    sd: float
    minimum: float
    maximum: float
    low: float
    high: float
    layer: int | None = None
    unit: int | None = None
    quantity: str = ""
    measure: str = ""
    note: str = ""

    @property
    def title(self) -> str:
        """What stands above it: `neuron 0:137 cell`, or its name where it is no neuron."""
        if self.layer is None or self.unit is None:
            return self.name
        return neuron_title(self.layer, self.unit, self.quantity)


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatView:
    """A text and the values that colour it.

    Args:
        quantity: What is shown: a quantity of the cell, `surprise` or `influence`.
        pieces: The text, as it is printed piece by piece; "" for what prints nothing.
        rows: What is shown of it.
        totals: Figures on the whole text, such as its bits; empty for neurons.
    """

    quantity: str
    pieces: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    totals: dict[str, float | int | str]

    def to_json(self) -> dict[str, Any]:
        """As plain data, ready for `json.dumps`."""
        return {
            "quantity": self.quantity,
            "tokens": list(self.pieces),
            **self.totals,
            "rows": [
                {
                    key: value
                    for key, value in (
                        ("name", row.name),
                        ("layer", row.layer),
                        ("unit", row.unit),
                        ("measure", row.measure or None),
                        ("mean", row.mean),
                        ("sd", row.sd),
                        ("min", row.minimum),
                        ("max", row.maximum),
                        ("low", row.low),
                        ("high", row.high),
                        ("values", row.values.tolist()),
                    )
                    if value is not None
                }
                for row in self.rows
            ],
        }

    def table(self) -> Table:
        """A row for each piece: its number, its text, and a column for each of `rows`."""
        columns = [row.values.tolist() for row in self.rows]
        places = range(len(self.pieces))
        return Table(
            ("place", "text", *(row.name for row in self.rows)),
            zip(places, self.pieces, *columns, strict=True),
        )

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """`text`, the pieces, and the values of each row by its name, `(len(pieces),)`."""
        return {"text": np.array(self.pieces, np.str_), **{r.name: r.values for r in self.rows}}


def neuron_view(
    trace: Trace, neurons: Iterable[Neuron], *, quantity: str | None = None
) -> HeatView:
    """The text coloured by each of `neurons`.

    Args:
        trace: Has them.
        neurons: Such as `(0, 137)`.
        quantity: Which of the quantities traced; may be left out where there is one.
    Raises:
        InspectionError: A neuron or the quantity was not traced, or the states grow beyond all
            numbers.
    """
    (trace,) = as_chunks(trace)
    name = trace.only_quantity(quantity)
    rows = []
    for layer, unit in neurons:
        values = trace.values(layer, unit, name)
        low, high = scale_limits(values, name)
        rows.append(
            heat_row(
                neuron_name(layer, unit, name),
                values,
                low,
                high,
                layer=layer,
                unit=unit,
                quantity=name,
            )
        )
    return HeatView(quantity=name, pieces=trace.pieces, rows=tuple(rows), totals={})


def surprise_view(trace: Trace) -> HeatView:
    """The text coloured by the cost of each character in bits; the totals carry the sum.

    Args:
        trace: Made with a vocabulary.
    Raises:
        InspectionError: The states grow beyond all numbers.
    """
    (trace,) = as_chunks(trace)
    cost = surprise(trace)
    low, high = scale_limits(cost.bits, "surprise")
    note = f"{cost.total_bits:,.1f} bits in all"
    totals: dict[str, float | int | str] = {
        "bits": cost.total_bits,
        "chars": cost.chars,
        "unknown_chars": cost.unknown,
    }
    if cost.chars:
        note += f", {cost.bits_per_char:.3f} bits/char"
        totals["bits_per_char"] = cost.bits_per_char
    if cost.unknown:
        note += f"; {cost.unknown:,} outside the vocabulary, charged an escape"
    row = heat_row("surprise", cost.bits, low, high, measure="bits", note=note)
    return HeatView(quantity="surprise", pieces=cost.pieces, rows=(row,), totals=totals)


def scale_limits(values: NDArray[np.floating], quantity: str) -> tuple[float, float]:
    """The ends of the colour scale.

    Gates: 0 and 1. The candidate: -1 and 1. Surprise and influence: from 0 to the 99th percentile.
    States and changes: symmetric about 0, reaching the 99th percentile of the absolute value, so
    that one outlier does not pale the rest.
    """
    if quantity.endswith("-gate"):
        return 0.0, 1.0
    if quantity == "candidate":
        return -1.0, 1.0
    sizes = np.abs(values)
    high = float(np.quantile(sizes, ROBUST_SHARE)) if sizes.size else 0.0
    # All zero, or so small that dividing by it would overflow: any scale will do.
    high = high if high > 1e-30 else 1.0
    return (0.0 if quantity in ("surprise", "influence") else -high), high


def heat_row(
    name: str,
    values: NDArray[np.floating],
    low: float,
    high: float,
    *,
    layer: int | None = None,
    unit: int | None = None,
    quantity: str = "",
    measure: str = "",
    note: str = "",
) -> HeatRow:
    """A row with the figures of its values; the arguments are as in `HeatRow`."""
    empty: Sequence[float] = (0.0,) * 4
    # The figures are sums over the whole text, so they are made in float64.
    wide = values.astype(np.float64)
    mean, sd, minimum, maximum = (
        (wide.mean(), wide.std(), wide.min(), wide.max()) if wide.size else empty
    )
    return HeatRow(
        name=name,
        # A copy of its own: a column would keep the whole trace alive.
        values=values.astype(np.float32),
        mean=float(mean),
        sd=float(sd),
        minimum=float(minimum),
        maximum=float(maximum),
        low=low,
        high=high,
        layer=layer,
        unit=unit,
        quantity=quantity,
        measure=measure,
        note=note,
    )


Bits = NDArray[np.float64]


@dataclass(frozen=True)
class Surprise:
    """The cost of a text.

    At byte level the cost of a character is that of all its bytes, at word level that of a token
    is the whole token's, so `pieces` are what is printed at once.

    Args:
        pieces: The text of each entry; "" for an end mark.
        bits: The cost of each entry, `(len(pieces),)`.
        token_bits: The cost of each token, `(T,)`.
        unknown: How many tokens stand for a character outside the vocabulary.
    """

    pieces: tuple[str, ...]
    bits: Bits
    token_bits: Bits
    unknown: int

    @property
    def total_bits(self) -> float:
        """The cost of the whole text in bits, end marks included."""
        return float(self.token_bits.sum())

    @property
    def chars(self) -> int:
        """Characters of the text; end marks are none."""
        return sum(map(len, self.pieces))

    @property
    def bits_per_char(self) -> float:
        """Mean cost of a character; not a number for a text without any."""
        return self.total_bits / self.chars if self.chars else math.nan


def token_bits(trace: Trace) -> Bits:
    """The cost of each token in bits, escapes included, `(T,)`."""
    return charge_escapes(trace.nats, trace.ids) / math.log(2.0)


def surprise(trace: Trace) -> Surprise:
    """The cost of the traced text.

    Args:
        trace: A trace made with a vocabulary (its `pieces` say which tokens print together).
    """
    bits = token_bits(trace)
    count = len(trace.ids)
    marks = trace.ids == END_ID
    printing = np.fromiter(map(bool, trace.pieces), np.bool_, count)
    # Bytes print nothing until the last of their character, so their cost goes to it; that of
    # bytes at the end which never print goes to an entry of its own.
    places = np.arange(count)
    carriers = np.append(np.flatnonzero(printing & ~marks), count)
    receivers = np.where(marks, places, carriers[np.searchsorted(carriers, places)])
    entries = np.flatnonzero(printing | marks)
    numbers = np.searchsorted(entries, receivers)
    costs = np.bincount(numbers, weights=bits, minlength=len(entries)).astype(np.float64)
    pieces = [trace.pieces[place] for place in entries.tolist()]
    if len(costs) > len(pieces):
        pieces.append("")
    return Surprise(tuple(pieces), costs, bits, int(np.count_nonzero(trace.ids == UNKNOWN_ID)))


def source_pieces(
    text: str, pieces: Sequence[str], ids: NDArray[np.integer] | Sequence[int]
) -> tuple[str, ...]:
    """`pieces` with the real character wherever a token stands for an unknown one.

    At every level an `UNKNOWN_ID` stands for exactly one character of the text. The one exception
    is the space that a folded word vocabulary puts before the first word of a text and may lack:
    it stands for nothing, and its piece becomes "".

    Args:
        text: What was encoded, normalised as it was for that.
        pieces: The text of each token as the vocabulary prints it, `T` of them.
        ids: The tokens, `(T,)`.
    Returns:
        `T` pieces.
    Raises:
        ValueError: The pieces are not those of this text.
    """
    places = np.flatnonzero(np.asarray(ids) == UNKNOWN_ID)
    if len(pieces) != len(ids):
        raise ValueError(f"{len(pieces)} pieces but {len(ids)} tokens")
    result = list(pieces)
    if not places.size:
        return tuple(result)
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
    lengths[places] = 1
    if places[0] == 0 and int(lengths.sum()) == len(text) + 1:
        lengths[0] = 0
    if int(lengths.sum()) != len(text):
        raise ValueError(f"the pieces have {int(lengths.sum())} characters, the text {len(text)}")
    starts = np.cumsum(lengths) - lengths
    # One string for each character, not for each place: a text may be unknown throughout.
    shared: dict[str, str] = {}
    for place, start, length in zip(
        places.tolist(), starts[places].tolist(), lengths[places].tolist(), strict=True
    ):
        char = text[start : start + length]
        result[place] = shared.setdefault(char, char)
    return tuple(result)


#: So many characters are named, the first that stand in the text.
_NAMED = 6


def unknown_note(vocabulary: Vocabulary, ids: Ids, text: str = "") -> str:
    """How many characters of a text the model does not know, and which; "" where it knows all.

    Args:
        vocabulary: The model's symbols.
        ids: The text in them.
        text: The text itself, normalised as the model's own was, where it is at hand.
    """
    count = int(np.count_nonzero(np.asarray(ids) == UNKNOWN_ID))
    if not count:
        return ""
    known = vocabulary.symbol_index()
    lacking = list(dict.fromkeys(char for char in text if char not in known)) if text else []
    names = ", ".join(map(_shown, lacking[:_NAMED]))
    more = len(lacking) - _NAMED
    which = f": {names}{f' and {more} more' if more > 0 else ''}" if lacking else ""
    verb, it = ("character is", "it") if count == 1 else ("characters are", "each")
    return (
        f"{count:,} {verb} unknown to the model, which reads {it} as the unknown symbol{which} "
        f"(not in its vocabulary of {len(vocabulary)})"
    )


def _shown(char: str) -> str:
    """In quotes, or as a code point where it could not be seen."""
    return f"'{char}'" if char.isprintable() and not char.isspace() else f"U+{ord(char):04X}"
