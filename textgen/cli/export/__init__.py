"""`textgen export`: models for programs without textgen."""

from __future__ import annotations

from typing import ClassVar

import typer

from textgen.cli.commands import Group


class Export(Group):
    """`textgen export`."""

    below: ClassVar = {
        "html": (
            "textgen.cli.export.to_html:html_command",
            "Write a page in which the model runs: one file, opened in a browser.",
        ),
        "torch": (
            "textgen.cli.export.to_torch:torch_command",
            "Write a folder with the model in plain torch, and a script that writes text with it.",
        ),
        "onnx": (
            "textgen.cli.export.to_onnx:onnx_command",
            "Write one step of the model as a file for ONNX.",
        ),
    }


export_app = typer.Typer(cls=Export, subcommand_metavar="COMMAND")


@export_app.callback()
def export() -> None:
    """Write a model for use without textgen: a page, a folder for torch, a file for ONNX.

    textgen export html exported.html

    textgen export torch exported

    textgen export onnx exported.onnx
    """
