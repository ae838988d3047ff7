"""`textgen inspect gates`: how saturated the gates are."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.inspect.common import (
    CharsOption,
    CsvOption,
    NpzOption,
    SourcesArgument,
    TextOption,
    deliver,
    read_for,
)
from textgen.cli.parameters import (
    CheckpointOption,
    ColorOption,
    EncodingErrorsOption,
    EncodingOption,
    EndingOption,
    JsonOption,
    QuietOption,
    SkipBadOption,
)
from textgen.cli.records import check_outputs
from textgen.corpus.corpus_options import DEFAULT_ENDING
from textgen.terminal.console import ColorMode
from textgen.view_options import DEFAULT_CHARS

if TYPE_CHECKING:
    from textgen.inspection.gates import GateReport
    from textgen.terminal.scatter import ScatterSheet


@guarded
def gates_command(
    paths: SourcesArgument = None,
    text: TextOption = None,
    chars: CharsOption = DEFAULT_CHARS,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            help="Also draw the chart into a file whose name ends in .png or .svg.",
            show_default=False,
        ),
    ] = None,
    encoding: EncodingOption = None,
    encoding_errors: EncodingErrorsOption = "strict",
    ending: EndingOption = DEFAULT_ENDING,
    skip_bad: SkipBadOption = False,
    checkpoint: CheckpointOption = None,
    json_output: JsonOption = False,
    csv: CsvOption = None,
    npz: NpzOption = None,
    quiet: QuietOption = False,
    color: ColorOption = ColorMode.AUTO,
) -> None:
    """Show how often the gates of each unit are shut or open: each unit is a point.

    A gate below 0.1 is shut (left-saturated), a gate above 0.9 is open (right-saturated). The chart
    is that of Karpathy, Johnson and Li 2015.

    textgen inspect gates

    textgen inspect gates corpus.txt --chars 100000 --picture gates.png
    """
    import sys

    from textgen.api import load
    from textgen.inspection.gates import gate_quantities
    from textgen.terminal.scatter import TerminalScatters, save_scatters

    check_outputs(npz, picture=picture, csv=csv, json_output=json_output)
    model = load(checkpoint)
    gate_quantities(model.config.cell_spec)
    read = read_for(
        model,
        paths,
        text,
        chars,
        quiet=quiet,
        encoding=encoding,
        encoding_errors=encoding_errors,
        ending=ending,
        skip_bad=skip_bad,
    )
    report = model.gates(read)
    if picture is not None:
        save_scatters(picture, _sheet(report))
        if not quiet:
            print(f"written: {picture}", file=sys.stderr)
    head = {"checkpoint": str(model.path), "source": read.name, "chars": read.chars}
    if deliver(report, head, json_output=json_output, csv=csv, npz=npz, quiet=quiet):
        return
    from textgen.terminal.console import make_consoles
    from textgen.terminal.tables import draw_table

    out = make_consoles(color).out
    out.print(TerminalScatters(_sheet(report)))
    out.print()
    out.print(draw_table(report.means()))


def _sheet(report: GateReport) -> ScatterSheet:
    from textgen.inspection.gates import LEFT, RIGHT
    from textgen.terminal.scatter import Scatter, ScatterRow, ScatterSheet

    return ScatterSheet(
        rows=tuple(
            ScatterRow(
                title=f"layer {layer}",
                plots=tuple(Scatter(title=gate.gate, x=gate.left, y=gate.right) for gate in gates),
            )
            for layer, gates in groupby(report.gates, key=lambda gate: gate.layer)
        ),
        x_label=f"share below {LEFT}",
        y_label=f"share above {RIGHT}",
        noun="units",
    )
