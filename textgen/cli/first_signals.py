"""What a signal leads to before a command begins: the first thing that the command line loads.

It imports nothing that takes time: until a handler is set, Python answers Ctrl-C with a traceback.
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
    from _signal import SIGHUP as _GONE
except ImportError:  # Windows: Ctrl-Break, and what comes when the console's window is closed
    from _signal import SIGBREAK as _GONE
USUAL[_GONE] = SIG_DFL


def answer_signals() -> list[int]:
    """Let signals end the program with a line, and return which.

    A signal that the caller has this process ignore stays ignored, as `nohup` has it.
    """
    taken = [signum for signum, usual in USUAL.items() if getsignal(signum) == usual]
    for signum in taken:
        signal(signum, end_at_once)
    # Python prints a Ctrl-C that comes while it looks at the file that it is to run, and runs it.
    if isinstance(getattr(sys, "last_value", None), KeyboardInterrupt):
        end_at_once(SIGINT, None)
    return taken


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
