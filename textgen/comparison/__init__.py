"""Comparisons of networks: cells, lengths of history, tasks with a known answer, a search.

Each comparison is a function that yields what happens and, as the last record, `Compared` with its
result (or `Halted`); the runs are ordinary ones, kept in ordinary folders.
"""

from textgen.comparison.cells import DEFAULT_PARAMS as DEFAULT_PARAMS
from textgen.comparison.cells import CellComparison as CellComparison
from textgen.comparison.cells import compare_cells as compare_cells
from textgen.comparison.happening import Compared as Compared
from textgen.comparison.happening import Failed as Failed
from textgen.comparison.happening import Halted as Halted
from textgen.comparison.happening import Measured as Measured
from textgen.comparison.happening import Note as Note
from textgen.comparison.happening import RunEvent as RunEvent
from textgen.comparison.histories import HistoryComparison as HistoryComparison
from textgen.comparison.histories import compare_history as compare_history
from textgen.comparison.runs import Comparison as Comparison
from textgen.comparison.settings_search import SearchResult as SearchResult
from textgen.comparison.settings_search import search_settings as search_settings
from textgen.comparison.submission import submit_workers as submit_workers
from textgen.comparison.sweep_status import SweepStatus as SweepStatus
from textgen.comparison.sweep_status import sweep_status as sweep_status
from textgen.comparison.task import TaskComparison as TaskComparison
from textgen.comparison.task import compare_task as compare_task
from textgen.comparison.variants import Variant as Variant
from textgen.comparison.variants import parse_numbers as parse_numbers
from textgen.comparison.variants import parse_variants as parse_variants
from textgen.comparison.variants import width_for as width_for
