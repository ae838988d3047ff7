"""A bridge from Python to an engine in another program: to one for Windows, under wine.

Python loads `here.c` in place of the engine; `there.c`, a program of the other system, loads the
engine and makes the calls. All memory of Python is shared between them, so that the pointers that
`ctypes` hands over hold in both. `windows.sh` and `tests/native/test_bridge.py` build it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from textgen.native.build import find_compiler
from textgen.native.library import LIBRARY_VARIABLE, SOURCES
from textgen.native.targets import BuildTarget, target_of

#: As for the engine's own build: for any other words zig compiles the C library of Windows anew.
AS_ENGINE = ("-O3", "-s")

ENDS = Path(__file__).resolve().parents[1] / "native" / "bridge"


def calls() -> str:
    """A line of C for every function that the headers offer: see `CALL` in `here.c`."""
    text = "\n".join((SOURCES / name).read_text() for name in HEADERS)
    lines = []
    for result, name, parameters in re.findall(r"^TG_API ([^;(]*?)(\w+)\(([^;]*)\);", text, re.M):
        together = " ".join(parameters.split())
        # The name is the last word of a parameter.
        names = [re.findall(r"\w+", one)[-1] for one in together.split(", ") if one != "void"]
        own = together.replace(", ", "; ") + "; " if names else ""
        keep = " ".join(f"a.{one} = {one};" for one in names)
        passed = ", ".join(f"a->{one}" for one in names)
        kind = "CALL_WITHOUT_RESULT(" if result.strip() == "void" else f"CALL({result.strip()}, "
        lines.append(f"{kind}{name}, ({together}), {own}, {keep}, ({passed}))\n")
    if len(lines) != len(re.findall("^TG_API", text, re.M)):
        raise AssertionError("a declaration of a header is not understood here")
    return "".join(lines)


#: Those that declare what the library offers.
HEADERS = ("textgen.h", "sample_api.h", "count_api.h")


def build_bridge(folder: Path, target: BuildTarget | None = None) -> tuple[Path, Path]:
    """Compile both ends and return their files: of the end here, and of the program there.

    Args:
        folder: To build in.
        target: What the program there is for; None: this machine.
    Raises:
        BackendError: There is no compiler.
    """
    (folder / "calls.inc").write_text(calls())
    flags = ["-std=gnu11", *AS_ENGINE, "-Wall", f"-I{folder}", f"-I{SOURCES}"]
    here = folder / "here.so"
    words = [*find_compiler(), *flags, "-shared", "-fPIC", "-fno-builtin", "-pthread"]
    subprocess.run([*words, str(ENDS / "here.c"), "-o", str(here)], check=True)
    is_windows = target is not None and target.system == "win32"
    there = folder / ("there.exe" if is_windows else "there")
    parts = [str(ENDS / "there.c"), str(SOURCES / "system.c"), "-o", str(there)]
    libraries = ["-lws2_32"] if is_windows else ["-pthread", "-ldl"]
    subprocess.run([*find_compiler(target), *flags, *parts, *libraries], check=True)
    return here, there


def variables(here: Path, command: Sequence[str]) -> dict[str, str]:
    """The environment in which Python uses the engine beside the other end.

    Args:
        here: The end in Python.
        command: The words that start the program there, the file of the engine among them.
    """
    return {
        "LD_PRELOAD": str(here),
        LIBRARY_VARIABLE: str(here),
        "PYTHONMALLOC": "malloc",
        "TEXTGEN_BRIDGE": " ".join(command),
    }


def build_system_trial(
    program: Path, target: BuildTarget | None = None, flags: Sequence[str] = ()
) -> None:
    """Compile what tries `system.c` and `threads.c` alone.

    Args:
        program: The file.
        target: What it is for; None: this machine.
        flags: More words for the compiler.
    Raises:
        BackendError: There is no compiler.
    """
    parts = [ENDS / "try_system.c", SOURCES / "system.c", SOURCES / "threads.c"]
    words = [*find_compiler(target), "-std=gnu11", *AS_ENGINE, "-Wall", *flags, f"-I{SOURCES}"]
    libraries = target.libraries if target else ["-pthread"]
    subprocess.run([*words, *map(str, parts), "-o", str(program), *libraries], check=True)


if __name__ == "__main__":
    folder, windows = Path(sys.argv[1]), target_of(sys.argv[2])
    build_bridge(folder, windows)
    build_system_trial(folder / "try_system.exe", windows)
