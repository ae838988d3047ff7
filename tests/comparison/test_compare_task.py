"""Tasks with a known answer: what is trained on, what is asked, and that the answer counts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from textgen.comparison import (
    Compared,
    RunEvent,
    TaskComparison,
    compare_task,
    parse_variants,
)
from textgen.comparison.task import TASK_RATE, TASK_STEPS
from textgen.errors import ConfigError, RunFolderError, StorageError
from textgen.options import TrainOptions
from textgen.training.events import Started

BASE = TrainOptions(steps=4, batch_size=4, threads=1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def compare(
    task: str = "recall",
    lags: tuple[int, ...] = (9, 3, 5, 7),
    base: TrainOptions = BASE,
    **more: Any,
) -> TaskComparison:
    settings = {"params": 5000, "pairs": 300, "questions": 20, **more}
    cells = parse_variants(settings.pop("cells", "rnn,gru"))
    (*_, last) = compare_task(task, lags, cells, base, **settings)
    assert isinstance(last, Compared)
    result: TaskComparison = last.result
    return result


@pytest.mark.parametrize(("more", "limit"), [({}, 5), ({"train_lag": 2}, 2)])
def test_trained_up_to_a_lag_and_asked_beyond(more: dict[str, int], limit: int) -> None:
    result = compare(**more)
    assert result.trained_to == limit and result.lags == (3, 5, 7, 9)
    lines = Path("checkpoints/compare-recall/pairs.tsv").read_text("utf-8").splitlines()
    prompts = [line.split("\t")[0] for line in lines]
    assert len(prompts) == 300
    assert {len(prompt) - len("anna?") for prompt in prompts} == set(range(1, limit + 1))
    for row in result.rows:
        assert [score.lag for score in row.runs[0].scores] == [3, 5, 7, 9]
        assert {score.questions for score in row.runs[0].scores} == {20}


def test_a_gru_learns_what_stood_at_the_beginning() -> None:
    """Beyond the lags that it was trained on, too; one that has learned nothing guesses."""
    base = replace(BASE, steps=300, batch_size=32, learning_rate=0.02)
    settings: dict[str, Any] = {"pairs": 3000, "params": 15_000, "cells": "gru"}
    learned = compare(lags=(3, 6, 9, 12), base=base, **settings)
    assert all(score.accuracy > 0.9 for score in learned.rows[0].runs[0].scores)
    guessed = compare(lags=(3, 6, 9, 12), base=replace(base, steps=1), out="new", **settings)
    assert all(score.accuracy < 0.4 for score in guessed.rows[0].runs[0].scores)


def test_how_many_questions_are_fresh_is_counted() -> None:
    """At lag 1 there are few prompts, and most of them were trained on; at lag 9 none was."""
    result = compare(lags=(1, 9), pairs=2000, train_lag=3)
    learned = Path("checkpoints/compare-recall/pairs.tsv").read_text("utf-8").splitlines()
    assert len({line for line in learned if len(line.split("\t")[0]) == len("anna?") + 1}) < 160
    for row in result.rows:
        short, long = row.runs[0].scores
        assert (short.questions, long.questions, long.fresh) == (20, 20, 20)
        assert short.fresh < 10
    assert result.table().rows[-1][-2:] == (20, 20)


def test_a_share_that_validates_is_taken_as_given() -> None:
    base = replace(BASE, val="0.1")
    chosen = {}
    for event in compare_task("copy", (2, 4), parse_variants("rnn"), base, pairs=300, questions=5):
        if isinstance(event, RunEvent) and isinstance(event.event, Started):
            chosen = {c.name: c.reason for c in event.event.choices}
    # Which pairs these are is drawn by their sources: about 30, and 6 with the usual share.
    (count,) = re.findall(r"(\d+) pairs", chosen["validation"])
    assert int(count) > 15


def test_the_record_and_going_on() -> None:
    first = compare("count", rngs=(1, 2))
    record = json.loads((first.folder / "comparison.json").read_text("utf-8"))
    assert (record["schema"], record["version"]) == ("textgen.compare.task", 1)
    assert record["chance"] == 0.1 and record["trained_to"] == 5
    assert len(first.table().rows) == 2 * 2 * 4
    again = compare("count", rngs=(1, 2), resume=True)
    assert again.table().to_csv() == first.table().to_csv()
    with pytest.raises(RunFolderError, match="already contains a run"):
        compare("count")
    with pytest.raises(RunFolderError, match="holds other pairs"):
        compare("count", resume=True, train_lag=3)
    assert compare("count", force=True, train_lag=3).trained_to == 3


@pytest.mark.parametrize("name", ["pairs.tsv", "rnn-1"])
def test_a_link_in_the_folder_is_not_followed(tmp_path: Path, name: str) -> None:
    """The comparison may come from somebody else."""
    outside, folder = tmp_path / "outside", Path("checkpoints/compare-recall")
    folder.mkdir(parents=True)
    if name == "pairs.tsv":
        outside.write_text("mine")
    else:
        outside.mkdir()
    (folder / name).symlink_to(outside)
    with pytest.raises(StorageError, match=f"{name}.* is a symbolic link"):
        compare(cells="rnn")
    assert outside.read_text() == "mine" if outside.is_file() else not any(outside.iterdir())


def test_the_usual_length_and_rate() -> None:
    """Where none is asked for: in steps, so that every cell has as many."""
    events = compare_task("copy", (2, 4), parse_variants("rnn"), TrainOptions(threads=1))
    (note, started) = (next(events), next(events))
    assert f"{TASK_STEPS:,} steps" in note.text  # type: ignore[union-attr]
    chosen = {c.name: c.value for c in started.event.choices}  # type: ignore[union-attr]
    assert chosen["learning_rate"] == TASK_RATE
    assert chosen["steps"] == TASK_STEPS
    events.close()  # type: ignore[attr-defined]


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose one of: recall"):
        compare("remember")
    with pytest.raises(ConfigError, match=r"^train_lag is 0"):
        compare(train_lag=0)
