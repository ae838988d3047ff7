"""Loads the native library and says what it can do on this CPU, or why it is not used.

Nothing is compiled here: a library that is missing stays missing until somebody builds it.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

from textgen.errors import ConfigError
from textgen.native.sources import INSTRUCTION_SETS, LIBRARY, SOURCES, is_current

#: Names another library file, whatever sources it was built from: the tests' sanitised build.
LIBRARY_VARIABLE = "TEXTGEN_NATIVE_LIBRARY"

#: The calls of the C side as this version makes them; `TG_ABI_VERSION` there.
ABI_VERSION = 3

#: The instruction sets that there is code for, best first.
ISA_NAMES = tuple(INSTRUCTION_SETS)

#: Those whose products are of bf16 numbers; the others compute in fp32.
BF16_ISAS = ("amx", "avx512bf16")

BUILD_COMMAND = "python -m textgen.native.build"
COST = "without it training and sampling on a CPU are many times slower"


def load() -> ctypes.CDLL | None:
    """The library, loaded once in a process; None where `missing_reason` says why.

    Raises:
        ConfigError: `TEXTGEN_NATIVE_LIBRARY` names a file that is no usable library.
    """
    return _loaded()[0]


def missing_reason() -> str:
    """Empty where the library is loaded, else what is missing, what it costs and what to type.

    Raises:
        ConfigError: `TEXTGEN_NATIVE_LIBRARY` names a file that is no usable library.
    """
    return _loaded()[1]


def supported_isas() -> tuple[str, ...]:
    """The instruction sets that this library has code for and this CPU runs, best first.

    Returns:
        Names out of `ISA_NAMES`; none where there is no library.
    """
    library = load()
    if library is None:
        return ()
    return tuple(name for i, name in enumerate(ISA_NAMES) if library.tg_isa_supported(i))


def describe() -> str:
    """One line for `textgen --version`: what the native engine runs on here, or why it does not."""
    names = supported_isas()
    return f"native engine: {', '.join(names)}" if names else missing_reason()


@cache
def _loaded() -> tuple[ctypes.CDLL | None, str]:
    named = os.environ.get(LIBRARY_VARIABLE)
    if named:
        library, fault = _open(Path(named))
        if library is None:
            raise ConfigError(f"{LIBRARY_VARIABLE}={named}: {fault}; unset it, or name another")
        return library, ""
    if not LIBRARY.is_file():
        fault = "is not built here"
    elif SOURCES.is_dir() and not is_current(LIBRARY):
        fault = "was built from other sources than those beside it"
    else:
        library, fault = _open(LIBRARY)
        if library is not None:
            return library, ""
    return None, (
        f"the native engine {fault}; {COST}; with a C compiler (gcc or clang) installed, "
        f"type: {BUILD_COMMAND}"
    )


def _open(path: Path) -> tuple[ctypes.CDLL | None, str]:
    """The library at `path`, or None and what is wrong with it."""
    if not path.is_file():
        return None, "is no file"
    try:
        library = ctypes.CDLL(str(path))
        version, supported = library.tg_abi_version, library.tg_isa_supported
    except OSError as error:
        return None, f"cannot be loaded ({error})"
    except AttributeError:
        return None, "is another library"
    version.argtypes, version.restype = [], ctypes.c_int
    supported.argtypes, supported.restype = [ctypes.c_int], ctypes.c_int
    if (found := version()) != ABI_VERSION:
        return None, f"is of version {found}, where this textgen calls version {ABI_VERSION}"
    return library, ""
