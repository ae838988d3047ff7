"""`textgen lessons`: the list, a lesson step by step, as JSON and as a notebook."""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.live_terminal import LiveTerminal
from support.small_runs import ROOT, textgen_cli

import textgen
from textgen.lessons import lesson_page

PAGE = """# 7. Sums

Needs nothing beside textgen. Takes a second.

The first sum, as on [another page](02_other.md#sum):

```python
>>> 12 + 13
25

```

## More

A file, and a text of the project:

```python
>>> import os
>>> open("new.txt", "w").close()
>>> os.path.getsize("corpora/russian.txt") > 1000
True
>>> for number in 1, 2:
...     print(number)
1
2

```

Type `textgen list` in **both** terminals:

```sh
textgen list
```
"""


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Pages that stand in for the lessons, an empty working folder and one for temporary ones."""
    folder = tmp_path / "pages"
    for path in (folder, tmp_path / "here", tmp_path / "temporary"):
        path.mkdir()
    (folder / "07_sums.md").write_text(PAGE, "utf-8")

    def shipped(inside: str, in_clone: str) -> Path:
        return folder if inside == "lessons/pages" else ROOT / "corpora"

    monkeypatch.setattr(lesson_page, "project_folder", shipped)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "here")
    yield folder
    left = [*(tmp_path / "temporary").iterdir(), *(tmp_path / "here").glob("[!.]*.txt")]
    assert not left


def test_the_list_names_every_lesson() -> None:
    """With what it needs and how long it takes; the word `lesson` means the same."""
    result = textgen_cli("lessons", COLUMNS="120")
    assert result.exit_code == 0
    for lesson in textgen.list_lessons():
        (row,) = re.findall(rf"^ *{lesson.number} .*$", result.stdout, re.M)
        assert lesson.title in row and lesson.takes in row
        assert all(name in row for name in (*lesson.needs, *lesson.commands_need))
    assert textgen_cli("lesson", COLUMNS="120").stdout == result.stdout
    narrow = textgen_cli("lessons", COLUMNS="40").stdout
    eight = textgen.load_lesson(8)
    said = f"{eight.title} ({eight.takes}; needs scikit-learn)"
    assert said in " ".join(narrow.split())
    assert max(map(len, narrow.splitlines())) <= 40
    shown = json.loads(textgen_cli("lessons", "--json").stdout)
    assert [own["title"] for own in shown] == [own.title for own in textgen.list_lessons()]
    assert shown[7]["needs"] == ["scikit-learn"]


def test_a_missing_library_is_marked_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson_page, "find_spec", lambda name: None)
    assert "scikit-learn, missing" in textgen_cli("lessons", COLUMNS="120").stdout
    result = textgen_cli("lessons", "8")
    assert (result.exit_code, result.stdout) == (8, "")
    assert result.stderr == (
        "textgen: lesson 8 needs scikit-learn, which is not installed; in the root of the clone, "
        'type: pip install ".[probe]"\n'
    )


@pytest.mark.usefixtures("pages")
def test_a_lesson_shows_text_code_and_results() -> None:
    """In a pipe: all of it, in the order of the page, without a colour and without waiting."""
    result = textgen_cli("lessons", "7")
    assert result.exit_code == 0
    assert result.stdout == (
        "# 7. Sums\n\nNeeds nothing beside textgen. Takes a second.\n\n"
        "The first sum, as on another page:\n\n>>> 12 + 13\n25\n\n"
        "## More\n\nA file, and a text of the project:\n\n"
        '>>> import os\n>>> open("new.txt", "w").close()\n'
        '>>> os.path.getsize("corpora/russian.txt") > 1000\nTrue\n'
        ">>> for number in 1, 2:\n...     print(number)\n1\n2\n\n"
        "Type `textgen list` in both terminals:\n\n    textgen list\n\n"
    )
    assert result.stderr == "lesson 7: 5 examples ran, all as on the page\n"
    assert textgen_cli("lessons", "7", "-q").stderr == ""


def test_the_result_is_that_of_now(pages: Path) -> None:
    """Where it differs from the page, both are printed, and the code is 1."""
    (pages / "07_sums.md").write_text(PAGE.replace("12 + 13", "12 + 14"), "utf-8")
    result = textgen_cli("lessons", "7")
    assert result.exit_code == 1
    assert (
        ">>> 12 + 14\nThis differs from the page. It gives:\n    26\nThe page says:\n    25\n"
    ) in result.stdout
    assert result.stdout.count("differs") == 1
    assert result.stderr == "lesson 7: 5 examples ran, 1 of them differ from the page\n"
    shown = json.loads(textgen_cli("lessons", "7", "--json").stdout)
    assert (shown["ran"], shown["differ"]) == (5, 1)
    first = shown["steps"][0]["examples"]
    assert first == [{"code": "12 + 14", "page": "25\n", "got": "26\n", "agrees": False}]


def test_an_error_in_an_example_is_a_result(pages: Path) -> None:
    (pages / "07_sums.md").write_text(PAGE.replace("12 + 13", "12 / 0"), "utf-8")
    result = textgen_cli("lessons", "7")
    assert result.exit_code == 1
    assert "It gives:\n    ZeroDivisionError: division by zero\nThe page says:\n    25\n" in (
        result.stdout
    )
    assert "1 of them differ" in result.stderr  # The others ran.


@pytest.mark.usefixtures("pages")
def test_json_has_all_that_is_shown() -> None:
    shown = json.loads(textgen_cli("lessons", "7", "--json").stdout)
    assert (shown["number"], shown["title"], shown["differ"]) == (7, "Sums", 0)
    assert [len(step["examples"]) for step in shown["steps"]] == [1, 4, 0]
    assert shown["steps"][1]["examples"][3]["got"] == "1\n2\n"
    assert "```sh\ntextgen list\n```" in shown["steps"][2]["text"]


def test_what_cannot_be_done_is_said() -> None:
    wrong = textgen_cli("lessons", "99")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert re.fullmatch(r"textgen: there is no lesson 99; there are 1 to \d+\n", wrong.stderr)
    wrong = textgen_cli("lessons", "--notebook", "a.ipynb")
    assert wrong.exit_code == 2 and "textgen lessons 4 --notebook a.ipynb" in wrong.stderr
    wrong = textgen_cli("lessons", "4", "--notebook", "no/such/folder/a.ipynb")
    assert wrong.exit_code == 6


def in_a_terminal(tmp_path: Path, *words: str, **env: str) -> LiveTerminal:
    for name in ("here", "temporary"):
        (tmp_path / name).mkdir()
    place = {"TMPDIR": str(tmp_path / "temporary"), "TERM": "xterm-256color"}
    return LiveTerminal(
        "lessons", *words, cwd=tmp_path / "here", columns=80, lines=24, **place, **env
    )


def shows(terminal: LiveTerminal, text: str) -> None:
    terminal.until(lambda: any(text in line for line in terminal.screen.display), text)


def nothing_is_left(tmp_path: Path) -> bool:
    return not os.listdir(tmp_path / "here") and not os.listdir(tmp_path / "temporary")


FOUR = textgen.load_lesson(4)
#: How the text of its first step ends, what its last example gives, and how the next step begins.
ENDS, GIVES, NEXT = (
    FOUR.steps[0].text.strip()[-12:].encode(),
    FOUR.steps[0].examples[-1].want.strip().encode(),
    FOUR.steps[1].text.strip()[:20].encode(),
)


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}], ids=["colours", "no colours"])
def test_a_terminal_waits_for_enter(tmp_path: Path, env: dict[str, str]) -> None:
    """Before code that would push its text off the screen, and before the next step."""
    with in_a_terminal(tmp_path, "4", **env) as terminal:
        shows(terminal, "Enter: run the code; q: end")
        assert ENDS in terminal.sent and b">>>" not in terminal.sent
        terminal.press("\r")
        shows(terminal, f"Enter: step 2 of {len(FOUR.steps)}; q: end")
        assert "run the code" not in "".join(terminal.screen.display)
        assert GIVES.decode() in "".join(terminal.screen.display)
        assert (b"\x1b[36m" in terminal.sent) == (not env)
        terminal.press("q\r")
        assert terminal.finish() == 0
    assert NEXT not in terminal.sent
    ran = f"lesson 4: {len(FOUR.steps[0].examples)} examples ran, all as on the page"
    assert ran.encode() in terminal.sent
    assert nothing_is_left(tmp_path)


def test_enter_that_is_pressed_too_often_skips_no_step(tmp_path: Path) -> None:
    """What was typed before a question was asked does not answer it."""
    with in_a_terminal(tmp_path, "4") as terminal:
        shows(terminal, "Enter: run the code")
        terminal.press("\r\r\r")
        shows(terminal, f"Enter: step 2 of {len(FOUR.steps)}")
        terminal.press("q\r")
        assert terminal.finish() == 0
    assert NEXT not in terminal.sent


def test_ctrl_c_ends_with_one_line(tmp_path: Path) -> None:
    with in_a_terminal(tmp_path, "4") as terminal:
        shows(terminal, "Enter: run the code")
        assert os.listdir(tmp_path / "temporary")
        terminal.kill(signal.SIGINT)
        assert terminal.finish() == 130
    assert terminal.sent.endswith(b"\r\ntextgen: interrupted\r\n")
    assert b"Traceback" not in terminal.sent
    assert nothing_is_left(tmp_path)


def test_ctrl_c_ends_an_example_that_runs(tmp_path: Path) -> None:
    """It is no result that differs from the page."""
    with in_a_terminal(tmp_path, "11", "--all") as terminal:
        terminal.until(lambda: b"textgen.train(" in terminal.sent, "the training")
        terminal.kill(signal.SIGINT)
        assert terminal.finish() == 130
    assert terminal.sent.count(b"interrupted") == 1 and b"differs" not in terminal.sent
    assert nothing_is_left(tmp_path)


def test_all_waits_for_nothing_on_a_terminal(tmp_path: Path) -> None:
    with in_a_terminal(tmp_path, "4", "--all") as terminal:
        assert terminal.finish() == 0
    assert b"Enter:" not in terminal.sent
    whole = sum(len(step.examples) for step in FOUR.steps)
    assert f"{whole} examples ran, all as on the page".encode() in terminal.sent
    assert NEXT in terminal.sent
