"""Ever longer histories: equally many tokens a step, each measured seeing exactly so much."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from textgen.checkpoint import SavedModel
from textgen.comparison import Compared, HistoryComparison, Variant, compare_history
from textgen.errors import ConfigError
from textgen.evaluation.nll import nll_with_history
from textgen.evaluation.prediction import opened
from textgen.options import TrainOptions
from textgen.training.data import open_data

BASE = TrainOptions(steps=12, batch_size=8, seq_len=16, threads=1)


def compare(corpus: str, **more: Any) -> HistoryComparison:
    (*_, last) = compare_history([corpus], (4, 1, 2), BASE, **{"params": 6000, **more})
    assert isinstance(last, Compared)
    result: HistoryComparison = last.result
    return result


def test_a_run_for_each_history_and_one_that_carries_its_state(corpus: str) -> None:
    result = compare(corpus)
    assert [run.history for run in result.runs] == [1, 2, 4, None]
    assert [run.shown for run in result.runs] == [(1,), (2,), (4,), (1, 2, 4, 0)]
    assert result.carried is result.runs[-1]
    assert result.carried.at(0) is not None and result.carried.at(3) is None
    seen = [run.figures.chars_seen for run in result.runs]
    assert len(set(seen)) == 1  # Steps of equally many tokens, so equal steps are equal text.
    assert len({run.figures.parameters for run in result.runs}) == 1


def test_each_is_measured_seeing_so_much(corpus: str) -> None:
    result = compare(corpus, variant=Variant("gru"))
    data = open_data([corpus], BASE)
    for run in (result.runs[1], result.carried):
        saved = SavedModel.load(f"{run.figures.folder}/model.safetensors")
        with opened(saved, threads=BASE.threads) as network:
            nll = nll_with_history(network, data.val, 2, limit=8192)
        assert run.at(2) == pytest.approx(nll.mean / data.val_chars_per_token / math.log(2))
        assert nll.tokens == result.positions == len(data.val)
    assert result.runs[1].at(2) != result.carried.at(2)


def test_the_record(corpus: str) -> None:
    result = compare(corpus)
    record = json.loads((result.folder / "comparison.json").read_text("utf-8"))
    assert (record["schema"], record["version"]) == ("textgen.compare.history", 1)
    assert result.folder.name == "compare-history-text"
    assert record["runs"][3]["bits_per_char_shown"] == list(result.carried.bits_per_char)
    assert len(result.table().rows) == 3 + 4
    again = compare(corpus, resume=True)
    assert [run.bits_per_char for run in again.runs] == [run.bits_per_char for run in result.runs]


def test_what_is_refused(corpus: str) -> None:
    with pytest.raises(ConfigError, match="2 twice"):
        list(compare_history([corpus], (2, 2), BASE))
    with pytest.raises(ConfigError, match="history=100000 is longer than the text"):
        next(compare_history([corpus], (2, 100_000), BASE))
    assert not Path("checkpoints").exists()
