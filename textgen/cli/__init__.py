"""The command line: the only place with typer, the standard streams and exit codes.

One file a command; each parses its options and hands them to a public function. Nothing here may
import torch when it is loaded: `textgen --help` must answer at once. This file and that of the
package import nothing that takes time, so that a signal finds its handler as early as can be.
"""

import sys

from textgen.cli.first_signals import answer_signals


def main() -> None:
    """Run the command line; the console script `textgen`."""
    taken = answer_signals()
    from textgen.cli.interruption import signals_of_program

    with signals_of_program(taken):
        _run()


def _run() -> None:
    import typer

    from textgen.cli.app import app
    from textgen.cli.boundary import check_streams, has_no_reader, silence_streams
    from textgen.errors import StorageError, exit_code
    from textgen.terminal.console import prepare_stream

    try:
        check_streams()
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            prepare_stream(stream)
        app()
    except typer.Exit as end:
        raise SystemExit(end.exit_code) from None
    except OSError as error:
        if has_no_reader(error):
            silence_streams()
            return
        print(f"textgen: the output: {error.strerror}", file=sys.stderr)
        silence_streams()
        raise SystemExit(exit_code(StorageError())) from None
