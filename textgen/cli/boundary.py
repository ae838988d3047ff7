"""Where errors become messages and exit codes."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar, cast

import typer

from textgen.cli.interruption import Interrupted, interruptible
from textgen.cli.moving import is_live, moving
from textgen.errors import BadFilesError, ConfigError, TextgenError, exit_code
from textgen.progress import task

F = TypeVar("F", bound=Callable[..., Any])

#: Set to anything, an error shows where in the program it was raised.
DEBUG_VARIABLE = "TEXTGEN_DEBUG"

_OUT_OF_MEMORY = "out of memory; try a smaller --hidden, --batch-size or text"


def guarded(command: F) -> F:
    """Let `command` end with one line on stderr and an exit code, whatever happens in it."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        check_streams()
        try:
            live = is_live(
                quiet=bool(kwargs.get("quiet")), json_output=bool(kwargs.get("json_output"))
            )
            with interruptible(), moving(live=live):
                if live:
                    # Most of what a command loads. It is named, for a slow disk takes long over it.
                    with task("starting"):
                        import textgen.api  # noqa: F401
                result = command(*args, **kwargs)
            sys.stdout.flush()
            return result
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            _fail("interrupted", 130)
        except Interrupted as interrupted:
            _fail("interrupted", 128 + interrupted.signum)
        except TextgenError as error:
            if os.environ.get(DEBUG_VARIABLE):
                raise
            _fail_with(error, as_json=bool(kwargs.get("json_output")))
        except MemoryError:
            _fail(_OUT_OF_MEMORY, 1)
        except OSError as error:
            if has_no_reader(error):
                close_quietly()
            if os.environ.get(DEBUG_VARIABLE):
                raise
            _fail(f"{error.filename or 'the output'}: {error.strerror or error}", 6)
        except Exception as error:
            if "can't allocate memory" in str(error) or type(error).__name__ == "OutOfMemoryError":
                _fail(_OUT_OF_MEMORY, 1)
            if os.environ.get(DEBUG_VARIABLE):
                raise
            _fail(
                f"this is a defect of textgen, not yours: {type(error).__name__}: {error}; "
                f"{DEBUG_VARIABLE}=1 shows where",
                1,
            )

    return cast("F", run)


def check_streams() -> None:
    """A stream that was closed before the program began (`>&-`) is None, which nobody expects.

    Without standard output nothing is begun, for its descriptor would be the next file's. Input is
    then empty, and what is said on stderr is lost.

    Raises:
        typer.Exit: Standard output is closed.
    """
    for name, mode in (("stdin", "r"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    if getattr(sys, "stdout", None) is None:
        _fail("standard output is closed", 6)


def _fail_with(error: TextgenError, *, as_json: bool) -> NoReturn:
    """End with an error, in the words of the prompt; as JSON it goes to stdout too."""
    record = error_record(error)
    message = record["message"]
    if error.is_told:  # By the first of several processes, which has the same one.
        raise typer.Exit(record["exit_code"])
    if error.rank is not None:
        message = f"rank {error.rank}: {message}"
    elif as_json:
        from textgen.cli.records import print_json

        print_json(record)
    _fail(message, record["exit_code"], lines=isinstance(error, BadFilesError))


def error_record(error: TextgenError) -> dict[str, Any]:
    """An error as plain data, in the words of the prompt."""
    from textgen.cli.parameters import at_prompt

    return {
        "event": "error",
        "class": type(error).__name__,
        "message": error.told(at_prompt),
        "exit_code": exit_code(error),
    }


def _fail(message: str, code: int, *, lines: bool = False) -> NoReturn:
    from textgen.terminal.text import visible

    # A message may quote a file's name or content; neither may reach the terminal raw.
    print(f"textgen: {visible(message, keep_newlines=lines)}", file=sys.stderr)
    raise typer.Exit(code)


def refuse(message: str, words: Sequence[str]) -> NoReturn:
    """End a command with a message; with `--json` among its words it is an object on stdout too."""
    _fail_with(ConfigError(message), as_json="--json" in words)


def has_no_reader(error: OSError) -> bool:
    """Whether the reader of our output has gone, which is no failure.

    Windows then says "invalid argument", and not of a file.
    """
    is_mute = sys.platform == "win32" and error.errno == errno.EINVAL and error.filename is None
    return is_mute or isinstance(error, BrokenPipeError)


def close_quietly() -> NoReturn:
    """The reader of our output has gone: nothing is left to do, and nobody to tell."""
    silence_streams()
    raise typer.Exit(0)


def silence_streams() -> None:
    """Send what is still buffered nowhere, so that nothing fails when the program ends."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # A captured stream has no descriptor.
            os.dup2(devnull, stream.fileno())
