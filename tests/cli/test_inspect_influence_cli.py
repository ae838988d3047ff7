"""`textgen inspect --show influence`, and the text view as a table and as arrays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_runs import environment, textgen_cli
from typer.testing import Result

from textgen.native.library import missing_reason, supported_isas

TEXT = "Утром доктор нашёл мёд"


def inspect(*words: str | Path, **env: str) -> Result:
    result = textgen_cli("inspect", *words, **env)
    assert result.exit_code == 0, result.stderr
    return result


def as_json(*words: str | Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(inspect(*words, "--json").stdout)
    return record


@pytest.mark.usefixtures("home")
def test_influence(trained: Any, tmp_path: Path) -> None:
    record = as_json("--text", TEXT, "--show", "influence")
    gradient, omission = record["rows"]
    assert record["tokens"] == list(TEXT)
    assert sum(gradient["values"]) == pytest.approx(1.0, abs=1e-5)
    assert 0 <= omission["min"] <= omission["max"] <= 1
    # The last character matters more than the first.
    assert gradient["values"][-1] > gradient["values"][0]
    trace = trained.load().trace(TEXT, top=1)
    assert record["target"] == trained.load().vocabulary.display(trace.next_ids[-1])[0]
    assert record["target_probability"] == pytest.approx(float(trace.next_probabilities[-1, 0]))
    shown = inspect("--text", TEXT, "--show", "influence").stdout
    assert f"the last {record['omission_reach']} of {len(TEXT)}" in " ".join(shown.split())
    (row,) = as_json("--text", TEXT, "--show", "influence", "--by", "omission")["rows"]
    assert row == omission
    asked = as_json("--text", TEXT, "--show", "influence", "--target", "ы")
    assert asked["target"] == "ы" and asked["rows"][1]["low"] == -asked["rows"][1]["high"]
    page = tmp_path / "page.txt"
    page.write_text(TEXT, encoding="utf-8")
    assert as_json("--file", page, "--show", "influence")["rows"][1] == omission
    assert as_json("--generate", "дом", "--show", "influence", "--by", "omission")["rows"]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--by", "gradient"], "add --show influence"),
        (["--target", "а", "--show", "surprise"], "add --show influence"),
        (["--show", "influence", "--neuron", "0:1"], "--neuron"),
        (["--show", "influence", "--by", "magic"], "gradient, omission"),
        (["--show", "influence", "--target", "аб"], "2 tokens"),
        (["--show", "influence", "--target", "漢"], "is not a token"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_questions_about_influence(words: list[str], told: str) -> None:
    result = textgen_cli("inspect", "--text", TEXT, *words)
    assert result.exit_code == 2 and told in result.stderr
    long = textgen_cli("inspect", "--text", "дом" * 400, "--show", "influence")
    assert long.exit_code == 2 and "1,200 tokens" in long.stderr


_LOADED = """
import json
import sys
from textgen.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = ["inspect", *words]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
    print("torch" in sys.modules, "torch._dynamo" in sys.modules, file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.skipif(not supported_isas(), reason=missing_reason() or "native engine")
def test_only_gradients_load_torch(home: Path) -> None:
    """In a process for all, the last of which loads it, without its compiler: that takes longer."""
    commands = [
        ["--text", TEXT, "--show", "influence", "--by", "omission"],
        ["gates", "--text", TEXT],
        ["similar", TEXT],
        ["--text", TEXT, "--show", "influence", "--by", "gradient"],
    ]
    result = subprocess.run(
        [sys.executable, "-c", _LOADED, json.dumps(commands)],
        capture_output=True,
        env=environment(),
        timeout=120,
        check=True,
        cwd=home,
    )
    said = result.stderr.decode().splitlines()
    loaded = [line for line in said if line.split()[0] in ("True", "False")]
    assert loaded == ["False False"] * 3 + ["True False"]


@pytest.mark.usefixtures("home")
def test_text_view_as_table_and_arrays(tmp_path: Path) -> None:
    words = ("--text", TEXT, "--neuron", "0:3", "--neuron", "1:4")
    rows = as_json(*words)["rows"]
    table = inspect(*words, "--csv", "-").stdout.splitlines()
    assert table[0] == "place,text,layers.0.cell[3],layers.1.cell[4]"
    assert len(table) == 1 + len(TEXT)
    place, text, first, second = table[6].split(",")
    assert (place, text) == ("5", " ")
    assert [float(first), float(second)] == [row["values"][5] for row in rows]
    inspect(*words, "--npz", tmp_path / "view.npz")
    with np.load(tmp_path / "view.npz") as arrays:
        assert "".join(arrays["text"]) == TEXT
        np.testing.assert_array_equal(arrays["layers.1.cell[4]"], rows[1]["values"])
    # A newline and a quote are quoted.
    quoted = inspect("--text", 'а"\nб', "--show", "surprise", "--csv", "-").stdout
    assert quoted.startswith("place,text,surprise\n0,а,") and '\n1,"""",' in quoted
