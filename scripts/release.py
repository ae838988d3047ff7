"""Build a release in `dist/`, after checks: `make release`. Nothing is uploaded.

The archives are those of `make wheels`, each built twice. Beside them it writes a bill of
materials: what textgen stands on, as CycloneDX.

The version stands in `textgen/version.py`. Its section of CHANGELOG.md is the first one below
`## Unreleased`, carries a date, and `Unreleased` is empty. Nothing in the checkout is uncommitted.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"


def changelog_problems(text: str, version: str) -> list[str]:
    """What is wrong with CHANGELOG.md for a release of `version`.

    Args:
        text: The file.
        version: To be released, such as `0.2.0`.
    """
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    titles = [section.partition("\n")[0].strip() for section in sections]
    if titles[:1] != ["Unreleased"]:
        return ["CHANGELOG.md: the first section must be `## Unreleased`"]
    found = []
    if sections[0].partition("\n")[2].strip():
        found.append(f"CHANGELOG.md: move what stands under `Unreleased` to `## {version} - DATE`")
    if not re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", "".join(titles[1:2])):
        found.append(f"CHANGELOG.md: the second section must be `## {version} - YYYY-MM-DD`")
    return found


def write_bill(version: str) -> Path:
    """Write the bill of materials of what is in `dist/`.

    Args:
        version: That is released.
    Returns:
        The file.
    """
    from bill_of_materials import bill

    archives = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in DIST.iterdir()}
    path = DIST / f"textgen_char-{version}.cdx.json"
    path.write_text(json.dumps(bill(version, archives), indent=1) + "\n", "utf-8")
    return path


def main() -> None:
    """Check, build, check what was built, and list what it stands on."""
    sys.path.insert(0, str(ROOT))
    from textgen import __version__

    problems = changelog_problems((ROOT / "CHANGELOG.md").read_text("utf-8"), __version__)
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    if status.stdout:
        problems.append("git: commit or remove what is uncommitted")
    if problems:
        sys.exit("\n".join(problems))
    if subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "wheels.py"), "--twice"], check=False
    ).returncode:
        sys.exit("the wheels are not as they must be: see above")
    write_bill(__version__)
    print(f"built {', '.join(path.name for path in sorted(DIST.iterdir()))}; nothing is uploaded")
    print(f"next: git tag v{__version__}")


if __name__ == "__main__":
    main()
