"""`textgen inspect`: a text coloured by neurons, and the commands below it."""

from __future__ import annotations

import typer

from textgen.cli.inspect.checkpoint import checkpoint_command
from textgen.cli.inspect.find import find_command
from textgen.cli.inspect.gates import gates_command
from textgen.cli.inspect.memory import memory_command
from textgen.cli.inspect.neurons import neurons_command
from textgen.cli.inspect.similar import similar_command
from textgen.cli.inspect.text import text_command
from textgen.cli.inspect.windows import windows_command

inspect_app = typer.Typer(
    invoke_without_command=True,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
inspect_app.callback()(text_command)
inspect_app.command("neurons")(neurons_command)
inspect_app.command("windows")(windows_command)
inspect_app.command("checkpoint")(checkpoint_command)
inspect_app.command("gates")(gates_command)
inspect_app.command("find")(find_command)
inspect_app.command("similar")(similar_command)
inspect_app.command("memory")(memory_command)
