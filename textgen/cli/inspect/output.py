"""The forms in which every view of `inspect` can be had instead of the terminal's."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.cli.help_page import ADVANCED
from textgen.cli.records import print_json
from textgen.progress import task

if TYPE_CHECKING:
    from textgen.table import Report

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
