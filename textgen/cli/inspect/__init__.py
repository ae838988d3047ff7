"""`textgen inspect`: a text coloured by neurons, and the commands below it."""

from __future__ import annotations

from typing import Any

import typer

from textgen.cli.boundary import refuse
from textgen.cli.commands import Command, Group
from textgen.cli.inspect.common import what_is
from textgen.cli.inspect.find_neurons import find_command
from textgen.cli.inspect.show_checkpoint import checkpoint_command
from textgen.cli.inspect.show_gates import gates_command
from textgen.cli.inspect.show_memory import memory_command
from textgen.cli.inspect.show_neurons import neurons_command
from textgen.cli.inspect.show_similar import similar_command
from textgen.cli.inspect.show_text import text_command
from textgen.cli.inspect.show_windows import windows_command
from textgen.terminal.text import quote


class Inspect(Group):
    """`textgen inspect`: a first word that is no command is the text to look at."""

    def meant(self, ctx: Any, before: list[str], rest: list[str]) -> list[str]:
        """The text, or a file's name, as the option that takes it."""
        flag = what_is(rest[0], self.commands)
        if len(rest) > 1 and not rest[1].startswith("-"):
            words = [word for word in rest if not word.startswith("-")]
            refuse(
                f"{len(words)} words were given; a text of several words stands in quotes: "
                f"textgen inspect {quote(' '.join(words))}",
                rest,
            )
        return [*(word for word in before if word != "--"), f"{flag}={rest[0]}", *rest[1:]]


inspect_app = typer.Typer(
    cls=Inspect, invoke_without_command=True, subcommand_metavar="[TEXT | COMMAND]"
)
inspect_app.callback()(text_command)
for name, command in (
    ("checkpoint", checkpoint_command),
    ("neurons", neurons_command),
    ("gates", gates_command),
    ("find", find_command),
    ("similar", similar_command),
    ("memory", memory_command),
    ("windows", windows_command),
):
    inspect_app.command(name, cls=Command)(command)
