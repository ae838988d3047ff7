"""`textgen inspect`: a text coloured by neurons, and the commands below it."""

from __future__ import annotations

from typing import Any, ClassVar

import typer

from textgen.cli.boundary import refuse
from textgen.cli.commands import Group
from textgen.cli.inspect.common import what_is
from textgen.cli.inspect.show_text import text_command
from textgen.terminal.text import quote


class Inspect(Group):
    """`textgen inspect`: a first word that is not a command is the text to look at."""

    below: ClassVar = {
        "checkpoint": (
            "textgen.cli.inspect.show_checkpoint:checkpoint_command",
            "Show what is in a checkpoint; without a name, list all under ./checkpoints.",
        ),
        "neurons": (
            "textgen.cli.inspect.show_neurons:neurons_command",
            "List what each neuron does over a text: its spread, what it follows, where it is "
            "highest.",
        ),
        "gates": (
            "textgen.cli.inspect.show_gates:gates_command",
            "Show how often the gates of each unit are shut or open: each unit is a point.",
        ),
        "find": (
            "textgen.cli.inspect.find_neurons:find_command",
            "Find the neurons that carry a property, with the controls that such a claim needs.",
        ),
        "similar": (
            "textgen.cli.inspect.show_similar:similar_command",
            "Find the places of a corpus where the network is in nearly the same state as after "
            "TEXT.",
        ),
        "memory": (
            "textgen.cli.inspect.show_memory:memory_command",
            "Show how far back models remember, in gradients and in what they predict.",
        ),
        "windows": (
            "textgen.cli.inspect.show_windows:windows_command",
            "Print the training pairs of the lecture: t tokens, and the t tokens that begin one "
            "later.",
        ),
    }

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
