"""`textgen compress` and `textgen decompress`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.every_kind import OLD_FILES
from support.small_runs import environment, textgen_cli

from textgen.compression.predictors import StaticPredictor
from textgen.native.library import supported_isas


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two models and a text."""
    for name in ("lstm", "gru"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        shutil.copy(
            OLD_FILES / f"{name}.safetensors",
            tmp_path / "checkpoints" / name / "model.safetensors",
        )
    shutil.copy(OLD_FILES / "text.txt", tmp_path / "text.txt")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"textgen-cache"}


def test_there_and_back(folder: Path) -> None:
    text = (folder / "text.txt").read_bytes()
    result = textgen_cli("compress", "text.txt", "-c", "lstm")
    assert (result.exit_code, result.stdout) == (0, "")
    size = (folder / "text.txt.textgen").stat().st_size
    # A byte more or less, by what the CPU computes.
    assert result.stderr == f"text.txt.textgen: {size} bytes from 2,397 ({size / 23.97:.1f} %)\n"
    (folder / "text.txt").unlink()
    result = textgen_cli("decompress", "text.txt.textgen", "-c", "lstm", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {
        "read": "text.txt.textgen",
        "written": "text.txt",
        "bytes_read": size,
        "bytes_written": 2397,
    }
    assert (folder / "text.txt").read_bytes() == text
    assert names(folder) == {"checkpoints", "text.txt", "text.txt.textgen"}


@pytest.mark.slow
@pytest.mark.skipif(not supported_isas(), reason="needs the native engine")
def test_what_learned_needs_no_options_to_decompress(folder: Path) -> None:
    text = (folder / "text.txt").read_bytes()
    plain = textgen_cli("compress", "text.txt", "-c", "lstm", "--out", "plain.textgen")
    assert plain.exit_code == 0
    words = ("compress", "text.txt", "-c", "lstm", "--mix", "--adapt", "--json")
    result = textgen_cli(*words)
    assert (result.exit_code, result.stderr) == (0, "")
    # The counts know the whole text, for it is the training text.
    assert json.loads(result.stdout)["bytes_written"] < (folder / "plain.textgen").stat().st_size
    result = textgen_cli("decompress", "text.txt.textgen", "-c", "lstm", "--out", "again.txt", "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert (folder / "again.txt").read_bytes() == text


def test_another_process_reads_it(folder: Path) -> None:
    assert textgen_cli("compress", "text.txt", "-c", "lstm", "-q").stderr == ""
    words = ("decompress", "text.txt.textgen", "-c", "lstm", "--out", "again.txt")
    subprocess.run(
        [sys.executable, "-m", "textgen", *words], check=True, cwd=folder, env=environment()
    )
    assert (folder / "again.txt").read_bytes() == (folder / "text.txt").read_bytes()


def test_nothing_is_replaced_unasked(folder: Path) -> None:
    (folder / "text.txt.textgen").write_text("mine")
    result = textgen_cli("compress", "text.txt", "-c", "lstm")
    assert result.exit_code == 2
    assert "text.txt.textgen exists; replace it with --force, or write another" in result.stderr
    assert (folder / "text.txt.textgen").read_text() == "mine"
    assert textgen_cli("compress", "text.txt", "-c", "lstm", "--force").exit_code == 0
    result = textgen_cli("decompress", "text.txt.textgen", "-c", "lstm")
    assert result.exit_code == 2 and "text.txt exists" in result.stderr
    result = textgen_cli("compress", "text.txt", "--out", "text.txt", "--force")
    assert result.exit_code == 2 and "is the file itself" in result.stderr


def test_names_that_do_not_do(folder: Path) -> None:
    result = textgen_cli("decompress", "text.txt")
    assert result.exit_code == 2 and "does not end with .textgen" in result.stderr
    assert "--out FILE" in result.stderr
    for words in (("compress", "no.txt"), ("decompress", "no.textgen"), ("compress", ".")):
        result = textgen_cli(*words)
        assert result.exit_code == 6 and "cannot read" in result.stderr, words
    result = textgen_cli("compress", "text.txt", "--out", "no/such/folder")
    assert result.exit_code == 6 and "cannot write no/such/folder" in result.stderr


def test_a_refusal_writes_nothing(folder: Path) -> None:
    assert textgen_cli("compress", "text.txt", "-c", "lstm").exit_code == 0
    before = names(folder)
    words = ("decompress", "text.txt.textgen", "--out", "new.txt")
    result = textgen_cli(*words, "-c", "gru", "--json")
    assert result.exit_code == 9
    assert result.stderr.startswith("textgen: text.txt.textgen cannot be decompressed: it was ")
    assert "name the other one: --checkpoint MODEL" in result.stderr
    assert json.loads(result.stdout)["class"] == "CompressionError"
    file = folder / "text.txt.textgen"
    file.write_bytes(file.read_bytes()[:-1])
    result = textgen_cli(*words, "-c", "lstm")
    assert result.exit_code == 9 and "it is damaged" in result.stderr
    assert names(folder) == before


@pytest.mark.parametrize("words", [("compress", "text.txt"), ("decompress", "text.txt.textgen")])
def test_an_interruption_leaves_nothing(
    words: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if words[0] == "decompress":
        textgen_cli("compress", "text.txt", "-c", "lstm")
        (folder / "text.txt").unlink()
    before = names(folder)
    counted = 0
    predict = StaticPredictor.predict

    def interrupted(self: StaticPredictor, previous_B: object) -> object:
        nonlocal counted
        counted += 1
        if counted == 200:
            raise KeyboardInterrupt
        return predict(self, previous_B)  # type: ignore[arg-type]

    monkeypatch.setattr(StaticPredictor, "predict", interrupted)
    result = textgen_cli(*words, "-c", "lstm")
    assert (result.exit_code, result.stderr) == (130, "textgen: interrupted\n")
    assert names(folder) == before
