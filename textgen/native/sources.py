"""What the library is built from, and how it is told apart from one built from other sources."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCES = FOLDER / "src"

#: Where the library lies when it is built.
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
#: AMX is then emulated: nothing checks the addresses that its own instructions read, and the
#: emulation runs where there is no AMX.
SANITIZE_FLAGS = (
    "-O1",
    "-g",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-DTG_AMX_EMULATED",
)


def signature(folder: Path = SOURCES) -> str:
    """A mark of the sources and flags, which the library carries: an ASCII text of fixed length.

    A file's time says little: a checkout or an installation sets it anew.

    Args:
        folder: Holds the C files and headers.
    """
    whole = hashlib.sha256(repr((INSTRUCTION_SETS, COMMON_FLAGS, FAST_FLAGS)).encode())
    for path in sorted((*folder.glob("*.c"), *folder.glob("*.h"), *folder.glob("*.inc"))):
        whole.update(f"\0{path.name}\0".encode())
        whole.update(path.read_bytes())
    return f"textgen-sources:{whole.hexdigest()}"


def is_current(library: Path, folder: Path = SOURCES) -> bool:
    """Whether the file `library` was built from the sources in `folder`."""
    return library.is_file() and signature(folder).encode() in library.read_bytes()
