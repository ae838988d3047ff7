"""Options that several commands share: the same flag, the same words everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textgen.terminal.color import ColorMode

CheckpointOption = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        "-c",
        metavar="MODEL",
        help="A model file, a run's folder, or a name under ./checkpoints. "
        "Default: the newest run there.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead.")]
ColorOption = Annotated[
    ColorMode,
    typer.Option("--color", help="Colours: auto asks the terminal and NO_COLOR."),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing but errors on stderr.")
]
RngOption = Annotated[int, typer.Option("--rng", metavar="N", help="Seed of every random choice.")]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Where to compute.")
]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", help="Threads that compute. Default: all cores.", show_default=False),
]
EncodingOption = Annotated[
    str | None,
    typer.Option(
        "--encoding",
        metavar="NAME",
        help="Encoding of the text, such as cp1251. Default: detected.",
        show_default=False,
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
    ),
]
LevelOption = Annotated[
    str, typer.Option("--level", metavar="char|byte|word", help="What a token is.")
]
FoldOption = Annotated[
    bool, typer.Option("--fold", help="Lower case, letters only, hyphens split.")
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
        help="The run's folder. Default: ./checkpoints/NAME after the text.",
        show_default=False,
    ),
]
