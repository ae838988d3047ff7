"""First things people type after `textgen sample`, and what they are told to type instead."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_runs import command, textgen_cli
from test_sample_cli import _in_terminal

from textgen.options import SampleOptions, command_text
from textgen.settings import escape, unescape


def sample(*words: str | Path) -> str:
    result = textgen_cli("sample", *words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refused(*words: str | Path, code: int = 2) -> str:
    result = textgen_cli("sample", *words)
    assert (result.exit_code, result.stdout) == (code, ""), result.stderr
    return result.stderr


@pytest.mark.usefixtures("home")
def test_a_bare_word_is_the_seed() -> None:
    expected = sample("--seed", "Утром доктор", "-n", "20")
    assert sample("Утром доктор", "-n", "20") == expected
    assert sample("Утром", "доктор", "-n", "20") == expected
    assert sample("-n", "20", "--", "Утром", "доктор") == expected
    assert sample("-n", "20", "") == sample("-n", "20")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("word", ["checkpoints/small", "./checkpoints/small/model.safetensors"])
def test_a_path_of_a_model_is_the_model(word: str) -> None:
    os.rename("checkpoints/small", "other")
    Path("checkpoints/small").symlink_to(Path("other").absolute())
    expected = sample("-c", "other", "--seed", "дом", "-n", "20")
    assert sample(word, "дом", "-n", "20") == expected
    assert sample("дом", word, "-n", "20") == expected
    assert sample(word, "-n", "20", "-s", "дом") == expected
    quiet = textgen_cli("sample", word, "-n", "5")
    assert "note: " not in quiet.stderr  # A path can mean nothing else.


@pytest.mark.usefixtures("home")
def test_the_name_of_a_run_is_the_model_and_says_so() -> None:
    result = textgen_cli("sample", "small", "-n", "20")
    assert result.stdout == sample("-c", "small", "-n", "20")
    (note,) = [line for line in result.stderr.splitlines() if line.startswith("note: ")]
    assert note.endswith("as the beginning of a text: textgen sample --seed small")
    # With a model named already, or among other words, it is text.
    assert "note: " not in textgen_cli("sample", "-c", "small", "small", "-n", "5").stderr
    assert "note: " not in textgen_cli("sample", "small", "дом", "-n", "5").stderr


@pytest.mark.usefixtures("home")
def test_a_mistyped_path_is_looked_for() -> None:
    assert "runs there, the newest first: small" in refused("checkpoints/smal", code=6)
    assert "mine.safetensors" in refused("mine.safetensors", code=6)


@pytest.mark.usefixtures("home")
def test_what_cannot_be_meant_is_answered_with_what_to_type() -> None:
    told = refused("--seed", "Утром", "доктор", "видел")
    assert "textgen sample --seed 'Утром доктор видел'" in told
    Path("seed one.txt").write_text("Утром", encoding="utf-8")
    told = refused("seed one.txt")
    assert "textgen sample --seed-file 'seed one.txt'" in told
    assert "--seed-file contradict" in refused("дом", "--seed-file", "seed one.txt")
    assert sample("--seed-file", "seed one.txt", "-n", "9") == sample("Утром", "-n", "9")


@pytest.mark.usefixtures("home")
def test_decimal_commas_and_what_is_no_number() -> None:
    words = ("--seed", "дом", "-n", "30")
    assert sample(*words, "-t", "0,5") == sample(*words, "-t", "0.5")
    assert sample(*words, "--top-p", "90%") == sample(*words, "--top-p", "0.9")
    assert sample(*words, "--top-p", "90 %") == sample(*words, "--top-p", "0.9")
    assert "--length is '1,000'; it must be a whole number; type --length 1000" in refused(
        "-n", "1,000"
    )
    assert "it must be a number, like --temperature 0.8" in refused("-t", "warm")


@pytest.mark.parametrize(
    ("typed", "text"),
    [(r"\n", "\n"), (r"a\tb", "a\tb"), (r"\\n", r"\n"), (r"\\\n", "\\\n"), (r"\d\ ", r"\d\ "),
     ("\n", "\n"), ("\\", "\\"), ("", "")],
)  # fmt: skip
def test_escapes(typed: str, text: str) -> None:
    assert unescape(typed) == text
    assert unescape(escape(text)) == text


@given(st.text(alphabet=st.sampled_from("\\nt\n\ta")))
def test_every_text_can_be_typed(text: str) -> None:
    assert unescape(escape(text)) == text
    assert "\n" not in escape(text) and "\t" not in escape(text)


@pytest.mark.usefixtures("home")
def test_stop_at_a_line_end() -> None:
    words = ("--seed", "Утром", "-n", "400")
    whole = sample(*words)
    assert "\n" in whole
    assert sample(*words, "--stop", r"\n") == whole.partition("\n")[0]
    assert sample(*words, "--stop", "\n") == whole.partition("\n")[0]
    decomposed = "й"  # и and a breve, as some keyboards and file names have it
    assert sample(*words, "--stop", decomposed) == whole.partition("й")[0]
    result = textgen_cli("sample", *words, "--stop", "Ж漢", "--stop", r"\t", "--stop", "дом")
    assert result.exit_code == 0
    notes = [line for line in result.stderr.splitlines() if line.startswith("note: ")]
    assert len(notes) == 2
    assert "--stop 'Ж漢' can never occur: the model's vocabulary has no" in notes[0]
    assert r"--stop '\t' can never occur" in notes[1]


def test_a_command_line_types_what_a_stop_text_is() -> None:
    line = command_text("sample", [], SampleOptions(stop=("\n", "a\\n", "\t ")))
    assert line == r"textgen sample --stop '\n' --stop 'a\\n' --stop '\t '"
    usual = SampleOptions(until_end=True, separator="\n")
    settings = SampleOptions(keep_going=True, separator="\n")
    line = command_text("sample", [], settings, usual=usual)
    assert line == "textgen sample --keep-going"


@pytest.mark.usefixtures("home")
def test_the_line_that_says_what_computes_says_how_to_get_another_text() -> None:
    def last(*words: str) -> str:
        result = textgen_cli("sample", "-n", "5", *words)
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("sampling: ")]
        return line.rpartition("; ")[2]

    assert last() == "--rng 1 writes another"
    assert last("--rng", "7") == "--rng 8 writes another"
    assert last("--count", "3") == "--rng 1 writes others"
    for settled in (("-t", "0"), ("--top-k", "1"), ("--rng", str(2**64 - 1))):
        assert "--rng" not in last(*settled)
    assert textgen_cli("sample", "-n", "5", "-q").stderr == ""


@pytest.mark.slow
def test_headers_are_for_a_screen(home: Path) -> None:
    words = ("sample", "--count", "2", "-n", "20", "--seed", "дом")
    shown = _in_terminal(command(*words), home)
    assert "--- 1 of 2 ---\nдом" in shown and "--- 2 of 2 ---\nдом" in shown
    assert "---" not in _in_terminal(command(*words, "-q"), home)
    assert _in_terminal(command(*words, "-q"), home) == textgen_cli(*words).stdout


@pytest.mark.usefixtures("home")
def test_settings_are_those_of_the_model() -> None:
    """As data: what is written by default, and how one asks for something else."""
    settings = json.loads(sample("-n", "5", "--json"))["settings"]
    assert settings["until_end"] is False and settings["separator"] == "\n\n"
    assert settings["history"] == 0 and settings["rng"] == 0
