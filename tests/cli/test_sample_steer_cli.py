"""`textgen sample --steer`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.small_runs import textgen_cli

import textgen
from textgen.errors import ConfigError

WORDS = ("sample", "--seed", "дом", "-n", "60")


def test_a_steered_text_is_another_one_and_repeats(home: Path) -> None:
    plain = textgen_cli(*WORDS, "--no-mix")
    steered = textgen_cli(*WORDS, "--steer", "1:5.h=+30")
    assert steered.exit_code == 0
    assert steered.stdout != plain.stdout
    assert "steering: 1:5.h=+30: neuron 1:5 hidden; mean" in steered.stderr
    assert textgen_cli(*WORDS, "--steer", "1:5.h=+30").stdout == steered.stdout
    assert "steering" not in textgen_cli(*WORDS, "--steer", "1:5.h=+30", "-q").stderr
    late = textgen_cli(*WORDS, "--steer", "1:5.h=+30@30..").stdout
    assert late[: 3 + 30] == plain.stdout[: 3 + 30]
    assert late != plain.stdout


def test_json_says_what_was_done_and_at_what_price(home: Path) -> None:
    result = textgen_cli(*WORDS, "--steer", "1:5.h=+30", "--steer", "0:3=off@s2..", "--json")
    record = json.loads(result.stdout)
    first, second = record["steering"]
    assert (first["spec"], first["unit"], first["dose"]) == ("1:5.h=+30", 5, 30.0)
    assert (second["mode"], second["span"]) == ("off", "s2..")
    assert first["sd"] > 0
    (sample,) = record["samples"]
    assert sample["unsteered_bits_per_char"] != sample["bits_per_char"]
    plain = json.loads(textgen_cli(*WORDS, "--json").stdout)
    assert plain["steering"] == []
    assert "unsteered_bits_per_char" not in plain["samples"][0]


def test_the_price_is_that_of_the_model_that_wrote(tmp_path: Path) -> None:
    """Under a label and with counts: steering that changes nothing costs nothing."""
    rows = [f"{label}\t{text}" for label, text in (("a", "ab ab cab"), ("b", "ba bc ba"))]
    (tmp_path / "t.tsv").write_text("\n".join(rows * 60), "utf-8")
    how = {"label_from": "column", "steps": 20, "hidden_size": 8, "rng": 1}
    model = textgen.train(tmp_path / "t.tsv", out=tmp_path / "run", **how).load()
    words = ("sample", "-c", str(model.path), "--seed", "ab", "-n", "40", "--json", "--keep-going")
    for more in ((), ("--mix", "--mix-order", "2")):
        result = textgen_cli(*words, "--label", "a", "--steer", "0:0=1:scale", *more)
        record = json.loads(result.stdout)
        (sample,) = record["samples"]
        assert sample["unsteered_bits_per_char"] == pytest.approx(sample["bits_per_char"], rel=1e-6)
    # The record tells of the gate that wrote.
    assert record["mix"] == model.labelled("a").mixture(2).to_json()
    assert record["mix"] != model.mixture(2).to_json()
    moving = textgen_cli(*words, "--label", "a@0..9,b@9..", "--steer", "0:0=1:scale")
    assert json.loads(moving.stdout)["samples"][0]["unsteered_bits_per_char"] is None
    with pytest.raises(ConfigError, match="has a schedule"):
        model.bits_per_char("ab", label="a@0..9,b@9..")


def test_several_texts_together_are_steered(home: Path) -> None:
    words = (*WORDS, "--count", "5", "--json", "--steer", "1:5.h=+30")
    together = json.loads(textgen_cli(*words).stdout)
    exact = json.loads(textgen_cli(*words, "--exact").stdout)
    plain = json.loads(textgen_cli(*WORDS, "--count", "5", "--json").stdout)
    assert together["path"]["together"] and not exact["path"]["together"]
    for steered, other in zip(together["samples"], plain["samples"], strict=True):
        assert steered["text"] != other["text"]


def test_turns_are_steered(home: Path) -> None:
    plain = textgen_cli("sample", "-i", "-q", "-n", "40", input="дом\n/quit\n")
    steered = textgen_cli(
        "sample", "-i", "-q", "-n", "40", "--steer", "1:5.h=+30", input="дом\n/quit\n"
    )
    assert steered.exit_code == 0 and steered.stdout != plain.stdout


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("1:99=+2", "there is no neuron 1:99"),
        ("mood=+2", "none was saved yet"),
        ("mood=+2", "or find one: textgen inspect find --labels FILE --save NAME"),
        ("1:5", "does not say what to steer and how"),
        ("1:5=+2@9..3", "is empty"),
        ("1:5=+2:push", "choose: clamp, add, scale, off"),
    ],
)
def test_a_wrong_specification_teaches(home: Path, spec: str, message: str) -> None:
    result = textgen_cli(*WORDS, "--steer", spec)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""
