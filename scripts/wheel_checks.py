"""What is wrong with a wheel or a source archive that `make wheels` has built.

The library in a wheel is opened with the package lief, which reads the files of every system: here
most of them cannot be loaded.
"""

from __future__ import annotations

import re
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from textgen.checkpoint.shipped import SHIPPED  # noqa: E402
from textgen.native.library import FILES, signature  # noqa: E402
from textgen.native.targets import BuildTarget  # noqa: E402

#: The size of a wheel at most.
MOST_BYTES = 30_000_000
MODELS = tuple(model.name for model in SHIPPED)
IN_WHEEL = (
    "textgen/__init__.py",
    "textgen/py.typed",
    "textgen/native/src/textgen.h",  # for who finds a compiler later
    "textgen/lessons/pages/README.md",
    "textgen/lessons/corpora/russian.txt",
    *(f"textgen/checkpoints/{name}/model.safetensors" for name in MODELS),
)
IN_SDIST = (
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "hatch_build.py",
    "tests/conftest.py",
    *(f"checkpoints/{name}/model.safetensors" for name in MODELS),
)
#: What is left behind by tools, or is for the tests.
STRAY = re.compile(r"(^|/)(__pycache__|\.build-[^/]*|\.pytest_cache|\.git)/|\.py[co]$|\.pdb$")

#: Of each system, the kind of file, and the libraries that every machine of it has.
FORMATS = {"linux": "ELF", "darwin": "MACHO", "win32": "PE"}
BEGINS = {"ELF": b"\x7fELF", "MACHO": b"\xcf\xfa\xed\xfe", "PE": b"MZ"}
MACHINES = {
    ("ELF", "x86-64"): "X86_64",
    ("ELF", "aarch64"): "AARCH64",
    ("MACHO", "x86-64"): "X86_64",
    ("MACHO", "aarch64"): "ARM64",
    ("PE", "x86-64"): "AMD64",
    ("PE", "aarch64"): "ARM64",
}
#: What linkers add to the names that a library offers.
ADDED = ("init", "fini", "__dso_handle", "_mh_dylib_header")
SYSTEM_LIBRARIES = {
    "gnu": r"lib(c|m|pthread)\.so\.[06]|ld-linux-(x86-64|aarch64)\.so\.[12]",
    "musl": r"libc\.so|libc\.musl-(x86_64|aarch64)\.so\.1",
    "darwin": r"/usr/lib/libSystem\.B\.dylib",
    "win32": r"(?i)kernel32\.dll|ntdll\.dll|api-ms-win-crt-[\w-]+\.dll",
}


def wheel_problems(wheel: Path, target: BuildTarget) -> list[str]:
    """What is wrong with a wheel for `target`, each a line.

    Args:
        wheel: The file.
        target: What it is for.
    """
    found = []
    if not wheel.name.endswith(f"-py3-none-{target.tag}.whl"):
        found.append(f"its name does not end with py3-none-{target.tag}")
    if wheel.stat().st_size > MOST_BYTES:
        found.append(f"it has {wheel.stat().st_size:,} bytes; at most {MOST_BYTES:,} are let in")
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        about = next(name for name in names if name.endswith(".dist-info/WHEEL"))
        folder = about.removesuffix("/WHEEL")
        said = packed.read(about).decode().splitlines()
        for line in (f"Tag: py3-none-{target.tag}", "Root-Is-Purelib: false"):
            if line not in said:
                found.append(f"{about} lacks: {line}")
        wanted = (*IN_WHEEL, f"{folder}/licenses/LICENSE")
        found += [f"it lacks {name}" for name in wanted if name not in names]
        # A wheel's own entry points, tests and caches of tools apart, it has the package alone.
        found += [
            f"{name} does not belong there"
            for name in names
            if STRAY.search(name) or not name.startswith(("textgen/", f"{folder}/"))
        ]
        files = (*FILES.values(), "_textgen.so")
        libraries = [name for name in names if name.rpartition("/")[2] in files]
        if libraries != [f"textgen/native/{target.file}"]:
            return [*found, f"its libraries are {libraries}, not one {target.file}"]
        content = packed.read(libraries[0])
    return [*found, *library_problems(content, target)]


def library_problems(content: bytes, target: BuildTarget) -> list[str]:
    """What is wrong with the engine's library for `target`.

    Args:
        content: Of the file.
        target: What it is for.
    """
    found = []
    if signature().encode() not in content:
        found.append("the library is of other sources")
    sets = b" and ".join(re.findall(rb"textgen-sets:([\w,]*)\0", content)).decode()
    if sets.split(",") != [*target.instruction_sets]:
        found.append(f"the library has {sets}, not {', '.join(target.instruction_sets)}")
    for place in (str(ROOT), str(Path.home()), tempfile.gettempdir()):
        if len(place) > 1 and place.encode() in content:
            found.append(f"the library names a place of this machine: {place}")
    kind = FORMATS[target.system]
    if not content.startswith(BEGINS[kind]):
        return [*found, f"the library is no {kind} file"]
    import lief

    library: Any = lief.parse(list(content))
    header = library.header
    machine = {"ELF": "machine_type", "MACHO": "cpu_type", "PE": "machine"}[kind]
    name = getattr(header, machine).name
    if name != MACHINES[kind, target.architecture]:
        found.append(f"the library is for {name}, not {target.architecture}")
    exported = {one.name.removeprefix("_") for one in library.exported_functions}
    if stray := [one for one in exported if not one.startswith(("tg_", "textgen_", *ADDED))]:
        found.append(f"the library offers {', '.join(sorted(stray))}")
    if lacking := {"tg_abi_version", "tg_isa_supported", "tg_net_new", "tg_mix"} - exported:
        found.append(f"the library lacks {', '.join(sorted(lacking))}")
    needed = [one if isinstance(one, str) else one.name for one in library.libraries]
    allowed = target.system
    if allowed == "linux":
        allowed = "musl" if "musl" in target.compiler_name else "gnu"
    found += [
        f"the library needs {one}"
        for one in needed
        if not re.fullmatch(SYSTEM_LIBRARIES[allowed], one) and one != target.file
    ]
    return (
        found
        + (_elf_problems(library, target) if kind == "ELF" else [])
        + (_mach_problems(library, target) if kind == "MACHO" else [])
    )


def _elf_problems(library: Any, target: BuildTarget) -> list[str]:
    """Symbols of newer C libraries than the tag says, and paths to look for others."""
    most = (
        tuple(map(int, re.findall(r"manylinux_(\d+)_(\d+)_", target.tag)[0]))
        if ("manylinux" in target.tag)
        else (0, 0)
    )
    versions = {
        auxiliary.name
        for requirement in library.symbols_version_requirement
        for auxiliary in requirement.get_auxiliary_symbols()
    }
    found = [
        f"the library needs {version}"
        for version in sorted(versions)
        if tuple(map(int, re.findall(r"\d+", version)[:2])) > most
    ]
    if any(entry.tag.name in ("RPATH", "RUNPATH") for entry in library.dynamic_entries):
        found.append("the library has a path of its own to look for others")
    return found


def _mach_problems(library: Any, target: BuildTarget) -> list[str]:
    """A newer system than the tag says; no signature, without which an ARM Mac loads nothing."""
    oldest = tuple(library.build_version.minos[:2])
    said = tuple(map(int, re.findall(r"macosx_(\d+)_(\d+)_", target.tag)[0]))
    found = [] if oldest <= said else [f"the library needs macOS {oldest}, not {said}"]
    if target.architecture == "aarch64" and not library.has_code_signature:
        found.append("the library is not signed")
    return found


def sdist_problems(archive: Path) -> list[str]:
    """What is wrong with the source archive."""
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    return [f"it lacks {name}" for name in IN_SDIST if name not in names] + [
        f"{name} does not belong there"
        for name in sorted(names)
        if STRAY.search(name) or name.rpartition("/")[2] in (*FILES.values(), "_textgen.so")
    ]
