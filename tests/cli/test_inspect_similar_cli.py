"""`textgen inspect similar`: nearest states."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import russian_text, textgen_cli
from typer.testing import Result

TEXT = "Утром доктор нашёл мёд"
PLANTED = "Однажды ямщик продал мёд и купил чужой топор? Тогда"


def inspect(*words: str | Path, **env: str) -> Result:
    result = textgen_cli("inspect", *words, **env)
    assert result.exit_code == 0, result.stderr
    return result


def as_json(*words: str | Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(inspect(*words, "--json").stdout)
    return record


@pytest.mark.usefixtures("home")
def test_a_planted_passage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    text = russian_text(6000, seed=5)
    path.write_text(text[:4000] + PLANTED + text[4000:], encoding="utf-8")
    record = as_json("similar", PLANTED, path, "--not-same", "0")
    best = record["matches"][0]
    assert best["place"] == 4000 + len(PLANTED) - 1
    assert best["before"].endswith(PLANTED) and best["same"] == len(PLANTED)
    assert best["after"] == text[4000:][: len(best["after"])]
    assert best["similarity"] > 0.9
    assert record["units"] == 32 and record["layers"] == [1]
    # By default it is left out as trivial.
    record = as_json("similar", PLANTED, path)
    assert record["left_out"] >= 1
    assert all(match["same"] < 12 for match in record["matches"])
    shown = inspect("similar", PLANTED, path, "--top", "3", COLUMNS="80")
    assert len(shown.stdout.splitlines()) == 5
    assert "--not-same 0" in shown.stderr and "a random place" in shown.stderr
    assert all(len(line) <= 80 for line in shown.stdout.splitlines())


@pytest.mark.usefixtures("home")
def test_what_is_compared(tmp_path: Path) -> None:
    record = as_json("similar", TEXT, "--layer", "all", "--show", "hidden", "--top", "2")
    assert (record["layers"], record["units"], record["quantity"]) == ([0, 1], 64, "hidden")
    assert len(record["matches"]) == 2 and record["source"] == "the training text"
    assert as_json("similar", TEXT, "--units", "5", "--layer", "0")["units"] == 5
    table = tmp_path / "similar.csv"
    inspect("similar", TEXT, "--csv", table, "--top", "4")
    with table.open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == 5


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--layer", "2"], "0..1, or all"),
        (["--layer", "x"], "0..1, or all"),
        (["--show", "mood"], "forget-gate"),
        (["--top", "0"], "--top"),
        (["--min-apart", "0"], "--min-apart"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_similar_to_nothing(words: list[str], told: str) -> None:
    result = textgen_cli("inspect", "similar", TEXT, *words)
    assert result.exit_code == 2 and told in result.stderr
    assert textgen_cli("inspect", "similar", "").exit_code == 2
