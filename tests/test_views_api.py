"""What `textgen inspect` shows, from Python."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

import textgen
from textgen.errors import ConfigError, InspectionError

FILES = Path(__file__).parent / "old_files"
MODEL, TEXT = FILES / "lstm.safetensors", FILES / "text.txt"
NEURON = "0:1"


@pytest.fixture(scope="module")
def model() -> textgen.Model:
    return textgen.load(MODEL)


def as_json(*words: str) -> Any:
    """What a command of `inspect` prints, without what stands before the report."""
    from textgen.cli.app import app

    typed = ["inspect", *words, "--checkpoint", str(MODEL), "--json", "--quiet"]
    result = CliRunner().invoke(app, typed)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def is_part_of(report: Any, record: dict[str, Any]) -> bool:
    plain = json.loads(json.dumps(report.to_json()))
    return bool({key: record.get(key) for key in plain} == plain)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, ()),
        ({"show": "surprise"}, ("--show", "surprise")),
        ({"neurons": [NEURON]}, ("--neuron", NEURON)),
        (
            {"neurons": [(0, 1)], "show": "forget-gate"},
            ("--neuron", NEURON, "--show", "forget-gate"),
        ),
        ({"show": "influence", "by": "omission"}, ("--show", "influence", "--by", "omission")),
    ],
)
def test_a_view_is_what_the_command_prints(
    model: textgen.Model, settings: dict[str, Any], words: tuple[str, ...]
) -> None:
    assert is_part_of(model.view("кот спит", **settings), as_json("--text", "кот спит", *words))


def test_neurons_gates_and_places_are_what_the_commands_print(model: textgen.Model) -> None:
    text = model.read(TEXT)
    assert is_part_of(model.neurons(text, top=3), as_json("neurons", str(TEXT), "--top", "3"))
    assert is_part_of(model.gates(text), as_json("gates", str(TEXT)))
    found = model.similar("кот", text, top=2)
    assert is_part_of(found, as_json("similar", "кот", str(TEXT), "--top", "2"))
    assert len(found.table().rows) == 2


def test_a_text_may_be_given_in_any_form(model: textgen.Model) -> None:
    whole = TEXT.read_text("utf-8")
    reports = [
        model.gates(text)
        for text in (whole, model.encode(whole), model.read(text=whole, chars=0), model.read(TEXT))
    ]
    for report in reports[1:]:
        np.testing.assert_array_equal(report.gates[0].left, reports[0].gates[0].left)
    read = model.read(text=whole, chars=20)
    assert (len(read), read.chars, read.name) == (20, 20, "text")
    assert read.note == f"the first 20 of its {len(whole):,} characters"
    with pytest.raises(ConfigError, match="both paths and text were given"):
        model.read(TEXT, text="кот")
    with pytest.raises(ConfigError, match="chars is -1; it must be at least 0"):
        model.read(TEXT, chars=-1)
    with pytest.raises(ConfigError, match="not in the cache; name a text"):
        model.neurons()


def test_a_page_is_a_string(model: textgen.Model) -> None:
    page = model.html("кот спит", title="<кот>", neurons=[NEURON])
    assert page.startswith("<!doctype html>") and "&lt;кот&gt;" in page
    with pytest.raises(InspectionError, match="leave show='influence' out"):
        model.html("кот", show="influence")


def test_errors_speak_of_settings(model: textgen.Model) -> None:
    with pytest.raises(InspectionError, match="top is 0; it must be at least 1"):
        model.view("кот", top=0)
    with pytest.raises(InspectionError, match="of the whole network; leave neurons out"):
        model.view("кот", show="surprise", neurons=[NEURON])
    with pytest.raises(InspectionError, match="target asks about influence; add show='influence'"):
        model.view("кот", target="а")
    with pytest.raises(InspectionError, match="leave top and sort out"):
        model.neurons("кот", top=3, neurons=[NEURON])
    with pytest.raises(InspectionError, match="layer 7 is not in this model"):
        model.similar("кот", "кот спит", layer=7)
    with pytest.raises(InspectionError, match="is not a neuron"):
        model.view("кот", neurons=[object()])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="quantities"):
        model.view("кот", quantities="cell")  # type: ignore[call-arg]


def test_a_view_feels_what_steers_the_model(model: textgen.Model) -> None:
    plain = model.view("кот спит", neurons=[NEURON]).rows[0].values
    with model.steered(f"{NEURON}=+2"):
        held = model.view("кот спит", neurons=[NEURON]).rows[0].values
        with pytest.raises(ConfigError, match="influence is measured without steering"):
            model.view("кот", show="influence")
    assert not np.allclose(plain, held)


def test_find_takes_the_settings_of_the_command(model: textgen.Model) -> None:
    pytest.importorskip("sklearn")
    report = model.find(model.read(TEXT), feature="vowel", positions=600)
    words = ("find", str(TEXT), "--feature", "vowel", "--positions", "600")
    assert is_part_of(report, as_json(*words))
    assert report.best(1).keys() == ["name", "sign", "accuracy", "auc", "p_corrected", "note"]
    assert "on held-out examples" in report.best().to_markdown()
    with pytest.raises(ConfigError, match="in one way: labels=FILE, positive=FILE"):
        model.find()
    with pytest.raises(ConfigError, match="positive and negative go together"):
        model.find(positive="good.txt")
    with pytest.raises(ConfigError, match="one of labelled texts"):
        model.find("кот", labels="table.tsv")


def test_a_search_is_drawn_at_any_width(model: textgen.Model) -> None:
    pytest.importorskip("sklearn")
    from textgen.cli.inspect.find_neurons import drawn

    report = model.find(model.read(TEXT), feature="vowel", positions=600)
    for width in (60, 80, 120):
        file = io.StringIO()
        Console(file=file, width=width, color_system=None).print(
            drawn(report, "m\x1b[1m", 1, width)
        )
        lines = file.getvalue().splitlines()
        assert all(cell_len(line) <= width for line in lines)
        text = " ".join(" ".join(lines).split())
        assert "\x1b" not in text and report.verdict in text
        for row in report.best(1).shown():
            assert all(figure in text for figure in row[1:5])
        for control in report.controls:
            assert control.shown in text and control.meaning in text
