"""`textgen export onnx`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.export.written import ExportOptions, tell
from textgen.cli.parameters import ModelOptions, OutputOptions, with_options


@guarded
@with_options
def onnx_command(
    used: ModelOptions,
    asked: ExportOptions,
    output: OutputOptions,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write.", show_default=False)
    ],
) -> None:
    """Write one step of the model as a file for ONNX.

    Inputs are ids, a symbol of each text, and the states of the cell, such as h and c; outputs are
    logits, the scores of the next symbol, and the new states, new_h and new_c. All states are zero
    at the beginning of a text. The number of texts is free. The symbols stand in the metadata of
    the file. Before it is written, its steps are compared with those of textgen. This command needs
    onnx and onnxscript: pip install onnx onnxscript

    textgen export onnx my-model.onnx

    textgen export onnx my-model.onnx --checkpoint mine --force
    """
    tell(used.load(quiet=output.quiet).export_onnx(file, force=asked.force), output)
