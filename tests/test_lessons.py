"""Every lesson runs, says what the program gives, and fails where a number in it is another."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_docs import run_all, shell_commands

import textgen
from textgen.lessons import lesson_page
from textgen.lessons.lesson_page import Lesson
from textgen.lessons.lesson_run import ExampleResult

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
#: Pages that compute for more than five seconds where other tests run beside them.
LONG = ("01_fibonacci.md", "14_variants.md")
SAID = {"sklearn": ("scikit-learn", '".[probe]"'), "gensim": ("gensim", '".[vectors]"')}


def of_doctest(page: str) -> list[doctest.Example]:
    """What `python -m doctest` runs of a page."""
    return doctest.DocTestParser().get_examples((FOLDER / page).read_text("utf-8"), page)


def examples(lesson: Lesson) -> list[doctest.Example]:
    """What `textgen lessons` runs of it."""
    return [example for step in lesson.steps for example in step.examples]


def with_another_digit(text: str) -> list[str]:
    """The text once for each of its digits, that one raised by one (9 becomes 0)."""
    return [
        f"{text[: digit.start()]}{(int(digit[0]) + 1) % 10}{text[digit.end() :]}"
        for digit in re.finditer("[0-9]", text)
    ]


def is_long(page: str) -> bool:
    """Whether it computes for five seconds and more, or loads a library that is slow."""
    return page in {*NEEDS, *LONG} or "Takes about" in (FOLDER / page).read_text("utf-8")


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow if is_long(page) else ()) for page in PAGES],
)
def test_a_page_says_what_the_program_gives(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each example gives what stands there, and no digit of it could be another.

    Then the page's commands run, in the folder that the examples went to. In the end nothing is
    left, and no library was loaded that the page does not name.
    """
    if page in NEEDS:
        pytest.importorskip(NEEDS[page])
    for library in SAID.keys() - {NEEDS.get(page)}:
        monkeypatch.setitem(sys.modules, library, None)
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    lesson = Lesson.read((FOLDER / page).read_text("utf-8"))
    with lesson.running() as run:
        check_page(page, [run.try_example(example) for example in examples(lesson)])
        assert [path.name for path in run.start.iterdir()] == ["corpora"]
        run.bring_corpora()
        monkeypatch.chdir(run.folder)
        run_all(shell_commands(f"docs/lessons/{page}"))
        monkeypatch.chdir(place)
    assert not run.folder.exists() and not run.start.exists()
    assert not list(place.iterdir())


def check_page(page: str, results: list[ExampleResult]) -> None:
    """Fail where an example gave something else, or could have."""
    assert not [result.report for result in results if result.report]
    checker, digits = doctest.OutputChecker(), 0
    for result in results:
        flags = sum(flag for flag, is_on in result.example.options.items() if is_on)
        for wrong in with_another_digit(result.example.want):
            given = checker.check_output(wrong, result.got, flags)
            assert not given, f"{page} would pass with {wrong!r}"
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
    for example in of_doctest(page):
        place = f"{page}:{example.lineno + 1}"
        assert not example.options.get(doctest.SKIP), f"{place} is skipped"
        assert example.want.strip() != "...", f"{place} says nothing"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_network_of_its_own(page: str) -> None:
    """Cells, layers and optimisers are textgen's; torch lends a page its arithmetic."""
    source = "".join(example.source for example in of_doctest(page))
    assert not re.search(r"\bnn\b|\btorch\.optim\b|^ *class ", source, re.M)


HEAD = "# 1. Sum\n\nNeeds nothing beside textgen. Takes a second.\n\n"


def reports(page: str) -> str:
    """What differs on a page."""
    lesson = Lesson.read(HEAD + page)
    with lesson.running() as run:
        return "".join(run.try_example(example).report for example in examples(lesson))


def test_a_wrong_number_fails() -> None:
    """Any of them, and an example that prints what nobody expects."""
    good = "```python\n>>> 12 + 13\n25\n>>> print('a', 0.5)\na 0.5\n\n```\n"
    assert reports(good) == ""
    for want in ("25", "a 0.5"):
        for wrong in with_another_digit(want):
            report = reports(good.replace(f"\n{want}\n", f"\n{wrong}\n"))
            assert f"Expected:\n    {wrong}\nGot:\n    {want}\n" in report
    assert "Got:\n    26\n" in reports(good.replace("13", "14"))
    assert "Expected nothing" in reports(good.replace("25\n", ""))
    assert "ZeroDivisionError" in reports(good.replace("13", "1 / 0"))


@pytest.mark.parametrize("page", PAGES)
def test_a_step_leaves_nothing_out(page: str) -> None:
    """Steps have all text and all examples of a page, and each begins with text."""
    text = (FOLDER / page).read_text("utf-8")
    lesson = Lesson.read(text)
    own, every = examples(lesson), of_doctest(page)
    assert [(e.source, e.want) for e in own] == [(e.source, e.want) for e in every]
    assert len(lesson.steps) >= 4 and all(step.text.strip() for step in lesson.steps)
    prose = re.sub(r"```python\n.*?```\n", "", text, flags=re.S)
    assert "".join(step.text for step in lesson.steps) == prose


def test_the_working_folder_is_that_of_an_example_only_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An example may go to another folder, and stays there; the caller does not."""
    monkeypatch.chdir(tmp_path)
    code = (
        ">>> import os, tempfile\n>>> other = tempfile.TemporaryDirectory()\n"
        ">>> os.chdir(other.name)\n>>> open('new', 'w').close()\n>>> os.listdir()\n['new']\n"
    )
    lesson = Lesson.read(f"{HEAD}```python\n{code}\n```\n")
    with lesson.running() as run:
        assert (run.start / "corpora/russian.txt").is_file()
        for example in examples(lesson):
            assert run.try_example(example).agrees
            assert Path.cwd() == tmp_path
        assert run.folder != run.start and (run.folder / "new").is_file()
    assert not run.folder.exists() and not run.start.exists()


def test_an_interruption_is_no_wrong_result() -> None:
    """doctest itself takes what is no `KeyboardInterrupt` for a mistake of the example."""
    lesson = Lesson.read(f"{HEAD}```python\n>>> raise GeneratorExit\n\n```\n")
    with pytest.raises(GeneratorExit), lesson.running() as run:
        run.try_example(examples(lesson)[0])
    assert not run.start.exists()


def test_a_lesson_by_number() -> None:
    """All of them, in order; another number is refused."""
    lessons = textgen.list_lessons()
    assert [lesson.number for lesson in lessons] == [int(page[:2]) for page in PAGES]
    assert textgen.load_lesson(8).needs == ("scikit-learn",)
    twelve = textgen.load_lesson(12)
    assert (twelve.needs, twelve.commands_need) == ((), ("gensim",))
    assert twelve.takes == "a few seconds"
    with pytest.raises(textgen.TextgenError, match=r"there is no lesson 0; there are 1 to \d+"):
        textgen.load_lesson(0)


def test_what_a_lesson_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As its page says it in a clone."""
    monkeypatch.setattr(lesson_page, "find_spec", lambda name: None)
    lesson = textgen.load_lesson(8)
    assert lesson.missing == ("scikit-learn",)
    said = "lesson 8 needs scikit-learn, which is not installed; "
    with pytest.raises(textgen.TextgenError) as error, lesson.running():
        pass
    assert str(error.value).startswith(said)
    assert str(error.value).endswith('pip install ".[probe]"')


@pytest.mark.slow
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
