"""What the commands of `inspect` share: the text they read, and the files they write."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.cli.flags import in_flags
from textgen.cli.records import print_json, print_notes
from textgen.errors import ConfigError
from textgen.progress import task
from textgen.settings import ADVANCED, TEXT
from textgen.terminal.text import quote, quote_path
from textgen.view_options import DEFAULT_CHARS

if TYPE_CHECKING:
    from textgen.api import Model
    from textgen.inspection.subject import LongText
    from textgen.table import Report


SourcesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH]...",
        help="The text to read: files (.gz too), folders of .txt files, or - for stdin. "
        "Default: what the model was trained on.",
        show_default=False,
    ),
]
TextOption = Annotated[
    str | None,
    typer.Option(
        "--text",
        help="Read this text instead of a file.",
        show_default=False,
        rich_help_panel=TEXT,
    ),
]
CharsOption = Annotated[
    int,
    typer.Option(
        "--chars",
        metavar="N",
        help="Read only the first N characters; 0 reads all.",
        rich_help_panel=TEXT,
    ),
]


def read_for(
    model: Model,
    paths: Sequence[str] | None = None,
    text: str | None = None,
    chars: int = DEFAULT_CHARS,
    *,
    quiet: bool,
    **reading: Any,
) -> LongText:
    """The text that a view reads; unless `quiet`, say on stderr what it is.

    Args:
        model: The model that reads it.
        paths: Files and folders; none: the text the model was trained on.
        text: The text itself instead.
        chars: At most so many characters from the start; 0 is all.
        quiet: Say nothing.
        reading: How files are read, such as `encoding`.
    """
    read = model.read(*(paths or ()), text=text, chars=chars, **reading)
    read = replace(read, name=in_flags(read.name))
    if not quiet:
        say_what_is_read(read)
    return read


def say_what_is_read(text: LongText) -> None:
    """One line on stderr: the text, and how much of it."""
    from textgen.terminal.text import visible

    print_notes(text.notes)
    read = text.note or f"all its {text.chars:,} characters"
    print(f"reading {visible(text.name)}: {read}", file=sys.stderr, flush=True)
    if text.unknown:
        print(visible(text.unknown), file=sys.stderr, flush=True)


def say_what_is_unknown(model: Model, text: str) -> None:
    """One line on stderr where the model does not know a character of `text`."""
    from textgen.inspection.subject import unknown_note
    from textgen.terminal.text import visible

    whole = model.saved.normalization.apply(text)
    note = unknown_note(model.vocabulary, model.vocabulary.encode(whole), whole)
    if note:
        print(visible(note), file=sys.stderr, flush=True)


CsvOption = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="FILE",
        help="Write the figures as a table into a file; - is standard output.",
        show_default=False,
        rich_help_panel=ADVANCED,
    ),
]
NpzOption = Annotated[
    Path | None,
    typer.Option(
        "--npz",
        metavar="FILE",
        help="Write the figures as NumPy arrays into a file, for numpy.load.",
        show_default=False,
        rich_help_panel=ADVANCED,
    ),
]


def deliver(
    report: Report,
    head: Mapping[str, Any],
    *,
    json_output: bool = False,
    csv: Path | None = None,
    npz: Path | None = None,
    quiet: bool = False,
) -> bool:
    """Write the forms asked for; `check_outputs` has looked at them before the work.

    Args:
        report: The outcome of a view.
        head: What stands before it in the JSON: the checkpoint, the text.
        json_output: Print it as JSON on stdout.
        csv: Where to write it as a table; `-` is stdout.
        npz: Where to write its arrays.
        quiet: Say nothing of what was written.
    Returns:
        Whether any form was asked for, so that nothing is to be drawn.
    Raises:
        StorageError: A file cannot be written; what was there before is left as it was.
    """
    if csv is not None:
        with task("writing the figures"):
            text = report.table().to_csv()
        if str(csv) == "-":
            sys.stdout.write(text)
        else:
            _save(csv, text.encode("utf-8"), quiet=quiet)
    if npz is not None:
        _save(npz, npz_bytes(report), quiet=quiet)
    if json_output:
        print_json({**head, **report.to_json()})
    return json_output or csv is not None or npz is not None


@task("writing the figures")
def npz_bytes(report: Report) -> bytes:
    """The report's arrays as `numpy.savez_compressed` writes them."""
    import numpy as np

    out = io.BytesIO()
    arrays: dict[str, Any] = dict(report.to_arrays())
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def _save(path: Path, data: bytes, *, quiet: bool) -> None:
    from textgen.files import atomic_write_bytes

    atomic_write_bytes(path, data)
    if not quiet:
        print(f"written: {path}", file=sys.stderr)


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
