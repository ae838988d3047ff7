"""Recurrent cells: each the specification of its recurrence. Knows neither training nor files."""

from __future__ import annotations

from textgen.cells.cell import Cell as Cell
from textgen.cells.cell import RecurrentProduct as RecurrentProduct
from textgen.cells.cell import StepInputs as StepInputs
from textgen.cells.cell import sigmoid as sigmoid
from textgen.cells.cell import split as split
from textgen.cells.cell import unchanged as unchanged
from textgen.cells.equations import NONLINEARITIES as NONLINEARITIES
from textgen.cells.equations import CoupledLSTMCell as CoupledLSTMCell
from textgen.cells.equations import DepthGatedLSTMCell as DepthGatedLSTMCell
from textgen.cells.equations import GRUCell as GRUCell
from textgen.cells.equations import LSTMCell as LSTMCell
from textgen.cells.equations import MultiplicativeLSTMCell as MultiplicativeLSTMCell
from textgen.cells.equations import PeepholeLSTMCell as PeepholeLSTMCell
from textgen.cells.equations import RNNCell as RNNCell
from textgen.cells.registry import BUILT_IN as BUILT_IN
from textgen.cells.registry import CELLS as CELLS
from textgen.cells.registry import get_cell as get_cell
from textgen.cells.registry import missing_cell as missing_cell
from textgen.cells.registry import register_cell as register_cell
from textgen.cells.registry import try_step as try_step
