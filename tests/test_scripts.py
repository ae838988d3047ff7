"""The scripts behind `make`: what is tested first, the tree of files, the checks of a release."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from support.result_table import main as result_table
from support.small_runs import ROOT


def script(name: str, folder: str = "scripts") -> ModuleType:
    """A file that is in no package, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / folder / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    declared = set(" ".join(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)).split())
    assert targets == declared
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    listed = {line.split()[1] for line in shown}
    assert listed == targets - {"try-native"}  # It is a step of others.
    assert all(len(line) < 100 and line.endswith(".") for line in shown)


@pytest.mark.parametrize(
    "page",
    [
        *("README.md", "README.ru.md", "README.mk.md", "CONTRIBUTING.md", "SECURITY.md"),
        *(f"docs/{name}.md" for name in ("README", "architecture", "installation", "machines")),
    ],
)
def test_every_target_that_a_page_names_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for name in re.findall(r"`make ([a-z-]+)`", (ROOT / page).read_text("utf-8")):
        assert name in targets, f"{page} names `make {name}`"


def test_the_tree_of_the_architecture_is_that_of_today() -> None:
    tree = script("tree")
    page = tree.PAGE.read_text("utf-8")
    assert page == tree.written(page), "docs/architecture.md is of another tree: type `make tree`"
    assert "inspection" in tree.layers() and "\ncli\n" in tree.layers()
    drawn = tree.tree()
    assert "  cells/" in drawn and "    equations.py " in drawn
    assert "    src/" in drawn and "      kernels.c " in drawn


def test_the_page_says_what_does_not_go_together() -> None:
    apart = script("apart")
    page = apart.PAGE.read_text("utf-8")
    assert page == apart.written(page), "docs/writers.md has another table: type `make tree`"
    assert "| a form | `--no-repeat` | it may leave no way to the end of the form" in page


def test_every_module_says_what_it_is() -> None:
    lines = script("tree").tree().splitlines()
    assert not [
        line for line in lines if re.fullmatch(r" *\S+(\.py|/)", line) and "src/" not in line
    ]


def test_the_tests_that_begin_exist() -> None:
    names = script("conftest", "tests").LONGEST
    assert not [name for name in names if not (ROOT / "tests" / name).exists()]


def test_the_tests_near_a_change() -> None:
    near = script("near").near
    tests = ["tests/cli/test_eval_cli.py", "tests/sampling/test_filters.py", "tests/test_files.py"]
    assert near(["textgen/sampling/filters.py"], tests) == ["tests/sampling/test_filters.py"]
    assert near(["textgen/cli/eval.py"], tests) == ["tests/cli/test_eval_cli.py"]
    assert near(["tests/test_files.py", "README.md", "pyproject.toml"], tests) == [tests[2]]
    assert near([], tests) == []
    views = ["tests/cli/test_inspect_cli.py", "tests/cli/test_inspect_find_cli.py"]
    assert near(["textgen/cli/inspect/__init__.py"], views) == views[:1]


UNRELEASED = "# Changelog\n\n## Unreleased\n\n"
DATED = "## 0.2.0 - 2026-11-30\n\n- One.\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (UNRELEASED + DATED, None),
        (DATED, "the first section must be `## Unreleased`"),
        (UNRELEASED + "- Two.\n\n" + DATED, "move what stands under `Unreleased`"),
        (UNRELEASED + "## 0.2.0\n", "the second section must be `## 0.2.0 - YYYY-MM-DD`"),
        (UNRELEASED + DATED.replace("0.2", "0.1"), "the second section must be `## 0.2.0"),
        (UNRELEASED, "the second section must be"),
    ],
)
def test_a_release_has_a_dated_section(text: str, problem: str | None) -> None:
    found = script("release").changelog_problems(text, "0.2.0")
    assert len(found) == (problem is not None)
    assert problem is None or problem in found[0]


def test_the_changelog_is_in_order() -> None:
    """Its first section takes what is not released yet; the others have a version and a date."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles[0] == "Unreleased"
    dated = [
        re.fullmatch(r"(\d+)\.(\d+)\.(\d+) - (\d{4}-\d\d-\d\d)", title) for title in titles[1:]
    ]
    assert all(dated), titles
    keys = [(found[4], int(found[1]), int(found[2]), int(found[3])) for found in dated if found]
    assert keys == sorted(keys, reverse=True)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("archive_hashes")


def test_every_pinned_version_has_its_hashes(hashes: ModuleType) -> None:
    pinned = hashes.read(hashes.CONSTRAINTS.read_text("utf-8"))
    known = hashes.known_hashes()
    missing = [name for name, one in pinned.items() if not known.get(f"{name}=={one.version}")]
    assert pinned and not missing, f"{missing} have no hash: type `make hashes`"
    assert not set(hashes.read(hashes.HASHES.read_text("utf-8"))) & {"torch", "triton"}


RESOLVED = """\
numpy==2.4 \\
    --hash=sha256:{1} \\
    --hash=sha256:{0}
    # via -r constraints.txt
nvidia-cublas==13 ; sys_platform == 'linux' \\
    --hash=sha256:{2}
    # via torch, nvidia-dnn
nvidia_dnn==9 ; sys_platform == 'linux' \\
    --hash=sha256:{3}
    # via torch
torch==2.13 \\
    --hash=sha256:{4}
    # via -r constraints.txt
""".format(*(str(digit) * 64 for digit in range(5)))


def test_hashes_are_read_split_and_written(hashes: ModuleType) -> None:
    packages = hashes.read(RESOLVED)
    assert packages["numpy"].hashes == ("1" * 64, "0" * 64)
    torch = hashes.of_torch(packages, {"numpy": packages["numpy"], "torch": packages["torch"]})
    assert torch == {"torch", "nvidia-dnn", "nvidia-cublas"}
    text = hashes.written({"numpy": packages["numpy"], "nvidia-dnn": packages["nvidia-dnn"]})
    assert text.splitlines()[1:] == [
        *("numpy==2.4 \\", f"    --hash=sha256:{'0' * 64} \\", f"    --hash=sha256:{'1' * 64}"),
        *("nvidia-dnn==9 ; sys_platform == 'linux' \\", f"    --hash=sha256:{'3' * 64}"),
    ]
    assert hashes.read(text)["nvidia-dnn"].where == "sys_platform == 'linux'"


def test_a_release_lists_what_it_stands_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    release = script("release")
    monkeypatch.setattr(release, "DIST", tmp_path)
    (tmp_path / "textgen_char-9.whl").write_bytes(b"wheel")
    path = release.write_bill("9")
    assert path == tmp_path / "textgen_char-9.cdx.json"
    bill = json.loads(path.read_text("utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    own = bill["metadata"]["component"]
    assert (own["name"], own["version"]) == ("textgen-char", "9")
    assert own["purl"] == "pkg:pypi/textgen-char@9"
    digest = hashlib.sha256(b"wheel").hexdigest()
    assert own["components"][0]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    parts = {part["name"]: part for part in bill["components"]}
    assert "pytest" not in parts and parts["gensim"]["scope"] == "optional"
    numpy = parts["numpy"]
    assert numpy["scope"] == "required" and numpy["licenses"] and numpy["hashes"]
    needs = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert numpy["bom-ref"] in needs[own["bom-ref"]]
    assert set().union(*needs.values()) <= {part["bom-ref"] for part in parts.values()}


#: As pytest writes it: what is neither skipped nor failed has passed.
REPORT = """<testsuites><testsuite name="pytest">
<testcase classname="tests.native.test_net" name="one" time="1.4"/>
<testcase classname="tests.native.test_net" name="two" time="2.2"/>
<testcase classname="tests.native.test_net" name="three" time="0"><skipped/></testcase>
<testcase classname="tests.adaptation.test_adaptation" name="four" time="1">{0}</testcase>
</testsuite></testsuites>"""


@pytest.mark.parametrize(("fault", "code"), [("", 0), ("<failure/>", 1), ("<error/>", 1)])
def test_the_table_of_results(
    fault: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "a.xml"
    report.write_text(REPORT.format(fault))
    assert result_table([f"max={report}"]) == code
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    last = ["1", "0", "0"] if not fault else ["0", "0", "1"]
    assert rows == [
        ["tests", "passed", "skipped", "failed", "seconds"],
        ["max", "tests.native.test_net", "2", "1", "0", "4"],
        ["max", "tests.adaptation.test_adaptation", *last, "1"],
        ["max", "all", "2" if fault else "3", "1", "1" if fault else "0", "5"],
    ]


def test_a_report_that_was_never_written_is_a_failure(tmp_path: Path) -> None:
    """The emulator may have ended before it."""
    report = tmp_path / "a.xml"
    report.write_text(REPORT.format(""))
    assert result_table([f"one={report}", f"two={tmp_path / 'none.xml'}"]) == 1


@pytest.mark.parametrize("script", ["arm.sh", "arm_python.sh"])
def test_a_missing_emulator_is_said_in_a_line(script: str, tmp_path: Path) -> None:
    for name in ("sh", "dirname", "date", "mkdir"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    done = subprocess.run(
        ["sh", ROOT / "tests" / "native" / script, sys.executable],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    said = "qemu-aarch64 is not found: this needs Debian or Ubuntu, and apt-get install qemu-user"
    assert done.stdout.splitlines()[-1] == said
