"""Networks side by side: cells, lengths of history, tasks with a known answer.

Each comparison is a function that yields what happens and, as the last record, `Compared` with its
result (or `Halted`); the runs are ordinary ones, kept in ordinary folders.
"""

from textgen.comparison.cells import DEFAULT_PARAMS as DEFAULT_PARAMS
from textgen.comparison.cells import CellComparison as CellComparison
from textgen.comparison.cells import compare_cells as compare_cells
from textgen.comparison.events import Compared as Compared
from textgen.comparison.events import Halted as Halted
from textgen.comparison.events import Measured as Measured
from textgen.comparison.events import Note as Note
from textgen.comparison.events import RunEvent as RunEvent
from textgen.comparison.history import HistoryComparison as HistoryComparison
from textgen.comparison.history import compare_history as compare_history
from textgen.comparison.numbers import parse_numbers as parse_numbers
from textgen.comparison.task import compare_task as compare_task
from textgen.comparison.task_result import TaskComparison as TaskComparison
from textgen.comparison.variant import Variant as Variant
from textgen.comparison.variant import parse_variants as parse_variants
from textgen.comparison.width import width_for as width_for
