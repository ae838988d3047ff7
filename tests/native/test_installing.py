"""Installation: a wheel of this platform with a compiler, pure Python without, failing never."""

from __future__ import annotations

import json
import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from support.environments import Environment
from support.small_runs import ROOT, SMALL_OPTIONS, russian_text

import textgen
from textgen.checkpoint import SHIPPED
from textgen.native.library import BUILD_COMMAND, COST, LIBRARY

#: Of the package: not that of the command.
NAME = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["name"]


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
def test_a_wheel_carries_the_library(environment: Environment, small_tree: Path) -> None:
    """Built from what `python -m build` packs first: the sources' own archive."""
    # One that was built earlier stays behind.
    (small_tree / "textgen" / "native" / LIBRARY.name).write_text("old")
    environment.run("python", "-m", "hatchling", "build", cwd=small_tree, compiler=True)
    (archive,) = (small_tree / "dist").glob("*.tar.gz")
    (wheel,) = (small_tree / "dist").glob("*.whl")
    name = NAME.replace("-", "_")
    assert re.fullmatch(rf"{name}-[\d.]+-py3-none-(linux|macosx)_\w+\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        assert f"textgen/native/{LIBRARY.name}" in names
        assert packed.read(f"textgen/native/{LIBRARY.name}") != b"old"
        assert "textgen/native/src/kernels.c" in names  # for who finds a compiler later
        (about,) = (name for name in names if name.endswith(".dist-info/WHEEL"))
        assert "Root-Is-Purelib: false" in packed.read(about).decode()
    with tarfile.open(archive) as packed_sources:
        inside = {name.partition("/")[2] for name in packed_sources.getnames()}
    assert {"hatch_build.py", "textgen/native/src/textgen.c"} <= inside
    assert f"textgen/native/{LIBRARY.name}" not in inside

    said = environment.install(archive, compiler=True)
    assert "textgen is installed without" not in said
    assert (environment.packages / "textgen" / "native" / LIBRARY.name).is_file()
    assert environment.describe().startswith("native engine: ")


@pytest.mark.slow
def test_a_wheel_carries_the_lessons(
    environment: Environment, small_tree: Path, tmp_path: Path
) -> None:
    """With the texts that they read: listed, run and written as in the clone, which is gone."""
    environment.run("python", "-m", "hatchling", "build", cwd=small_tree)
    (archive,) = (small_tree / "dist").glob("*.tar.gz")
    (wheel,) = (small_tree / "dist").glob("*.whl")
    pages = {path.name for path in (small_tree / "docs/lessons").glob("*.md")}
    texts = {path.name for path in (small_tree / "corpora").iterdir()}
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    assert {f"textgen/lessons/pages/{name}" for name in pages} <= names
    assert {f"textgen/lessons/corpora/{name}" for name in texts} <= names
    assert not [name for name in names if name.startswith(("docs/", "corpora/"))]
    with tarfile.open(archive) as packed_sources:
        inside = {name.partition("/")[2] for name in packed_sources.getnames()}
    assert {f"docs/lessons/{name}" for name in pages} <= inside
    for model in SHIPPED:
        parts = {"model.safetensors", "README.md", "neurons/_calibration.json"}
        found = {name for name in names if name.startswith(f"textgen/checkpoints/{model.name}/")}
        assert found == {f"textgen/checkpoints/{model.name}/{part}" for part in parts}
        assert {f"checkpoints/{model.name}/{part}" for part in parts} <= inside

    environment.install(archive)
    archive.rename(tmp_path / "archive")
    small_tree.rename(tmp_path / "moved")
    listed = json.loads(environment.run("textgen", "lessons", "--json").stdout)
    assert [own["number"] for own in listed] == [own.number for own in textgen.list_lessons()]
    first = environment.run("textgen", "lessons", "19", "--all")
    assert "all as on the page" in first.stderr  # It reads corpora/russian.txt.
    # The models that come along, too: nothing was trained here.
    text = environment.run("textgen", "sample", "--seed", "старуха", "--length", "40")
    assert text.stdout.startswith("старуха") and len(text.stdout) == 47
    assert text.stderr.startswith("model: dostoevsky, which comes with textgen; ")
    hint = "from textgen.extras import install_hint; print(install_hint('gensim'))"
    said = environment.run("python", "-c", hint).stdout
    assert said == f'type: pip install "{NAME}[vectors]"\n'


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
def test_an_editable_installation_builds_in_the_tree(
    environment: Environment, small_tree: Path
) -> None:
    library = small_tree / "textgen" / "native" / LIBRARY.name
    environment.install("--editable", small_tree, compiler=True)
    assert environment.describe().startswith("native engine: ")
    before = library.stat().st_mtime_ns
    environment.install("--editable", small_tree, compiler=True)
    assert library.stat().st_mtime_ns == before  # It was up to date.
    assert not (environment.packages / "textgen").exists()  # The lessons stand in the tree.


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
def test_what_does_not_compile_is_left_out(environment: Environment, small_tree: Path) -> None:
    (small_tree / "textgen" / "native" / "src" / "kernels.c").write_text("int broken = ;\n")
    said = environment.install(small_tree, compiler=True)
    (line,) = (line for line in said.splitlines() if "textgen is installed without" in line)
    assert "the C compiler failed with code 1" in line
    assert "kernels.c:1" in said
    assert "-py3-none-any.whl" in said
    assert environment.describe().startswith("the native engine is not built here")


@pytest.mark.slow
def test_everything_runs_without_a_compiler(
    environment: Environment, tree: Path, tmp_path: Path
) -> None:
    """Installed, trained, sampled and inspected where PATH has nothing but the environment."""
    said = environment.install(tree)
    (line,) = (line for line in said.splitlines() if "textgen is installed without" in line)
    assert "no C compiler is found" in line
    assert COST in line
    assert line.endswith(BUILD_COMMAND)
    assert "-py3-none-any.whl" in said
    assert not list(environment.packages.rglob("_textgen.*"))

    text = tmp_path / "text.txt"
    text.write_text(russian_text(4000), encoding="utf-8")
    model = tmp_path / "model"
    trained = environment.run(
        "textgen", "train", text, "--out", model, "--steps", "6", *SMALL_OPTIONS
    )
    assert BUILD_COMMAND in " ".join((trained.stdout + trained.stderr).split())

    # Python then lists what it imports.
    listing = {"PYTHONPROFILEIMPORTTIME": "1"}
    sampled = environment.run(
        *("textgen", "sample", "--checkpoint", model, "--seed", "Утром", "--length", "30"),
        **listing,
    )
    assert sampled.stdout.startswith("Утром")
    assert len(sampled.stdout.rstrip("\n")) >= 30
    inspected = environment.run(
        "textgen", "inspect", "--checkpoint", model, "--text", "Утром сосед.", **listing
    )
    assert "Утром" in inspected.stdout
    for done in (sampled, inspected):
        assert re.search(r"\| +numpy$", done.stderr, re.M)
        assert not re.search(r"\| +torch$", done.stderr, re.M)
