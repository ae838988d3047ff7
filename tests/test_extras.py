"""What to type for a library that is missing: never the name of another project."""

from __future__ import annotations

import platform
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.small_runs import ROOT

from textgen import extras
from textgen.extras import EXTRAS, distribution_name, install_hint

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def installed(folder: Path, name: str, command: str) -> None:
    """Write what pip writes about a package of which `textgen` is the command."""
    about = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[console_scripts]\ntextgen = {command}\n")


def test_each_library_is_in_its_extra() -> None:
    for library, extra in EXTRAS.items():
        needed = PROJECT["optional-dependencies"][extra]
        assert library in {re.match(r"[\w-]+", one)[0] for one in needed}  # type: ignore[index]


def test_the_name_is_that_of_the_package_with_our_command(tmp_path: Path) -> None:
    assert distribution_name(tmp_path) is None
    installed(tmp_path, "textgen", "textgen.other:main")
    assert distribution_name(tmp_path) is None
    installed(tmp_path, "our-name", PROJECT["scripts"]["textgen"])
    assert distribution_name(tmp_path) == "our-name"


def test_what_is_typed_depends_on_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = 'in the root of the clone, type: pip install ".[probe]"'
    assert install_hint("scikit-learn") == typed
    monkeypatch.setattr(extras, "_HERE", tmp_path)
    assert install_hint("scikit-learn") == "type: pip install scikit-learn"
    installed(tmp_path, "our-name", PROJECT["scripts"]["textgen"])
    assert install_hint("scikit-learn") == 'type: pip install "our-name[probe]"'


#: System and CPU as `sys` and `platform` name them, the C library; whether torch is made for it.
MACHINES = (
    ("linux", "x86_64", "glibc", True),
    ("linux", "aarch64", "glibc", True),
    ("linux", "x86_64", "", False),  # musl, which `libc_ver` does not know
    ("darwin", "arm64", "", True),
    ("darwin", "x86_64", "", False),
    ("win32", "AMD64", "", True),
    ("win32", "ARM64", "", False),
)


@pytest.mark.parametrize(("system", "machine", "library", "made"), MACHINES)
def test_torch_is_asked_for_where_it_is_made(
    system: str, machine: str, library: str, made: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the package, and by messages. No marker of a package tells musl from glibc."""
    (torch,) = (
        one for line in PROJECT["dependencies"] if (one := Requirement(line)).name == "torch"
    )
    assert torch.marker is not None
    wanted = torch.marker.evaluate({"sys_platform": system, "platform_machine": machine})
    assert wanted == (made or system == "linux")
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: (library, ""))
    hint = install_hint("torch")
    assert (hint == "type: pip install torch") == made
    assert ("no torch is made for" in hint) != made
    assert install_hint("numpy") == "type: pip install numpy"


def test_what_is_installed_without_torch_is_all_the_rest() -> None:
    """On musl, by names: see `A wheel` in docs/installation.md."""
    (line,) = re.findall(
        r"pip install (numpy .*)\n.*--no-deps",
        (ROOT / "docs/installation.md").read_text("utf-8"),
    )
    needed = {Requirement(one).name for one in PROJECT["dependencies"]}
    assert set(line.split()) == needed - {"torch"}
