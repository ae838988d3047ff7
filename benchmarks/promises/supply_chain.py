"""Part 18: what textgen depends on is known, pinned with hashes, and under a free licence."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from campaign import ROOT, Effort, Figure, Part, repeat

sys.path.insert(0, str(ROOT / "scripts"))

from archive_hashes import CONSTRAINTS, canonical, known_hashes
from bill_of_materials import licence, needed, project

#: Licences by how their names begin, in any case. Copyleft ones are told apart.
_FREE = ("mit", "bsd", "apache", "psf", "python", "isc", "mpl", "mozilla", "hpnd", "zlib", "0bsd")
_COPYLEFT = ("lgpl", "gpl", "agpl", "gnu")
#: Seconds that the index and the list of weaknesses may take; the part takes none in less.
_NETWORK, _LEAST = 300.0, 20.0


def unpinned(lines: Iterable[str], hashed: Mapping[str, tuple[str, ...]]) -> list[str]:
    """What is wrong with the constraints.

    Args:
        lines: Those of constraints.txt, without comments.
        hashed: The hashes of the archives, by `NAME==VERSION`.
    """
    wrong = []
    for line in lines:
        name, _, version = line.partition("==")
        if not version:
            wrong.append(f"constraints.txt does not pin {line}")
        elif not hashed.get(f"{canonical(name)}=={version}"):
            wrong.append(f"{line} has no hash; `make hashes` writes them anew")
    return wrong


def is_free(said: str) -> bool:
    """Whether a licence is a free one without copyleft, by its name."""
    words = re.findall(r"[a-z0-9]+", said.lower())
    return any(word.startswith(_FREE) for word in words) and not any(
        word.startswith(_COPYLEFT) for word in words
    )


def strange_archives(
    report: Mapping[str, Any], hashed: Mapping[str, tuple[str, ...]]
) -> tuple[list[str], list[str]]:
    """Archives that pip would take here and whose hash is not written down.

    Args:
        report: What `pip install --report` says.
        hashed: The hashes, by `NAME==VERSION`.
    Returns:
        Those of a version that is written down, and those of another build, which none is written
        down of.
    """
    wrong, others = [], []
    for item in report["install"]:
        named = f"{canonical(item['metadata']['name'])}=={item['metadata']['version']}"
        digest = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if named not in hashed:
            others.append(named)
        elif digest not in hashed[named]:
            wrong.append(f"the archive of {named} that pip takes here has another hash: {digest}")
    return wrong, others


def weaknesses(report: Mapping[str, Any]) -> tuple[list[str], int, int]:
    """What `pip-audit --format json` found.

    Args:
        report: What it wrote.
    Returns:
        The weaknesses; how many packages were looked up; how many its list does not answer for.
    """
    packages = report["dependencies"]
    skipped = [package for package in packages if "skip_reason" in package]
    found = [
        f"{package['name']} {package['version']} has the known weakness {one['id']}"
        for package in packages
        for one in package.get("vulns", ())
    ]
    return found, len(packages) - len(skipped), len(skipped)


def _asked(words: list[str], out: Path) -> tuple[Any, str]:
    """The JSON that a command writes into a file; None, with the reason, where it writes none."""
    try:
        ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_NETWORK)
    except subprocess.TimeoutExpired:
        return None, f"no answer within {_NETWORK:.0f} s"
    try:
        return json.loads(out.read_text("utf-8")), ""
    except (OSError, ValueError):
        lines = ended.stderr.strip().splitlines()
        return None, f"no answer: {lines[-1][:150] if lines else f'exit code {ended.returncode}'}"


def _taken(hashed: Mapping[str, tuple[str, ...]]) -> tuple[list[str], list[str], str]:
    """Compare what pip would take here with the hashes: failures, what was not run, figures."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place, "report.json")
        words = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        words += ["--no-deps", "--quiet", "--report", str(out), "--requirement", str(CONSTRAINTS)]
        report, why = _asked(words, out)
    if report is None:
        return [], [f"hashes beside those of the package index: {why}"], ""
    wrong, others = strange_archives(report, hashed)
    alike = len(report["install"]) - len(wrong) - len(others)
    not_run = [f"the hash of {one}: it is of another index, and not written down" for one in others]
    return wrong, not_run, f" {alike} archives that pip takes here have a hash that is among them."


def _audited() -> tuple[list[str], list[str], str]:
    """Ask for known weaknesses: failures, what was not run, figures."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = shutil.which("pip-audit", path=places)
    if program is None:
        return [], ["known weaknesses of the packages: `pip-audit` is not installed"], ""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place, "audit.json")
        words = [program, "--requirement", str(CONSTRAINTS), "--no-deps", "--disable-pip"]
        words += ["--progress-spinner", "off", "--format", "json", "--output", str(out)]
        report, why = _asked(words, out)
    if report is None:
        return [], [f"known weaknesses of the packages: {why}"], ""
    found, looked_up, skipped = weaknesses(report)
    not_run = [
        f"known weaknesses of {skipped} packages: the list that `pip-audit` asks does not answer "
        "for them"
    ]
    text = f" {looked_up} packages were looked up in a list of known weaknesses."
    return found, not_run if skipped else [], text if looked_up else ""


def try_promise(effort: Effort) -> Figure:
    """Part 18 of the campaign."""
    lines = [line.partition("#")[0].strip() for line in CONSTRAINTS.read_text("utf-8").splitlines()]
    lines = [line for line in lines if line]
    hashed = known_hashes()
    wrong = unpinned(lines, hashed)
    packages = needed(project()["dependencies"])
    pinned = {canonical(line.partition("==")[0]) for line in lines if "==" in line}
    kinds: Counter[str] = Counter()
    for name, package in packages.items():
        said = licence(package)
        kinds[said or "none named"] += 1
        if not is_free(said):
            wrong.append(f"{name} has the licence {said!r}")
        if name not in pinned:
            wrong.append(f"{name} is not pinned")
    most = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(6))
    text = (
        f"{len(lines)} packages are pinned to a version, with "
        f"{sum(map(len, hashed.values())):,} hashes of archives for all systems; the "
        f"{len(packages)} that textgen needs to run here name these licences most: {most}."
    )
    not_run = ["the package index and known weaknesses: the time was too short"]
    if not effort.is_quick and effort.seconds >= _LEAST:
        not_run = []
        for failures, left, figures in (_taken(hashed), _audited()):
            wrong += failures
            not_run += left
            text += figures
    return Figure(
        tried=len(lines) + len(packages),
        failures=tuple(f"{one} {repeat(18, effort, one.partition(' ')[0])}" for one in wrong),
        text=text,
        is_drawn=False,
        not_run=tuple(not_run),
    )


PARTS = (
    Part(
        number=18,
        promise="Every package that textgen needs is pinned to a version and to the hashes of its "
        "archives, and its licence is a free one without copyleft.",
        not_promised="that these packages have no weaknesses of their own; hashes are compared by "
        "`make install-checked`, not by `make`; the optional `gensim` is under the LGPL.",
        seconds=60,
        run=try_promise,
    ),
)
