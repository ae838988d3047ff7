"""`textgen inspect find`: every way to say what to look for, every form of the answer."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.small_runs import russian_text, textgen_cli

from textgen.steering.target import load_target


@pytest.fixture
def place(home: Path) -> Path:
    """The trained model, a corpus, and texts of two kinds that differ in one word."""
    (home / "corpus.txt").write_text(russian_text(12_000, seed=4), encoding="utf-8")
    lines = russian_text(12_000, seed=5).replace("\n", " ").split(". ")[:160]
    good = [f"{line} да да да" for line in lines[::2]]
    bad = [f"{line} нет нет" for line in lines[1::2]]
    rows = [*(f"yes\t{line}" for line in good), *(f"no\t{line}" for line in bad)]
    (home / "labels.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (home / "good.txt").write_text("\n".join(good), encoding="utf-8")
    (home / "bad.txt").write_text("\n".join(bad), encoding="utf-8")
    return home


QUICK = ["--threads", "1"]


def test_the_terminal_tells_all_of_it(place: Path) -> None:
    """What was asked, counts, chance, figures, and a sentence for each control."""
    result = textgen_cli(
        "inspect", "find", "corpus.txt", "--feature", "vowel", "--positions", "600", *QUICK,
        COLUMNS="120",
    )  # fmt: skip
    assert result.exit_code == 0
    out = " ".join(result.stdout.split())
    assert "which neurons distinguish 'vowel' (+) from 'not vowel' (-)?" in out
    assert "an AUC of 0.5" in out
    assert "are independent of each other" in out
    assert "L1 probe" in out
    assert "neurons carry it beyond chance at 5%, corrected for all neurons." in out
    for control in ("permuted", "random 100 probe", "random 100 best", "untrained", "ngram"):
        assert control in out
    for sentence in ("read at random positions", "held at its mean", "bits/char instead of"):
        assert sentence in out
    assert "reading corpus.txt" in result.stderr


@pytest.fixture
def wide(place: Path) -> str:
    """What is said of labels where there is room for all of it."""
    words = ["inspect", "find", "--labels", "labels.tsv", "--state", "final", "-q", *QUICK]
    return textgen_cli(*words, COLUMNS="400").stdout


@pytest.mark.parametrize("columns", ["40", "80"])
def test_it_fits_the_terminal(place: Path, wide: str, columns: str) -> None:
    """Nothing is cut, and no figure or word is broken: all that is said elsewhere is said."""
    result = textgen_cli(
        "inspect", "find", "--labels", "labels.tsv", "--state", "final", "-q", *QUICK,
        COLUMNS=columns,
    )  # fmt: skip
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= int(columns)
    assert result.stderr == ""
    said = result.stdout.replace(",", " ").split()
    words = [word for word in wide.replace(",", " ").split() if len(word) < 30 and "─" not in word]
    assert [word for word in words if word not in said] == []


def test_labels_as_json(place: Path) -> None:
    words = ["inspect", "find", "--labels", "labels.tsv", "--state", "final", "--json", *QUICK]
    record = json.loads(textgen_cli(*words).stdout)
    assert record["checkpoint"].endswith("model.safetensors")
    assert record["neurons"][0]["auc"] > 0.9
    assert (record["data"]["positive"], record["data"]["protocol"]) == ("yes", "final")
    turned = json.loads(textgen_cli(*words, "--positive-label", "no").stdout)
    assert turned["data"]["positive"] == "no"
    signs = {
        (n["layer"], n["unit"]): n["sign"] for n in record["neurons"]
    }  # fmt: skip
    again = {(n["layer"], n["unit"]): n["sign"] for n in turned["neurons"]}
    shared = signs.keys() & again.keys()
    assert shared
    assert all(signs[key] == -again[key] for key in shared)


def test_two_files_say_the_same_as_one(place: Path) -> None:
    record = json.loads(
        textgen_cli(
            "inspect", "find", "--positive", "good.txt", "--negative", "bad.txt", "--texts", "line",
            "--state", "final", "--json", *QUICK,
        ).stdout
    )  # fmt: skip
    assert (record["data"]["positive"], record["data"]["negative"]) == ("good.txt", "bad.txt")
    assert record["neurons"][0]["auc"] > 0.9


def test_a_pattern_as_csv_and_npz(place: Path) -> None:
    words = [
        "inspect", "find", "corpus.txt", "--regex", "дом|сад", "--positions", "400",
        "--csv", "out.csv", "--npz", "out.npz", "--chars", "9000", *QUICK,
    ]  # fmt: skip
    result = textgen_cli(*words)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "written: out.csv" in result.stderr
    assert "the first 9,000 of its 12,000 characters" in result.stderr
    rows = list(csv.DictReader(io.StringIO(Path("out.csv").read_text("utf-8"))))
    assert len(rows) == 64
    assert np.load("out.npz")["auc"].shape == (2, 32)


def test_a_neuron_is_kept_beside_the_model(place: Path) -> None:
    model = place / "checkpoints/small/model.safetensors"
    words = ["inspect", "find", "--labels", "labels.tsv", "--state", "final", *QUICK]
    result = textgen_cli(*words, "--save", "yes", "--json")
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    (chosen,) = (neuron for neuron in record["neurons"] if neuron["chosen"])
    target = load_target(model, "yes")
    assert (target.layer, target.unit, target.sign) == tuple(
        chosen[key] for key in ("layer", "unit", "sign")
    )
    assert record["saved"] == str(Path("checkpoints/small/neurons/yes.json"))
    assert "--steer yes=+2" in result.stderr
    textgen_cli(*words, "--save", "way", "--direction", "difference", "-q")
    assert load_target(model, "way").unit is None


def test_nothing_found_is_said_and_nothing_kept(place: Path) -> None:
    """Labels in turn, of sentences that differ in nothing."""
    lines = russian_text(9000, seed=7).replace("\n", " ").split(". ")
    rows = [f"{number % 2}\t{line}\n" for number, line in enumerate(lines[:150])]
    (place / "noise.tsv").write_text("".join(rows), encoding="utf-8")
    words = ["inspect", "find", "--labels", "noise.tsv", *QUICK]
    result = textgen_cli(*words, "--save", "noise", COLUMNS="120")
    assert result.exit_code == 0
    assert "None of 64 neurons carry it" in result.stdout
    assert "nothing saved: no neuron was found" in result.stderr
    assert not (place / "checkpoints/small/neurons/noise.json").exists()
    assert json.loads(textgen_cli(*words, "--json").stdout)["neurons"] == []


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        ([], "say what to look for, in one way", 2),
        (["--labels", "labels.tsv", "--feature", "vowel"], "in one way", 2),
        (["--positive", "good.txt"], "--positive and --negative go together", 2),
        (["corpus.txt", "--labels", "labels.tsv"], "corpus.txt would not be read", 2),
        (["corpus.txt", "--feature", "mood"], "choose one of: word-start", 2),
        (["corpus.txt", "--regex", "("], "is not a regular expression", 2),
        (
            ["--labels", "labels.tsv", "--show", "input-gate"],
            "cannot be held and its ablation would show nothing; choose --show cell or "
            "--show hidden or --show latent",
            2,
        ),
        (["--labels", "labels.tsv", "--show", "cells"], "'cells' is no state of lstm cells", 2),
        (["--labels", "labels.tsv", "--direction", "probe"], "give it a name", 2),
        (["--labels", "labels.tsv", "--save", "0:1"], "cannot be the name", 2),
        (["--labels", "labels.tsv", "--state", "end"], "one of mean, final", 2),
        (["--labels", "labels.tsv", "--positive-label", "x"], "labels.tsv are: no, yes", 2),
        (["--labels", "labels.tsv", "--top", "0"], "--top is 0", 2),
        (["--labels", "none.tsv"], "none.tsv", 6),
        (["--labels", "corpus.txt"], "line 1: ", 3),
    ],
)
def test_what_is_refused(place: Path, words: list[str], message: str, code: int) -> None:
    result = textgen_cli("inspect", "find", *words, *QUICK)
    assert result.exit_code == code
    assert message in result.stderr


def test_what_cannot_be_kept_is_told_before_anything_is_read(place: Path) -> None:
    """Not even that there are no such labels is noticed first."""
    neurons = place / "checkpoints/small/neurons"
    shutil.rmtree(neurons, ignore_errors=True)  # The model may have been measured before.
    neurons.write_text("in the way", encoding="utf-8")
    result = textgen_cli("inspect", "find", "--labels", "none.tsv", "--save", "yes", *QUICK)
    assert result.exit_code == 6
    assert "cannot create the folder" in result.stderr
    assert "none.tsv" not in result.stderr


def test_the_report_is_given_where_it_cannot_be_kept_at_the_end(place: Path) -> None:
    """A folder has the name of the file."""
    (place / "checkpoints/small/neurons/yes.json/full").mkdir(parents=True)
    result = textgen_cli(
        "inspect", "find", "--labels", "labels.tsv", "--state", "final", "--save", "yes", "--json",
        *QUICK,
    )  # fmt: skip
    assert result.exit_code == 6
    record, error = map(json.loads, result.stdout.splitlines())
    assert error["exit_code"] == 6
    assert record["neurons"]
    assert record["saved"] is None
    assert "yes.json" in result.stderr


def test_the_encoding_of_the_labels_is_told(place: Path) -> None:
    text = (place / "labels.tsv").read_text("utf-8")
    (place / "old.tsv").write_bytes(text.encode("cp1251"))
    words = ["inspect", "find", "--labels", "old.tsv", "--state", "final", *QUICK]
    assert "old.tsv (cp1251): " in textgen_cli(*words, COLUMNS="200").stdout
    assert json.loads(textgen_cli(*words, "--json").stdout)["data"]["encodings"] == ["cp1251"]


def test_a_saved_direction_is_tested_on_other_labels(place: Path) -> None:
    words = ["inspect", "find", "--labels", "labels.tsv", "--state", "final", *QUICK]
    textgen_cli(*words, "--save", "way", "--direction", "difference", "-q")
    out = " ".join(textgen_cli(*words, "--neuron", "way", COLUMNS="200").stdout.split())
    assert "controls (accuracy) of the claim that 'way' carries it:" in out
    result = textgen_cli(*words, "--neuron", "0:3", "--save", "mine")
    assert result.exit_code == 0 and "(neuron 0:3)" in result.stderr
    assert load_target(place / "checkpoints/small/model.safetensors", "mine").unit == 3
    refused = textgen_cli(*words, "--neuron", "way", "--save", "again")
    assert refused.exit_code == 2 and "'way' has one" in refused.stderr
    unknown = textgen_cli(*words, "--neuron", "nothing")
    assert unknown.exit_code == 2 and "known are: mine, way" in unknown.stderr
