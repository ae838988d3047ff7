"""A search: what is typed, what is tried, what is given up, and that a kill changes nothing."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.sweeps import generations, timeless

from textgen.comparison import Compared, Note, RunEvent, SearchResult, search_settings
from textgen.comparison import study as study_module
from textgen.comparison.search_space import Searched, options_of_trial, parse_space
from textgen.comparison.study import SharedStudy
from textgen.errors import ConfigError, RunFolderError, StorageError
from textgen.options import TrainOptions
from textgen.training.events import Report

BASE = TrainOptions(steps=10, batch_size=4, seq_len=16, threads=1)
SPACE = "hidden=4..16:log,dropout=0..0.5,cell=gru|rnn:relu"


def search(base: TrainOptions = BASE, space: str = SPACE, **more: Any) -> list[Any]:
    settings: dict[str, Any] = {"trials": 5, "out": "found", "join": True}
    return list(search_settings(["text.txt"], space, base, **{**settings, **more}))


def record(folder: str = "found") -> Any:
    return json.loads(Path(folder, "comparison.json").read_text("utf-8"))


@pytest.fixture
def few_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are given up as soon as one has come to its end."""
    monkeypatch.setattr(study_module, "FIRST_TRIALS", 1)


def test_what_is_typed() -> None:
    assert parse_space("hidden=128..1024:log, dropout=0..0.5,cell=lstm|gru") == (
        Searched(name="hidden_size", typed="hidden", low=128, high=1024, log=True),
        Searched(name="dropout", typed="dropout", low=0.0, high=0.5),
        Searched(name="cell", typed="cell", choices=("lstm", "gru")),
    )
    assert parse_space("layers=1|2,tie=no|yes,lr=1e-3..0.1:log,hidden=16..70:16") == (
        Searched(name="num_layers", typed="layers", choices=(1, 2)),
        Searched(name="tie", typed="tie", choices=(False, True)),
        Searched(name="learning_rate", typed="learning-rate", low=0.001, high=0.1, log=True),
        Searched(name="hidden_size", typed="hidden", low=16, high=64, step=16),
    )
    asked = options_of_trial(BASE, {"cell": "rnn:relu", "hidden_size": 8})
    assert (asked.cell, asked.nonlinearity, asked.hidden_size) == ("rnn", "relu", 8)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "search is empty; type it like hidden="),
        ("hidden", "'hidden' is no setting; type it like"),
        ("hiden=1..8", "did you mean hidden"),
        ("steps=1..8", "steps is the same for all runs"),
        ("hidden=8..1", "type the smaller number first, like hidden=1..8"),
        ("hidden=8..8", "like hidden=8..9"),
        ("hidden=1..x", "'x' is no number; type a range like hidden=1..8"),
        ("hidden=1.5..8", "hidden is a whole number"),
        ("hidden=0..8", "hidden_size is 0; it must be at least 1"),
        ("dropout=0..1", "dropout is 1.0; it must be at least 0 and below 1"),
        ("dropout=0..0.5:log", "equal factors do not reach 0"),
        ("hidden=4..8:16", "steps of 16 do not fit"),
        ("cell=1..3", "cell has none; type the values with | between them, like cell=lstm|gru"),
        ("cell=lsmt|gru", "cell 'lsmt' is not known"),
        ("tie=1", "type tie=no|yes"),
        ("hidden=1..8,hidden=2..4", "names hidden twice"),
    ],
)
def test_errors_teach(typed: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        parse_space(typed)


def test_the_best_run_is_a_model(corpus: str) -> None:
    import textgen

    events = search()
    result = events[-1].result
    assert isinstance(result, SearchResult) and isinstance(events[0], Note)
    assert [run.number for run in result.runs] == [1, 2, 3, 4, 5]
    best = result.best
    assert best is not None and best.figures is not None
    assert best.bits_per_char == min(r.bits_per_char for r in result.runs if r.state == "finished")
    model = textgen.load(best.figures.folder)
    assert model.config.hidden_size == best.values["hidden_size"] == best.figures.hidden_size
    assert record()["best"] == best.number
    # The same search finds the same, and another seed something else.
    assert timeless(search(out="again")[-1].result.to_json()) == timeless(record())
    other = search(replace(BASE, rng=2), out="other")[-1].result
    assert [run.values for run in other.runs] != [run.values for run in result.runs]


@pytest.mark.slow
@pytest.mark.usefixtures("few_before")
def test_bad_runs_are_given_up_and_a_kill_changes_nothing(
    corpus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at each evaluation and before each word to the study, it finds what it would."""
    space = "hidden=4..16:log,lr=1e-6..0.05:log"
    whole = search(space=space, trials=6)[-1].result
    states = [run.state for run in whole.runs]
    assert "given up" in states and "finished" in states
    for run in whole.runs:
        assert run.figures is not None
        assert (run.figures.steps == 10) == (run.state == "finished")

    class KillError(Exception):
        """What nothing tidies up after."""

    told: set[tuple[str, int, int]] = set()
    hopeless, finish = SharedStudy.is_hopeless, SharedStudy.finish

    def killing(name: str, real: Any) -> Any:
        def act(self: SharedStudy, run: int, last: Any) -> Any:
            step = last[-1].step if isinstance(last, list) else 0
            if (name, run, step) not in told and step % 4 != 1:
                told.add((name, run, step))
                raise KillError
            return real(self, run, last)

        return act

    monkeypatch.setattr(SharedStudy, "is_hopeless", killing("evaluation", hopeless))
    monkeypatch.setattr(SharedStudy, "finish", killing("end", finish))
    kills = 0
    while True:
        try:
            ours = search(space=space, trials=6, out="killed")[-1].result
            break
        except KillError:
            kills += 1
    assert kills > 12
    assert timeless(ours.to_json()) == timeless(whole.to_json())
    assert sum(generations(Path("killed/sweep")).values()) == 6 + kills


def test_values_that_do_not_go_together_are_an_outcome(corpus: str) -> None:
    result = search(space="hidden=4|1000000", trials=4)[-1].result
    states = {run.values["hidden_size"]: run.state for run in result.runs}
    assert states == {1_000_000: "refused", 4: "finished"}
    (reason,) = {run.reason for run in result.runs} - {""}
    assert reason in " ".join(result.summary()[0].notes)
    assert result.best.values["hidden_size"] == 4


def test_a_line_that_a_kill_cut_short_is_taken_away(tmp_path: Path) -> None:
    space = parse_space("hidden=4..16")
    first = SharedStudy(tmp_path, space, 1).values(1)
    path = tmp_path / study_module.STUDY_LOG
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":4,"work')
    again = SharedStudy(tmp_path, space, 1)
    assert again.values(1) == first
    again.finish(1, 2.5)
    again.finish(1, 9.0)  # Which is known already.
    assert again.values(2) != first
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


def report(step: int, bits_per_char: float) -> Report:
    """An evaluation at a step of ten."""
    return Report(
        step=step,
        steps=10,
        seconds=1.0,
        train_bits_per_char=None,
        val_bits_per_char=bits_per_char,
        best_bits_per_char=bits_per_char,
        evaluated=True,
        chars_per_second=1.0,
        learning_rate=0.1,
        grad_norm=None,
        skipped=0,
    )


@pytest.mark.usefixtures("few_before")
def test_a_worker_that_died_after_its_word_to_the_study(tmp_path: Path) -> None:
    """Who goes on with its run tells the same evaluations again: nothing changes."""
    study = SharedStudy(tmp_path, parse_space("hidden=4..16"), 1)
    study.values(1)
    study.is_hopeless(1, [report(5, 1.0)])
    study.finish(1, 1.0)
    study.values(2)
    assert study.is_hopeless(2, [report(5, 9.0)]) == report(5, 9.0)
    study.finish(2, 9.0)
    before = (tmp_path / study_module.STUDY_LOG).read_bytes()
    assert study.is_hopeless(2, [report(5, 9.0)]) is None and not study.was_stopped(2)
    assert (tmp_path / study_module.STUDY_LOG).read_bytes() == before


@pytest.mark.parametrize("act", ["values", "is_hopeless", "was_stopped", "finish"])
def test_a_damaged_study_is_refused_in_words(tmp_path: Path, act: str) -> None:
    study = SharedStudy(tmp_path, parse_space("hidden=4..16"), 1)
    study.values(1)
    path = tmp_path / study_module.STUDY_LOG
    path.write_bytes(path.read_bytes() + b'{"op_code":4}\n')
    words: dict[str, tuple[Any, ...]] = {"is_hopeless": ([report(5, 1.0)],), "finish": (1.0,)}
    with pytest.raises(StorageError, match=r"study\.log: .*start again: force=True"):
        getattr(study, act)(1, *words.get(act, ()))


@pytest.mark.parametrize("name", ["study.log", "study.log.lock"])
def test_a_study_is_no_link(tmp_path: Path, name: str) -> None:
    """Nothing is written there; and Optuna would wait for ever for such a lock."""
    (tmp_path / name).symlink_to(tmp_path / "outside")
    with pytest.raises(StorageError, match=rf"{name} is a symbolic link"):
        SharedStudy(tmp_path, parse_space("hidden=4..16"), 1)
    assert not (tmp_path / "outside").exists()


def test_a_lock_is_given_back_where_the_study_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise all workers would wait for it for half a minute."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "")

    study = SharedStudy(tmp_path, parse_space("hidden=4..16"), 1)
    monkeypatch.setattr(study_module, "open_plain", refused)
    with pytest.raises(StorageError, match="input/output error"):
        study.values(1)
    assert os.listdir(tmp_path) == [study_module.STUDY_LOG]


def test_what_is_refused(corpus: str) -> None:
    search(trials=2)
    with pytest.raises(RunFolderError, match="go on with them: join=True"):
        search(trials=2, join=False)
    with pytest.raises(RunFolderError, match="begun with trials = 2, not 3"):
        search(trials=3)
    with pytest.raises(ConfigError, match="replaces it; give one"):
        search(force=True)
    with pytest.raises(ConfigError, match="is searched, too; leave one"):
        search(replace(BASE, dropout=0.1))
    with pytest.raises(ConfigError, match="it must be 1 to"):
        search(trials=0)
    assert isinstance(search(trials=3, join=False, force=True)[-1], Compared)
    assert not list(evaluations(search(trials=3)))


def evaluations(events: list[Any]) -> Iterator[Report]:
    for event in events:
        if isinstance(event, RunEvent) and isinstance(event.event, Report):
            yield event.event
