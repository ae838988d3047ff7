"""Part 18: what textgen depends on is known, pinned, and under a free licence."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import tomllib
from collections import Counter

from campaign import ROOT, Effort, Figure, Part, repeat
from packaging.requirements import Requirement

#: Licences by how their names begin, in any case. Copyleft ones are told apart.
_FREE = ("mit", "bsd", "apache", "psf", "python", "isc", "mpl", "mozilla", "hpnd", "zlib", "0bsd")
_COPYLEFT = ("lgpl", "gpl", "agpl", "gnu")


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def needed(roots: list[str]) -> dict[str, importlib.metadata.Distribution]:
    """The installed packages that these need, themselves among them, by name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    open_ = [_name(root) for root in roots]
    while open_:
        name = open_.pop()
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system
        wanted = [Requirement(one) for one in found[name].requires or []]
        # Those of an extra, of another system or of another Python are not needed here.
        open_ += [
            _name(one.name)
            for one in wanted
            if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
    return found


def licence(package: importlib.metadata.Distribution) -> str:
    """What its metadata name as its licence, in one word or a few; "" for nothing."""
    meta = package.metadata
    said = meta.get("License-Expression") or ""
    if not said:
        classes = [c for c in meta.get_all("Classifier") or [] if c.startswith("License ::")]
        said = classes[0].rpartition(" :: ")[2] if classes else meta.get("License") or ""
    return said.split("\n")[0].strip()[:60]


def try_promise(effort: Effort) -> Figure:
    """Part 18 of the campaign."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [
        line.partition("#")[0].strip()
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    ]
    lines = [line for line in lines if line]
    pinned = {_name(line) for line in lines if "==" in line}
    failures = [
        f"constraints.txt does not pin {line} {repeat(18, effort, line)}"
        for line in lines
        if "==" not in line
    ]
    packages = needed(project["dependencies"])
    kinds: Counter[str] = Counter()
    for name, package in packages.items():
        said = licence(package)
        kinds[said or "none named"] += 1
        words = re.findall(r"[a-z0-9]+", said.lower())
        if not any(word.startswith(_FREE) for word in words) or any(
            word.startswith(_COPYLEFT) for word in words
        ):
            failures.append(f"{name} has the licence {said!r} {repeat(18, effort, name)}")
        if name not in pinned:
            failures.append(f"{name} is not pinned {repeat(18, effort, name)}")
    not_run = []
    audit = "`pip-audit` is not installed: known weaknesses of the packages were not looked up"
    if shutil.which("pip-audit") is None or effort.is_quick:
        not_run.append(audit)
    else:
        words_ = ["pip-audit", "--requirement", str(ROOT / "constraints.txt"), "--no-deps"]
        ended = subprocess.run(words_, capture_output=True, text=True, check=False)
        if ended.returncode:
            failures.append(f"pip-audit: {(ended.stdout + ended.stderr)[-500:]}")
    if "--hash" not in (ROOT / "constraints.txt").read_text("utf-8"):
        not_run.append("hashes of packages: constraints.txt pins versions and no hashes")
    most = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(6))
    return Figure(
        tried=len(lines) + len(packages),
        failures=tuple(failures),
        text=f"{len(lines)} packages are pinned to a version; the {len(packages)} that textgen "
        f"needs to run here name these licences most: {most}.",
        is_drawn=False,
        not_run=tuple(not_run),
    )


PARTS = (
    Part(
        number=18,
        promise="Every package that textgen needs is pinned to a version, and its licence is a "
        "free one without copyleft.",
        not_promised="that these packages have no weaknesses of their own; the optional `gensim` "
        "is under the LGPL.",
        seconds=30,
        run=try_promise,
    ),
)
