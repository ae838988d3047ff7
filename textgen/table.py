"""One table for every form of a report: terminal, HTML, CSV, JSON, Markdown, NumPy.

Each column has a key, which JSON, CSV and NumPy use and which never changes, and a heading and a
format, which are for people. The values stay plain data:

    table = Table(("gate", Column("mean_left", "time < 0.1", percent)), [("forget-gate", 0.25)])
    table.records()       [{"gate": "forget-gate", "mean_left": 0.25}]
    table.to_markdown()   "| gate | time < 0.1 |\\n| --- | ---: |\\n| forget-gate | 25.0 % |\\n"

`textgen.terminal.tables.draw_table` draws it, `textgen.notebook.fragment.table_html` makes HTML of
it. Where what is shown differs from what is saved (CSV has a row for each neuron, the terminal one
for each gate), a report has two tables.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: A value in a table; None is left empty.
Entry = str | int | float | bool | None


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        key: Its name in JSON, CSV and NumPy files.
        heading: Its name for people; None is the key, with spaces for its underscores.
        format: How a value is shown: a format specification such as `".3f"`, or a function. ""
            separates the thousands of whole numbers and gives other numbers four digits.
        unit: The unit of the values, such as "chars"; it follows the heading.
    """

    key: str
    heading: str | None = None
    format: str | Callable[[Any], str] = ""
    unit: str = ""

    def title(self) -> str:
        """The heading with the unit."""
        heading = self.key.replace("_", " ") if self.heading is None else self.heading
        return f"{heading}, {self.unit}" if self.unit else heading

    def show(self, value: Entry) -> str:
        """A value as people read it; None is ""."""
        if value is None:
            return ""
        if callable(self.format):
            return self.format(value)
        if self.format and not isinstance(value, str):
            return format(value, self.format)
        return show_value(value)


class Table:
    """Values in rows and columns.

    Args:
        columns: The columns. A string is a column with that key.
        rows: The rows, each with one value for every column.
        title: A heading for people; "" for none.
        notes: Sentences that belong below the table.
    Raises:
        ValueError: A row has more or fewer values than there are columns.
    """

    def __init__(
        self,
        columns: Sequence[Column | str],
        rows: Iterable[Sequence[Entry]],
        *,
        title: str = "",
        notes: Iterable[str] = (),
    ) -> None:
        self.columns = tuple(Column(c) if isinstance(c, str) else c for c in columns)
        self.rows = tuple(map(tuple, rows))
        self.title = title
        self.notes = tuple(notes)
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {len(row)} values for {len(self.columns)} columns")

    @classmethod
    def from_records(
        cls,
        columns: Sequence[Column | str],
        records: Iterable[Mapping[str, Any]],
        *,
        title: str = "",
        notes: Iterable[str] = (),
    ) -> Table:
        """A table of records by the keys of the columns; what a record lacks is left empty."""
        keys = [column if isinstance(column, str) else column.key for column in columns]
        rows = [[record.get(key) for key in keys] for record in records]
        return cls(columns, rows, title=title, notes=notes)

    def keys(self) -> list[str]:
        """The keys of the columns."""
        return [column.key for column in self.columns]

    def headings(self) -> list[str]:
        """The headings of the columns, with their units."""
        return [column.title() for column in self.columns]

    def shown(self) -> list[list[str]]:
        """The rows as people read them."""
        return [
            [column.show(value) for column, value in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]

    def are_words(self) -> list[bool]:
        """Which columns hold words and stand at the left; numbers stand at the right.

        The first row that has a value decides. `"> 200"` is a number.
        """
        first = [
            next((row[place] for row in self.rows if row[place] is not None), "")
            for place in range(len(self.columns))
        ]
        return [
            isinstance(value, str) and (not value or any(map(str.isalpha, value)))
            for value in first
        ]

    def records(self) -> list[dict[str, Any]]:
        """The rows as JSON objects: key -> value."""
        keys = self.keys()
        return [dict(zip(keys, row, strict=True)) for row in self.rows]

    def to_csv(self) -> str:
        """The keys and the rows as comma-separated values, each line ended by a newline alone."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        # Before Python 3.13 a text with a carriage return gets quotes only if the lines end so.
        quoting = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in (self.keys(), *self.rows):
            has_return = any(isinstance(value, str) and "\r" in value for value in row)
            (quoting if has_return else writer).writerow(row)
        return out.getvalue()

    def to_markdown(self) -> str:
        """The headings and the rows as a Markdown table, with its title and its notes."""
        bars = ["---" if words else "---:" for words in self.are_words()]
        lines = [_markdown_line(row) for row in (self.headings(), bars, *self.shown())]
        parts = [f"**{self.title}**"] if self.title else []
        return "\n\n".join([*parts, "\n".join(lines), *self.notes]) + "\n"

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Each column as an array by its key, `(rows,)`, for `numpy.savez`.

        Text is an array of `str_`. In numbers None is not a number, in text "".
        """
        import numpy as np

        arrays: dict[str, NDArray[np.generic]] = {}
        for place, column in enumerate(self.columns):
            values = [row[place] for row in self.rows]
            if any(isinstance(value, str) for value in values):
                values = ["" if value is None else value for value in values]
                arrays[column.key] = np.array(values, np.str_)
            else:
                kinds = {type(value) for value in values}
                dtype = bool if kinds == {bool} else np.int64 if kinds == {int} else np.float64
                arrays[column.key] = np.array(values, dtype)
        return arrays


class Exportable(Protocol):
    """A report: the result of a command as plain data, in every form in which it can be saved."""

    def to_json(self) -> dict[str, Any]:
        """The whole report, ready for `json.dumps`: no NaN, no arrays."""
        ...

    def table(self) -> Table:
        """The rows that a CSV file gets."""
        ...

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """The numbers by name, for `numpy.load`; texts are arrays of `str_`, never objects."""
        ...


def finite(value: Any) -> Any:
    """The same plain data with None for every number that is infinite or not a number."""
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show_value(value: object) -> str:
    """A value for people: `1,234`, `0.1235`, `yes`, or the text as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show_figure(value: object) -> str:
    """As `show_value`, but with four decimals, so that figures can be compared down a column."""
    return f"{value:,.4f}" if isinstance(value, float) else show_value(value)


def _markdown_line(entries: Iterable[str]) -> str:
    escaped = (entry.replace("|", "\\|").replace("\n", " ") for entry in entries)
    return f"| {' | '.join(escaped)} |"
