"""A table of figures: words to the left, numbers to the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from textgen.terminal import humanize as fmt
from textgen.terminal.text import visible


def figures_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table whose columns of numbers stand at the right.

    Args:
        headings: Of the columns; long ones are broken, at their spaces.
        rows: Text as it is; whole numbers get their thousands set apart. A column stands at the
            left where its first row holds a word.
    """
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    lines = [[_shown(value) for value in row] for row in rows]
    for index, heading in enumerate(headings):
        words = bool(lines) and any(char.isalpha() for char in lines[0][index])
        # What does not fit goes on in the next line: a figure cut off would be another figure.
        justify: Literal["left", "right"] = "left" if words else "right"
        table.add_column(heading, justify=justify, overflow="fold")
    for line in lines:
        table.add_row(*(Text(visible(value)) for value in line))
    return table


def _shown(value: object) -> str:
    return fmt.count(value) if isinstance(value, int) else str(value)
