"""The commands, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from textgen import __version__
from textgen.cli.compare import compare_command
from textgen.cli.eval import eval_command
from textgen.cli.inspect import inspect_app
from textgen.cli.sample import sample_command
from textgen.cli.train import meant_option, train_command

app = typer.Typer(
    name="textgen",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from textgen.native.library import describe

        typer.echo(f"textgen {__version__}")
        typer.echo(describe())
        raise typer.Exit


@app.callback()
def textgen(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Train a character-level recurrent language model, write with it, look at its neurons.

    textgen train corpus.txt

    textgen sample --seed "старуха"

    textgen inspect --text "Это я убил тогда старуху"
    """


app.command("train", context_settings={"token_normalize_func": meant_option})(train_command)
app.command("sample")(sample_command)
app.command("eval")(eval_command)
app.command("compare")(compare_command)
app.add_typer(inspect_app, name="inspect")
