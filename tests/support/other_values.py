"""For every setting a value that is not its default, made from how it is declared."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

from textgen.settings import Option, kinds_of

#: What another value needs beside it, so that the two do not contradict each other.
BESIDE: dict[str, dict[str, Any]] = {
    "nonlinearity": {"cell": "rnn"},
    "loss": {"vectors": "word2vec"},
    "distance": {"vectors": "word2vec", "loss": "distance"},
    "by": {"show": "influence"},
    "target": {"show": "influence"},
    "positive": {"negative": "other.txt"},
    "negative": {"positive": "other.txt"},
    "positive_label": {"labels": "table.tsv"},
    "mix_order": {"mix": True},
    "mirostat_rate": {"mirostat": 3.0},
    "new": {"items": 5},
    "unique": {"items": 5},
    "rank": {"items": 5},
    "save_as": {"adapt": ("some text.txt",)},
    "speed": {"live": "0:3"},
    "transcript": {"live": "0:3"},
    "max_waiting": {"max_texts": 5},
    "stress": {"rhyme": "ABAB"},
    "weights": {"checkpoint": ("a", "b")},
    "alternate": {"checkpoint": ("a", "b")},
}


#: Values of settings whose type does not say what is allowed.
VALUES = {
    "cell": "gru",
    "documents": "line",
    "drop": "boilerplate,duplicates",
    "ending": ".srt",
    "nonlinearity": "relu",
    "val": "0.25",
    "encoding": "cp1251",
    "chars": "3..12",
    "line_chars": "30..",
    "rhyme": "ABAB",
    "syllables": "5,7,5",
    "bias": "!=-2,\n=+1",
}


def other_value(item: Option) -> Any:
    """A value that is not the default, made from the type, the choices and the range."""
    how, default = item.how, item.default
    if item.name in VALUES and "str" in item.annotation:
        return VALUES[item.name]
    if how.choices:
        return next(type(default)(one) if isinstance(default, Enum) else one
                    for one in how.choices if one != default)  # fmt: skip
    if item.annotation.startswith("tuple"):
        if "int" in item.annotation:
            return (1, 2)
        return ("a b", "-x\n" if how.escapes else "-x")
    kinds = kinds_of(item.annotation) or (type(default),)
    if bool in kinds:
        return not default
    if int in kinds or float in kinds:
        numbers = (7, 3, 1, 0.5, 0.25, 5_000) if float in kinds else (7, 3, 5_000)
        return next(n for n in numbers if n != default and allowed(n, item))
    if "Path" in item.annotation:
        return Path("some file.txt")
    return "2m" if how.parse else "some text.txt"


def allowed(number: float, item: Option) -> bool:
    how = item.how
    return (
        (how.at_least is None or number >= how.at_least)
        and (how.above is None or number > how.above)
        and (how.at_most is None or number <= how.at_most)
        and (how.below is None or number < how.below)
    )
