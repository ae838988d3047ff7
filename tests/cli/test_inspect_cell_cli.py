"""`textgen inspect cell`: a cell, its equations and its numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.small_runs import textgen_cli

from textgen.cells import CELLS


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_without_a_model(cell: str) -> None:
    result = textgen_cli("inspect", "cell", cell, COLUMNS="80")
    assert result.exit_code == 0, result.stderr
    assert "h_t = " in result.stdout and "weight_ih" in result.stdout
    assert any(re.match(r"h_.*, x_t +─+.*┘$", line) for line in result.stdout.splitlines())


def test_a_cell_on_a_narrow_terminal() -> None:
    """A drawing that would be broken into pieces is not drawn; the equations are."""
    result = textgen_cli("inspect", "cell", "lstm", COLUMNS="40")
    assert "the drawing of the cell needs" in result.stdout and "┘" not in result.stdout
    assert "C_t = f_t * C_{t-1}" in result.stdout


def test_sizes() -> None:
    words = ("inspect", "cell", "lstm", "--hidden", "256", "--input-size", "64")
    record = json.loads(textgen_cli(*words, "--json").stdout)
    assert record["parameters"] == 4 * 256 * (256 + 64 + 1)
    assert record["layers"] == 4 and len(record["equations"]) == 6
    assert f"{record['parameters']:,} weights" in textgen_cli(*words).stdout


@pytest.mark.usefixtures("home")
def test_the_numbers_of_a_model() -> None:
    result = textgen_cli("inspect", "cell", "--text", "Старик", "--neuron", "0:3")
    assert result.exit_code == 0, result.stderr
    assert "neuron 0:3, x_t is 'к', the last token of 'Старик':" in result.stdout
    assert "C_{t-1} = " in result.stdout and "  C_t = " in result.stdout
    record = json.loads(textgen_cli("inspect", "cell", "lstm", "--text", "Ст", "--json").stdout)
    assert record["neuron"].startswith("1:") and record["equations"][0]["value"] is not None


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lsmt"], "lsmt"),
        (["gru", "--text", "кот"], "is a model of lstm cells, not of gru"),
        (["lstm", "--neuron", "0:1"], "--text"),
        (["--text", "кот", "--neuron", "9:9"], "9:9"),
        (["lstm", "--hidden", "0"], "--hidden"),
        (["lstm", "--picture", "cell.png"], ".svg file"),
    ],
)
def test_mistakes(words: list[str], told: str) -> None:
    result = textgen_cli("inspect", "cell", *words)
    assert result.exit_code == 2 and told in result.stderr


def test_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "cell.svg"
    result = textgen_cli("inspect", "cell", "lstm", "--picture", path)
    assert result.exit_code == 0 and "written: " in result.stderr and "C_t" in result.stdout
    assert path.read_text("utf-8").startswith("<svg")
