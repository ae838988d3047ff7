"""Pairs and histories on the command line."""

from __future__ import annotations

import gzip
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import events, russian_text, textgen_cli

from textgen.options import SampleOptions, command_text

SMALL = ("--hidden", "32", "--batch-size", "16", "--seq-len", "24", "--threads", "1")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reversed words, and a model of them in `run` beside the file."""
    folder = tmp_path_factory.mktemp("pairs")
    path = folder / "pairs.tsv"
    made = ["".join(word) for k in (2, 3, 4) for word in itertools.product("абв", repeat=k)]
    path.write_text("".join(f"{word}\t{word[::-1]}\n" for word in made), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXTGEN_CACHE", str(folder / "cache"))
        result = textgen_cli(
            *("train", "--pairs", path, "--out", folder / "run", "--steps", "300", *SMALL),
            *("--dropout", "0", "--learning-rate", "0.02"),
        )
    assert result.exit_code == 0, result.stderr
    assert "written exactly" in result.stderr and "% of 12 held-out targets" in result.stderr
    return path


def sample(pairs: Path, *words: str | Path, **more: Any) -> str:
    result = textgen_cli("sample", "--checkpoint", pairs.parent / "run", "-t", "0", *words, **more)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refused(*words: str | Path, code: int = 2, **more: Any) -> str:
    result = textgen_cli(*words, **more)
    assert result.exit_code == code
    assert result.stdout == ""
    return result.stderr


def test_training_says_what_it_does(pairs: Path, tmp_path: Path) -> None:
    """Compressed and in another encoding; as JSON."""
    path = tmp_path / "pairs.tsv.gz"
    path.write_bytes(gzip.compress(pairs.read_text(encoding="utf-8").encode("utf-16")))
    words = ("train", path, "--pairs", "--out", tmp_path / "run", "--steps", "3", *SMALL, "--json")
    start, *_, end = events(textgen_cli(*words))
    assert start["encoding"] == "utf-16-le"
    choices = {choice["name"]: choice for choice in start["choices"]}
    assert choices["pairs"]["value"] == 117
    assert "its target is written" in choices["pairs"]["reason"]
    assert end["written_pairs"] == 12 and 0.0 <= end["exact_match"] <= 1.0


def test_a_target_alone_is_written(pairs: Path) -> None:
    """A line, without its source; the same as JSON says."""
    text = sample(pairs, "--seed", "абв")
    assert text.endswith("\n") and text.count("\n") == 1
    record = json.loads(sample(pairs, "--seed", "абв", "--json"))
    (found,) = record["samples"]
    assert (found["source"], found["target"]) == ("абв", text[:-1])
    assert found["finish_reason"] == "end" and found["bits_per_char"] >= 0.0


def test_many_sources(pairs: Path, tmp_path: Path) -> None:
    """From standard input or a file, blank lines left out; mostly right, for it has learned."""
    sources = ["аб", "вбв", "абва", "ббав", "ва"]
    given = "\n\n".join(sources) + "\n"
    lines = sample(pairs, "--seed", "-", input=given).splitlines()
    assert len(lines) == 5
    assert sum(a == b[::-1] for a, b in zip(lines, sources, strict=True)) >= 3
    file = tmp_path / "sources.txt"
    file.write_text(given, encoding="utf-8")
    assert sample(pairs, "--seed-file", file).splitlines() == lines
    alone = [sample(pairs, "--seed", source)[:-1] for source in sources]
    assert sample(pairs, "--seed-file", file, "--exact").splitlines() == alone
    twice = sample(pairs, "--seed-file", file, "--count", "2").splitlines()
    assert twice == [line for line in lines for _ in range(2)]


def test_a_target_cut_short_is_said(pairs: Path) -> None:
    words = ("sample", "--checkpoint", pairs.parent / "run", "-t", "0", "--length", "1")
    result = textgen_cli(*words, "--seed", "абв")
    assert len(result.stdout) == 2
    assert "1 of 1 target did not end within --length" in result.stderr


def test_what_sampling_refuses(pairs: Path) -> None:
    run = ("sample", "--checkpoint", pairs.parent / "run")
    assert "give one: --seed SOURCE, or --seed-file" in refused(*run)
    assert "has a TAB" in refused(*run, "--seed", "а\tб")
    for words in (["--steer", "0:1=+2"], ["--interactive"], ["--novelty"]):
        assert "writes the targets of pairs" in refused(*run, "--seed", "а", *words)


def test_a_source_is_not_forgotten_before_the_target(pairs: Path) -> None:
    words = ("sample", "--checkpoint", pairs.parent / "run", "--seed", "абв", "--history", "1")
    assert "forget the source; leave it out" in refused(*words)


def test_a_space_is_not_folded_into_the_separator(pairs: Path) -> None:
    """The vocabulary has none, and the nearest space that it has is the TAB."""
    assert sample(pairs, "--seed", "аб в") == sample(pairs, "--seed", "абв")
    assert "has a TAB" in refused("sample", "--checkpoint", pairs.parent / "run", "--seed", "аб\tв")


def test_a_source_may_hold_other_separators_of_lines(pairs: Path) -> None:
    """One target a line of input, as in files of pairs."""
    assert len(sample(pairs, "--seed", "-", input="аб\u2028в\nба\n").splitlines()) == 2


def test_evaluation(pairs: Path) -> None:
    words = ("eval", pairs, "--checkpoint", pairs.parent / "run", "--threads", "1")
    figures = json.loads(textgen_cli(*words, "--json").stdout)
    assert set(figures) == {
        "exact_match",
        "edit_similarity",
        "bits_per_target_char",
        "pairs",
        "exact",
        "target_chars",
        "notes",
    }
    assert figures["pairs"] == 117 and figures["exact"] == figures["exact_match"] * 117
    assert json.loads(textgen_cli(*words, "--pairs", "--json").stdout) == figures
    shown = textgen_cli(*words, "--limit", "20").stdout
    assert "exact match" in shown and "pairs" in shown and "20" in shown
    message = refused(*words, "--window", "5")
    assert (
        "from the beginning: --window, --streams, --history, --documents, --label, --mix, "
        in message
    )
    assert "--mix-order and --adapt are for models of text" in message
    assert "--limit is 0" in refused(*words, "--limit", "0")


def test_malformed_lines(pairs: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.tsv"
    path.write_text("один\tone\nдва\n", encoding="utf-8")
    message = refused("train", "--pairs", path, "--out", tmp_path / "run", code=3)
    assert "bad.tsv line 2 has no TAB ('два')" in message
    assert not (tmp_path / "run").exists()
    run = pairs.parent / "run"
    assert "line 2 has no TAB" in refused("eval", path, "--checkpoint", run, code=3)
    given = path.read_bytes()
    message = refused("eval", "-", "--checkpoint", run, code=3, input=given)
    assert "1 of 2 lines is not a pair: line 2 (blank lines not counted)" in message


@pytest.mark.usefixtures("home")
def test_a_model_of_text_measures_no_pairs(pairs: Path) -> None:
    message = refused("eval", "--pairs", pairs)
    assert "--pairs needs a model of pairs" in message and "evaluate_pairs" not in message
    assert "textgen train FILE.tsv --pairs" in message


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained on windows of three tokens."""
    folder = tmp_path_factory.mktemp("windowed")
    text = folder / "text.txt"
    text.write_text(russian_text(3000), encoding="utf-8")
    words = ("train", text, "--history", "3", "--steps", "40", "--hidden", "16", "--threads", "1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXTGEN_CACHE", str(folder / "cache"))
        result = textgen_cli(*words, "--out", folder / "run", "--quiet")
    assert result.exit_code == 0, result.stderr
    return folder


def test_sampling_says_the_history(windowed: Path) -> None:
    words = ("sample", "--checkpoint", windowed / "run", "--seed", "дом", "-n", "40")
    usual, three, carried = (
        textgen_cli(*words, *more) for more in ((), ("--history", "3"), ("--history", "0"))
    )
    assert usual.stdout == three.stdout != carried.stdout
    assert "sees 3 tokens at each choice, as in training (--history 0 carries" in usual.stderr
    assert "sees 3 tokens at each choice\n" in three.stderr
    assert "history" not in carried.stderr
    record = json.loads(textgen_cli(*words, "--json").stdout)
    assert record["settings"]["history"] == 3
    assert record["samples"][0]["text"] == usual.stdout
    message = refused(*words, "--steer", "0:1=+2")
    assert "with a history of 3 tokens no state is carried on; add --history 0" in message
    assert textgen_cli(*words, "--history", "0", "--steer", "0:1=+2").exit_code == 0


def test_the_command_that_repeats_a_text_says_what_the_model_does_not() -> None:
    def repeated(settings: SampleOptions, usual: SampleOptions | None = None) -> str:
        return command_text("sample", [], settings, usual=usual)

    assert "--history" not in repeated(SampleOptions(length=9))
    usual = SampleOptions(history=3, until_end=True)
    assert repeated(SampleOptions(length=9, history=0), usual).endswith(" --history 0")
    as_trained = repeated(replace(usual, length=9), usual)
    assert "--history" not in as_trained and "--until-end" not in as_trained


@pytest.mark.usefixtures("home")
def test_a_model_with_a_carried_state_takes_a_history() -> None:
    words = ("sample", "--seed", "дом", "-n", "60")
    one = textgen_cli(*words, "--history", "2")
    assert "sees 2 tokens at each choice" in one.stderr
    assert one.stdout != textgen_cli(*words).stdout
    four = textgen_cli(*words, "--history", "2", "--count", "4").stdout.split("\n\n")
    assert len(set(four)) > 1


def test_evaluation_by_history(windowed: Path) -> None:
    words = ("eval", windowed / "text.txt", "--checkpoint", windowed / "run", "--threads", "1")
    usual = textgen_cli(*words)
    assert "the model sees 3 tokens at each prediction, as in training" in usual.stderr
    assert "history" in usual.stdout and "positions" in usual.stdout
    record = json.loads(textgen_cli(*words, "--json").stdout)
    assert (record["history"], record["positions"]) == (3, 3000)
    some = json.loads(textgen_cli(*words, "--json", "--limit", "100").stdout)
    assert some["positions"] == 100 and some["chars"] == 3000
    assert some["bits_per_char"] == pytest.approx(record["bits_per_char"], rel=0.2)
    streams = textgen_cli(*words, "--streams", "2")
    assert "--streams carries its state on instead" in streams.stderr
    assert "carries" not in textgen_cli(*words, "--streams", "2", "--quiet").stderr
    carried = json.loads(textgen_cli(*words, "--json", "--history", "0").stdout)
    assert "history" not in carried
    assert carried["bits_per_char"] != pytest.approx(record["bits_per_char"], rel=1e-4)
    assert "--limit goes with --history" in refused(*words, "--history", "0", "--limit", "5")
    assert "give one of them" in refused(*words, "--history", "2", "--streams", "4")
