"""Build the wheels of every platform and the source archive in `dist/`: `make wheels`.

One Linux machine builds them all: the compiler is the package ziglang. Each is opened and checked.
The source archive and the first wheel are built twice, the second time from the unpacked source
archive in another folder, and must have the same bytes: `--twice` does so with all. Two are
installed where no compiler is, train and write: that of this machine, and, where qemu-aarch64 is
found, that of Linux on ARM.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import venv
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from wheel_checks import ROOT, sdist_problems, wheel_problems

from textgen.native.targets import TARGETS, BuildTarget, this_machine

DIST = ROOT / "dist"
#: What zig has compiled of the systems' own libraries; for Windows that takes minutes.
ZIG_CACHE = ROOT / "build" / "zig-cache"
#: Made by `tests/native/arm_python.sh`.
ARM_PYTHON = ROOT / "build" / "arm64" / "python"
#: The wheel that it is tried with.
ARM_TAG = "manylinux_2_17_aarch64"


def build(folder: Path, kind: str, output: Path, tag: str = "") -> Path:
    """Build a wheel or a source archive and return it.

    Args:
        folder: Of the sources.
        kind: `wheel` or `sdist`.
        output: The folder to put it in.
        tag: Of a wheel: what it is for.
    """
    before = set(output.glob("*"))
    env = {**os.environ, "TEXTGEN_WHEEL_TAG": tag, "SOURCE_DATE_EPOCH": _time_of_commit()}
    with tempfile.TemporaryDirectory(prefix="textgen-zig-") as cache:
        # The engine's own files are compiled each time: else the second build would prove nothing.
        env |= {"ZIG_GLOBAL_CACHE_DIR": str(ZIG_CACHE), "ZIG_LOCAL_CACHE_DIR": cache}
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(output)],
            cwd=folder,
            env=env,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    (built,) = set(output.glob("*")) - before
    return built


def _time_of_commit() -> str:
    """When the last commit was made, in seconds: the time of every file."""
    words = ["git", "log", "-1", "--format=%ct"]
    return subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def try_here(wheel: Path, folder: Path) -> str:
    """Install a wheel of this machine where no compiler is on the path; train and write.

    Args:
        wheel: The file.
        folder: An empty one for the environment.
    Returns:
        What it says of its engine.
    """
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    env = _without_compiler(python.parent)
    install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    pinned = ("--constraint", str(ROOT / "constraints.txt"))
    # All but torch, by far the largest, which nothing needs where the engine is.
    said = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = [line for line in said["dependencies"] if not line.startswith("torch")]
    for words in ((*pinned, *needed), ("--no-deps", str(wheel))):
        subprocess.run([*install, *words], env=env, cwd=folder, check=True)
    return _tried(python, env, folder)


def try_on_arm(wheel: Path, folder: Path) -> str:
    """The same with a wheel for Linux on ARM, in the emulated Python, whose own pip installs it.

    Args:
        wheel: The file.
        folder: An empty one to install it in.
    Returns:
        What it says of its engine.
    """
    script = ROOT / "tests" / "native" / "arm_python.sh"
    subprocess.run(["sh", script, sys.executable], check=True)
    env = {**_without_compiler(folder), "PYTHONPATH": str(folder)}
    words = ("--quiet", "--disable-pip-version-check", "--root-user-action", "ignore")
    only = ("--no-index", "--no-deps", "--no-compile", "--target", folder)
    subprocess.run(
        [ARM_PYTHON, "-m", "pip", "install", *words, *only, wheel],
        env=env,
        cwd=folder,
        check=True,
    )
    return _tried(ARM_PYTHON, env, folder)


def _without_compiler(path: Path) -> dict[str, str]:
    """The environment's variables with programs from one folder, and nothing of a checkout."""
    left_out = ("PYTHONPATH", "CC", "TEXTGEN_NATIVE_LIBRARY", "TEXTGEN_WHEEL_TAG")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, "PATH": str(path)}


def _tried(python: Path, env: Mapping[str, str], folder: Path) -> str:
    """What the textgen of a Python says of its engine, after it has trained and written."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "try_installed.py", python],
        env=env,
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def main(words: Sequence[str]) -> None:
    """Build, build again, compare, check, try."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", help="the tag of a wheel; again for more")
    parser.add_argument("--twice", action="store_true", help="build all twice, not the first only")
    asked = parser.parse_args(words)
    began = time.monotonic()
    targets = [one for one in TARGETS if not asked.only or one.tag in asked.only]
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    with tempfile.TemporaryDirectory(prefix="textgen-wheels-") as place:
        again = Path(place, "again")
        again.mkdir()
        archive = build(ROOT, "sdist", DIST)
        with tarfile.open(archive) as packed:
            packed.extractall(place, filter="data")
        sources = Path(place, archive.name.removesuffix(".tar.gz"))
        problems = sdist_problems(archive)
        if _differ(archive, build(sources, "sdist", again)):
            problems.append("building it twice gives other bytes")
        problems = [f"{archive.name}: {line}" for line in problems]
        print(f"{archive.name}: {_megabytes(archive.stat().st_size)}, built twice", flush=True)
        for target in targets:
            twice = asked.twice or target == targets[0]
            problems += _one(target, sources if twice else None, again)
        if problems:
            sys.exit("\n".join(problems))
        here = this_machine()
        for target in targets:
            (wheel,) = DIST.glob(f"*-{target.tag}.whl")
            folder = Path(place, target.tag)
            folder.mkdir()
            if target.compiler_name == here.compiler_name:
                print(f"{target.tag}, installed without a compiler, trains and writes:", flush=True)
                print(try_here(wheel, folder), flush=True)
            elif target.tag == ARM_TAG and shutil.which("qemu-aarch64") is None:
                print(f"{ARM_TAG} is not tried: qemu-aarch64 is missing (package qemu-user)")
            elif target.tag == ARM_TAG:
                print(f"{ARM_TAG}, installed in an emulator, trains and writes:", flush=True)
                print(try_on_arm(wheel, folder), flush=True)
    print(f"all is as it must be: {len(targets)} wheels, {time.monotonic() - began:.0f} s")


def _one(target: BuildTarget, sources: Path | None, again: Path) -> list[str]:
    """Build and check the wheel for `target`, the second time in `sources`; what is wrong."""
    began = time.monotonic()
    wheel = build(ROOT, "wheel", DIST, target.tag)
    once = time.monotonic() - began
    found = wheel_problems(wheel, target)
    with zipfile.ZipFile(wheel) as packed:
        library = packed.getinfo(f"textgen/native/{target.file}").file_size
    if sources is not None and _differ(wheel, build(sources, "wheel", again, target.tag)):
        found.append("building it twice gives other bytes")
    print(
        f"{wheel.name}: {_megabytes(wheel.stat().st_size)}, engine {_megabytes(library)} "
        f"({', '.join(target.instruction_sets)}), {once:.0f} s"
        f"{'' if sources is None else ', built twice'}{'; WRONG, see below' * bool(found)}",
        flush=True,
    )
    return [f"{wheel.name}: {line}" for line in found]


def _differ(one: Path, other: Path) -> bool:
    return one.name != other.name or one.read_bytes() != other.read_bytes()


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB"


if __name__ == "__main__":
    main(sys.argv[1:])
