"""The native library: its sources, whether it is here, and what it can do on this CPU.

Nothing is compiled here; `textgen.native.build` does that.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from textgen.errors import BackendError, ConfigError

_FOLDER = Path(__file__).resolve().parent
SOURCES = _FOLDER / "src"

#: The name of the library's file, by what Python calls the system; elsewhere `_textgen.so`.
FILES = {"darwin": "_textgen.dylib", "win32": "_textgen.dll"}
#: The file of the built library.
LIBRARY = _FOLDER / FILES.get(sys.platform, "_textgen.so")


class InstructionSet(NamedTuple):
    """What code for an instruction set is compiled for, and with which flags."""

    architecture: str
    flags: tuple[str, ...]


_AVX512 = ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx2", "-mfma")

#: The instruction sets that there is code for, best first; of the last one for every architecture.
INSTRUCTION_SETS = {
    "amx": InstructionSet("x86-64", (*_AVX512, "-mavx512bf16", "-mamx-tile", "-mamx-bf16")),
    "avx512bf16": InstructionSet("x86-64", (*_AVX512, "-mavx512bf16")),
    "avx512": InstructionSet("x86-64", _AVX512),
    "avx2": InstructionSet("x86-64", ("-mavx2", "-mfma")),
    # The name of a plain ARMv8.2: GCC wants that for bf16, and zig knows no -march.
    "bf16mmla": InstructionSet("aarch64", ("-mcpu=tsv110+bf16",)),
    "neon": InstructionSet("aarch64", ()),
    "generic": InstructionSet("", ()),
}
ISA_NAMES = tuple(INSTRUCTION_SETS)
#: Those that multiply bf16 numbers; the others compute in fp32.
BF16_ISAS = ("amx", "avx512bf16", "bf16mmla")

COMMON_FLAGS = ("-std=gnu11", "-fPIC", "-fvisibility=hidden", "-Wall")
FAST_FLAGS = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
#: AMX is then emulated: the sanitizers do not check the addresses that AMX instructions read, and
#: the emulation runs on CPUs without AMX.
SANITIZE_FLAGS = (
    "-O1",
    "-g",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-DTG_AMX_EMULATED",
)

#: An environment variable with another library file, such as the sanitised build of the tests.
LIBRARY_VARIABLE = "TEXTGEN_NATIVE_LIBRARY"

#: The version of the calls of the C side; `TG_ABI_VERSION` there.
ABI_VERSION = 8

#: The architectures by the names that systems have for them, in lower case.
ARCHITECTURES = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "aarch64", "arm64": "aarch64"}

BUILD_COMMAND = "python -m textgen.native.build"
COST = "without it training and sampling on a CPU are many times slower"


def isas_of(architecture: str) -> tuple[str, ...]:
    """The instruction sets that there is code for on an architecture, best first."""
    return tuple(
        name for name, one in INSTRUCTION_SETS.items() if one.architecture in ("", architecture)
    )


def isas_of_this_machine() -> tuple[str, ...]:
    """The same on this machine's architecture, whether or not this CPU has them."""
    return isas_of(ARCHITECTURES.get(platform.machine().lower(), ""))


def signature(folder: Path = SOURCES) -> str:
    """A signature of the sources and flags, which the library contains: an ASCII text.

    The times of the files say little, because a checkout or an installation sets them anew.

    Args:
        folder: The folder of the C files.
    """
    flags = {name: one.flags for name, one in INSTRUCTION_SETS.items()}
    whole = hashlib.sha256(repr((flags, COMMON_FLAGS, FAST_FLAGS)).encode())
    for path in sorted((*folder.glob("*.c"), *folder.glob("*.h"), *folder.glob("*.inc"))):
        whole.update(f"\0{path.name}\0".encode())
        whole.update(path.read_bytes())
    return f"textgen-sources:{whole.hexdigest()}"


def is_current(library: Path, folder: Path = SOURCES) -> bool:
    """Whether the file `library` was built from the sources in `folder`."""
    return library.is_file() and signature(folder).encode() in library.read_bytes()


def load() -> ctypes.CDLL | None:
    """The library, loaded once in a process; None if it is missing (see `missing_reason`).

    Raises:
        ConfigError: `TEXTGEN_NATIVE_LIBRARY` names a file that is no usable library.
    """
    return _loaded()[0]


def missing_reason() -> str:
    """Why there is no library, what that costs and what to type; empty if it is loaded.

    Raises:
        ConfigError: `TEXTGEN_NATIVE_LIBRARY` names a file that is no usable library.
    """
    return _loaded()[1]


def bind(signatures: Mapping[str, tuple[Any, list[Any]]]) -> ctypes.CDLL:
    """Return the library, with the types of the result and of the arguments of some calls set.

    Raises:
        BackendError: There is no library.
    """
    library = load()
    if library is None:
        raise BackendError(missing_reason())
    for name, (result, arguments) in signatures.items():
        call = getattr(library, name)
        call.restype, call.argtypes = result, arguments
    return library


def supported_isas() -> tuple[str, ...]:
    """The instruction sets that this library has code for and this CPU runs, best first.

    Returns:
        Names from `ISA_NAMES`; none if there is no library.
    """
    library = load()
    if library is None:
        return ()
    return tuple(name for i, name in enumerate(ISA_NAMES) if library.tg_isa_supported(i))


def describe() -> str:
    """One line: the instruction sets the native engine runs on here, or why it does not run."""
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
