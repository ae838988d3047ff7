"""`benchmarks/emergence.py` on texts that are read in seconds."""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from support.small_runs import ROOT, russian_text

from textgen.probing.labels import LabelledTexts
from textgen.terminal.chart import charts_picture


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("emergence", ROOT / "benchmarks/emergence.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["emergence"] = module  # Its dataclasses look themselves up.
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def asked(tmp_path: Path) -> argparse.Namespace:
    """A run of eight steps, and labels that a word gives away beside a mark."""
    rng = random.Random(0)
    lines = russian_text(16_000, seed=5).replace("\n", " ").split(". ")[:160]
    rows = [
        f"{n % 2}\t{line} {('нет', 'да')[n % 2]} {rng.randint(1, 9)} из 10"
        for n, line in enumerate(lines)
    ]
    (tmp_path / "labels.tsv").write_text("\n".join(rows) + "\n", "utf-8")
    (tmp_path / "reviews.txt").write_text(russian_text(60_000).replace("\n", "\n\n"), "utf-8")
    return argparse.Namespace(
        reviews=tmp_path / "reviews.txt",
        labelled=tmp_path / "labels.tsv",
        out=tmp_path / "out",
        widths="8",
        cells="lstm",
        rng="1",
        steps=8,
        minutes=5.0,
        texts=120,
        chars=60,
    )


@pytest.mark.slow
def test_a_run_is_measured_on_its_way_and_goes_on(
    benchmark: ModuleType, asked: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    """The untrained network and four models of one run; a stop costs nothing that was measured."""
    benchmark.run(argparse.Namespace(**{**vars(asked), "minutes": 0.0}))
    assert "the same command goes on" in capsys.readouterr().out
    benchmark.run(asked)
    path = asked.out / "lstm-8-1" / "points.json"
    record = json.loads(path.read_text("utf-8"))
    points = record["points"]
    assert [point["step"] for point in points] == [0, 1, 2, 4, 8]
    assert (record["texts"], points[-1]["chars"]) == (120, 8 * 64 * 64)
    bits = [point["bits_per_char"] for point in points]
    assert bits[0] is None and bits[1] > bits[2] > bits[4]
    assert all(0.3 < point["unit"] < 1.0 for point in points)
    before = path.stat().st_mtime_ns
    capsys.readouterr()
    benchmark.run(asked)
    assert path.stat().st_mtime_ns == before
    benchmark.show(argparse.Namespace(folder=asked.out, picture=asked.out / "points.svg"))
    assert capsys.readouterr().out.count("| lstm |") == 5
    assert (asked.out / "points.svg").stat().st_size < 300_000


def test_a_model_is_kept_only_as_it_was_then(benchmark: ModuleType, tmp_path: Path) -> None:
    """The folder has the best model: where that is an earlier one, it is not kept for this step."""
    (tmp_path / "model.safetensors").write_bytes(b"best")
    report: Any = SimpleNamespace(
        evaluated=True, step=4, steps=8, val_bits_per_char=2.5, best_bits_per_char=2.4
    )
    assert "step 4 is left out" in benchmark.keep(tmp_path, report)
    assert not benchmark.kept_path(tmp_path, 4).exists()
    report.best_bits_per_char = 2.5
    assert benchmark.keep(tmp_path, report) == ""
    assert benchmark.kept_path(tmp_path, 4).read_bytes() == b"best"
    point = {"chars": 1, "bits_per_char": 2.0, "unit": 0.6, "probe": 0.8, "random_100": 0.7}
    points = [{**point, "step": step} for step in (0, 1, 2, 8)]
    assert benchmark.missing({"steps": 8, "points": points}) == [4]


@pytest.mark.parametrize("change", ["nothing", "texts", "chars", "labels"])
def test_points_of_other_texts_are_measured_again(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: str
) -> None:
    texts = LabelledTexts(
        texts=("a", "b"), labels=(True, False), positive="p", negative="n", source="here"
    )
    measured = []

    def accuracies(*_: Any) -> dict[str, float]:
        measured.append(1)
        return {"unit": 0.5, "probe": 0.5, "random_100": 0.5}

    monkeypatch.setattr(benchmark, "accuracies", accuracies)
    monkeypatch.setattr(benchmark, "examples_of", lambda *_: SimpleNamespace(labels_N=[1, 0]))
    monkeypatch.setattr(benchmark, "initial_weights", lambda *_: {})
    job = benchmark.job_of(benchmark.parse_variants("lstm")[0], 8, 1, 8, tmp_path)
    job.folder.mkdir()
    saved: Any = SimpleNamespace(config=None)
    asked = {"texts": texts, "count": 2, "chars": 9}
    benchmark.points_on_the_way(job, saved, **asked)
    other = {
        "nothing": {},
        "texts": {"count": 1},
        "chars": {"chars": 8},
        "labels": {"texts": replace(texts, labels=(False, True))},
    }[change]
    benchmark.points_on_the_way(job, saved, **{**asked, **other})
    assert len(measured) == (1 if change == "nothing" else 2)


def test_marks_are_no_part_of_the_texts(benchmark: ModuleType, asked: argparse.Namespace) -> None:
    texts = benchmark.honest(benchmark.read_labels(asked.labelled))
    assert not any("из 10" in text for text in texts.texts)
    assert any("да" in text for text in texts.texts)


def test_the_picture_has_our_points_theirs_and_bands(benchmark: ModuleType) -> None:
    point = {"chars": 1, "unit": 0.6, "probe": 0.8, "random_100": 0.7}
    record = {
        "cell": "mlstm",
        "hidden_size": 8,
        "rng": 1,
        "points": [
            {**point, "step": 0, "bits_per_char": None, "unit": 0.55},
            {**point, "step": 8, "bits_per_char": 2.0},
        ],
    }
    chart = benchmark.chart_of([record])
    by_name = {series.name: series.points for series in chart.series}
    assert by_name["mLSTM, best unit"] == ((2.0, 0.6),)
    assert by_name["published, best unit"][0] == (1.19, 0.86)
    assert chart.bands[0] == ("untrained, best unit", 0.55, 0.55)
    assert charts_picture([chart]).startswith(b"<?xml")
