"""`textgen export html`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.export.written import ExportOptions, tell
from textgen.cli.parameters import ModelOptions, OutputOptions, with_options
from textgen.settings import setting


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """What else a page shows."""

    beside: str | None = setting(
        None, help="A second model, which reads the same text beside the first.", metavar="MODEL"
    )
    notes: str | None = setting(
        None,
        help="Measure on the beginning of this text which feature each neuron follows, as inspect "
        "neurons does; the page says it of the neuron that is chosen.",
        metavar="FILE",
        by_default="the training text, if it is at hand",
    )


@guarded
@with_options
def html_command(
    used: ModelOptions,
    shown: PageOptions,
    asked: ExportOptions,
    output: OutputOptions,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write.", show_default=False)
    ],
) -> None:
    """Write a page in which the model runs: one file, opened in a browser.

    It needs no network and no textgen. Type, and see what the network does at each step; let it
    write on; colour the text by any neuron or gate; open a neuron and see the equations of the cell
    with its numbers; hold a gate or a neuron at a value; move along a direction that was saved with
    inspect find. A weight takes 16 bits, or 8 where the file would have more than 4 MB; it is said
    what a logit, the score of a symbol, loses by that.

    textgen export html my-page.html

    textgen export html my-page.html --checkpoint mine --beside shakespeare --force
    """
    model = used.load(quiet=output.quiet)
    made = model.export_html(file, beside=shown.beside, notes=shown.notes, force=asked.force)
    tell(made, output)
