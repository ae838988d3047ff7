"""CONTRIBUTING.md and docs/architecture.md name files and names that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.pairwise import pairwise
from support.small_runs import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
RECIPES = dict(re.findall(r"^### (.*?)\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))


def text_of(path: Path) -> str:
    return path.read_text("utf-8")


def rows(recipe: str) -> list[tuple[list[Path], list[str]]]:
    """The files of each row of a recipe's table, and the code that the row names."""
    found = []
    for file, what in re.findall(r"^\| (.*?) \| (.*?) \|$", recipe, re.MULTILINE):
        code = [*re.findall("`(.*?)`", file), *re.findall("`(.*?)`", what)]
        paths = [word for word in code if re.fullmatch(r"[\w/.-]+/[\w.-]+|\w+\.md", word)]
        found.append(([ROOT / path for path in paths], [w for w in code if w not in paths]))
    return found


@pytest.mark.parametrize("title", RECIPES)
def test_the_files_of_a_recipe_exist_and_hold_its_names(title: str) -> None:
    table = rows(RECIPES[title])
    assert len(table) > 2  # The heading is a row, too.
    for paths, names in table:
        written = [path for path in paths if "NAME" not in path.name]
        for path in paths:
            assert path.exists() or "NAME" in str(path), path
        text = "".join(path.read_text("utf-8") for path in written)
        for name in names if text else []:
            word = name.removesuffix("(...)")
            assert re.search(rf"\b{re.escape(word)}\b", text), f"{title}: {name}"


def test_every_path_on_the_page_exists() -> None:
    for path in re.findall(
        r"(?<![\w/.])(?:textgen|tests|docs|benchmarks|scripts)/[\w./-]*\w", PAGE
    ):
        assert "NAME" in path or (ROOT / path).exists(), path


def test_there_is_a_recipe_for_each_kind_of_addition() -> None:
    kinds = "cell filter option view report encoding instruction task error"
    for kind in kinds.split():
        assert any(kind in title for title in RECIPES), kind


def test_what_the_architecture_names_exists() -> None:
    page = (ROOT / "docs/architecture.md").read_text("utf-8").partition("## The tree")[0]
    package = ROOT / "textgen"
    texts = "".join(path.read_text("utf-8") for path in package.rglob("*.py"))
    for word in re.findall("`(.*?)`", page):
        if "/" in word or word.endswith(".py"):
            assert (package / word).exists() or (ROOT / word).exists(), word
        elif re.fullmatch(r"[\w.]+", word) and word != "LIBRARIES" and word != "LEVELS":
            assert re.search(rf"\b{word.rpartition('.')[2]}\b", texts), word


def test_no_test_sets_the_clock_of_the_process() -> None:
    """Servers of other tests live by it: one that waits for a time then may wait for ever."""
    sets = re.compile(r"setattr\(\s*(?:[\w.]+\.)?time,|setattr\(\s*\"(?:[\w.]+\.)?time\.")
    assert sets.search('setattr(speed.time, "monotonic", f)') and sets.search(
        'setattr("time.sleep"'
    )
    assert not sets.search('setattr(speed, "time", f)')
    found = [path.name for path in (ROOT / "tests").rglob("*.py") if sets.search(text_of(path))]
    assert found == ["test_contributing.py"]


def test_each_two_values_meet_in_the_quick_cases() -> None:
    assert pairwise([3]) == [(0,), (1,), (2,)]
    cases = pairwise([2, 3, 2])
    assert len(cases) == 6
    for a, b in ((0, 1), (0, 2), (1, 2)):
        met = {(case[a], case[b]) for case in cases}
        assert len(met) == (2, 3, 2)[a] * (2, 3, 2)[b]
