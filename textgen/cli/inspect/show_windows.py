"""`textgen inspect windows`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.parameters import with_options
from textgen.cli.records import json_text, print_notes
from textgen.corpus.corpus_options import CorpusOptions
from textgen.settings import ADVANCED, TEXT, check, setting


@dataclass(frozen=True, kw_only=True)
class WindowOptions:
    """Which pairs are printed, and how.

    Raises:
        ConfigError: A value is out of range.
    """

    history: int = setting(3, help="The length of a window, in tokens.", metavar="T")
    val: str = setting(
        "0.1",
        help="What is left out, for it validates: a share of the text, as training leaves it out, "
        "or a file, and then all of the text is windows.",
        panel=TEXT,
        metavar="SHARE|FILE",
    )
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
    reading: CorpusOptions,
    options: WindowOptions,
) -> None:
    """Print the sliding windows of a text: T tokens, and the T tokens that begin one token later.

    These are the inputs and the targets of `train` with the same options, in the order of the text.

    textgen inspect windows text.txt --level word --fold --history 3
    """
    from textgen.corpus.windows import Windows
    from textgen.options import TrainOptions
    from textgen.training.data import open_data

    data = open_data([path], TrainOptions(corpus=reading, history=options.history, val=options.val))
    print_notes(data.corpus.notes)
    windows = Windows(data.train, seq_len=options.history, sliding=True)
    shown = min(options.limit or len(windows), len(windows))
    display = data.corpus.vocabulary.display

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
    validates = "" if data.val_corpus else f"; {data.val_source} is left out, for it validates"
    print(f"{more}{len(windows):,} in all{validates}", file=sys.stderr)
