"""`textgen inspect neurons` from end to end."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from support.small_runs import textgen_cli
from support.trained import Trained

from textgen.inspection.features import FEATURES
from textgen.inspection.neuron_stats import neuron_stats
from textgen.inspection.trace import trace


def test_the_training_text_is_the_default(home: Path) -> None:
    result = textgen_cli("inspect", "neurons", "--top", "4", COLUMNS="100")
    assert result.exit_code == 0
    assert "reading the training text" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["neuron", "mean", "sd", "follows", "r", "highest"]
    assert len([line for line in lines if line[:1].isdigit() and ":" in line[:4]]) == 4
    assert "4 of 64 neurons, ordered by effect (the spread of tanh(c))" in result.stdout
    assert "\x1b" not in result.stdout
    quiet = textgen_cli("inspect", "neurons", "--top", "4", "--quiet", COLUMNS="100")
    assert (quiet.stdout, quiet.stderr) == (result.stdout, "")


def test_without_path_and_training_text_it_says_what_to_type(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXTGEN_CACHE", str(home / "empty"))
    result = textgen_cli("inspect", "neurons")
    assert result.exit_code == 2
    assert "not in the cache; name a text to read" in result.stderr
    assert textgen_cli("inspect", "neurons", "--text", "дом и сад").exit_code == 0


def test_json_agrees_with_a_plain_trace(home: Path, trained: Trained) -> None:
    text = trained.text.read_text("utf-8")[:3000]
    (home / "page.txt").write_text(text, "utf-8")
    words = ["inspect", "neurons", "page.txt", "--show", "forget-gate", "--top", "0", "--json"]
    result = textgen_cli(*words)
    data = json.loads(result.stdout)
    assert data["text"] == "page.txt"
    assert (data["quantity"], data["tokens"], data["chars"]) == ("forget-gate", 3000, 3000)
    assert len(data["neurons"]) == data["total"] == 64
    model = trained.load()
    plain = trace(model.network, model.encode(text), quantities=["forget-gate"])
    expected = {stats.neuron: stats for stats in neuron_stats(plain)}
    for neuron in data["neurons"]:
        stats = expected[neuron["layer"], neuron["unit"]]
        # The fast path may multiply in bf16.
        assert neuron["mean"] == pytest.approx(stats.mean, abs=0.02)
        assert neuron["sd"] == pytest.approx(stats.sd, abs=0.02)
        values = plain.values(*stats.neuron)
        assert neuron["saturation"]["above_0.9"] == pytest.approx((values > 0.9).mean(), abs=0.05)
        assert values[neuron["highest"][0]["place"]] == pytest.approx(values.max(), abs=0.03)
        assert {score["feature"] for score in neuron["scores"]} == set(FEATURES)
    effects = [neuron["effect"] for neuron in data["neurons"]]
    assert effects == sorted(effects, reverse=True)


def test_one_neuron_in_depth(home: Path) -> None:
    words = ["inspect", "neurons", "--neuron", "1:5", "--neuron", "0:3"]
    result = textgen_cli(*words, COLUMNS="80")
    assert result.exit_code == 0
    text = result.stdout
    assert text.index("neuron 1:5 cell") < text.index("neuron 0:3 cell")
    assert all(text.count(f"{side} 1: ") == 2 for side in ("highest", "lowest"))
    assert text.count("values of tanh(c)") == 2
    assert all(feature in text for feature in FEATURES)
    assert "▸" in text
    data = json.loads(textgen_cli(*words, "--json").stdout)
    assert [(n["layer"], n["unit"]) for n in data["neurons"]] == [(1, 5), (0, 3)]
    first = data["neurons"][0]["highest"][0]
    assert first["values"][first["mark"]] == pytest.approx(first["value"])
    assert "".join(first["tokens"]) == first["before"] + first["at"] + first["after"]


def test_tables_and_arrays(home: Path) -> None:
    words = [
        "inspect",
        "neurons",
        "--text",
        "Старик видел дом. " * 40,
        "--layer",
        "1",
        "--top",
        "5",
    ]
    result = textgen_cli(*words, "--csv", "-", "--npz", home / "n.npz")
    header, *rows = csv.reader(io.StringIO(result.stdout))
    assert header[:3] == ["layer", "unit", "quantity"]
    assert len(rows) == 5 and {row[0] for row in rows} == {"1"}
    with np.load(home / "n.npz", allow_pickle=False) as arrays:
        assert arrays["unit"].tolist() == [int(row[1]) for row in rows]
        assert arrays["correlation"].shape == (5, len(FEATURES))


def test_of_a_short_text_it_is_not_said_what_a_neuron_follows(home: Path) -> None:
    words = ["inspect", "neurons", "--sort", "feature-score", "--top", "5", "--chars"]
    short = textgen_cli(*words, "299", COLUMNS="100").stdout
    assert short.count("too short") == 6
    assert "A text below 300 tokens is too short to say" in " ".join(short.split())
    data = json.loads(textgen_cli(*words, "299", "--json").stdout)
    assert data["enough"] == 300
    assert all(n["follows"] is None and n["best"] and n["highest"] for n in data["neurons"])
    assert "too short" not in textgen_cli(*words, "300", COLUMNS="100").stdout
    one = textgen_cli("inspect", "neurons", "--neuron", "0:3", "--chars", "299").stdout
    assert "the text is too short to say what it follows: 299 tokens" in one
    assert "follows nothing" not in one


def test_only_so_many_characters_are_read(home: Path) -> None:
    result = textgen_cli("inspect", "neurons", "--chars", "700", "--json")
    assert json.loads(result.stdout)["tokens"] == 700
    assert "the first 700 of its 8,000 characters" in result.stderr


def test_nothing_of_a_corpus_steers_the_terminal(
    trained_on_lines: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXTGEN_CACHE", str(trained_on_lines.cache))
    for words in (["--top", "0"], ["--neuron", "0:1"]):
        result = textgen_cli(
            "inspect", "neurons", *words, "-c", trained_on_lines.folder, COLUMNS="60"
        )
        assert result.exit_code == 0
        assert "\x1b" not in result.stdout
        assert all(len(line) <= 60 for line in result.stdout.splitlines())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--neuron", "0:1", "--top", "3"], "--neuron names what is shown"),
        (["--neuron", "0:99"], "there is no neuron 0:99"),
        (["--neuron", "1:1", "--layer", "0"], "another layer than --layer"),
        (["--layer", "2"], "there is no layer 2; this model has layers 0..1"),
        (["--top", "-1"], "--top is -1"),
        (["--chars", "-1"], "--chars is -1"),
        (["--show", "surprise"], "no 'surprise'; choose one of: cell"),
        (["--sort", "saturation"], "only gates have"),
        (["--sort", "size"], "there is no order 'size'"),
        (["--text", ""], "the text is empty"),
        (["--text", "a", "page.txt"], "both PATH and --text"),
        (["--json", "--csv", "-"], "both go to standard output"),
    ],
)
def test_what_is_wrong_is_said(home: Path, words: list[str], message: str) -> None:
    result = textgen_cli("inspect", "neurons", *words)
    assert result.exit_code in (2, 3)
    assert message in " ".join(result.stderr.split())
