"""`textgen export torch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.export.written import ExportOptions, tell
from textgen.cli.parameters import ModelOptions, OutputOptions, with_options


@guarded
@with_options
def torch_command(
    used: ModelOptions,
    asked: ExportOptions,
    output: OutputOptions,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder to write.", show_default=False)
    ],
) -> None:
    """Write a folder with the model in plain torch, and a script that writes text with it.

    The folder needs torch and safetensors, and no textgen: model.py is a torch.nn.Module,
    model.safetensors has its weights, config.json its sizes and symbols. write.py writes text. For
    a cell that torch has no layer for, equations.py says what it computes. Before the files are
    written, the steps of the module are compared with those of textgen.

    textgen export torch my-model

    textgen export torch my-model --checkpoint mine --force
    """
    tell(used.load(quiet=output.quiet).export_torch(folder, force=asked.force), output)
