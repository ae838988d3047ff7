"""`textgen inspect gates`: saturation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_runs import SMALL_OPTIONS, russian_text, textgen_cli
from typer.testing import Result

from textgen.inspection.gates import gate_report

TEXT = "Утром доктор нашёл мёд"


def inspect(*words: str | Path, **env: str) -> Result:
    result = textgen_cli("inspect", *words, **env)
    assert result.exit_code == 0, result.stderr
    return result


def as_json(*words: str | Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(inspect(*words, "--json").stdout)
    return record


@pytest.mark.usefixtures("home")
def test_gates_of_a_text(trained: Any) -> None:
    record = as_json("gates", "--text", TEXT)
    names = ["input-gate", "forget-gate", "output-gate"]
    assert [(g["layer"], g["gate"]) for g in record["gates"]] == [
        (layer, name) for layer in range(2) for name in names
    ]
    assert record["tokens"] == record["chars"] == len(TEXT)
    exact = gate_report(trained.load().trace(TEXT, quantities=names)).to_json()["gates"]
    for ours, theirs in zip(record["gates"], exact, strict=True):
        for side in ("left", "right"):
            # One value more or less, where rounding carries it across.
            np.testing.assert_allclose(ours[side], theirs[side], atol=2.5 / len(TEXT))


@pytest.mark.usefixtures("home")
def test_gates_read_the_training_text_or_a_file(home: Path, trained: Any) -> None:
    result = inspect("gates", "--chars", "1500", COLUMNS="80")
    assert "reading the training text: the first 1,500 of its 8,000 characters" in result.stderr
    assert "forget-gate" in result.stdout and "of 32 neurons in a layer" in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert as_json("gates", "--chars", "0")["tokens"] == 8000
    assert as_json("gates", trained.text, "--chars", "0") == {
        **as_json("gates", "--chars", "0"),
        "source": str(trained.text),
    }
    quiet = inspect("gates", "-q", "--chars", "200")
    assert quiet.stderr == ""
    other = home / "elsewhere"
    result = textgen_cli("inspect", "gates", TEXTGEN_CACHE=str(other))
    assert result.exit_code == 2
    assert "not in the cache" in result.stderr and str(trained.text) in result.stderr


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("color", ["always", "never"])
@pytest.mark.parametrize("columns", ["60", "120"])
def test_gates_drawn(columns: str, color: str) -> None:
    words = ("gates", "--text", TEXT, "--color", color)
    shown = inspect(*words, COLUMNS=columns, TERM="xterm-256color").stdout
    assert ("\x1b[" in shown) == (color == "always")
    assert "share above 0.9" in shown and "layer 1" in shown


@pytest.mark.usefixtures("home")
def test_gates_in_other_forms(tmp_path: Path) -> None:
    picture, table, arrays = (tmp_path / name for name in ("g.png", "g.csv", "g.npz"))
    words = ("--picture", picture, "--csv", table, "--npz", arrays)
    result = inspect("gates", "--text", TEXT, *words)
    assert result.stdout == ""
    assert picture.read_bytes()[:4] == b"\x89PNG"
    lines = table.read_text("utf-8").splitlines()
    assert lines[0] == "layer,gate,unit,left,right"
    assert len(lines) == 1 + 2 * 3 * 32
    with np.load(arrays) as loaded:
        assert loaded["layers.1.forget-gate.left"].shape == (32,)
    wrong = textgen_cli("inspect", "gates", "--text", TEXT, "--picture", "g.pdf")
    assert wrong.exit_code == 2 and ".svg or .png" in wrong.stderr


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--text", ""], 3),
        (["--text", TEXT, "page.txt"], 2),
        (["--chars=-1"], 2),
        (["none.txt"], 6),
    ],
    ids=["empty", "both", "negative", "missing"],
)
def test_gates_of_nothing(words: list[str], code: int) -> None:
    assert textgen_cli("inspect", "gates", *words).exit_code == code


def test_gates_of_other_cells(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(russian_text(2000), encoding="utf-8")
    for cell in ("gru", "rnn"):
        words = [*SMALL_OPTIONS, "--steps", "3", "-q", "--cell", cell, "--out", tmp_path / cell]
        assert textgen_cli("train", text, *words).exit_code == 0
    gates = as_json("gates", text, "-c", tmp_path / "gru")["gates"]
    assert [gate["gate"] for gate in gates] == ["reset-gate", "update-gate"]
    result = textgen_cli("inspect", "gates", text, "-c", tmp_path / "rnn")
    assert result.exit_code == 2
    assert "no gates" in result.stderr and "--cell lstm" in result.stderr
    # `gates` itself has no such option.
    assert "textgen inspect neurons --show hidden" in result.stderr
    # Both other views know all cells.
    for cell in ("gru", "rnn"):
        found = as_json("similar", "дом", text, "-c", tmp_path / cell)
        assert found["quantity"] == "hidden" and found["matches"]
        shown = as_json("--text", "дом", "--show", "influence", "-c", tmp_path / cell)
        assert [row["name"] for row in shown["rows"]] == ["gradient", "omission"]
