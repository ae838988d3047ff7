"""Character-level recurrent language models: train, sample, look at single neurons.

    >>> import textgen
    >>> result = textgen.train("corpus.txt", budget="1m")
    >>> model = textgen.load("checkpoints/corpus")
    >>> print(model.generate("once", length=200))

Names are loaded when they are first used: importing this package imports neither torch nor any of
the command line's libraries. It does not even import `typing` or `__future__`: until the command
line has set what Ctrl-C does, Python answers it with a traceback.
"""

TYPE_CHECKING = False  # what type checkers take for true
if TYPE_CHECKING:
    from typing import Any

    from textgen.api import Model as Model
    from textgen.api import TrainResult as TrainResult
    from textgen.api import compress as compress
    from textgen.api import decompress as decompress
    from textgen.api import describe_cell as describe_cell
    from textgen.api import describe_corpus as describe_corpus
    from textgen.api import load as load
    from textgen.api import occurrences as occurrences
    from textgen.api import train as train
    from textgen.blending import BlendedModel as BlendedModel
    from textgen.blending import blend as blend
    from textgen.cleaning import CorpusReport as CorpusReport
    from textgen.comparison import compare_cells as compare_cells
    from textgen.comparison import compare_history as compare_history
    from textgen.comparison import compare_task as compare_task
    from textgen.comparison import search_settings as search_settings
    from textgen.comparison import submit_workers as submit_workers
    from textgen.comparison import sweep_status as sweep_status
    from textgen.errors import TextgenError as TextgenError
    from textgen.evaluation import Evaluation as Evaluation
    from textgen.evaluation import PairsEvaluation as PairsEvaluation
    from textgen.inspection.trace import Trace as Trace
    from textgen.lessons.lesson_page import Lesson as Lesson
    from textgen.lessons.lesson_page import list_lessons as list_lessons
    from textgen.lessons.lesson_page import load_lesson as load_lesson
    from textgen.sampling import Generation as Generation
    from textgen.series.number_api import NumbersResult as NumbersResult
    from textgen.series.number_api import load_numbers as load_numbers
    from textgen.series.number_api import train_numbers as train_numbers
    from textgen.series.number_model import NumbersModel as NumbersModel
    from textgen.version import __version__ as __version__

_HOMES = {
    "Model": "textgen.api",
    "TrainResult": "textgen.api",
    "compress": "textgen.api",
    "decompress": "textgen.api",
    "describe_cell": "textgen.api",
    "describe_corpus": "textgen.api",
    "CorpusReport": "textgen.cleaning",
    "load": "textgen.api",
    "occurrences": "textgen.api",
    "train": "textgen.api",
    "BlendedModel": "textgen.blending",
    "blend": "textgen.blending",
    "compare_cells": "textgen.comparison",
    "compare_history": "textgen.comparison",
    "compare_task": "textgen.comparison",
    "search_settings": "textgen.comparison",
    "submit_workers": "textgen.comparison",
    "sweep_status": "textgen.comparison",
    "TextgenError": "textgen.errors",
    "Trace": "textgen.inspection.trace",
    "Generation": "textgen.sampling",
    "Evaluation": "textgen.evaluation",
    "PairsEvaluation": "textgen.evaluation",
    "Lesson": "textgen.lessons.lesson_page",
    "list_lessons": "textgen.lessons.lesson_page",
    "load_lesson": "textgen.lessons.lesson_page",
    "NumbersModel": "textgen.series.number_model",
    "NumbersResult": "textgen.series.number_api",
    "load_numbers": "textgen.series.number_api",
    "train_numbers": "textgen.series.number_api",
    "__version__": "textgen.version",
}
#: Parts that are loaded when they are first named: `textgen.cells.register_cell`.
_PARTS = ("cells", "errors")
__all__ = [
    "BlendedModel",
    "CorpusReport",
    "Evaluation",
    "Generation",
    "Lesson",
    "Model",
    "NumbersModel",
    "NumbersResult",
    "PairsEvaluation",
    "TextgenError",
    "Trace",
    "TrainResult",
    "__version__",
    "blend",
    "compare_cells",
    "compare_history",
    "compare_task",
    "compress",
    "decompress",
    "describe_cell",
    "describe_corpus",
    "list_lessons",
    "load",
    "load_lesson",
    "load_numbers",
    "occurrences",
    "search_settings",
    "submit_workers",
    "sweep_status",
    "train",
    "train_numbers",
]


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _PARTS:
        return import_module(f"textgen.{name}")
    raise AttributeError(f"module 'textgen' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_PARTS})
