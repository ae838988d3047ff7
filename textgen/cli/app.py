"""The commands, put together."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import typer

from textgen.cli.boundary import refuse
from textgen.cli.commands import Group
from textgen.cli.help_page import plain_name
from textgen.version import __version__

#: Words that mean just this.
ALIASES: dict[str, tuple[str, ...]] = {
    "list": ("inspect", "checkpoint"),
    "ls": ("inspect", "checkpoint"),
    "lesson": ("lessons",),
    "version": ("--version",),
}


class Textgen(Group):
    """The program itself: words that are no command of its own mean one, or name one to type."""

    below: ClassVar = {
        "train": ("textgen.cli.train:train_command", "Train a model on text."),
        "sample": ("textgen.cli.sample:sample_command", "Write text with a trained model."),
        "eval": (
            "textgen.cli.eval:eval_command",
            "Measure how well a model predicts a text, in bits per character and perplexity.",
        ),
        "corpus": (
            "textgen.cli.corpus_command:corpus_command",
            "Show what would be trained on, and write the text of books, chats, pages and tables.",
        ),
        "compress": (
            "textgen.cli.compress:compress_command",
            "Compress a file with a model that predicts its text.",
        ),
        "decompress": (
            "textgen.cli.decompress:decompress_command",
            "Make the file that was compressed again, byte by byte.",
        ),
        "compare": (
            "textgen.cli.compare:compare_command",
            "Train several networks in the same way and compare their results.",
        ),
        "inspect": (
            "textgen.cli.inspect:inspect_app",
            "Look at single neurons: show a text coloured by their value after each character.",
        ),
        "export": (
            "textgen.cli.export:export_app",
            "Write a model for use without textgen: a page, a folder for torch, a file for ONNX.",
        ),
        "serve": (
            "textgen.cli.serve:serve_command",
            "Offer models to programs over HTTP, with the addresses of OpenAI's servers.",
        ),
        "lessons": (
            "textgen.cli.lessons:lessons_command",
            "Show the lectures' worked examples, and run one of them step by step.",
        ),
    }

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
            help="Print the version, and the CPU instruction sets that textgen can use here.",
            is_eager=True,
            callback=_print_version,
        ),
    ] = False,
) -> None:
    """Train a character-level recurrent language model, write text with it, look at its neurons.

    textgen train corpus.txt

    textgen sample --seed "старуха"

    textgen inspect --text "Это я убил тогда старуху"

    Type textgen list to see the trained models, and textgen help COMMAND to see the options of a
    command.
    """
