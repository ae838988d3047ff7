"""The command that does the same again, made from options."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from textgen.model.engine import PATH_VARIABLE
from textgen.settings import typed_words
from textgen.terminal.text import command_line, quote, quote_path


def command_text(
    command: str,
    paths: Iterable[str | Path],
    *options: Any,
    usual: Any = None,
    always: Collection[str] = (),
) -> str:
    """A command as it is typed in a shell, with every option that is not at its default.

    Args:
        command: Its name, such as `train`.
        paths: What comes first, without an option.
        options: Instances of options classes.
        usual: An instance whose values are the defaults; None takes those of the classes.
        always: Settings that are typed even at their default.
    """
    words = [word for own in options for word in typed_words(own, usual, always)]
    forced = os.environ.get(PATH_VARIABLE)
    before = [f"{PATH_VARIABLE}={quote(forced)}"] if forced else []
    typed = [command_line(words)] if words else []
    return " ".join([*before, "textgen", command, *map(quote_path, paths), *typed])
