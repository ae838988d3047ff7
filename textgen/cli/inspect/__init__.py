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
            "Show what is in a model; without a name, list all models.",
        ),
        "cell": (
            "textgen.cli.inspect.show_cell:cell_command",
            "Show a recurrent cell: a drawing, its equations, its weights, and its numbers at one "
            "step.",
        ),
        "neurons": (
            "textgen.cli.inspect.show_neurons:neurons_command",
            "List what each neuron does on a text: how much it varies, which feature it follows, "
            "and where it is highest.",
        ),
        "features": (
            "textgen.cli.inspect.show_features:features_command",
            "Learn a dictionary of latents, and show what each latent does.",
        ),
        "gates": (
            "textgen.cli.inspect.show_gates:gates_command",
            "Show how often the gates of each neuron are closed or open, in a chart.",
        ),
        "find": (
            "textgen.cli.inspect.find_neurons:find_command",
            "Find neurons that carry a property of the text, and test this with controls.",
        ),
        "similar": (
            "textgen.cli.inspect.show_similar:similar_command",
            "Find places in a corpus where the state of the network is nearly the same as after "
            "TEXT.",
        ),
        "memory": (
            "textgen.cli.inspect.show_memory:memory_command",
            "Show how far back models remember, in their gradients and in their predictions.",
        ),
        "occurrences": (
            "textgen.cli.inspect.show_occurrences:occurrences_command",
            "List every place of a word in a text, and show how the places are spread.",
        ),
        "windows": (
            "textgen.cli.inspect.show_windows:windows_command",
            "Print the sliding windows of a text: T tokens, and the T tokens that begin one token "
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
