"""The command line: the only place with typer, the standard streams and exit codes.

One file a command; each parses its options and hands them to a public function. Nothing here may
import torch when it is loaded: `textgen --help` must answer at once. This file and that of the
package import nothing that takes time, so that a signal finds its handler as early as can be.
"""

import os
import sys

# The module `signal` itself imports `enum`, which takes as long as Python's own start.
from _signal import (  # type: ignore[import-not-found]
    SIG_DFL,
    SIGINT,
    SIGTERM,
    default_int_handler,
    getsignal,
    signal,
)

TYPE_CHECKING = False  # what type checkers take for true
if TYPE_CHECKING:
    from typing import NoReturn

#: What ends a command with a line of its own, and what Python does with it before we say so.
USUAL = {SIGINT: default_int_handler, SIGTERM: SIG_DFL}
try:
    from _signal import SIGHUP  # Windows has none.

    USUAL[SIGHUP] = SIG_DFL
except ImportError:
    pass


def main() -> None:
    """Run the command line; the console script `textgen`."""
    # A signal that the caller has this process ignore stays ignored, as `nohup` does it.
    taken = [signum for signum, usual in USUAL.items() if getsignal(signum) == usual]
    for signum in taken:
        signal(signum, end_at_once)
    from textgen.cli.interruption import signals_of_program

    with signals_of_program(taken):
        _run()


def end_at_once(signum: int, frame: object) -> "NoReturn":
    """Handle a signal where there is nothing to finish and nothing to tidy up.

    It raises nothing, so that no library can drop it: Python itself drops what is raised in the
    function that it calls at each import, when the lock of the module is freed.
    """
    try:
        if sys.stderr is not None:  # else its descriptor may be a file's
            os.write(2, b"textgen: interrupted\n")
    finally:
        os._exit(128 + signum)


def _run() -> None:
    import typer

    from textgen.cli.app import app
    from textgen.cli.boundary import check_streams, silence_streams
    from textgen.errors import StorageError, exit_code
    from textgen.terminal.console import escape_what_is_lacking

    try:
        check_streams()
        for stream in (sys.stdout, sys.stderr):
            escape_what_is_lacking(stream)
        app()
    except typer.Exit as end:
        raise SystemExit(end.exit_code) from None
    except BrokenPipeError:
        silence_streams()  # nobody reads on, and that is no failure
    except OSError as error:
        print(f"textgen: the output: {error.strerror}", file=sys.stderr)
        silence_streams()
        raise SystemExit(exit_code(StorageError())) from None
