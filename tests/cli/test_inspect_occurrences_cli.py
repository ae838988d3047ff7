"""`textgen inspect occurrences`: every place of a word."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from textgen.cli.app import app

TEXT = "Топор лежал.\n" + "Тихо. " * 30 + "\nОн взял топор и ударил топором.\n"


@pytest.fixture
def novel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "novel.txt"
    path.write_bytes(TEXT.encode("cp1251"))
    monkeypatch.chdir(tmp_path)
    return path


def run(*words: str, code: int = 0, data: bytes | None = None) -> str:
    result = CliRunner().invoke(app, ["inspect", "occurrences", *words], input=data)
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.output


def test_the_list_the_strip_and_the_count(novel: Path) -> None:
    lines = run("топор*", "novel.txt").splitlines()
    assert lines[0].split() == ["at", "line"]
    assert lines[1].split()[:3] == ["0.0", "%", "1"] and "Топор│ лежал" in lines[1]
    assert "взял топор│ и ударил топ" in lines[2] and lines[2].split()[2] == "3"
    assert lines[5].startswith("│█") and lines[5].count("│") == 11
    assert lines[6].split() == ["1", *["0"] * 7, "1", "1"]
    assert lines[-1] == f"3 places of топор* in {len(TEXT)} characters of novel.txt: " + (
        "топор 2, топором 1"
    )


def test_nothing_found(novel: Path) -> None:
    assert run("пила", "novel.txt") == (
        f"0 places of пила in {len(TEXT)} characters of novel.txt\n"
    )


def test_a_limit_says_what_is_left(novel: Path) -> None:
    shown = run("топор*", "novel.txt", "--limit", "1")
    assert "... and 2 more" in shown and "взял" not in shown
    assert "3 places" in shown


def test_other_forms(novel: Path) -> None:
    record = json.loads(run("топор*", "novel.txt", "--json"))
    assert record["count"] == 3 and record["tenths"] == [1, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    assert record["forms"][0] == {"form": "топор", "count": 2}
    rows = list(csv.DictReader(io.StringIO(run("топор*", "novel.txt", "--csv", "-"))))
    assert [row["word"] for row in rows] == ["Топор", "топор", "топором"]
    assert [record["place"] for record in record["occurrences"]] == [
        int(row["place"]) for row in rows
    ]


def test_stdin_and_several_files(novel: Path) -> None:
    assert "1 place of лежал" in run("лежал", "-", data=TEXT.encode())
    Path("other.txt").write_text("Топор.")
    shown = run("топор", "novel.txt", "other.txt")
    assert shown.splitlines()[0].split() == ["at", "line", "file"]
    assert "other.txt" in shown and shown.rstrip().endswith("of 2 files")


def test_mistakes(novel: Path) -> None:
    assert "no word" in run("*", "novel.txt", code=2)
    assert "missing.txt" in run("топор", "missing.txt", code=6)
    run("топор", code=2)
