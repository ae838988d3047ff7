"""Folders of texts on the command line, and what is shown of the choices made for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.small_runs import SMALL_OPTIONS, events, russian_text, textgen_cli

import textgen
from textgen.cli.train_view import MAIN, choice_rows, choices_hint, label_of
from textgen.runtime import Choice

QUICK = ["--steps", "2", *SMALL_OPTIONS, "--out", "run", "--force"]


@pytest.fixture(autouse=True)
def no_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing a picture takes longer than such a run."""
    monkeypatch.setattr("textgen.cli.train_view.read_curve", lambda folder: None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two good texts among what is found in real folders."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXTGEN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "my texts"
    path.mkdir()
    (path / "1.txt").write_text(russian_text(1500), encoding="utf-8")
    (path / "2.txt").write_text(russian_text(900), encoding="utf-8")
    (path / "._1.txt").write_bytes(b"\0\x05\x16\x07")
    (path / "empty.txt").write_bytes(b"")
    return path


def spoil(folder: Path) -> None:
    (folder / "scan.txt").write_bytes(b"%PDF-1.7 and so on")
    (folder / "cut.txt").write_bytes(b"ab\0cd")


def test_a_mac_file_and_an_empty_one_stop_nothing(folder: Path) -> None:
    result = textgen_cli("train", "my texts", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert (
        "note: 1 file is left out because there is nothing in it: my texts/empty.txt"
        in result.stderr
    )
    assert "._1" not in result.stderr
    start = events(textgen_cli("train", "my texts", *QUICK, "--json"))[0]
    assert [file["path"] for file in start["files"]] == ["my texts/1.txt", "my texts/2.txt"]
    assert any("empty.txt" in note for note in start["notes"])


def test_bad_files_are_named_on_lines_of_their_own_and_can_be_skipped(folder: Path) -> None:
    spoil(folder)
    refused = textgen_cli("train", "my texts", *QUICK)
    assert refused.exit_code == 3
    lines = refused.stderr.splitlines()
    assert lines[0] == "textgen: 2 of 4 files cannot be read as text:"
    assert lines[1].startswith("  my texts/cut.txt is not text")
    assert lines[2].startswith("  my texts/scan.txt is not text")
    assert "--skip-bad" in lines[3] and len(lines) == 4
    result = textgen_cli("train", "my texts", *QUICK, "--skip-bad")
    assert result.exit_code == 0, result.stderr
    assert "note: 2 files are left out because they cannot be read as text: " in result.stderr
    assert "my texts/cut.txt is not text" in result.stderr
    command = textgen.load("run").info["command"]
    assert "'my texts'" in command and " --skip-bad" in command
    # A resumed run reads what it read.
    textgen_cli("train", "my texts", *QUICK, "--skip-bad", "--quiet")
    resumed = textgen_cli("train", "my texts", "--resume", "--out", "run", "--json")
    assert resumed.exit_code == 0, resumed.stderr


def test_a_folder_that_validates_is_read_alike(folder: Path) -> None:
    spoil(folder)
    words = ("train", "my texts/1.txt", *QUICK, "--val", "my texts", "--json")
    assert "--skip-bad" in textgen_cli(*words).stderr
    notes = events(textgen_cli(*words, "--skip-bad"))[0]["notes"]
    assert any(note.startswith("of --val: 2 files are left out because") for note in notes)


def test_every_command_that_reads_texts_can_skip_and_choose(folder: Path) -> None:
    assert textgen_cli("train", "my texts", *QUICK, "-q").exit_code == 0
    spoil(folder)
    (folder / "3.srt").write_text(russian_text(300), encoding="utf-8")
    for words in (
        ("eval",),
        ("inspect", "neurons"),
        ("inspect", "gates"),
        ("inspect", "similar", "Однажды", "--top", "1"),
        ("inspect", "memory", "--max-lag", "5", "--positions", "5", "--file"),
        ("inspect", "windows", "--limit", "2"),
    ):
        command: tuple[str, ...] = (*words, "my texts")
        if "memory" in words:
            command = ("inspect", "memory", "run", *words[2:], "my texts")
        elif "windows" not in words:
            command = (*words, "my texts", "--checkpoint", "run")
        refused = textgen_cli(*command)
        assert refused.exit_code == 3 and "--skip-bad" in refused.stderr, (words, refused.stderr)
        result = textgen_cli(*command, "--skip-bad")
        assert result.exit_code == 0, (words, result.stderr)
        assert "left out because they cannot be read as text: my texts/cut.txt" in result.stderr, (
            words
        )
        srt = textgen_cli(*command, "--ending", ".srt")
        assert srt.exit_code == 0 and "--skip-bad" not in srt.stderr, (words, srt.stderr)
    assert "note" not in textgen_cli("eval", "my texts", "-c", "run", "--skip-bad", "-q").stderr
    # What is no text was not trained on: the comparison with the training text leaves it out.
    novel = textgen_cli("sample", "-n", "9", "-c", "run", "--novelty-corpus", "my texts")
    assert novel.exit_code == 0 and "my texts/cut.txt" in novel.stderr, novel.stderr
    result = textgen_cli("eval", "my texts", "-c", "run", "--skip-bad", "--json")
    assert result.stderr == "" and "2 files are left out" in str(json.loads(result.stdout)["notes"])


def test_a_folder_of_another_ending_says_what_to_type(folder: Path) -> None:
    for path in folder.glob("[0-9].txt"):
        path.rename(path.with_suffix(".srt"))
    (folder / "empty.txt").unlink()
    refused = textgen_cli("train", "my texts", *QUICK)
    assert refused.exit_code == 3
    assert refused.stderr.endswith("To read those in .srt add --ending .srt\n")
    (folder / "readme.txt").write_text("read me first, please", encoding="utf-8")
    warned = textgen_cli("train", "my texts", *QUICK)
    assert "warning: most of the text is left out" in warned.stderr
    result = textgen_cli("train", "my texts", *QUICK, "--ending", ".srt", "--json")
    assert [file["path"] for file in events(result)[0]["files"]] == [
        "my texts/1.srt",
        "my texts/2.srt",
    ]
    assert "--ending .srt" in events(result)[0]["command"]


def test_six_settings_are_shown_and_all_with_explain(folder: Path) -> None:
    short = textgen_cli("train", "my texts/1.txt", "--budget", "1s", "--out", "run")
    assert short.exit_code == 0, short.stderr
    flags = [line.split()[0] for line in short.stderr.splitlines()[2:] if line[:2].strip()]
    shown = flags[: flags.index("13")]
    assert shown == ["--encoding", "validation", "--cell", "--hidden", "--dropout", "--steps"]
    assert "13 more with --explain" in short.stderr
    full = textgen_cli("train", "my texts/1.txt", "--budget", "1s", "--out", "b", "--explain")
    for name in ("--layers", "--learning-rate", "--seq-len", "--threads", "computed", "vocabulary"):
        assert any(line.startswith(f"{name} ") for line in full.stderr.splitlines()), name
    # The checkpoint keeps all of them, whatever was shown.
    assert len(textgen.load("run").info["choices"]) == 19


def test_many_files_are_one_row_for_each_encoding(folder: Path) -> None:
    for i in range(40):
        encoding = "cp1251" if i in (7, 30) else "utf-8"
        (folder / f"f{i:02}.txt").write_bytes(russian_text(700).encode(encoding))
    start = events(textgen_cli("train", "my texts", *QUICK, "--json"))[0]
    assert len(start["files"]) == 42
    told = [(c["name"], c["value"]) for c in start["choices"] if c["name"] in ("files", "encoding")]
    assert told == [("files", 42), ("encoding", "utf-8"), ("encoding", "cp1251")]
    (rare,) = (c["reason"] for c in start["choices"] if c["value"] == "cp1251")
    assert rare.startswith("2 of 42 files, such as my texts/f07.txt: ")


def test_a_batch_beyond_the_text_is_bounded_and_the_table_says_so(folder: Path) -> None:
    words = ("train", "my texts/1.txt", "--steps", "1", "--hidden", "8", "--out", "run")
    result = textgen_cli(*words, "--batch-size", "100000")
    assert result.exit_code == 0, result.stderr
    (row,) = (line for line in result.stderr.splitlines() if line.startswith("--batch-size"))
    number = row.split()[1].replace(",", "")
    assert "100,000 were asked for" in row and int(number) < 200
    assert f"--batch-size {number} " in result.stderr  # in the command that repeats the run


def test_what_would_take_all_memory_is_refused_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textgen.training.start.available_memory", lambda device: 10**9)
    result = textgen_cli("train", "my texts/1.txt", "--hidden", "100000", "--steps", "1")
    assert result.exit_code == 2
    assert "1 GB are free" in result.stderr and "smaller --hidden (it is 100,000)" in result.stderr
    assert not Path("checkpoints").exists()


def test_settings_are_shown_by_what_is_typed() -> None:
    names = ("hidden_size", "num_layers", "learning_rate", "seq_len", "path", "validation")
    choices = [Choice(name, "native" if name == "path" else 1, "why") for name in names]
    assert [label_of(choice.name) for choice in choices] == [
        *("--hidden", "--layers", "--learning-rate", "--seq-len", "computed by", "validation"),
    ]
    assert label_of("history") == "--history"
    assert [row[0] for row in choice_rows(choices, explain=False)] == ["--hidden", "validation"]
    slow = Choice("path", "torch", "no compiler was found")
    assert [row[0] for row in choice_rows([slow], explain=False)] == ["computed by"]
    changed = Choice("threads", 256, "100,000 were asked for", changed=True)
    assert [row[0] for row in choice_rows([changed], explain=False)] == ["--threads"]
    assert choices_hint(choices, explain=False).startswith("4 more with --explain; ")
    assert "more" not in choices_hint(choices, explain=True)


def test_every_flag_shown_is_an_option_of_train() -> None:
    text = textgen_cli("train", "--help").output
    decided = ("hidden_size", "num_layers", "embedding_size", "dropout", "learning_rate", "seq_len")
    more = ("batch_size", "steps", "save_every", "device", "threads", "precision", "vectors")
    for name in (*MAIN, *decided, *more):
        flag = label_of(name)
        assert not flag.startswith("--") or flag in text, name
