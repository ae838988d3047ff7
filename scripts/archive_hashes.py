"""Write hashes.txt and hashes-torch.txt from the package index: `make hashes`.

hashes.txt has the hash of each archive that the index lists for the versions in constraints.txt and
for what these need on other systems. hashes-torch.txt has those of torch, and of the libraries that
nothing else needs: whoever takes another build of torch, such as one for CPUs from an index of its
own, names a file with its hash instead (`make install-checked TORCH_HASHES=FILE`). `uv` asks the
index; it needs to be installed only for this.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
HASHES, TORCH_HASHES = ROOT / "hashes.txt", ROOT / "hashes-torch.txt"
HEAD = "# SHA-256 of every archive of these versions: `make hashes` writes this file.\n"
#: Every system and every Python that textgen supports, in one list.
COMMAND = ("uv", "pip", "compile", "--universal", "--generate-hashes", "--no-header", "--quiet")


@dataclass(frozen=True)
class Pinned:
    """One version of a package.

    Args:
        version: The version.
        where: The marker of the systems that need it, as it is written; "" for all.
        hashes: SHA-256 of its archives, in hexadecimal digits.
        needed_by: The names of those that need it, and of files; empty where that is not told.
    """

    version: str
    where: str = ""
    hashes: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()


def canonical(name: str) -> str:
    """The name of a package as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read(text: str) -> dict[str, Pinned]:
    """The packages of a file of requirements that are pinned, by name.

    Args:
        text: The file.
    """
    found = {}
    for block in re.split(r"^(?=\w)", text, flags=re.MULTILINE):
        line = re.match(r"([\w.-]+)==([^\s;]+)(?: ; ([^\n\\]*))?", block)
        if line is not None:
            via = re.search(r"# via (.*)", block)
            found[canonical(line[1])] = Pinned(
                version=line[2],
                where=(line[3] or "").strip(),
                hashes=tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", block)),
                needed_by=tuple(via[1].split(", ")) if via else (),
            )
    return found


def known_hashes() -> dict[str, tuple[str, ...]]:
    """The SHA-256 of every archive of the pinned versions, by `NAME==VERSION`."""
    packages = {**read(HASHES.read_text("utf-8")), **read(TORCH_HASHES.read_text("utf-8"))}
    return {f"{name}=={one.version}": one.hashes for name, one in packages.items()}


def written(packages: Mapping[str, Pinned]) -> str:
    """The text of a file of hashes, which pip reads."""
    lines = []
    for name, package in sorted(packages.items()):
        where = f" ; {package.where}" if package.where else ""
        hashes = [f"    --hash=sha256:{one}" for one in sorted(package.hashes)]
        lines.append(" \\\n".join([f"{name}=={package.version}{where}", *hashes]) + "\n")
    return HEAD + "".join(lines)


def of_torch(packages: Mapping[str, Pinned], pinned: Mapping[str, Pinned]) -> set[str]:
    """The name of torch and of what nothing but torch needs.

    Args:
        packages: All, with those that need them.
        pinned: Those of constraints.txt; torch may need them, but they come with or without it.
    """
    found = {"torch"}
    while more := {
        name
        for name, package in packages.items()
        if name not in {*found, *pinned} and set(package.needed_by) <= found
    }:
        found |= more
    return found


def main() -> None:
    """Ask the index, write both files."""
    if shutil.which(COMMAND[0]) is None:
        sys.exit("uv is not installed; type: python -m pip install uv")
    words = [*COMMAND, "--annotation-style", "line", "--all-extras", CONSTRAINTS.name]
    said = subprocess.run(
        [*words, "pyproject.toml"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    packages, pinned = read(said), read(CONSTRAINTS.read_text("utf-8"))
    torch = of_torch(packages, pinned)
    for path, is_torch in ((HASHES, False), (TORCH_HASHES, True)):
        kept = {name: one for name, one in packages.items() if (name in torch) == is_torch}
        path.write_text(written(kept), "utf-8")
        print(f"{path.name}: {sum(len(one.hashes) for one in kept.values())} archives")


if __name__ == "__main__":
    main()
