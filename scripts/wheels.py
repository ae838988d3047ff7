"""Build the wheels of every platform and the source archive in `dist/`: `make wheels`.

One Linux machine builds them all: the compiler is the package ziglang. Each is built twice, the
second time from the unpacked source archive in another folder, and must have the same bytes. Each
is opened and checked; that of this machine is installed where no compiler is, and trains.
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
from collections.abc import Sequence
from pathlib import Path

from wheel_checks import ROOT, sdist_problems, wheel_problems

from textgen.native.targets import TARGETS, BuildTarget, this_machine

DIST = ROOT / "dist"


def build(folder: Path, kind: str, output: Path, tag: str = "") -> Path:
    """Build a wheel or a source archive and return it.

    Args:
        folder: Of the sources.
        kind: `wheel` or `sdist`.
        output: The folder to put it in.
        tag: Of a wheel: what it is for.
    """
    before = set(output.glob("*"))
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(output)],
        cwd=folder,
        env={**os.environ, "TEXTGEN_WHEEL_TAG": tag, "SOURCE_DATE_EPOCH": _time_of_commit()},
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


def try_wheel(wheel: Path, folder: Path) -> str:
    """Install a wheel of this machine where no compiler is on the path; train and write.

    Args:
        wheel: The file.
        folder: An empty one for the environment.
    Returns:
        What it says of its engine.
    """
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    left_out = ("PYTHONPATH", "CC", "TEXTGEN_NATIVE_LIBRARY", "TEXTGEN_WHEEL_TAG")
    env = {name: value for name, value in os.environ.items() if name not in left_out}
    env["PATH"] = str(python.parent)
    install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    pinned = ("--constraint", str(ROOT / "constraints.txt"))
    # All but torch, by far the largest, which nothing needs where the engine is.
    said = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = [line for line in said["dependencies"] if not line.startswith("torch")]
    for words in ((*pinned, *needed), ("--no-deps", str(wheel))):
        subprocess.run([*install, *words], env=env, cwd=folder, check=True)
    done = subprocess.run(
        [python, ROOT / "scripts" / "try_installed.py"],
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
    parser.add_argument("--once", action="store_true", help="build each once: half the time")
    asked = parser.parse_args(words)
    targets = [one for one in TARGETS if not asked.only or one.tag in asked.only]
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    with tempfile.TemporaryDirectory(prefix="textgen-wheels-") as place:
        again = Path(place, "again")
        again.mkdir()
        archive = build(ROOT, "sdist", DIST)
        problems = [f"{archive.name}: {line}" for line in sdist_problems(archive)]
        with tarfile.open(archive) as packed:
            packed.extractall(place, filter="data")
        sources = Path(place, archive.name.removesuffix(".tar.gz"))
        if not asked.once and _differ(archive, build(sources, "sdist", again)):
            problems.append(f"{archive.name}: building it twice gives other bytes")
        _say(archive, 0.0)
        for target in targets:
            problems += _one(target, None if asked.once else sources, again)
        if problems:
            sys.exit("\n".join(problems))
        here = this_machine()
        for target in targets:
            if (target.system, target.compiler_name) == (here.system, here.compiler_name):
                (wheel,) = DIST.glob(f"*-{target.tag}.whl")
                print(f"{target.tag}, installed without a compiler, trains and writes: ", end="")
                print(try_wheel(wheel, Path(place, "environment")), flush=True)


def _one(target: BuildTarget, sources: Path | None, again: Path) -> list[str]:
    """Build and check the wheel for `target`, the second time in `sources`; what is wrong."""
    began = time.monotonic()
    wheel = build(ROOT, "wheel", DIST, target.tag)
    found = wheel_problems(wheel, target)
    if sources is not None and _differ(wheel, build(sources, "wheel", again, target.tag)):
        found.append("building it twice gives other bytes")
    _say(wheel, time.monotonic() - began)
    return [f"{wheel.name}: {line}" for line in found]


def _differ(one: Path, other: Path) -> bool:
    return one.name != other.name or one.read_bytes() != other.read_bytes()


def _say(path: Path, seconds: float) -> None:
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
