"""Every lesson runs, says what the program gives, and fails where a number in it is another."""

from __future__ import annotations

import doctest
import io
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from test_docs import run_all, shell_commands

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/lessons"
INDEX = FOLDER / "README.md"
PAGES = sorted(path.name for path in FOLDER.glob("[0-9]*.md"))
#: What a page needs beside the package itself: its extras, of the library's name and their own.
NEEDS = {
    "08_neuron.md": "sklearn",
    "09_agreement.md": "sklearn",
    "12_distances.md": "gensim",
    "18_sentiment_neuron.md": "sklearn",
}
SAID = {"sklearn": ("scikit-learn", "'.[probe]'"), "gensim": ("gensim", "'.[vectors]'")}


@dataclass
class PageRun:
    """What became of a page.

    Args:
        passed: Its examples that gave what stands there, with what they gave.
        report: What differs; "" where nothing does.
        names: What its examples have defined; what they hold goes with them.
    """

    passed: list[tuple[doctest.Example, str]] = field(default_factory=list)
    report: str = ""
    names: dict[str, Any] = field(default_factory=dict)


class Runner(doctest.DocTestRunner):
    """As `python -m doctest`, but keeps what came out."""

    def __init__(self) -> None:
        # Without flags, so that the command of the index is enough.
        super().__init__(verbose=False)
        self.run_of_page = PageRun()

    def report_success(self, out: Any, test: doctest.DocTest, example: Any, got: str) -> None:
        self.run_of_page.passed.append((example, got))


def run_page(text: str, name: str) -> PageRun:
    """Run a page's examples."""
    test = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, name, name, 0)
    runner, report = Runner(), io.StringIO()
    with redirect_stdout(report):
        runner.run(test, clear_globs=False)
    runner.run_of_page.report = report.getvalue()
    runner.run_of_page.names = test.globs
    return runner.run_of_page


def examples(page: str) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples((FOLDER / page).read_text("utf-8"), page)


def with_another_digit(text: str) -> list[str]:
    """The text once for each of its digits, that one raised by one (9 becomes 0)."""
    return [
        f"{text[: digit.start()]}{(int(digit[0]) + 1) % 10}{text[digit.end() :]}"
        for digit in re.finditer("[0-9]", text)
    ]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that holds the project's own texts."""
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "corpora").symlink_to(ROOT / "corpora", target_is_directory=True)
    monkeypatch.chdir(folder)
    return folder


# A page's temporary folder goes when Python ends, and Python says so to who asks for warnings.
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_the_program_gives(
    page: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each example gives what stands there, and no digit of it could be another.

    Then the page's commands run, in the folder that the examples went to. In the end nothing is
    left, and no library was loaded that the page does not name.
    """
    if page in NEEDS:
        pytest.importorskip(NEEDS[page])
    for library in SAID.keys() - {NEEDS.get(page)}:
        monkeypatch.setitem(sys.modules, library, None)
    run = run_page((FOLDER / page).read_text("utf-8"), page)
    own = Path.cwd()
    try:
        check_page(page, run)
        assert [path.name for path in place.iterdir()] == ["corpora"]
        if own != place:
            (own / "corpora").symlink_to(ROOT / "corpora", target_is_directory=True)
        run_all(shell_commands(f"docs/lessons/{page}"))
    finally:
        os.chdir(place)
        run.names.clear()
    assert own == place or not own.exists()


def check_page(page: str, run: PageRun) -> None:
    """Fail where an example gave something else, or could have."""
    assert not run.report, run.report
    checker, digits = doctest.OutputChecker(), 0
    for example, got in run.passed:
        flags = sum(flag for flag, is_on in example.options.items() if is_on)
        for wrong in with_another_digit(example.want):
            assert not checker.check_output(wrong, got, flags), f"{page} would pass with {wrong!r}"
            digits += 1
    assert digits >= 5


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_it_needs(page: str) -> None:
    """Under its title: the library, how it is installed, and about how long the page takes."""
    _, needs, _ = (FOLDER / page).read_text("utf-8").split("\n\n", 2)
    assert re.fullmatch(r"Needs .*\. Takes (about|a few|a second).*\.", needs, re.S), needs
    library = NEEDS.get(page)
    if library is None:
        assert needs.startswith("Needs nothing beside textgen.")
        return
    name, extra = SAID[library]
    assert name in needs and f"`pip install {extra}`" in needs
    if "`make demo` installs" in needs:
        assert f"--editable {extra}" in (ROOT / "Makefile").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_nothing_of_a_page_is_left_out(page: str) -> None:
    """No example is skipped, and none lets everything pass."""
    for example in examples(page):
        place = f"{page}:{example.lineno + 1}"
        assert not example.options.get(doctest.SKIP), f"{place} is skipped"
        assert example.want.strip() != "...", f"{place} says nothing"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_network_of_its_own(page: str) -> None:
    """Cells, layers and optimisers are textgen's; torch lends a page its arithmetic."""
    source = "".join(example.source for example in examples(page))
    assert not re.search(r"\bnn\b|\btorch\.optim\b|^ *class ", source, re.M)


def test_a_wrong_number_fails() -> None:
    """Any of them, and an example that prints what nobody expects."""
    good = "# Sum\n\n```python\n>>> 12 + 13\n25\n>>> print('a', 0.5)\na 0.5\n\n```\n"
    run = run_page(good, "good")
    assert (run.report, len(run.passed)) == ("", 2)
    for want in ("25", "a 0.5"):
        for wrong in with_another_digit(want):
            report = run_page(good.replace(f"\n{want}\n", f"\n{wrong}\n"), "wrong").report
            assert f"Expected:\n    {wrong}\nGot:\n    {want}\n" in report
    assert "Got:\n    26\n" in run_page(good.replace("13", "14"), "wrong").report
    assert "Expected nothing" in run_page(good.replace("25\n", ""), "wrong").report
    assert "ZeroDivisionError" in run_page(good.replace("13", "1 / 0"), "wrong").report


def test_the_command_of_the_index(tmp_path: Path) -> None:
    """As typed in a clone it prints nothing; of a wrong page it prints what differs."""
    (command,) = re.findall(r"^python (-m doctest .*)$", INDEX.read_text("utf-8"), re.M)
    words = command.split()
    good = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (good.returncode, good.stdout) == (0, ""), good.stdout + good.stderr
    wrong = tmp_path / "wrong.md"
    wrong.write_text("```python\n>>> 1 + 1\n3\n\n```\n")
    bad = subprocess.run(
        [sys.executable, *words[:-1], str(wrong)], capture_output=True, text=True, check=False
    )
    assert bad.returncode == 1
    assert "Expected:\n    3\nGot:\n    2\n" in bad.stdout


def test_the_index_lists_every_page() -> None:
    """In their order, and none that is not there."""
    linked = re.findall(r"\]\((\d[^)]*\.md)\)", INDEX.read_text("utf-8"))
    assert linked == PAGES
