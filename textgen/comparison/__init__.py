"""Comparisons of networks: cells, lengths of history, tasks with a known answer.

Each comparison is a function that yields what happens and, as the last record, `Compared` with its
result (or `Halted`); the runs are ordinary ones, kept in ordinary folders.
"""

from textgen.comparison.cells import DEFAULT_PARAMS as DEFAULT_PARAMS
from textgen.comparison.cells import CellComparison as CellComparison
from textgen.comparison.cells import compare_cells as compare_cells
from textgen.comparison.histories import HistoryComparison as HistoryComparison
from textgen.comparison.histories import compare_history as compare_history
from textgen.comparison.runs import Compared as Compared
from textgen.comparison.runs import Comparison as Comparison
from textgen.comparison.runs import Halted as Halted
from textgen.comparison.runs import Measured as Measured
from textgen.comparison.runs import Note as Note
from textgen.comparison.runs import RunEvent as RunEvent
from textgen.comparison.task import TaskComparison as TaskComparison
from textgen.comparison.task import compare_task as compare_task
from textgen.comparison.variants import Variant as Variant
from textgen.comparison.variants import parse_numbers as parse_numbers
from textgen.comparison.variants import parse_variants as parse_variants
from textgen.comparison.variants import width_for as width_for
