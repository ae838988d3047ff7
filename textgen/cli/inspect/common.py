"""What the commands of `inspect` share: the text they read, and the files they write."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.cli.parameters import OutputOptions, in_flags
from textgen.cli.records import check_outputs, print_csv, print_json, print_notes, say_written
from textgen.errors import ConfigError
from textgen.progress import task
from textgen.settings import SAVED, setting
from textgen.terminal.text import quote, quote_path
from textgen.view_options import ReadOptions

if TYPE_CHECKING:
    from rich.console import Console

    from textgen.api import Model
    from textgen.inspection.subject import LongText
    from textgen.table import Exportable


SourcesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH]...",
        help="Text files in any encoding (.gz too), folders of .txt files, or - for stdin. "
        "Default: the text that the model was trained on.",
        show_default=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class SavingOptions(OutputOptions):
    """How a view is shown, and where it is saved."""

    csv: Path | None = setting(
        None,
        help="Save the numbers as a table (CSV) in a file; - prints it.",
        panel=SAVED,
        metavar="FILE",
    )
    npz: Path | None = setting(
        None,
        help="Save the numbers as NumPy arrays in a file, for numpy.load.",
        panel=SAVED,
        metavar="FILE",
    )

    def check(self, picture: Path | None = None) -> None:
        """Refuse before the work what cannot be saved after it; see `check_outputs`."""
        check_outputs(self.npz, picture=picture, csv=self.csv, json_output=self.json_output)


@dataclass(frozen=True, kw_only=True)
class DrawingOptions(SavingOptions):
    """The same for a view that is a chart."""

    picture: Path | None = setting(
        None,
        help="Save the chart as a picture too, in a file whose name ends in .png or .svg.",
        panel=SAVED,
        metavar="FILE",
    )

    def check(self, picture: Path | None = None) -> None:
        """Refuse before the work what cannot be saved after it, the picture included."""
        super().check(self.picture)

    def save_picture(self, save: Callable[[Path], object]) -> None:
        """Let `save` write the picture, if one was asked for, and say where it is."""
        if self.picture is not None:
            save(self.picture)
            if not self.quiet:
                say_written(self.picture)


def read_for(
    model: Model, paths: Sequence[str] | None, reading: ReadOptions, *, quiet: bool
) -> LongText:
    """The text that a view reads; unless `quiet`, say on stderr what it is."""
    read = model.read(*(paths or ()), **asdict(reading))
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


def deliver(report: Exportable, head: Mapping[str, Any], output: SavingOptions) -> Console | None:
    """Write the forms asked for; `SavingOptions.check` has tested them before the work.

    Args:
        report: The outcome of a view.
        head: What stands before it in the JSON: the checkpoint, the text.
        output: The forms.
    Returns:
        The console to draw the report on; None where a form was asked for instead.
    Raises:
        StorageError: A file cannot be written; what was there before is left as it was.
    """
    if output.csv is not None:
        with task("writing the figures"):
            text = report.table().to_csv()
        if str(output.csv) == "-":
            print_csv(text)
        else:
            _save(output.csv, text.encode("utf-8"), quiet=output.quiet)
    if output.npz is not None:
        _save(output.npz, npz_bytes(report), quiet=output.quiet)
    if output.json_output:
        print_json({**head, **report.to_json()})
    if output.json_output or output.csv is not None or output.npz is not None:
        return None
    from textgen.terminal.console import make_consoles

    return make_consoles(output.color).out


@task("writing the figures")
def npz_bytes(report: Exportable) -> bytes:
    """The report's arrays as `numpy.savez_compressed` writes them."""
    import numpy as np

    out = io.BytesIO()
    arrays: dict[str, Any] = dict(report.to_arrays())
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def _save(path: Path, data: bytes, *, quiet: bool) -> None:
    from textgen.files import atomic_write_bytes

    atomic_write_bytes(path, data, follow=True)
    if not quiet:
        say_written(path)


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
            f"{word} is a model or a folder; to show what is in a model type: textgen inspect "
            f"checkpoint {quote_path(word)}; {as_text}"
        )
    near = get_close_matches(word.lower(), list(commands), n=1, cutoff=0.75)
    if near:
        raise ConfigError(f"did you mean: textgen inspect {near[0]}; {as_text}")
    if _FILE_NAME.fullmatch(word):
        raise ConfigError(f"there is no file {quote(word)} here; {as_text}")
    return "--text"
