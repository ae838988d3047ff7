"""`textgen corpus`: what it shows, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.made_files import epub_of
from support.small_runs import textgen_cli

CHAT = "".join(f"05.03.21, 14:0{n} - Anna: Hello {n}\n" for n in range(5))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chat.txt").write_text(CHAT)
    return tmp_path


def test_it_shows_and_writes(folder: Path) -> None:
    result = textgen_cli("corpus", "chat.txt", "--drop", "boilerplate", "--out", "out.txt")
    assert result.exit_code == 0, result.stderr
    assert (folder / "out.txt").read_text() == "".join(f"Anna: Hello {n}\n" for n in range(5))
    for told in ("a chat of WhatsApp", "timestamps", "newline 5", "textgen train out.txt"):
        assert told in result.stdout
    again = textgen_cli("corpus", "chat.txt", "--out", "out.txt")
    assert again.exit_code == 2 and "replace it with --force" in again.stderr
    forced = textgen_cli("corpus", "chat.txt", "--out", "out.txt", "--force", "--json")
    report = json.loads(forced.stdout)
    assert report["out"] == "out.txt" and report["boilerplate"][0]["count"] == 5
    assert report["advice"][0] == "to leave it out: --drop boilerplate"


def test_a_narrow_terminal_has_no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = textgen_cli("corpus", "chat.txt").stdout.splitlines()
    assert max(map(len, lines)) <= 40
    assert any(line.startswith("timestamps: where chat.txt, count 5") for line in lines)


def test_training_reads_a_book_and_names_this_command_for_the_rest(folder: Path) -> None:
    small = ("--steps", "2", "--hidden", "4", "--seq-len", "8", "--batch-size", "2", "--force")
    (folder / "book.epub").write_bytes(epub_of("<p>It was night.</p>" * 20, "<p>End.</p>"))
    trained = textgen_cli("train", "book.epub", "--out", "m", *small)
    assert trained.exit_code == 0, trained.stderr
    assert "textgen corpus book.epub tells what is in it" in trained.stderr
    noted = textgen_cli("train", "chat.txt", "--out", "m", *small)
    assert "looks like a chat" in noted.stderr
    assert "textgen corpus FILE --drop boilerplate --out words.txt" in noted.stderr


def test_what_no_column_has_is_shown_and_dropped_when_asked(folder: Path) -> None:
    (folder / "t.csv").write_text("id,text\n1,It was night.\nshort\n2,It was cold.\n")
    report = json.loads(textgen_cli("corpus", "t.csv", "--column", "2", "--json").stdout)
    assert report["documents"] == 4
    (shown,) = report["boilerplate"]
    assert (shown["kind"], shown["count"], shown["places"]) == ("table", 2, [[1, 1], [3, 3]])
    dropped = ("--column", "2", "--drop", "table", "--out", "out.txt")
    assert textgen_cli("corpus", "t.csv", *dropped).exit_code == 0
    assert (folder / "out.txt").read_text().split("\n") == ["It was night.", "It was cold.", ""]


def test_terminals_are_not_steered(folder: Path) -> None:
    (folder / "t.csv").write_text("id,\x1b[31mred\n1,a\x1b[2Jb\n")
    refused = textgen_cli("corpus", "t.csv")
    assert refused.exit_code == 2 and "\x1b" not in refused.stderr
    shown = textgen_cli("corpus", "t.csv", "--column", "2")
    assert shown.exit_code == 0 and "\x1b" not in shown.stdout
