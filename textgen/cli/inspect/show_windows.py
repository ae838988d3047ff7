"""`textgen inspect windows`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.parameters import Only, with_options
from textgen.cli.records import json_text, print_notes
from textgen.corpus.corpus_options import CorpusOptions
from textgen.settings import ADVANCED, check, setting


@dataclass(frozen=True, kw_only=True)
class WindowOptions:
    """Which pairs are printed, and how.

    Raises:
        ConfigError: A value is out of range.
    """

    history: int = setting(3, help="The length of a window, in tokens.", metavar="T")
    limit: int = setting(0, help="Print only the first N pairs; 0 prints all.", at_least=0)
    json_output: bool = setting(
        False, help="Print the result as JSON.", panel=ADVANCED, flag="json"
    )

    def __post_init__(self) -> None:
        check(self)


@guarded
@with_options
def windows_command(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="A text file in any encoding (.gz too), or a folder of .txt files.",
            show_default=False,
        ),
    ],
    reading: Annotated[
        CorpusOptions,
        Only("level", "fold", "encoding", "encoding_errors", "ending", "skip_bad"),
    ],
    options: WindowOptions,
) -> None:
    """Print the sliding windows of a text: T tokens, and the T tokens that begin one token later.

    These are the inputs and the targets that training with --history uses.

    textgen inspect windows text.txt --level word --fold --history 3
    """
    from textgen.corpus.corpus import Corpus
    from textgen.corpus.windows import Windows

    corpus = Corpus.open([path], replace(reading, min_word_count=1))
    print_notes(corpus.notes)
    windows = Windows(corpus.tokens, seq_len=options.history, sliding=True)
    shown = min(options.limit or len(windows), len(windows))
    display = corpus.vocabulary.display

    def pair(index: int) -> tuple[list[str], list[str]]:
        x, y = windows[index]
        return display(x), display(y)

    if options.json_output:
        # Written piece by piece: a long text has many windows.
        print(f'{{"count": {len(windows)}, "windows": [', end="")
        for index in range(shown):
            inputs, targets = pair(index)
            record = json_text({"input": inputs, "target": targets})
            print(f"{', ' if index else ''}{record}", end="")
        print("]}")
        return
    from textgen.terminal.text import cells, visible

    separator = " " if reading.level == "word" else ""

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
