"""Each statement of the lectures has a row that says where it runs, and what came out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_docs import run_all

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/lectures.md"
HEAD = ["the text", "seen in", "what came out", "agrees"]
VERDICTS = ("yes", "partly", "no", "outside")
#: The five texts, and how many statements each has at least.
TEXTS = {"000": 13, "001": 15, "002": 17, "003": 22, "004": 85}


@dataclass(frozen=True)
class Row:
    """A statement of a text; `cells` are in the order of `HEAD`."""

    text: str
    cells: tuple[str, ...]

    @property
    def links(self) -> list[tuple[Path, str]]:
        """The pages that the second cell links, with the anchor or ""."""
        found = re.findall(r"\]\(([^)#]+)#?([^)]*)\)", self.cells[1])
        return [(PAGE.parent / page, anchor) for page, anchor in found]

    @property
    def commands(self) -> list[str]:
        """The commands of the second cell."""
        return re.findall(r"`(textgen [^`]+)`", self.cells[1])

    @property
    def figures(self) -> list[str]:
        """What the third cell quotes between backticks."""
        return re.findall(r"`([^`]+)`", self.cells[2])


def read_rows() -> list[Row]:
    """Every row of every table, below the heading of its text."""
    rows, text = [], ""
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            text = line[3:6]
        elif line.startswith("|") and not line.startswith("|---"):
            cells = tuple(cell.strip() for cell in line.strip().strip("|").split(" | "))
            if list(cells) != HEAD:
                rows.append(Row(text, cells))
    return rows


ROWS = read_rows()


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_row_is_whole() -> None:
    """Four cells, none empty; a verdict; a place where it runs unless it lies outside."""
    for row in ROWS:
        assert len(row.cells) == len(HEAD), row
        assert all(row.cells), row
        assert row.cells[3] in VERDICTS, row
        if row.cells[1] == "not run":
            assert row.cells[3] == "outside", row
            assert len(row.cells[2].split()) >= 4, row
        else:
            assert row.links or row.commands, row


def test_every_text_has_its_rows() -> None:
    """All five, each statement once."""
    counts = {text: sum(row.text == text for row in ROWS) for text in TEXTS}
    assert sum(counts.values()) == len(ROWS)
    assert all(counts[text] >= least for text, least in TEXTS.items()), counts
    statements = [(row.text, row.cells[0]) for row in ROWS]
    assert len(set(statements)) == len(statements)


def test_every_lesson_that_is_named_is_there() -> None:
    """The page and the heading."""
    for row in ROWS:
        for page, anchor in row.links:
            assert page.is_file(), row
            assert not anchor or anchor in anchors(page), (anchor, row)


def test_every_figure_stands_on_its_page() -> None:
    """What a row quotes is what the lesson computes: `test_lessons.py` runs it there."""
    for row in ROWS:
        pages = "".join(page.read_text("utf-8") for page, _ in row.links)
        if pages:
            for figure in row.figures:
                assert figure in pages or figure.startswith("textgen "), (figure, row)


def test_a_broken_row_is_seen() -> None:
    """The checks above look at what they say."""
    assert "the-loss" in anchors(ROOT / "docs/lessons/02_unrolling.md")
    assert "the-gain" not in anchors(ROOT / "docs/lessons/02_unrolling.md")
    row = next(row for row in ROWS if "L(" not in row.cells[0] and "1.409927" in row.cells[2])
    assert row.figures[0] == "loss 1.409927" and row.links[0][1] == "the-loss"


@pytest.mark.slow
def test_the_commands_of_the_rows_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, in the order of the rows, in a folder that holds the project's own texts."""
    (tmp_path / "corpora").symlink_to(ROOT / "corpora", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    commands = list(dict.fromkeys(command for row in ROWS for command in row.commands))
    assert len(commands) >= 5
    run_all(commands)
