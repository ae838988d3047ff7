"""`textgen sample --steer`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.small_runs import textgen_cli

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
