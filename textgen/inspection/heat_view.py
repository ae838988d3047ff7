"""A text and the values that colour it: the report of `Model.view`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.heat import HeatRow
from textgen.notebook import Colored, Part, Shown, quoted
from textgen.table import Table
from textgen.terminal.humanize import plural


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class HeatView(Shown):
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

    @property
    def headline(self) -> str:
        """What is shown of which text."""
        text = "".join(self.pieces)
        bits = self.totals.get("bits_per_char")
        told = f"{self.quantity} on {quoted(text)}, {plural(len(text), 'character')}"
        return told if bits is None else f"{told}; {bits:.3f} bits/char"

    def parts(self) -> Iterable[Part]:
        """The text, coloured once for each of `rows`."""
        return [Colored(self.pieces, row) for row in self.rows]

    def to_json(self) -> dict[str, Any]:
        """The view as plain data, ready for `json.dumps`."""
        return {
            "quantity": self.quantity,
            "tokens": list(self.pieces),
            **self.totals,
            "rows": [row.to_dict() for row in self.rows],
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
