"""Wheels for other machines: what each is called, what it holds, and what is refused."""

from __future__ import annotations

import platform
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from support.environments import Environment
from support.small_runs import ROOT

from textgen.errors import BackendError
from textgen.native import build
from textgen.native.build import find_compiler
from textgen.native.targets import TARGETS, BuildTarget, target_of, this_machine

WINDOWS = target_of("win_amd64")

#: Stands in for the package ziglang: this machine's own compiler, whatever is asked for.
ZIGLANG = """
import subprocess, sys
words = [word for word in sys.argv[2:] if not word.startswith(("-target", "-Wl,"))]
words.remove("x86_64-windows-gnu")
assert "-s" in words or "-O3" not in words, "it would make notes for debuggers"
raise SystemExit(subprocess.run(["cc", *words]).returncode)
"""


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that looks for what is wrong."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import wheel_checks

    return wheel_checks


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.tag)
def test_every_target_is_a_machine_of_its_own(target: BuildTarget) -> None:
    system = {"linux": r"(many|musl)linux_\d+_\d+_", "darwin": r"macosx_\d+_\d+_", "win32": "win_"}
    machine = {"x86-64": "(x86_64|amd64)", "aarch64": "(aarch64|arm64)"}
    wanted = f"{system[target.system]}{machine[target.architecture]}"
    assert re.fullmatch(wanted, target.tag)
    assert target_of(target.tag) is target
    assert ("amx" in target.instruction_sets) == ("linux" in target.tag and "x86" in target.tag)
    assert target.instruction_sets[-1] == "generic"
    ending = {"linux": ".so", "darwin": ".dylib", "win32": ".dll"}[target.system]
    assert target.file == f"_textgen{ending}"


def test_this_machine_is_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the names that systems have for it."""
    cases = {
        ("linux", "x86_64", "glibc"): "x86_64-linux-gnu.2.17",
        ("linux", "aarch64", ""): "aarch64-linux-musl",
        ("darwin", "arm64", ""): "aarch64-macos.11.0",
        ("win32", "AMD64", ""): "x86_64-windows-gnu",
        ("linux", "riscv64", "glibc"): "",
    }
    for (system, machine, library), name in cases.items():
        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
        monkeypatch.setattr(platform, "libc_ver", lambda library=library: (library, ""))
        assert this_machine().compiler_name == name
    with pytest.raises(BackendError, match=r"no wheel is made for 'win32'.*win_arm64"):
        target_of("win32")


def test_windows_is_built_for_by_ziglang(monkeypatch: pytest.MonkeyPatch) -> None:
    """From anywhere, and on Windows itself."""
    monkeypatch.delenv("CC", raising=False)
    words = [sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-windows-gnu"]
    monkeypatch.setattr(build, "find_spec", lambda name: name)
    assert find_compiler(WINDOWS) == words
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(platform, "machine", lambda: "AMD64")
    assert find_compiler() == words
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"x86_64-windows-gnu is missing; .*pip install ziglang"):
        find_compiler()


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
def test_a_wheel_of_another_platform(
    environment: Environment, small_tree: Path, tmp_path: Path, checks: ModuleType
) -> None:
    """Its name, the name of its library; and nothing is built where that fails."""
    (tmp_path / "other" / "ziglang").mkdir(parents=True)
    (tmp_path / "other" / "ziglang" / "__init__.py").touch()
    (tmp_path / "other" / "ziglang" / "__main__.py").write_text(ZIGLANG)
    words = ("python", "-m", "hatchling", "build", "-t", "wheel")
    extra = {"PYTHONPATH": str(tmp_path / "other"), "TEXTGEN_WHEEL_TAG": "win_amd64"}
    environment.run(*words, cwd=small_tree, compiler=True, **extra)
    (wheel,) = (small_tree / "dist").glob("*.whl")
    assert wheel.name.endswith("-py3-none-win_amd64.whl")
    # The stand-in has other sources, and its compiler is this machine's: all else is as it must be.
    assert checks.wheel_problems(wheel, WINDOWS) == [
        "it lacks textgen/native/src/textgen.h",
        "the library is of other sources",
        "the library is no PE file",
    ]
    with zipfile.ZipFile(wheel) as packed:
        assert b"textgen-sets:avx512bf16,avx512,avx2,generic\0" in packed.read(
            "textgen/native/_textgen.dll"
        )
    (small_tree / "textgen" / "native" / "src" / "kernels.c").write_text("int broken = ;\n")
    with pytest.raises(AssertionError, match="the C compiler failed"):
        environment.run(*words, cwd=small_tree, compiler=True, **extra)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda files: files.pop("textgen/py.typed"), "it lacks textgen/py.typed"),
        (
            lambda files: files.pop("textgen/checkpoints/dostoevsky/model.safetensors"),
            "it lacks textgen/checkpoints/dostoevsky/model.safetensors",
        ),
        (
            lambda files: files.pop("a.dist-info/licenses/LICENSE"),
            "it lacks a.dist-info/licenses/LICENSE",
        ),
        (
            lambda files: files.update({"tests/test_api.py": ""}),
            "tests/test_api.py does not belong there",
        ),
        (
            lambda files: files.update({"textgen/__pycache__/api.pyc": ""}),
            "textgen/__pycache__/api.pyc does not belong there",
        ),
        (
            lambda files: files.update({"textgen/native/_textgen.so": ""}),
            "its libraries are",
        ),
        (
            lambda files: files.update({"a.dist-info/WHEEL": "Tag: py3-none-win_arm64"}),
            "a.dist-info/WHEEL lacks: Tag: py3-none-win_amd64",
        ),
    ],
)
def test_what_is_wrong_with_a_wheel_is_found(
    change: Callable[[dict[str, str]], object], problem: str, tmp_path: Path, checks: ModuleType
) -> None:
    files = dict.fromkeys(checks.IN_WHEEL, "")
    files["a.dist-info/WHEEL"] = "Root-Is-Purelib: false\nTag: py3-none-win_amd64\n"
    files["a.dist-info/licenses/LICENSE"] = ""
    files["textgen/native/_textgen.dll"] = ""
    for is_changed in (False, True):
        if is_changed:
            change(files)
        wheel = tmp_path / "a-1-py3-none-win_amd64.whl"
        with zipfile.ZipFile(wheel, "w") as packed:
            for name, text in files.items():
                packed.writestr(name, text)
        found = checks.wheel_problems(wheel, WINDOWS)
        found = [line for line in found if not line.startswith("the library")]
        assert any(line.startswith(problem) for line in found) == is_changed
        assert bool(found) == is_changed


def test_a_library_of_another_machine_or_with_its_places_is_refused(checks: ModuleType) -> None:
    content = f"\x7fELF {checks.signature()} textgen-sets:avx2\0 {ROOT}".encode()
    sets, *places, kind = checks.library_problems(content, WINDOWS)
    assert sets == "the library has avx2, not avx512bf16, avx512, avx2, generic"
    # A checkout may lie in the folder of temporary files, which is such a place, too.
    assert f"the library names a place of this machine: {ROOT}" in places
    assert kind == "the library is no PE file"


def test_the_workflow_takes_no_action_that_can_change() -> None:
    """Each is named by a commit; the oldest Python that it tries is the oldest that we allow."""
    text = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert len(used) >= 5
    for action, remark in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v[\d.]+", remark), action
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    (oldest,) = re.findall(r'requires-python = ">=([\d.]+)"', project)
    assert f'python: ["{oldest}", ' in text
    assert "id-token: write" in text.partition("publish:")[2]
