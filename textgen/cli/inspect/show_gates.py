"""`textgen inspect gates`: how saturated the gates are."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from textgen.cli.boundary import guarded
from textgen.cli.inspect.common import DrawingOptions, SourcesArgument, deliver, read_for
from textgen.cli.parameters import ModelOptions, with_options
from textgen.view_options import ReadOptions

if TYPE_CHECKING:
    from textgen.inspection.gates import GateReport
    from textgen.terminal.scatter import ScatterSheet


@guarded
@with_options
def gates_command(
    reading: ReadOptions,
    model: ModelOptions,
    output: DrawingOptions,
    paths: SourcesArgument = None,
) -> None:
    """Show how often the gates of each neuron are closed or open, in a chart.

    Each point is a neuron. A gate below 0.1 is closed (left-saturated), a gate above 0.9 is open
    (right-saturated). The chart is the one of Karpathy, Johnson and Li 2015.

    textgen inspect gates

    textgen inspect gates corpus.txt --chars 100000 --picture gates.png
    """
    from textgen.inspection.gates import gate_quantities
    from textgen.terminal.scatter import TerminalScatters, save_scatters

    output.check()
    loaded = model.load(quiet=output.quiet)
    gate_quantities(loaded.config.cell_spec)
    text = read_for(loaded, paths, reading, quiet=output.quiet)
    report = loaded.gates(text)
    output.save_picture(lambda path: save_scatters(path, _sheet(report)))
    head = {"checkpoint": str(loaded.path), "source": text.name, "chars": text.chars}
    out = deliver(report, head, output)
    if out is None:
        return
    from textgen.terminal.tables import draw_table

    out.print(TerminalScatters(_sheet(report)))
    out.print()
    out.print(draw_table(report.means()))


def _sheet(report: GateReport) -> ScatterSheet:
    from textgen.inspection.gates import LEFT, RIGHT
    from textgen.terminal.scatter import Scatter, ScatterSheet

    return ScatterSheet(
        rows=tuple(
            (
                f"layer {layer}",
                tuple(Scatter(title=gate.gate, x=gate.left, y=gate.right) for gate in gates),
            )
            for layer, gates in groupby(report.gates, key=lambda gate: gate.layer)
        ),
        x_label=f"share below {LEFT}",
        y_label=f"share above {RIGHT}",
        noun="neurons",
    )
