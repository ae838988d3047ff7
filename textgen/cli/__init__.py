"""The command line: the only place with typer, the standard streams and exit codes.

One file a command; each parses its options and hands them to a public function. Nothing here may
import torch when it is loaded: `textgen --help` must answer at once.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line; the console script `textgen`."""
    from textgen.cli.app import app
    from textgen.cli.boundary import silence_streams

    try:
        app()
    except BrokenPipeError:
        silence_streams()  # `textgen --help | head`: nobody reads on, and that is no failure.
    except OSError as error:
        silence_streams()
        raise SystemExit(f"textgen: the output: {error.strerror}") from None
