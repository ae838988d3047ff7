"""`textgen sample` with forms: what is written, what it costs, what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

from support.form_checks import keeps
from support.small_runs import textgen_cli

PRICE = re.compile(r"form: [\d.]+ bits less likely than free writing, [\d.]+ bits/char\n")


def test_a_form_is_kept_and_its_price_is_said(home: Path) -> None:
    words = ("sample", "--lines", "3", "--line-chars", "8..12", "--without", "о")
    result = textgen_cli(*words)
    assert result.exit_code == 0
    assert keeps(result.stdout, lines=3, line_chars="8..12", without="о")
    assert PRICE.search(result.stderr)
    assert textgen_cli(*words).stdout == result.stdout
    assert "form:" not in textgen_cli(*words, "-q").stderr
    assert "form:" not in textgen_cli("sample", "-n", "9").stderr


def test_json_has_the_price_of_each_text(home: Path) -> None:
    result = textgen_cli("sample", "--match", "[а-я]{5}", "--count", "5", "--json")
    record = json.loads(result.stdout)
    assert record["settings"]["match"] == "[а-я]{5}"
    for sample in record["samples"]:
        assert keeps(sample["text"], match="[а-я]{5}")
        assert sample["form_bits"] > 0
    plain = json.loads(textgen_cli("sample", "-n", "9", "--json").stdout)
    assert "form_bits" not in plain["samples"][0]


def test_the_beginning_belongs_to_the_text(home: Path) -> None:
    result = textgen_cli("sample", "--seed", "дом", "--chars", "9")
    assert keeps(result.stdout, match="дом.*", chars="9")
    refused = textgen_cli("sample", "--seed", "дом", "--without", "о")
    assert refused.exit_code != 0
    assert "no text that begins 'до' keeps to the form" in refused.stderr


def test_each_turn_of_a_conversation_keeps_to_the_form(home: Path) -> None:
    how = ("--interactive", "--chars", "7..9", "--without", "о", "--seed", "дом ")
    result = textgen_cli("sample", *how, input="\nто\n/show\n")
    assert result.exit_code == 0
    first, second, *whole = result.stdout.split("\n")
    for turn in (first, second):
        assert keeps(turn, chars="7..9", without="о")
    # What a person writes is not held to it.
    assert "\n".join(whole) == f"дом {first}то{second}\n"
    assert "Each turn of the model keeps to --chars and --without." in result.stderr
    assert result.stderr.count("bits less likely than free writing") == 2


def test_what_cannot_be_is_refused_before_anything_is_written(home: Path) -> None:
    for words, message in (
        (("--chars", "3", "--include", "дома"), "--chars 3 and --include 'дома' at once"),
        (
            ("--lines", "2", "--stop", "x"),
            "--lines does not go with --stop: a form says where a text ends",
        ),
        (("--match", "(а"), "cannot be followed"),
        (("--rhyme", "AA", "--length", "20"), "give --length 122"),
    ):
        result = textgen_cli("sample", *words)
        assert (result.exit_code != 0, result.stdout) == (True, "")
        assert message in result.stderr
