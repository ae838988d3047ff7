"""On a CPU with the native engine no command loads torch: here none could."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import SMALL_OPTIONS, environment, russian_text

from textgen.native.library import missing_reason, supported_isas

pytestmark = pytest.mark.skipif(not supported_isas(), reason=missing_reason() or "native engine")

#: The command line in a process in which `import torch` fails, as where it is not installed.
_BLOCKED = """
import json
import sys

END = "\\0"

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" or name.startswith("torch."):
            raise ModuleNotFoundError("torch was imported", name=name)

sys.meta_path.insert(0, NoTorch())
from textgen.cli import main

for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
    print(flush=True, end=END)
"""
#: Stands after what each command prints.
END = "\0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text(russian_text(3000), encoding="utf-8")
    return tmp_path


def run(folder: Path, *commands: list[str]) -> list[str]:
    """What each command prints on stdout, one after the other in a process without torch."""
    result = subprocess.run(
        [sys.executable, "-c", _BLOCKED, json.dumps(commands)],
        capture_output=True,
        env=environment(TEXTGEN_DEBUG="1", TEXTGEN_PATH=""),
        timeout=120,
        cwd=folder,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()
    *printed, rest = result.stdout.decode().split(END)
    assert len(printed) == len(commands) and not rest
    return printed


def chosen(printed: str) -> dict[str, Any]:
    """The choices of `train --json` by name."""
    start = json.loads(printed.splitlines()[0])
    return {choice["name"]: choice["value"] for choice in start["choices"]}


@pytest.mark.slow
def test_training(folder: Path) -> None:
    printed, described = run(
        folder,
        ["train", "text.txt", *SMALL_OPTIONS, "--steps", "20", "--json"],
        ["inspect", "checkpoint", "text", "--json"],
    )
    assert chosen(printed)["path"] == f"native ({supported_isas()[0]})"
    assert json.loads(printed.splitlines()[-1])["reason"] == "finished"
    assert "torch" not in json.loads(described)["info"]["versions"]


@pytest.mark.slow
def test_training_for_a_time(folder: Path) -> None:
    """Calibration and sizing included."""
    (printed,) = run(folder, ["train", "text.txt", "--budget", "2s", "--json"])
    assert chosen(printed)["path"] == f"native ({supported_isas()[0]})"
    assert json.loads(printed.splitlines()[-1])["reason"] == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_all_that_is_done_with_a_model(folder: Path, cell: str) -> None:
    (folder / "new.txt").write_text("Zebra § " + russian_text(2000, seed=1), encoding="utf-8")
    words = [*SMALL_OPTIONS, "--steps", "6", "-q"]
    *_, figures, sampled, inspected = run(
        folder,
        ["train", "text.txt", *words, "--cell", cell, "--layers", "2", "--dropout", "0.2"],
        ["train", "checkpoints/text", "--resume", "-q"],
        ["train", "new.txt", "--from", "text", "--steps", "6", "-q"],
        ["eval", "new.txt", "--window", "50", "-c", "new", "--json"],
        ["sample", "-n", "5", "-c", "new"],
        ["inspect", "--text", "дом", "--show", "surprise", "-c", "new"],
    )
    measured = json.loads(figures)
    assert measured["unknown_chars"] == 0
    assert measured["bits_per_char"] < 10
    assert len(sampled.strip()) > 0
    assert "surprise" in inspected
