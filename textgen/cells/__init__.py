"""Recurrent cells: each the specification of its recurrence. Knows neither training nor files."""

from __future__ import annotations

from textgen.cells.base import Cell as Cell
from textgen.cells.lstm import LSTMCell as LSTMCell
from textgen.errors import ConfigError

#: Every cell by the name that `--cell` and a checkpoint use.
CELLS: dict[str, Cell] = {cell.name: cell for cell in (LSTMCell(),)}


def get_cell(name: str) -> Cell:
    """The cell called `name`.

    Raises:
        ConfigError: There is none of that name.
    """
    try:
        return CELLS[name]
    except KeyError:
        known = ", ".join(CELLS)
        raise ConfigError(f"cell '{name}' is not known; choose one of: {known}") from None
