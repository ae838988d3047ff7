"""`textgen inspect windows`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.parameters import (
    EncodingErrorsOption,
    EncodingOption,
    EndingOption,
    FoldOption,
    JsonOption,
    LevelOption,
    SkipBadOption,
)
from textgen.cli.records import json_text, print_notes
from textgen.corpus.corpus_options import DEFAULT_ENDING


@guarded
def windows_command(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="The text: a file (.gz too), or a folder of .txt files.",
            show_default=False,
        ),
    ],
    history: Annotated[
        int, typer.Option("--history", metavar="T", help="The length of a window, in tokens.")
    ] = 3,
    level: LevelOption = "char",
    fold: FoldOption = False,
    encoding: EncodingOption = None,
    encoding_errors: EncodingErrorsOption = "strict",
    ending: EndingOption = DEFAULT_ENDING,
    skip_bad: SkipBadOption = False,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", help="Print the first N pairs; 0 prints all.")
    ] = 0,
    json_output: JsonOption = False,
) -> None:
    """Print the training pairs of the lecture: t tokens, and the t tokens that begin one later.

    textgen inspect windows text.txt --level word --fold --history 3
    """
    from textgen.corpus.corpus import Corpus
    from textgen.corpus.corpus_options import CorpusOptions
    from textgen.corpus.windows import Windows
    from textgen.errors import ConfigError

    if limit < 0:
        raise ConfigError(f"--limit is {limit}; it must be 0 (all) or more")
    options = CorpusOptions(
        level=level,
        fold=fold,
        encoding=encoding,
        encoding_errors=encoding_errors,
        ending=ending,
        skip_bad=skip_bad,
        min_word_count=1,
    )
    corpus = Corpus.open([path], options)
    print_notes(corpus.notes)
    windows = Windows(corpus.tokens, seq_len=history, sliding=True)
    shown = len(windows) if limit == 0 else min(limit, len(windows))
    display = corpus.vocabulary.display

    def pair(index: int) -> tuple[list[str], list[str]]:
        x, y = windows[index]
        return display(x), display(y)

    if json_output:
        # Written piece by piece: a long text has many windows.
        print(f'{{"count": {len(windows)}, "windows": [', end="")
        for index in range(shown):
            inputs, targets = pair(index)
            record = json_text({"input": inputs, "target": targets})
            print(f"{', ' if index else ''}{record}", end="")
        print("]}")
        return
    from textgen.terminal.text import cells, visible

    separator = " " if level == "word" else ""

    def line(tokens: list[str]) -> str:
        return visible(separator.join(token or "·" for token in tokens))

    def width(text: str) -> int:
        return sum(cell.width for cell in cells([text]))

    block = 2000  # lines are aligned within blocks, so that any text needs bounded memory
    for first in range(0, shown, block):
        rows = [
            tuple(line(side) for side in pair(index))
            for index in range(first, min(first + block, shown))
        ]
        widest = max(width(left) for left, _ in rows)
        for left, right in rows:
            print(f"{left}{' ' * (widest - width(left))}   | {right}")
    left_out = len(windows) - shown
    more = f"... and {left_out:,} more, " if left_out else ""
    print(f"{more}{len(windows):,} in all", file=sys.stderr)
