"""Virtual environments to install copies of the project into."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path


class Environment:
    """A virtual environment that borrows the packages of the one the tests run in.

    Args:
        folder: Where to make it.
    """

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=True)
        self.folder = folder
        self.bin = folder / "bin"
        (self.packages,) = folder.glob("lib/python*/site-packages")
        # A plain line in a .pth file: packages there are found, .pth files there are not read, so
        # that a textgen which is installed as editable stays out.
        borrowed = [line for line in sys.path if line.endswith("-packages")]
        (self.packages / "borrowed.pth").write_text("\n".join(borrowed) + "\n")

    def run(
        self, *words: str | Path, compiler: bool = False, cwd: Path | None = None, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, which must succeed.

        Args:
            words: The program's name and its arguments.
            compiler: Let it find one: otherwise PATH has nothing but the environment's own folder.
            cwd: Where to run it.
            extra: Variables beside the few that are set.
        """
        names = {"LD_LIBRARY_PATH", "TEXTGEN_CACHE"} | ({"CC"} if compiler else set())
        path = [str(self.bin), os.environ["PATH"]] if compiler else [str(self.bin)]
        done = subprocess.run(
            [str(self.bin / words[0]), *map(str, words[1:])],
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=cwd or self.folder,
            env={
                "PATH": os.pathsep.join(path),
                "HOME": str(self.folder),
                "PYTHONIOENCODING": "utf-8",
                **{name: os.environ[name] for name in names if name in os.environ},
                **extra,
            },
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done

    def install(self, *words: str | Path, compiler: bool = False) -> str:
        """`pip install` without the network; what it said."""
        done = self.run(
            *("python", "-m", "pip", "install", "--verbose", "--no-index", "--no-deps"),
            *("--no-build-isolation", "--disable-pip-version-check", *words),
            compiler=compiler,
        )
        return done.stdout + done.stderr

    def describe(self) -> str:
        """What the textgen that is installed there says of its engine."""
        code = "from textgen.native.library import describe; print(describe())"
        return self.run("python", "-c", code).stdout.strip()
