"""The packages that textgen stands on: their versions, licences and hashes, also as CycloneDX.

`make release` writes the bill of materials beside the wheel. It tells what was installed where the
release was made and tested; the wheel itself asks for ranges of versions.
"""

from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from archive_hashes import ROOT, canonical, known_hashes
from packaging.requirements import Requirement

#: Extras that users install; that of the tests is none.
EXTRAS = ("probe", "vectors", "compress")


def needed(roots: Iterable[str]) -> dict[str, importlib.metadata.Distribution]:
    """The installed packages that these need, themselves among them, by name.

    Args:
        roots: Requirements.
    """
    found: dict[str, importlib.metadata.Distribution] = {}
    open_ = [canonical(Requirement(root).name) for root in roots]
    while open_:
        name = open_.pop()
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system
        open_ += _needs(found[name])
    return found


def _needs(package: importlib.metadata.Distribution) -> list[str]:
    """The names of what a package needs; not those of an extra, another system or Python."""
    wanted = [Requirement(one) for one in package.requires or []]
    return [
        canonical(one.name)
        for one in wanted
        if one.marker is None or one.marker.evaluate({"extra": ""})
    ]


def licence(package: importlib.metadata.Distribution) -> str:
    """What its metadata name as its licence, in one word or a few; "" for nothing."""
    meta = package.metadata
    said = meta.get("License-Expression") or ""
    if not said:
        classes = [c for c in meta.get_all("Classifier") or [] if c.startswith("License ::")]
        said = classes[0].rpartition(" :: ")[2] if classes else meta.get("License") or ""
    return said.split("\n")[0].strip()[:60]


def project() -> dict[str, Any]:
    """The table `project` of pyproject.toml."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return found


def bill(version: str, archives: Mapping[str, str]) -> dict[str, Any]:
    """The bill of materials of a release, as CycloneDX 1.6.

    Args:
        version: Of textgen.
        archives: SHA-256 of what is released, by file name.
    """
    said = project()
    extras = [line for extra in EXTRAS for line in said["optional-dependencies"][extra]]
    required, all_ = needed(said["dependencies"]), needed([*said["dependencies"], *extras])
    known = known_hashes()
    own = {
        **_component(said["name"], version, said["license"], ()),
        "type": "application",
        "components": [_file(name, digest) for name, digest in sorted(archives.items())],
    }
    parts = []
    for name, package in sorted(all_.items()):
        # A build of another index than that of the hashes, such as 2.13.0+cpu, has none here.
        digests = known.get(f"{name}=={package.version}", ())
        part = _component(name, package.version, licence(package), digests)
        parts.append({**part, "scope": "required" if name in required else "optional"})
    wanted = {name: sorted({*_needs(package)} & {*all_}) for name, package in all_.items()}
    wanted[said["name"]] = sorted(
        {canonical(Requirement(line).name) for line in said["dependencies"]}
    )
    refs = {part["name"]: part["bom-ref"] for part in [own, *parts]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": own},
        "components": parts,
        "dependencies": [
            {"ref": refs[name], "dependsOn": [refs[one] for one in needs if one in refs]}
            for name, needs in sorted(wanted.items())
        ],
    }


def _component(name: str, version: str, licence: str, digests: Iterable[str]) -> dict[str, Any]:
    place = f"pkg:pypi/{name}@{version.replace('+', '%2B')}"
    said: dict[str, Any] = {"type": "library", "bom-ref": place, "name": name, "version": version}
    said["purl"] = place
    if licence:
        said["licenses"] = [{"license": {"name": licence}}]
    if hashes := [{"alg": "SHA-256", "content": digest} for digest in sorted(digests)]:
        said["hashes"] = hashes
    return said


def _file(name: str, digest: str) -> dict[str, Any]:
    return {"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]}
