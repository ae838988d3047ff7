"""Recurrent cells: each the specification of its recurrence. Knows neither training nor files."""

from __future__ import annotations

from textgen.cells.base import Cell as Cell
from textgen.cells.base import RecurrentProduct as RecurrentProduct
from textgen.cells.coupled import CoupledLSTMCell as CoupledLSTMCell
from textgen.cells.depth_gated import DepthGatedLSTMCell as DepthGatedLSTMCell
from textgen.cells.gru import GRUCell as GRUCell
from textgen.cells.lstm import LSTMCell as LSTMCell
from textgen.cells.multiplicative import MultiplicativeLSTMCell as MultiplicativeLSTMCell
from textgen.cells.peephole import PeepholeLSTMCell as PeepholeLSTMCell
from textgen.cells.rnn import NONLINEARITIES as NONLINEARITIES
from textgen.cells.rnn import RNNCell as RNNCell
from textgen.errors import ConfigError

#: Every cell by the name that `--cell` and a checkpoint use.
CELLS: dict[str, Cell] = {
    cell.name: cell
    for cell in (
        LSTMCell(),
        GRUCell(),
        RNNCell(),
        PeepholeLSTMCell(),
        CoupledLSTMCell(),
        DepthGatedLSTMCell(),
        MultiplicativeLSTMCell(),
    )
}


def get_cell(name: str, nonlinearity: str = "tanh") -> Cell:
    """The cell called `name`.

    Args:
        name: One of `CELLS`.
        nonlinearity: One of `NONLINEARITIES`. Only the `rnn` has the choice.
    Raises:
        ConfigError: There is none of that name, or none with that nonlinearity.
    """
    if name not in CELLS:
        raise ConfigError(f"cell '{name}' is not known; choose one of: {', '.join(CELLS)}")
    if nonlinearity not in NONLINEARITIES:
        raise ConfigError(
            f"nonlinearity '{nonlinearity}' is not known; choose one of: "
            f"{', '.join(NONLINEARITIES)}"
        )
    if name == "rnn":
        return RNNCell(nonlinearity)
    if nonlinearity != "tanh":
        raise ConfigError(
            f"cell '{name}' has no choice of nonlinearity, but '{nonlinearity}' was given; "
            "leave it out, or choose the cell 'rnn'"
        )
    return CELLS[name]
