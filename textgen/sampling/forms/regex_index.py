"""A regular expression as the moves of an automaton, by outlines-core.

This file runs as a program of its own, too: an expression can have an automaton that no memory
holds, and only a process can be stopped while the library makes it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import Any

#: What one expression may take: seconds of computing and memory; and seconds by the clock, which
#: a busy machine needs more of, and which are the only bound where a system has no other.
SECONDS, BYTES = 30, 4 * 2**30
WAIT = 300
#: Seconds after which it is seen whether it is still wanted.
_LOOK_SECONDS = 0.25
#: Stands behind a match. It is no character, so no text has it.
END = "\uffff"


def moves_of(pattern: str, chars: str) -> dict[str, Any]:
    """The moves of an automaton over some characters.

    The library leaves out what may follow a match, so each match ends with a mark of its own, by
    `END`.

    Args:
        pattern: The expression.
        chars: The characters, numbered from 1; the mark comes after them.
    Returns:
        `start`, a state; `ends`, a list of states after the mark; `moves`, a list of a state, a
        number and the next state.
    Raises:
        ImportError: The library is not there.
        ValueError: It cannot make the automaton, and says why.
    """
    from outlines_core import Index, Vocabulary

    symbols = Vocabulary(0, {char: [n] for n, char in enumerate(chars + END, start=1)})
    index = Index(f"(?:{pattern}){END}", symbols)
    moves = [
        (state, number, after)
        for state, row in index.get_transitions().items()
        for number, after in row.items()
        if number
    ]
    return {"start": index.get_initial_state(), "ends": [*index.get_final_states()], "moves": moves}


def moves_within_bounds(pattern: str, chars: str) -> dict[str, Any] | None:
    """As `moves_of`, by a process that ends where it takes too long or too much; None: it did.

    Raises:
        ImportError: The library is not there.
        ValueError: It cannot make the automaton, and says why.
    """
    from textgen.progress import task

    asked: bytes | None = json.dumps([pattern, chars, SECONDS]).encode()
    written = None
    command = [sys.executable, "-P", __file__]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with (
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere) as process,
        task("making an automaton of an expression", WAIT) as making,
    ):
        try:
            # Whoever listens to the task can end it.
            while written is None and making.done < WAIT:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    written, _ = process.communicate(asked, timeout=_LOOK_SECONDS)
                asked = None  # It is sent once.
                making.advance(_LOOK_SECONDS)
        finally:
            process.kill()
    if written is None or process.returncode:
        return None
    found: dict[str, Any] = json.loads(written)
    if "missing" in found:
        raise ImportError(found["missing"])
    if "error" in found:
        raise ValueError(found["error"])
    return found


def _run() -> None:
    pattern, chars, seconds = json.load(sys.stdin)
    if sys.platform != "win32":
        import resource

        for what, most in ((resource.RLIMIT_AS, BYTES), (resource.RLIMIT_CPU, seconds)):
            with contextlib.suppress(ValueError, OSError):  # a lower one may stand already
                resource.setrlimit(what, (most, most))
    try:
        found = moves_of(pattern, chars)
    except ImportError as error:
        found = {"missing": str(error)}
    except ValueError as error:
        found = {"error": str(error)}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    _run()
