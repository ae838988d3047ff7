"""`textgen inspect cell`: a recurrent cell, its equations, its weights, its numbers at one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.inspect.common import DrawingOptions, deliver, say_what_is_unknown
from textgen.cli.parameters import ModelOptions, with_options
from textgen.errors import ConfigError
from textgen.view_options import CellOptions

if TYPE_CHECKING:
    from rich.console import Console

    from textgen.inspection.anatomy import CellAnatomy

#: What a stream without these signs shows instead.
_PLAIN = {
    "C̃": "C~",
    "σ": "sigma",
    "∘": "*",
    "·": "*",
    "×": "x",
    "─": "-",
    "│": "|",
    "▶": ">",
    "▲": "^",
    "▼": "v",
    "◀": "<",
    **dict.fromkeys("┬└┴┌┐┘├┤┼", "+"),
}


@guarded
@with_options
def cell_command(
    options: CellOptions,
    model: ModelOptions,
    output: DrawingOptions,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[CELL]",
            help="The cell: lstm, gru, rnn, peephole, coupled, depth-gated or mlstm. Default: that "
            "of the model.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show a recurrent cell: a drawing, its equations, its weights, and its numbers at one step.

    The equations stand in both notations of the lectures: with one matrix for h_{t-1} and x_t, and
    with a matrix for each. H is the number of neurons, I the number of inputs.

    textgen inspect cell lstm

    textgen inspect cell gru --hidden 256 --input-size 64

    textgen inspect cell --text "the old woman" --picture cell.svg
    """
    from textgen.api import describe_cell
    from textgen.files import atomic_write_bytes

    output.check()
    if output.picture is not None and output.picture.suffix.lower() != ".svg":
        raise ConfigError(f"--picture is {output.picture}; the picture of a cell is an .svg file")
    if name is not None and options.text is None and model.checkpoint is None:
        if options.neuron is not None:
            raise ConfigError("--neuron shows a neuron of a model on a text: add --text")
        found = describe_cell(
            name.lower(), hidden_size=options.hidden_size, input_size=options.input_size
        )
        head = {}
    else:
        loaded = model.load(options.text or "", quiet=output.quiet)
        if name is not None and name.lower() != loaded.config.cell:
            raise ConfigError(
                f"{loaded.path} is a model of {loaded.config.cell} cells, not of {name}; name a "
                "model with --checkpoint, or leave the cell's name out"
            )
        if options.text is not None and not output.quiet:
            say_what_is_unknown(loaded, options.text)
        found = loaded.describe_cell(options.text, options.neuron)
        head = {"checkpoint": str(loaded.path)}
    output.save_picture(
        lambda path: atomic_write_bytes(path, found.diagram().svg().encode("utf-8"), follow=True)
    )
    out = deliver(found, head, output)
    if out is not None:
        _draw(found, out)


def _draw(found: CellAnatomy, out: Console) -> None:
    from rich.cells import cell_len

    from textgen.terminal.tables import draw_table
    from textgen.terminal.text import visible

    signs = set("".join(_PLAIN))

    def say(text: str = "") -> None:
        try:
            text.encode(out.encoding)
        except UnicodeEncodeError:
            for sign, plain in _PLAIN.items():
                text = text.replace(sign, plain)
        # The signs of the drawing stand as they are; what comes from a text may not.
        shown = "".join(c if c in signs else visible(c, encoding=out.encoding) for c in text)
        out.print(shown, markup=False, highlight=False, soft_wrap=True)

    drawing = found.diagram().text(out.width)
    wide = max(map(cell_len, drawing))
    if wide > out.width:
        drawing = [f"(the drawing of the cell needs {wide} columns; this terminal has {out.width})"]
    for line in (*drawing, ""):
        say(line)
    width = max(len(each.joined) for each in found.equations)
    for each in found.equations:
        # A tilde stands on its letter and takes no column.
        say(f"{each.joined.ljust(width + each.joined.count('̃'))}    {each.split}")
    say()
    layers = "1 layer reads" if found.layers == 1 else f"{found.layers} layers read"
    say(
        f"{layers} the input; {found.parameters:,} weights with H = {found.hidden_size:,}, "
        f"I = {found.input_size:,}:"
    )
    out.print(draw_table(found.weight_table()))
    if found.neuron is None:
        return
    say()
    layer, unit = found.neuron
    say(f"neuron {layer}:{unit}, x_t is {found.token!r}, the last token of {found.text!r}:")
    for name, value in (found.before or {}).items():
        say(f"  {_letter(name)} = {value:.3f}")
    for each in found.equations:
        if each.value is not None:
            middle = f" = {each.numbers}" if each.numbers else ""
            say(f"  {_letter(each.symbol)}{middle} = {each.value:.3f}")


def _letter(symbol: str) -> str:
    from textgen.inspection.anatomy import Equation

    return Equation(symbol, "").joined.removesuffix(" = ")
