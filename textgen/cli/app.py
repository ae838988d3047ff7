"""The commands, put together."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from textgen.cli.boundary import refuse
from textgen.cli.commands import Command, Group, plain_name
from textgen.cli.compare import compare_command
from textgen.cli.eval import eval_command
from textgen.cli.foreign import ALIASES
from textgen.cli.inspect import inspect_app
from textgen.cli.sample import sample_command
from textgen.cli.train import train_command
from textgen.version import __version__


class Textgen(Group):
    """The program itself: words that are no command of its own mean one, or name one to type."""

    def meant(self, ctx: Any, before: list[str], rest: list[str]) -> list[str]:
        """The words that were meant by a first word that is no command."""
        name = plain_name(rest[0])
        if name in ALIASES:
            return [*before, *ALIASES[name], *rest[1:]]
        from textgen.cli.mistakes import unknown_command

        refuse(unknown_command(self, ctx, rest), rest)


app = typer.Typer(
    name="textgen", cls=Textgen, subcommand_metavar="COMMAND", pretty_exceptions_enable=False
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
            "--version",
            "-V",
            help="Print the version, and the instruction sets that this machine computes with.",
            is_eager=True,
            callback=_print_version,
        ),
    ] = False,
) -> None:
    """Train a character-level recurrent language model, write with it, look at its neurons.

    textgen train corpus.txt

    textgen sample --seed "старуха"

    textgen inspect --text "Это я убил тогда старуху"

    textgen list

    textgen help sample
    """


app.command("train", cls=Command)(train_command)
app.command("sample", cls=Command)(sample_command)
app.command("eval", cls=Command)(eval_command)
app.command("compare", cls=Command)(compare_command)
app.add_typer(inspect_app, name="inspect")
