"""`textgen export`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.every_kind import OLD_FILES
from support.small_runs import textgen_cli

import textgen
from textgen.errors import ConfigError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model."""
    (tmp_path / "checkpoints/lstm").mkdir(parents=True)
    shutil.copy(OLD_FILES / "lstm.safetensors", tmp_path / "checkpoints/lstm/model.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_both_say_what_was_written(folder: Path) -> None:
    made = textgen_cli("export", "torch", "folder", "-c", "lstm")
    assert (made.exit_code, made.stdout) == (0, "")
    assert made.stderr.startswith("folder: config.json (")
    assert "200 steps agree with textgen, the logits within" in made.stderr
    made = textgen_cli("export", "onnx", "model.onnx", "-c", "lstm", "--json")
    assert (made.exit_code, made.stderr) == (0, "")
    told = json.loads(made.stdout)
    assert told["files"] == {"model.onnx": (folder / "model.onnx").stat().st_size}
    assert told["written"] == "model.onnx" and told["steps"] == 200
    again = textgen_cli("export", "onnx", "model.onnx", "-c", "lstm")
    assert (again.exit_code, again.stdout) == (2, "")
    assert "model.onnx exists; replace it with --force" in again.stderr
    again = textgen_cli("export", "torch", "folder", "-c", "lstm", "--force", "--quiet")
    assert (again.exit_code, again.output) == (0, "")


def test_what_cannot_be_written_leaves_nothing(folder: Path) -> None:
    (folder / "file").write_text("mine")
    wrong = textgen_cli("export", "torch", "file", "-c", "lstm")
    assert wrong.exit_code == 6 and "a file of that name exists" in wrong.stderr
    wrong = textgen_cli("export", "onnx", "missing/model.onnx", "-c", "lstm")
    assert wrong.exit_code == 6 and "no such file or folder" in wrong.stderr
    assert {path.name for path in folder.iterdir()} == {"checkpoints", "file"}


def test_a_steered_model_is_refused() -> None:
    model = textgen.load("checkpoints/lstm")
    with model.steered("0:1=0"), pytest.raises(ConfigError, match="exported"):
        model.export_torch("folder")
