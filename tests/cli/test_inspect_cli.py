"""`textgen inspect`: texts, windows, checkpoints."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_runs import process, textgen_cli
from typer.testing import Result

from textgen.native.library import supported_isas

ANSI = re.compile(r"\x1b\[[0-9;]*m")

TEXT = "Утром доктор нашёл мёд"
SENTENCE = "Это я убил тогда старуху-чиновницу и сестру её Лизавету топором, и ограбил"
QUANTITIES = ["cell", "hidden", "input-gate", "forget-gate", "output-gate", "candidate"]


def inspect(*words: str | Path, **env: str) -> Result:
    result = textgen_cli("inspect", *words, **env)
    assert result.exit_code == 0, result.stderr
    return result


def as_json(*words: str | Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(inspect(*words, "--json").stdout)
    return record


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("show", QUANTITIES)
def test_values_are_those_of_a_trace(trained: Any, show: str) -> None:
    record = as_json("--text", TEXT, "--show", show, "--neuron", "1:5", "--neuron", "0:31")
    trace = trained.load().trace(TEXT, quantities=[show])
    assert record["quantity"] == show
    assert record["tokens"] == list(TEXT)
    for row, (layer, unit) in zip(record["rows"], [(1, 5), (0, 31)], strict=True):
        assert (row["layer"], row["unit"]) == (layer, unit)
        values = trace.values(layer, unit, show)
        # JSON has every digit of the numbers.
        np.testing.assert_array_equal(row["values"], values.astype(float))
        assert row["min"] == min(row["values"]) and row["max"] == max(row["values"])
        assert row["mean"] == pytest.approx(np.mean(row["values"]))


@pytest.mark.usefixtures("home")
def test_default_is_the_cell_state_of_the_three_that_vary_most(trained: Any) -> None:
    record = as_json("--text", TEXT)
    assert record["quantity"] == "cell"
    trace = trained.load().trace(TEXT, quantities=["cell"])
    spread = {
        # What the network sees of a cell state is its tanh.
        (layer, unit): float(np.tanh(trace.values(layer, unit)).std(dtype=np.float64))
        for layer in range(2)
        for unit in range(32)
    }
    best = sorted(spread, key=lambda neuron: -spread[neuron])
    assert [(row["layer"], row["unit"]) for row in record["rows"]] == best[:3]
    assert len(as_json("--text", TEXT, "--top", "7")["rows"]) == 7
    assert len(as_json("--text", TEXT, "--top", "9999")["rows"]) == 64


@pytest.mark.usefixtures("home")
def test_sources(tmp_path: Path, trained: Any) -> None:
    path = tmp_path / "page.txt"
    path.write_bytes(TEXT.replace(" ", "\r\n", 1).encode("utf-16"))
    assert as_json("--file", path)["tokens"] == list(TEXT.replace(" ", "\n", 1))
    record = as_json("--generate", "Утром", "--rng", "4")
    assert record["text"] == trained.load().generate("Утром", length=300, rng=4)
    assert "".join(record["tokens"]) == record["text"]


@pytest.mark.usefixtures("home")
def test_surprise() -> None:
    record = as_json("--text", TEXT, "--show", "surprise")
    (row,) = record["rows"]
    assert row["measure"] == "bits"
    assert record["bits"] == pytest.approx(sum(row["values"]))
    assert record["bits_per_char"] == pytest.approx(record["bits"] / len(TEXT))
    shown = inspect("--text", TEXT, "--show", "surprise").stdout
    assert f"{record['bits']:.1f} bits in all" in shown


@pytest.mark.usefixtures("home")
def test_characters_outside_the_vocabulary_are_shown() -> None:
    text = "дом漢字q\u0301\ufffdм"
    for words in (["--neuron", "0:3"], ["--top", "1"], ["--show", "surprise"]):
        record = as_json("--text", text, *words)
        assert record["tokens"] == list(text)
        lines = inspect("--text", text, *words).stdout.splitlines()
        place = lines.index(text)
        # The wide characters have two blocks each, the mark none.
        assert re.fullmatch("[▁▂▃▄▅▆▇█]{10}", lines[place + 1])
        assert lines[place + 1][3] == lines[place + 1][4]
        assert lines[place + 1][5] == lines[place + 1][6]


@pytest.mark.usefixtures("home")
def test_a_long_text_is_read_twice_and_shows_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import textgen.inspection.view as module
    from textgen.model.numpy_network import NumpyNetwork

    steps = 0
    step = NumpyNetwork.step_traced

    def counted(*args: Any) -> Any:
        nonlocal steps
        steps += 1
        return step(*args)

    monkeypatch.setattr(NumpyNetwork, "step_traced", counted)
    once = as_json("--text", TEXT, "--top", "5")
    # The end mark is read in front.
    assert steps == 1 + len(TEXT)
    monkeypatch.setattr(module, "WHOLE_TRACE_VALUES", 0)
    assert as_json("--text", TEXT, "--top", "5") == once
    # The pass that chooses is the native engine's, where there is one.
    assert steps == (2 if supported_isas() else 3) * (1 + len(TEXT))


@pytest.mark.usefixtures("home")
def test_options_before_a_command_are_refused() -> None:
    for words, told in (
        (["--text", TEXT, "checkpoint", "small"], "--text is an option of 'textgen inspect'"),
        (["--top", "3", "checkpoint"], "--top"),
        (["--json", "checkpoint"], "--json"),
        (["--text", TEXT, "--rng", "0", "windows", "none.txt"], "--text, --rng are options"),
    ):
        result = textgen_cli("inspect", *words)
        assert result.exit_code == 2, result.stderr
        assert told in result.stderr
        assert "size" not in result.stdout
    assert textgen_cli("inspect", "checkpoint", "small", "--json").exit_code == 0


@pytest.mark.usefixtures("home")
def test_picture_without_colours() -> None:
    for env in ({}, {"NO_COLOR": "1", "TERM": "xterm-256color"}, {"TERM": "dumb"}):
        result = inspect("--text", TEXT, "--neuron", "0:3", **env)
        assert "\x1b" not in result.stdout
        assert TEXT in result.stdout
        assert "neuron 0:3 cell" in result.stdout
        assert re.search("[▁▂▃▄▅▆▇█]{22}", result.stdout)
        assert "small" in result.stderr
    assert inspect("--text", TEXT, "--quiet").stderr == ""


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("env", "code"),
    [
        ({"NO_COLOR": "1"}, "\x1b["),
        ({"TERM": "xterm-256color"}, "48;5;"),
        ({"COLORTERM": "truecolor", "TERM": "xterm"}, "48;2;"),
    ],
)
def test_picture_with_colours(env: dict[str, str], code: str) -> None:
    shown = inspect("--text", TEXT, "--neuron", "0:3", "--color", "always", **env).stdout
    assert code in shown
    assert TEXT in ANSI.sub("", shown)
    assert "\x1b" not in inspect("--text", TEXT, "--color", "never", **env).stdout


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("color", ["always", "never"])
def test_narrow_terminal(color: str) -> None:
    words = ("--text", TEXT * 3, "--top", "2", "--color", color)
    shown = ANSI.sub("", inspect(*words, COLUMNS="20").stdout)
    assert all(len(line) <= 20 for line in shown.splitlines())
    letters = re.sub(r"\s", "", shown)
    assert "доктор" in letters


@pytest.mark.usefixtures("home")
def test_control_characters_are_shown(tmp_path: Path) -> None:
    result = inspect("--text", "дом\x1b[31m\u202eсад")
    assert "\x1b" not in result.stdout and "\u202e" not in result.stdout


@pytest.mark.usefixtures("home")
def test_bytes_that_are_no_text() -> None:
    record = as_json("--text", "дом\udcff")
    assert len(record["tokens"]) == 4
    assert inspect("--text", "дом\udcff").exit_code == 0


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--neuron", "2:0"], "0..1"),
        (["--neuron", "0:32"], "0..31"),
        (["--neuron", "5"], "LAYER:UNIT"),
        (["--neuron=-1:0"], "LAYER:UNIT"),
        (["--show", "reset-gate"], "forget-gate"),
        (["--show", "surprise", "--neuron", "0:1"], "--neuron"),
        (["--top", "0"], "--top"),
        (["--file", "page.txt"], "--file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_questions(words: list[str], told: str) -> None:
    result = textgen_cli("inspect", "--text", TEXT, *words)
    assert result.exit_code == 2, result.stderr
    assert told in result.stderr


@pytest.mark.usefixtures("home")
def test_nothing_to_look_at() -> None:
    assert textgen_cli("inspect", "--text", "").exit_code == 2
    assert textgen_cli("inspect", "--top", "3").exit_code == 2
    assert textgen_cli("inspect", "--file", "none.txt").exit_code == 6


def test_checkpoints(home: Path) -> None:
    record, *shipped = as_json("checkpoint")["checkpoints"]
    assert record["name"] == "small" and not record["shipped"]
    assert all(other["shipped"] for other in shipped)
    assert record["model"] == "lstm 2 x 32, char"
    assert 1 < record["bits_per_char"] < 5.5
    listed = inspect("checkpoint")
    assert "small" in listed.stdout and f"{record['bits_per_char']:.3f}" in listed.stdout
    (home / "checkpoints/broken").mkdir()
    (home / "checkpoints/broken/model.safetensors").write_bytes(b"nothing")
    (home / "checkpoints/half done").mkdir()
    (home / "checkpoints/half done/resume.safetensors").write_bytes(b"")
    records = {r["name"]: r for r in as_json("checkpoint")["checkpoints"]}
    assert set(records) - {r["name"] for r in shipped} == {"small", "broken", "half done"}
    assert records["broken"]["note"]
    assert "textgen train 'checkpoints/half done' --resume" in records["half done"]["note"]
    assert inspect("checkpoint").exit_code == 0


def test_no_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("textgen.checkpoint.shipped.project_folder", lambda *_: None)
    assert as_json("checkpoint") == {"checkpoints": []}
    result = inspect("checkpoint")
    assert result.stdout == ""
    assert "textgen train" in result.stderr


@pytest.mark.usefixtures("home")
def test_one_checkpoint(trained: Any) -> None:
    record = as_json("checkpoint", "small")
    model = trained.load()
    assert record["config"] == model.config.to_dict()
    assert record["parameters"] == model.config.num_parameters()
    assert record["vocabulary"]["size"] == len(model.vocabulary)
    assert record["weights"]["head.weight"] == list(model.saved.weights["head.weight"].shape)
    assert record["info"]["corpus"]["files"][0]["encoding"] == "utf-8"
    shown = inspect("checkpoint", trained.folder).stdout
    for word in ("lstm, 2 x 32", "head.weight", "bits/char", "--learning-rate", "textgen train"):
        assert word in shown
    assert textgen_cli("inspect", "checkpoint", "nobody").exit_code == 6


@pytest.fixture
def sentence(tmp_path: Path) -> Path:
    path = tmp_path / "sentence.txt"
    path.write_text(SENTENCE, encoding="utf-8")
    return path


LECTURE = """\
это я убил                | я убил тогда
я убил тогда              | убил тогда старуху
убил тогда старуху        | тогда старуху чиновницу
тогда старуху чиновницу   | старуху чиновницу и
старуху чиновницу и       | чиновницу и сестру
чиновницу и сестру        | и сестру её
"""


def test_windows_of_the_lecture(sentence: Path) -> None:
    words = ("windows", sentence, "--val", sentence, "--level", "word", "--fold", "--history", "3")
    result = inspect(*words)
    lines = result.stdout.splitlines()
    assert len(lines) == 10
    assert "10 in all" in result.stderr
    assert lines[:6] == LECTURE.splitlines()
    # Both sides stand beneath each other.
    assert len({line.index("|") for line in lines}) == 1
    record = as_json(*words)
    assert record["count"] == len(record["windows"]) == 10
    assert record["windows"][0] == {
        "input": ["это", "я", "убил"],
        "target": ["я", "убил", "тогда"],
    }
    assert record["windows"][-1]["target"] == ["топором", "и", "ограбил"]


def test_some_of_the_windows(sentence: Path) -> None:
    words = ("windows", sentence, "--val", sentence, "--level", "word", "--fold", "--history", "3")
    words = (*words, "--limit", "6")
    result = inspect(*words)
    assert result.stdout == LECTURE
    assert result.stderr == "... and 4 more, 10 in all\n"


def test_windows_of_characters(sentence: Path) -> None:
    record = as_json("windows", sentence, "--val", sentence, "--history", "4")
    assert record["count"] == len(SENTENCE) - 4
    for index in (0, 17, record["count"] - 1):
        window = record["windows"][index]
        assert "".join(window["input"]) == SENTENCE[index : index + 4]
        assert "".join(window["target"]) == SENTENCE[index + 1 : index + 5]
    lines = inspect("windows", sentence, "--history", "4").stdout.splitlines()
    assert lines[0] == "Это    | то я"


def test_windows_that_do_not_exist(sentence: Path, tmp_path: Path) -> None:
    assert textgen_cli("inspect", "windows", sentence, "--history", "0").exit_code == 2
    too_long = textgen_cli(*("inspect", "windows", sentence, "--val", sentence, "--history", "999"))
    assert too_long.exit_code == 3
    assert str(len(SENTENCE) - 1) in too_long.stderr
    assert textgen_cli("inspect", "windows", sentence, "--limit", "-1").exit_code == 2
    assert textgen_cli("inspect", "windows", tmp_path / "none").exit_code == 6


def test_windows_escape_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "steering.txt"
    path.write_text("a\x1b[2Jb\nc", encoding="utf-8")
    shown = inspect("windows", path, "--history", "2").stdout
    assert "\x1b" not in shown
    assert "\\x1b" in shown and "\\n" in shown


def test_ascii_stream(home: Path) -> None:
    """A stream that cannot say the text gets it escaped, and never an error."""
    env = {"PYTHONIOENCODING": "ascii"}
    shown = process("inspect", "--text", TEXT, "--neuron", "0:1", cwd=home, **env)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.isascii()
    told = process("inspect", "--text", TEXT, "--neuron", "0:1", "--json", cwd=home, **env)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["text"] == TEXT


@pytest.mark.parametrize(
    "lost", ["steps", "step", "val_bits_per_word_with_unk", "val_bits_per_char"]
)
def test_a_model_that_does_not_tell_all_is_shown(trained: Any, tmp_path: Path, lost: str) -> None:
    """A figure may be missing beside one that it goes with."""
    saved = trained.load().saved
    metrics = {**saved.info["metrics"], "val_unknown_share": 0.5, "val_bits_per_word_with_unk": 1.0}
    del metrics[lost]
    path = tmp_path / "model.safetensors"
    replace(saved, info={**saved.info, "metrics": metrics}).save(path)
    result = textgen_cli("inspect", "checkpoint", path)
    assert result.exit_code == 0, result.stderr
    assert ("at step" in result.stdout) == (lost != "step")
