"""The sources and compiler flags of the library, and a signature of them."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCES = FOLDER / "src"

#: The file of the built library.
LIBRARY = FOLDER / ("_textgen.dylib" if sys.platform == "darwin" else "_textgen.so")

_AVX512 = ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx2", "-mfma")

#: The compiler's flags for each instruction set, best set first.
INSTRUCTION_SETS: dict[str, tuple[str, ...]] = {
    "amx": (*_AVX512, "-mavx512bf16", "-mamx-tile", "-mamx-bf16"),
    "avx512bf16": (*_AVX512, "-mavx512bf16"),
    "avx512": _AVX512,
    "avx2": ("-mavx2", "-mfma"),
    "generic": (),
}

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


def signature(folder: Path = SOURCES) -> str:
    """A signature of the sources and flags, which the library contains: an ASCII text.

    The times of the files say little, because a checkout or an installation sets them anew.

    Args:
        folder: The folder of the C files.
    """
    whole = hashlib.sha256(repr((INSTRUCTION_SETS, COMMON_FLAGS, FAST_FLAGS)).encode())
    for path in sorted((*folder.glob("*.c"), *folder.glob("*.h"), *folder.glob("*.inc"))):
        whole.update(f"\0{path.name}\0".encode())
        whole.update(path.read_bytes())
    return f"textgen-sources:{whole.hexdigest()}"


def is_current(library: Path, folder: Path = SOURCES) -> bool:
    """Whether the file `library` was built from the sources in `folder`."""
    return library.is_file() and signature(folder).encode() in library.read_bytes()
