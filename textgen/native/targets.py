"""The machines that the library is built for: what their files, CPUs and wheels are called.

A target beside this machine is built for with the compiler of the package ziglang, which brings the
headers and libraries of every system; `make wheels` does that.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass, replace

from textgen.errors import BackendError
from textgen.native.library import ARCHITECTURES, FILES, isas_of

#: The systems that let a program use an instruction set, where not all do.
SYSTEMS = {"amx": ("linux",)}


@dataclass(frozen=True)
class BuildTarget:
    """A kind of machine.

    Args:
        system: As `sys.platform` has it.
        architecture: As `ARCHITECTURES` has it; "" for any other.
        compiler_name: What the package ziglang calls it; "" where that has no such target.
        tag: What the name of its wheels ends with; "" where none are made.
    """

    system: str
    architecture: str
    compiler_name: str = ""
    tag: str = ""

    @property
    def file(self) -> str:
        """The name of the library's file."""
        return FILES.get(self.system, "_textgen.so")

    @property
    def instruction_sets(self) -> tuple[str, ...]:
        """The names of the instruction sets that a program can use there, best first."""
        return tuple(
            name
            for name in isas_of(self.architecture)
            if self.system in SYSTEMS.get(name, (self.system,))
        )

    @property
    def libraries(self) -> tuple[str, ...]:
        """The linker's words for the libraries that are needed beside C's own."""
        return () if self.system == "win32" else ("-lm", "-lpthread")

    @property
    def linking(self) -> tuple[str, ...]:
        """The linker's words for a library that goes to others.

        It has no names and places of the machine that built it, and nothing in it is missing.
        """
        own = {"linux": "-Wl,-z,defs", "darwin": f"-Wl,-install_name,{self.file}"}
        return (*filter(None, [own.get(self.system)]), *self.libraries)


#: What wheels are made for. The numbers are the oldest C library, or the oldest system.
TARGETS = (
    BuildTarget("linux", "x86-64", "x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64"),
    BuildTarget("linux", "aarch64", "aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64"),
    BuildTarget("linux", "x86-64", "x86_64-linux-musl", "musllinux_1_2_x86_64"),
    BuildTarget("linux", "aarch64", "aarch64-linux-musl", "musllinux_1_2_aarch64"),
    BuildTarget("darwin", "aarch64", "aarch64-macos.11.0", "macosx_11_0_arm64"),
    BuildTarget("darwin", "x86-64", "x86_64-macos.11.0", "macosx_11_0_x86_64"),
    BuildTarget("win32", "x86-64", "x86_64-windows-gnu", "win_amd64"),
    BuildTarget("win32", "aarch64", "aarch64-windows-gnu", "win_arm64"),
)


def this_machine() -> BuildTarget:
    """The target that textgen runs on; without a tag, which is a promise about older systems."""
    architecture = ARCHITECTURES.get(platform.machine().lower(), "")
    library = "gnu" if platform.libc_ver()[0] == "glibc" else "musl"
    for target in TARGETS:
        fits = (target.system, target.architecture) == (sys.platform, architecture)
        if fits and (target.system != "linux" or library in target.compiler_name):
            return replace(target, tag="")
    return BuildTarget(sys.platform, architecture)


def target_of(tag: str) -> BuildTarget:
    """The target whose wheels end with `tag`.

    Raises:
        BackendError: There is none.
    """
    for target in TARGETS:
        if target.tag == tag:
            return target
    raise BackendError(
        f"no wheel is made for '{tag}'; choose one of: {', '.join(t.tag for t in TARGETS)}"
    )
