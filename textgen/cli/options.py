"""Options that several commands share: the same flag, the same words everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textgen.cli.help_page import ADVANCED, RUN, TEXT
from textgen.terminal.console import ColorMode


def lower(word: str) -> str:
    """A word of a fixed list, in whatever case it was typed: for an option's `parser`."""
    return word.lower()


CheckpointOption = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        "-c",
        metavar="MODEL",
        help="The model: its file, its folder, or its name under ./checkpoints. "
        "Default: the newest one there.",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=ADVANCED)
]
ColorOption = Annotated[
    ColorMode,
    typer.Option(
        "--color",
        metavar="|".join(mode.value for mode in ColorMode),
        help="Whether to print colours. auto: on a terminal, unless NO_COLOR is set.",
        rich_help_panel=ADVANCED,
    ),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only the result, and errors.")
]
RNG_HELP = "The number that fixes all random choices: the same number gives the same result."
RngOption = Annotated[int, typer.Option("--rng", metavar="N", help=RNG_HELP)]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda|mps",
        help="What to compute on: the processor (cpu), an NVIDIA card (cuda), the GPU of a Mac "
        "(mps).",
        rich_help_panel=ADVANCED,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        help="Compute with N threads. Default: one for each core.",
        show_default=False,
        rich_help_panel=ADVANCED,
    ),
]
EncodingOption = Annotated[
    str | None,
    typer.Option(
        "--encoding",
        metavar="NAME",
        help="The encoding of the text, such as cp1251. Default: found from its bytes.",
        show_default=False,
        rich_help_panel=TEXT,
    ),
]
EndingOption = Annotated[
    str,
    typer.Option(
        "--ending",
        metavar=".srt",
        help="Which files of a folder are read: those whose names end so. Several: .txt,.srt; "
        "every file: all. Default: .txt.",
        show_default=False,
        rich_help_panel=ADVANCED,
    ),
]
EncodingErrorsOption = Annotated[
    str,
    typer.Option(
        "--encoding-errors",
        metavar="strict|replace",
        help="What to do about bytes that stand for no character. strict: refuse the file; "
        "replace: read each as the character U+FFFD and say how many there are.",
        rich_help_panel=ADVANCED,
    ),
]
SkipBadOption = Annotated[
    bool,
    typer.Option(
        "--skip-bad",
        help="Leave out files that cannot be read as text, and say which.",
        rich_help_panel=ADVANCED,
    ),
]
#: How a file is cut into documents, for the help of every command that takes it.
DOCUMENTS_METAVAR = "blank|line|file|separator:TEXT|start:PATTERN"
DOCUMENTS_HELP = (
    "How a file is cut into documents. blank: at blank lines (blank:2: at two or more); line: each "
    "line is one; file: each file is one; separator: at lines that are TEXT; start: where a line "
    "begins with PATTERN, a regular expression or the text itself. "
)
DocumentsOption = Annotated[
    str | None,
    typer.Option(
        "--documents",
        metavar=DOCUMENTS_METAVAR,
        help=DOCUMENTS_HELP + "Default: file.",
        show_default=False,
        rich_help_panel=TEXT,
    ),
]
LevelOption = Annotated[
    str,
    typer.Option(
        "--level",
        metavar="char|byte|word",
        help="What one token is, the piece that the model reads at a time: a character, a byte or "
        "a word.",
        rich_help_panel=TEXT,
    ),
]
FoldOption = Annotated[
    bool,
    typer.Option(
        "--fold",
        help="Make the text lower case, keep letters only, split words at hyphens.",
        rich_help_panel=TEXT,
    ),
]
PathsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH...",
        help="Text files in any encoding (.gz too), folders of .txt files, or - for stdin.",
        show_default=False,
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="The folder of the run. Default: ./checkpoints/NAME, where NAME is that of the text.",
        show_default=False,
        rich_help_panel=RUN,
    ),
]
