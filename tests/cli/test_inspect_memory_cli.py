"""`textgen inspect memory`: how far back models remember."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from support.small_runs import SMALL_OPTIONS, russian_text, textgen_cli
from typer.testing import Result

from textgen.errors import ConfigError

FEW = ("--max-lag", "30", "--positions", "20", "--threads", "1")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def memory(*words: str | Path, **env: str) -> Result:
    result = textgen_cli("inspect", "memory", *FEW, *words, **env)
    assert result.exit_code == 0, result.stderr
    return result


def as_json(*words: str | Path) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = json.loads(memory(*words, "--json").stdout)["models"]
    return models


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of other cells and of other symbols, and the text of one."""
    folder = tmp_path_factory.mktemp("others")
    (folder / "text.txt").write_text(russian_text(6000), encoding="utf-8")
    for name, words in {
        "gru": ("--cell", "gru"),
        "bytes": ("--cell", "rnn", "--level", "byte"),
        "words": ("--level", "word", "--fold"),
    }.items():
        settings = (*words, *SMALL_OPTIONS, "--steps", "3", "-q", "--out", folder / name)
        assert textgen_cli("train", folder / "text.txt", *settings).exit_code == 0
    return folder


@pytest.mark.usefixtures("home")
def test_memory_of_the_newest_model(trained: Any) -> None:
    (found,) = as_json()
    assert (found["name"], found["unit"], found["positions"]) == ("small", "characters", 20)
    assert found["source"] == "the training text" and found["chars_per_token"] == 1.0
    assert [(c["of"], c["layer"]) for c in found["curves"]][1:] == [
        *[("cell", 0), ("hidden", 0), ("cell", 1), ("hidden", 1)],
    ]
    text = trained.text.read_text("utf-8")
    report = trained.load().memory(text, max_lag=30, positions=20, threads=1)
    assert found["replacement_lag"] == report.replacement_lag
    assert found["gradient_lag"] == report.gradient_lag
    assert found["places"] == report.places.tolist()
    assert as_json("--file", trained.text)[0]["curves"] == found["curves"]
    assert as_json("--text", text)[0]["replacement"] == found["replacement"]
    assert as_json("--rng", "1")[0]["places"] != found["places"]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("columns", "color"),
    [
        ("60", "always"),
        ("140", "never"),
        pytest.param("60", "never", marks=pytest.mark.slow),
        pytest.param("140", "always", marks=pytest.mark.slow),
    ],
)
def test_memory_drawn(others: Path, columns: str, color: str) -> None:
    env = {"COLUMNS": columns, "TERM": "xterm-256color"}
    one = memory("--color", color, **env)
    assert ("\x1b[" in one.stdout) == (color == "always")
    read = ("--file", others / "text.txt")
    several = memory("small", others / "gru", *read, "--color", color, **env)
    for result in (one, several):
        lines = ANSI.sub("", result.stdout).splitlines()
        assert max(map(cell_len, lines)) <= int(columns)
    told = [ANSI.sub("", r.stdout) for r in (one, several)]
    for name in ("a dL/dh: by the hidden state", "b dL/dc: by the cell state", "c dL/dx"):
        assert name in told[0]
    assert "of the last layer" in " ".join(told[0].split())
    # Of an LSTM the cell state lasts longest; a GRU has no choice.
    assert "a small, dL/dc" in told[1] and "b gru, dL/dh" in told[1]
    assert "the state that lasts longest in each model" in " ".join(told[1].split())
    assert "20 places of the text" in " ".join(told[1].split())


@pytest.mark.usefixtures("home")
def test_what_is_drawn_can_be_chosen(others: Path) -> None:
    words = (others / "gru", "small", "--file", others / "text.txt")
    shown = memory(*words, "--show", "cell", COLUMNS="100").stdout
    assert "dL/dc: by the cell state" in shown
    first = shown[: shown.index("change of the prediction")]
    # Every model is drawn with the same letter throughout.
    assert "b small" in first and "gru" not in first and "a gru" in shown
    lower = memory("--layer", "0", COLUMNS="100").stdout
    assert "of layer 0" in lower and "of the last layer" not in lower
    near = memory("--max-lag", "2", COLUMNS="100").stdout
    assert "> 2: not within 2 (--max-lag looks further)" in " ".join(near.split())
    inputs = memory("--show", "input", COLUMNS="100").stdout
    assert "dL/dx: by the embedding vector" in inputs and "a small" in inputs


def test_lags_count_the_symbols_of_the_model(others: Path) -> None:
    models = as_json(others / "bytes", others / "words", "--file", others / "text.txt")
    assert [model["unit"] for model in models] == ["bytes", "tokens"]
    assert models[0]["chars_per_token"] < 1.0 < models[1]["chars_per_token"]
    shown = memory(others / "words", "--file", others / "text.txt", COLUMNS="100").stdout
    assert "lag, in tokens" in shown and "a token has" in " ".join(shown.split())
    mixed = memory(others / "bytes", others / "words", "--file", others / "text.txt").stdout
    assert "lag, in tokens of each model" in mixed


@pytest.mark.usefixtures("home")
def test_memory_in_other_forms(others: Path, tmp_path: Path) -> None:
    picture, table, arrays = (tmp_path / name for name in ("m.png", "m.csv", "m.npz"))
    words = ("--picture", picture, "--csv", table, "--npz", arrays)
    result = memory("small", others / "gru", "--file", others / "text.txt", *words)
    assert result.stdout == "" and "written: " in result.stderr
    assert picture.read_bytes()[:4] == b"\x89PNG"
    lines = table.read_text("utf-8").splitlines()
    assert lines[0] == "model,of,layer,lag,mean,standard_error,lower,median,upper"
    assert sum(line.startswith("gru,hidden,0,") for line in lines) == 31
    assert any(line.startswith("small,replacement,,30,") for line in lines)
    with np.load(arrays) as loaded:
        assert loaded["0.cell.1"].shape == (31, 20)
    wrong = textgen_cli("inspect", "memory", "--picture", "m.pdf")
    assert wrong.exit_code == 2 and ".svg or .png" in wrong.stderr


@pytest.mark.usefixtures("home")
def test_what_is_said_on_stderr(others: Path) -> None:
    short = russian_text(160)
    result = memory("--text", short, "--positions", "400")
    assert f"room for {len(short) - 31} places only, not for 400" in result.stderr
    assert memory("-q", "--text", short).stderr == ""
    twice = memory("small", "small", COLUMNS="100")
    assert twice.stderr.count("reading the training text") == 1
    assert "small (2)" in twice.stdout


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--text", ""], 3, "empty"),
        (["--text", "слишком коротко"], 2, "15 tokens; a lag of 200 needs at least 202"),
        (["--text", "дом", "--file", "x.txt"], 2, "both"),
        (["--show", "forget-gate"], 2, "hidden, cell, input"),
        (["--layer", "2"], 2, "0..1"),
        (["--max-lag", "0"], 2, "at least 1"),
        (["--csv", "no/m.csv"], 6, "no/m.csv: there is no such file or folder"),
        (["--npz", "no/m.npz"], 6, "no/m.npz: there is no such file or folder"),
        (["--file", "none.txt"], 6, "none.txt"),
        (["none"], 6, "none"),
        (["small"] * 27, 2, "at most 26"),
    ],
    ids=["empty", "short", "both", "show", "layer", "lag", "csv", "npz", "file", "model", "many"],
)
def test_memory_of_nothing(words: list[str], code: int, told: str) -> None:
    result = textgen_cli("inspect", "memory", *words)
    assert result.exit_code == code
    assert told in result.stderr


def test_a_cell_without_a_cell_state(others: Path) -> None:
    result = textgen_cli("inspect", "memory", others / "gru", "--show", "cell")
    assert result.exit_code == 2 and "choose one of: hidden, input" in result.stderr


def test_memory_is_that_of_the_model_as_it_is(trained: Any) -> None:
    model = trained.load()
    with model.steered("0:1=+2"), pytest.raises(ConfigError, match="without steering"):
        model.memory("дом")
