"""Models and runs that earlier versions wrote still serve: `old_files/make.py` made them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import textgen
from textgen.cells import CELLS

FILES = Path(__file__).parent / "old_files"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FILES / "expected.json").read_text("utf-8"))
MODELS = sorted(path.stem for path in FILES.glob("*.safetensors"))
TOLERANCE = 1e-3  # bits/char: another CPU rounds differently


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "old"
    shutil.copytree(FILES, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def text_of_the_runs() -> Iterator[None]:
    """The text where the runs had it: each keeps the absolute path."""
    folder = Path("/tmp/textgen_old_files")
    shutil.copytree(FILES, folder, dirs_exist_ok=True)
    yield
    shutil.rmtree(folder, ignore_errors=True)


def test_there_is_a_file_of_every_kind() -> None:
    assert set(CELLS) <= set(MODELS)
    assert {"byte", "word", "folded", "documents", "history", "pairs"} <= set(MODELS)
    assert {"word2vec", "cosine", "tied", "relu"} <= set(MODELS)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "pairs"])
def test_a_model_reads_and_writes_as_it_did(here: Path, name: str) -> None:
    model = textgen.load(here / f"{name}.safetensors")
    found = model.evaluate("text.txt").bits_per_char
    assert found == pytest.approx(EXPECTED[name]["nll"], abs=TOLERANCE)
    text = model.generate("кот ", length=30, top_k=1, keep_going=True)
    assert text == EXPECTED[name]["text"]


def test_a_model_of_pairs_does_too(here: Path) -> None:
    model = textgen.load("pairs.safetensors")
    found = model.evaluate_pairs("pairs.tsv").bits_per_char
    assert found == pytest.approx(EXPECTED["pairs"]["nll"], abs=TOLERANCE)
    assert model.generate("ab", top_k=1) == EXPECTED["pairs"]["text"]


@pytest.mark.parametrize("steer", ["vowels=+3", "0:1=+2"])
def test_a_saved_direction_and_calibration_steer_as_they_did(here: Path, steer: str) -> None:
    model = textgen.load("lstm.safetensors")
    text = model.generate("кот ", steer=steer, length=30, top_k=1, keep_going=True)
    assert text == EXPECTED[f"steered {steer}"]["text"]


def test_a_stopped_run_goes_on_to_the_same_end(here: Path, text_of_the_runs: None) -> None:
    result = textgen.train("stopped", resume=True)
    assert (result.ended.step, result.ended.reason) == (300, "finished")
    found = result.load().evaluate("text.txt").bits_per_char
    assert found == pytest.approx(EXPECTED["stopped"]["nll"], abs=TOLERANCE)


def test_a_finished_run_is_trained_longer(here: Path, text_of_the_runs: None) -> None:
    result = textgen.train("finished", more="50steps")
    assert result.ended.step == result.ended.steps > 300


def test_a_model_is_trained_further_on_another_text(here: Path) -> None:
    result = textgen.train(text="кот спит. " * 100, out="further", steps=5)
    assert result.ended.step == 5
    Path("more.txt").write_text("кот спит. " * 100, "utf-8")
    result = textgen.train("more.txt", out="from", steps=5, from_="lstm.safetensors")
    assert result.ended.step == 5
