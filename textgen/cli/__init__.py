"""The command line: the only place with typer, the standard streams and exit codes.

One file a command; each parses its options and hands them to a public function. Nothing here may
import torch when it is loaded: `textgen --help` must answer at once.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the console script `textgen`."""
    from textgen.cli.interruption import Interrupted, ended_by_signals

    with ended_by_signals():
        try:
            _run()
        except Interrupted as interrupted:  # while the command itself is being loaded
            print("textgen: interrupted", file=sys.stderr)
            raise SystemExit(128 + interrupted.signum) from None


def _run() -> None:
    from textgen.cli.app import app
    from textgen.cli.boundary import silence_streams
    from textgen.errors import StorageError, exit_code
    from textgen.terminal.console import escape_what_is_lacking

    for stream in (sys.stdout, sys.stderr):
        escape_what_is_lacking(stream)
    try:
        app()
    except BrokenPipeError:
        silence_streams()  # nobody reads on, and that is no failure
    except OSError as error:
        print(f"textgen: the output: {error.strerror}", file=sys.stderr)
        silence_streams()
        raise SystemExit(exit_code(StorageError())) from None
