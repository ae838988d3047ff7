"""Print the test files that belong to what was changed since `main`: for `make quick`.

A changed test file belongs to itself; a changed module `textgen/.../name.py` to the test files with
`name` in theirs, an `__init__.py` to the file named after its folder. What changed is what git
says: commits since `main`, edits, new files.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]


def near(changed: Iterable[str], tests: Iterable[str]) -> list[str]:
    """The test files that belong to the changed files.

    Args:
        changed: Paths from the root of the checkout.
        tests: Every test file there is.
    """
    names, folders = set(), set()
    for path in map(PurePosixPath, changed):
        if path.suffix == ".py" and path.parts[0] == "textgen":
            if path.stem == "__init__":
                folders.add(path.parent.name)
            else:
                names.add(path.stem)
    changed = set(changed)
    return [
        test
        for test in sorted(tests)
        if test in changed
        or any(name in PurePosixPath(test).stem for name in names)
        or PurePosixPath(test).stem.removesuffix("_cli").removeprefix("test_") in folders
    ]


def changed_files() -> list[str]:
    """Paths of the files that differ from those of `main`, where there is one, or are new."""
    base = _git("merge-base", "main", "HEAD") or ["HEAD"]
    return _git("diff", "--name-only", base[0]) + _git("ls-files", "--others", "--exclude-standard")


def _git(*words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


if __name__ == "__main__":
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
    print(*near(changed_files(), files))
