"""Write textgen/keywords.py anew: the settings of the public functions, as they are declared.

python scripts/write_keywords.py
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from textgen.cleaning.clean_options import CleanOptions
from textgen.corpus.corpus_options import CorpusOptions, FileOptions
from textgen.inspection.trace import trace_chunks
from textgen.options import TEXT_ONLY, EvalOptions, SampleOptions, TrainOptions
from textgen.series.number_options import NumberOptions
from textgen.settings import settings_of
from textgen.view_options import (
    DictionaryOptions,
    FindOptions,
    MemoryOptions,
    NeuronOptions,
    OccurrenceOptions,
    PropertyOptions,
    ReadOptions,
    SimilarOptions,
    ViewOptions,
)

FILE = Path(__file__).resolve().parents[1] / "textgen/keywords.py"
#: Of what `trace_chunks` takes the type that editors and type checkers see.
TRACE_TYPES = {
    "quantities": "str | Sequence[str] | None",
    "layers": "int | Sequence[int] | None",
    "units": "str | Sequence[Neuron | str] | None",
}
HEAD = '''"""The settings of the public functions by name, for editors and type checkers.

`make keywords` writes this file from the options classes that declare them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from textgen.arguments import StrPath as StrPath
from textgen.inspection.trace import Neuron
from textgen.model.edit import Edits
from textgen.model.network import State
'''
#: The name of each, what it is built on, what it says, where it is declared, and what of it is left
#: out: an argument of the function itself.
CLASSES: tuple[tuple[str, str, str, Any, tuple[str, ...]], ...] = (
    ("CorpusSettings", "TypedDict", "How a text is read.", CorpusOptions, ()),
    ("TrainSettings", "CorpusSettings", "How a model is trained.", TrainOptions, ("budget",)),
    ("SampleSettings", "TypedDict", "How a text is written.", SampleOptions, ()),
    (
        *("NumberSettings", "TypedDict", "How a network of numbers is trained."),
        *(NumberOptions, ("budget",)),
    ),
    (
        *("EvalPairsSettings", "TypedDict", "What is measured of pairs.", EvalOptions),
        ("pairs", *TEXT_ONLY),
    ),
    ("EvalSettings", "EvalPairsSettings", "What is measured of a text.", EvalOptions, ("pairs",)),
    ("AdaptSettings", "TypedDict", "How a text to learn from is read.", FileOptions, ()),
    ("TraceSettings", "TypedDict", "What is traced.", trace_chunks, ("vocabulary",)),
    ("MemorySettings", "TypedDict", "How memory is measured.", MemoryOptions, ()),
    ("ReadSettings", "TypedDict", "What long text is read.", ReadOptions, ()),
    ("ViewSettings", "TypedDict", "What colours a text.", ViewOptions, ()),
    ("NeuronSettings", "TypedDict", "Which neurons are reported.", NeuronOptions, ()),
    (
        *("DictionarySettings", "TypedDict", "How a dictionary of latents is learned."),
        *(DictionaryOptions, ()),
    ),
    ("SimilarSettings", "TypedDict", "What is compared.", SimilarOptions, ()),
    ("CleanSettings", "TypedDict", "What is left out of a text.", CleanOptions, ()),
    (
        *("OccurrenceSettings", "TypedDict", "How the places of a word are listed."),
        *(OccurrenceOptions, ()),
    ),
    ("PropertySettings", "TypedDict", "What is searched for.", PropertyOptions, ()),
    ("FindSettings", "PropertySettings", "How it is searched for.", FindOptions, ()),
)


def text() -> str:
    """The file as it should be."""
    parts = [HEAD]
    written: dict[str, dict[str, str]] = {}
    for name, base, about, source, without in CLASSES:
        taken = {*without, *written.get(base, ())}
        own = {key: kind for key, kind in types(source).items() if key not in taken}
        written[name] = own
        lines = [f"    {key}: {kind}" for key, kind in own.items()]
        head = f"class {name}({base}, total=False):\n"
        where = f"`{source.__module__}.{source.__qualname__}`"
        if inspect.isfunction(source):
            where = f"arguments of {where}"
        docstring = f'    """{about[:-1]}: {where}."""\n\n'
        parts.append(head + docstring + "\n".join(lines) + "\n")
    return "\n\n".join(parts)


def types(source: Any) -> dict[str, str]:
    """The type of each setting that a source declares."""
    if not isinstance(source, type):
        return {
            own.name: TRACE_TYPES.get(own.name, str(own.annotation))
            for own in inspect.signature(source).parameters.values()
            if own.kind is own.KEYWORD_ONLY
        }
    return {
        item.name: re.sub(
            r"tuple\[(.+), \.\.\.\]", r"Sequence[\1]", item.how.accepts or item.annotation
        )
        for item in settings_of(source)
    }


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
