"""What is meant by a word after `textgen inspect` that is none of its commands."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches

from textgen.errors import ConfigError
from textgen.terminal.text import quote, quote_path

_FILE_NAME = re.compile(r"\S+[/\\]\S*|\S+\.(txt|text|md|gz|csv|tsv|html?|srt|json|pdf|docx?|rtf)")


def what_is(word: str, commands: Iterable[str]) -> str:
    """The option that takes a word which was typed without one: `--text` or `--file`.

    Args:
        word: What was typed.
        commands: The commands below `textgen inspect`.
    Raises:
        ConfigError: It is a command with a slip in it, or a model, or a file that is not there.
    """
    as_text = f"to colour these letters type: textgen inspect --text {quote(word)}"
    if os.path.isfile(word) and not word.endswith(".safetensors"):
        return "--file"
    model = word if os.path.exists(word) else os.path.join("checkpoints", word)
    if word and os.path.exists(model):
        raise ConfigError(
            f"{word} is a model or a folder; what is in a model shows: textgen inspect checkpoint "
            f"{quote_path(word)}; {as_text}"
        )
    near = get_close_matches(word.lower(), list(commands), n=1, cutoff=0.75)
    if near:
        raise ConfigError(f"did you mean: textgen inspect {near[0]}; {as_text}")
    if _FILE_NAME.fullmatch(word):
        raise ConfigError(f"there is no file {quote(word)} here; {as_text}")
    return "--text"
