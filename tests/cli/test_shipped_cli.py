"""What comes with textgen, right after installation: an empty folder, and a text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.small_runs import russian_text, textgen_cli

from textgen.checkpoint import SHIPPED

LINE = "model: {}, which comes with textgen; your own: textgen train my.txt"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(("seed", "name"), [("старуха", "dostoevsky"), ("ROMEO", "shakespeare")])
def test_a_text_is_there_at_once(empty_folder: Path, seed: str, name: str) -> None:
    result = textgen_cli("sample", "--seed", seed, "--length", "30")
    assert result.exit_code == 0
    assert result.stdout.startswith(seed) and len(result.stdout) == len(seed) + 30
    assert result.stderr.splitlines()[0] == LINE.format(name)
    assert list(empty_folder.iterdir()) == []


@pytest.mark.slow
def test_who_speaks_is_said_by_every_command(empty_folder: Path) -> None:
    Path("own.txt").write_text(russian_text(400), "utf-8")
    for words in (
        ("sample", "--length", "3"),
        ("eval", "own.txt"),
        ("inspect", "--text", "дом", "--top", "1"),
        ("inspect", "neurons", "own.txt", "--top", "1"),
        ("inspect", "gates", "own.txt"),
        ("inspect", "cell", "--text", "дом"),
    ):
        result = textgen_cli(*words)
        assert result.exit_code == 0, (words, result.stderr)
        assert result.stderr.splitlines().count(LINE.format("dostoevsky")) == 1, words
        assert LINE.format("dostoevsky") not in textgen_cli(*words, "--quiet").stderr
        # Whoever names a model knows which one it is.
        named = textgen_cli(*words, "--checkpoint", "dostoevsky")
        assert LINE.format("dostoevsky") not in named.stderr
        assert named.stdout == result.stdout


def test_they_are_listed(empty_folder: Path) -> None:
    listed = json.loads(textgen_cli("inspect", "checkpoint", "--json").stdout)["checkpoints"]
    assert [(record["name"], record["shipped"]) for record in listed] == [
        (model.name, True) for model in SHIPPED
    ]
    shown = textgen_cli("inspect", "checkpoint").stdout.splitlines()
    for model in SHIPPED:
        assert [line for line in shown if model.name in line and "with textgen" in line]
        alone = textgen_cli("inspect", "checkpoint", model.name)
        assert f"trained on {model.about}" in alone.stdout
        assert json.loads(textgen_cli("inspect", "checkpoint", model.name, "--json").stdout)[
            "shipped"
        ]


def test_a_text_is_compressed_and_comes_back(empty_folder: Path) -> None:
    pytest.importorskip("constriction")
    Path("own.txt").write_text(russian_text(600), "utf-8")
    before = Path("own.txt").read_bytes()
    assert textgen_cli("compress", "own.txt").exit_code == 0
    Path("own.txt").unlink()
    assert textgen_cli("decompress", "own.txt.textgen").exit_code == 0
    assert Path("own.txt").read_bytes() == before


def test_a_text_that_is_not_here_is_not_proposed() -> None:
    """Their files name the training texts, which do not come along."""
    result = textgen_cli("inspect", "neurons")
    assert result.exit_code != 0
    assert result.stderr.endswith("name a text to read, for example corpus.txt\n")
