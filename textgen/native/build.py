"""Compiles the native library: `python -m textgen.native.build`, and the installation.

It needs a C compiler, but neither torch nor NumPy: the system's own, or that of the package
ziglang, which builds for other systems too. The `textgen` commands never call it, so that nobody
waits for a compiler they did not ask for.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from textgen.errors import BackendError, StorageError, TextgenError, exit_code
from textgen.native.library import (
    COMMON_FLAGS,
    FAST_FLAGS,
    INSTRUCTION_SETS,
    LIBRARY,
    SANITIZE_FLAGS,
    SOURCES,
    is_current,
    isas_of,
    signature,
)
from textgen.native.targets import BuildTarget, target_of, this_machine

COMPILERS = ("cc", "gcc", "clang")

#: Compiled once for each instruction set; every other C file is compiled once, for any CPU.
KERNELS = "kernels.c"

#: What a compiler for an architecture says of itself.
ARCHITECTURE_MACROS = {"x86-64": "__x86_64__", "aarch64": "__aarch64__"}

#: An instruction of each set, by the flags that the compiler is called with.
PROBE = """
#if defined(__aarch64__)
#include <arm_neon.h>
float32x4_t probe(float32x4_t a, bfloat16x8_t b) { return vbfmmlaq_f32(a, b, b); }
#else
#include <immintrin.h>
#if defined(__AMX_TILE__)
void probe(void) { _tile_release(); }
#elif defined(__AVX512BF16__)
__m512 probe(__m512 a, __m512bh b) { return _mm512_dpbf16_ps(a, b, b); }
#elif defined(__AVX512F__)
__m512 probe(__m512 a) { return _mm512_add_ps(a, a); }
#else
__m256 probe(__m256 a) { return _mm256_fmadd_ps(a, a, a); }
#endif
#endif
"""

#: Before what other programs find in the library.
EXPORTED = """
#ifdef _WIN32
__declspec(dllexport)
#else
__attribute__((visibility("default"), used))
#endif
"""

#: Called with one line for a person.
Say = Callable[[str], None]


@dataclass(frozen=True)
class Build:
    """A library that was built.

    Args:
        path: The file.
        instruction_sets: The instruction sets it has code for, best first.
        left_out: The instruction sets of this architecture that the compiler does not know.
        seconds: How long the build took.
    """

    path: Path
    instruction_sets: tuple[str, ...]
    left_out: tuple[str, ...]
    seconds: float


def find_compiler(target: BuildTarget | None = None) -> list[str]:
    """The words that start the C compiler for `target`, by default this machine.

    For this machine it is `$CC`, or the first of `COMPILERS` that is found. On Windows these make
    libraries of other kinds: there it is ziglang's, as for another target.

    Raises:
        BackendError: None is found.
    """
    if target is not None:
        if find_spec("ziglang") is None:
            raise BackendError(
                f"what builds for {target.compiler_name} is missing; type: pip install ziglang"
            )
        return [sys.executable, "-m", "ziglang", "cc", "-target", target.compiler_name]
    if words := shlex.split(os.environ.get("CC", "")):
        if shutil.which(words[0]) is None:
            raise BackendError(f"CC={os.environ['CC']} is not found; set it to a C compiler")
        return words
    found = [[name] for name in COMPILERS if shutil.which(name) is not None]
    if sys.platform == "win32":
        found = [find_compiler(this_machine())]
    if found:
        return found[0]
    raise BackendError(
        f"no C compiler is found ({', '.join(COMPILERS)}); install one, as by "
        "`apt-get install gcc libc6-dev` or `xcode-select --install`"
    )


def build_library(
    output: Path = LIBRARY,
    *,
    compiler: Sequence[str] = (),
    sanitize: bool = False,
    sources: Path = SOURCES,
    only: Sequence[str] | None = None,
    target: BuildTarget | None = None,
    say: Say | None = None,
) -> Build:
    """Compile the library into the file `output`, which is replaced as a whole or not at all.

    Args:
        output: The file of the library; its folder is made if necessary.
        compiler: The words that start the C compiler, which may compile for another machine; none:
            `find_compiler()`.
        sanitize: Check every address and every undefined operation; many times slower.
        sources: The folder of the C files.
        only: The instruction sets to have code for, for a library that is tried once; None: all
            of the architecture that the compiler compiles for.
        target: What to build for with the compiler of ziglang, and with all its instruction sets;
            `compiler` and `only` are then not asked for.
        say: Called with what is done.
    Raises:
        BackendError: There is no compiler, or it fails.
        StorageError: `output` cannot be written.
    """
    say = say or (lambda line: None)
    began = time.monotonic()
    compiler = find_compiler(target) if target else list(compiler) or find_compiler()
    cores = os.cpu_count() or 1
    flags = [*COMMON_FLAGS, *(SANITIZE_FLAGS if sanitize else FAST_FLAGS)]
    if target:  # zig makes notes for debuggers unless told not to, in a sixth of its time.
        flags.append("-s")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, so that the finished file can replace the old one in one move.
        place = tempfile.TemporaryDirectory(prefix=".build-", dir=output.parent)
    except OSError as error:
        raise StorageError(f"{output.parent}: {error.strerror}; the library goes there") from error
    with place, ThreadPoolExecutor(cores) as pool, _group() as group:
        folder = Path(place.name)

        def run(words: list[str]) -> str:
            return _run([*compiler, *words], group)

        if target:
            names = target.instruction_sets
        else:
            names = isas_of(_architecture(run, folder)) if only is None else tuple(only)
        knows = pool.map(lambda name: _knows(run, name, folder), names)
        known = dict(zip(names, knows, strict=True))
        sets = tuple(name for name in names if known[name])
        left_out = tuple(name for name in names if not known[name])
        say(f"compiling {sources} with {shlex.join(compiler)} for {', '.join(sets)} ...")
        if left_out:
            say(f"left out, because this compiler does not know them: {', '.join(left_out)}")
        mark = folder / "mark.c"
        mark.write_text(
            f'{EXPORTED} const char textgen_sources[] = "{signature(sources)}";\n'
            f'{EXPORTED} const char textgen_sets[] = "textgen-sets:{",".join(sets)}";\n'
        )
        jobs = {
            folder / f"kernels_{name}.o": [
                *INSTRUCTION_SETS[name].flags,
                f"-DTG_ISA_{name.upper()}",
                str(sources / KERNELS),
            ]
            for name in sets
        }
        have = [f"-DTG_HAVE_{name.upper()}" for name in sets]
        for path in sorted(sources.glob("*.c")):
            if path.name != KERNELS:
                jobs[folder / f"{path.stem}.o"] = [*have, str(path)]
        jobs[folder / "mark.o"] = [str(mark)]
        compiled = pool.map(
            lambda job: run([*flags, *job[1], "-c", "-o", str(job[0])]), jobs.items()
        )
        remarks = list(compiled)
        library = folder / output.name
        objects = [str(path) for path in jobs]
        linking = [*flags, "-shared", *objects, "-o", str(library)]
        linking += target.linking if target else this_machine().libraries
        remarks.append(run(linking))
        for remark in filter(None, remarks):
            say(remark)
        size = library.stat().st_size
        try:
            os.replace(library, output)
        except OSError as error:  # Windows keeps a library that a program has loaded.
            raise StorageError(f"{output}: {error.strerror}; end what uses it") from error
    seconds = time.monotonic() - began
    say(f"built {output} ({size / 1000:.0f} kB) in {seconds:.1f} s")
    return Build(output, sets, left_out, seconds)


def _architecture(run: Callable[[list[str]], str], folder: Path) -> str:
    """The architecture that the compiler, which `run` calls, compiles for; "": none with code."""
    for name, macro in ARCHITECTURE_MACROS.items():
        if _compiles(run, f"#ifndef {macro}\n#error\n#endif\n", (), folder):
            return name
    return ""


def _knows(run: Callable[[list[str]], str], name: str, folder: Path) -> bool:
    """Whether the compiler, which `run` calls, knows an instruction set."""
    flags = INSTRUCTION_SETS[name].flags
    return not flags or _compiles(run, PROBE, flags, folder)


def _compiles(
    run: Callable[[list[str]], str], text: str, flags: Sequence[str], folder: Path
) -> bool:
    """Whether the compiler, which `run` calls, takes a C file, and the assembler what it makes."""
    with tempfile.NamedTemporaryFile("w", suffix=".c", dir=folder, delete=False) as probe:
        probe.write(text)
    try:
        # Assembled too: a new compiler may be installed with an old assembler.
        run([*flags, "-c", probe.name, "-o", f"{probe.name}.o"])
    except BackendError:
        return False
    return True


@contextmanager
def _group() -> Iterator[int | None]:
    """A group of processes that ends with the block, and with this process however that ends.

    Its first process waits for the end of a pipe that is open as long as this one lives, and then
    kills the group: compilers, and the programs that they start. Windows has no such groups.
    """
    if sys.platform == "win32":
        yield None
    else:
        with subprocess.Popen(
            ["sh", "-c", "read _; kill -9 0"], stdin=subprocess.PIPE, process_group=0
        ) as first:
            yield first.pid


def _run(words: list[str], group: int | None) -> str:
    """Run the compiler in a group of processes and return its remarks.

    Raises:
        BackendError: It fails.
    """
    # The compiler itself must not run with the checks of a sanitised library.
    env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        errors="replace",
        env=env,
        check=False,
        process_group=group,
    )
    if done.returncode != 0:
        raise BackendError(
            f"the C compiler failed with code {done.returncode}: {shlex.join(words)}\n"
            f"{done.stderr.strip()}"
        )
    return done.stderr.strip()


def main(words: Sequence[str], say: Say) -> int:
    """Run the command with the arguments `words` and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m textgen.native.build",
        description="Compile textgen's native library with the C compiler found ($CC, cc, gcc, "
        "clang). Nothing else is needed. A library that is up to date is left as it is.",
    )
    parser.add_argument("--output", type=Path, default=LIBRARY, help="the file to write")
    parser.add_argument("--force", action="store_true", help="build even if it is up to date")
    parser.add_argument(
        "--sanitize",
        action="store_true",
        help="check every address and every undefined operation (for tests; many times slower)",
    )
    parser.add_argument(
        "--target",
        metavar="TAG",
        help="build for another machine with the compiler of ziglang: the end of a wheel's name, "
        "such as win_amd64",
    )
    options = parser.parse_args(words)
    if (options.sanitize or options.target) and options.output == LIBRARY:
        parser.error("such a library is not for this machine's use; give its file with --output")
    if is_current(options.output) and not (options.force or options.sanitize):
        say(f"{options.output} is up to date")
        return 0
    try:
        target = target_of(options.target) if options.target else None
        build_library(options.output, sanitize=options.sanitize, target=target, say=say)
    except TextgenError as error:
        say(f"textgen.native.build: {error}")
        return exit_code(error)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], print))
