"""Cells at equal parameters: the order of the runs, what is measured, going on, failing runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import outcome, russian_text

from textgen.comparison import (
    CellComparison,
    Compared,
    Halted,
    Measured,
    RunEvent,
    compare_cells,
    parse_variants,
)
from textgen.comparison.runs import comparison_folder
from textgen.errors import ConfigError, RunFolderError, StorageError, TrainingDivergedError
from textgen.options import TrainOptions
from textgen.training.events import Ended, Report, Saved
from textgen.training.run import Run

BASE = TrainOptions(steps=6, batch_size=4, seq_len=16, threads=1, save_every=2)
VARIANTS = parse_variants("rnn:relu,lstm,gru")


def compare(corpus: str, base: TrainOptions = BASE, **more: Any) -> list[Any]:
    settings = {"params": 6000, "rngs": (1, 2), **more}
    return list(compare_cells([corpus], VARIANTS, base, **settings))


def result_of(events: list[Any]) -> CellComparison:
    assert isinstance(events[-1], Compared)
    assert isinstance(events[-1].result, CellComparison)
    return events[-1].result


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The events of one comparison, for all tests that only look at what came of it."""
    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TEXTGEN_CACHE", str(folder / "cache"))
        Path("text.txt").write_text(russian_text(6000), encoding="utf-8")
        return compare("text.txt", out=folder / "compared")


def test_cells_take_turns_within_a_seed(compared: list[Any]) -> None:
    """A machine that slows down is not kinder to the cell that comes first."""
    events = compared
    labels = [event.label for event in events if isinstance(event, Measured)]
    assert labels == [
        f"{cell}, rng {rng}" for rng in (1, 2) for cell in ("rnn:relu", "lstm", "gru")
    ]
    result = result_of(events)
    assert [row.variant for row in result.rows] == list(VARIANTS)
    assert [[run.figures.rng for run in row.runs] for row in result.rows] == [[1, 2]] * 3


def test_what_is_measured(compared: list[Any]) -> None:
    result = result_of(compared)
    sizes = [row.runs[0].figures.parameters for row in result.rows]
    assert all(5500 < size <= 6000 for size in sizes)
    assert [[gate.gate for gate in row.gates] for row in result.rows] == [
        [],
        ["input-gate", "forget-gate", "output-gate"],
        ["reset-gate", "update-gate"],
    ]
    for row in result.rows:
        assert row.mean == pytest.approx(sum(row.bits_per_char) / 2)
        assert row.deviation == pytest.approx(
            abs(row.bits_per_char[0] - row.bits_per_char[1]) / 2**0.5
        )
        for run in row.runs:
            assert run.figures.steps == 6 and run.figures.chars_seen == 6 * 64
            assert run.memory.max_lag == 149  # of 600 tokens; of 802 it is 200
            assert all(0 <= gate.below + gate.above <= 1 for gate in run.gates)


def test_what_is_measured_computes_with_the_threads_of_the_training(
    corpus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NumPy's products too, which would take all cores from another worker of the machine."""
    order: list[Any] = []

    @contextmanager
    def computing_threads(count: int, *, torch: bool) -> Iterator[None]:
        order.append((count, torch))
        yield
        order.append("as before")

    monkeypatch.setattr("textgen.comparison.runs.computing_threads", computing_threads)
    for event in compare_cells([corpus], VARIANTS[1:2], BASE, params=6000, rngs=(1,)):
        order.append(type(event))
    assert order.index((1, False)) < order.index(Measured)
    assert order[-2:] == [Compared, "as before"]


def test_the_record_has_a_version_and_all_runs(compared: list[Any]) -> None:
    result = result_of(compared)
    record = json.loads((result.folder / "comparison.json").read_text("utf-8"))
    assert (record["schema"], record["version"]) == ("textgen.compare.cells", 1)
    assert [row["cell"] for row in record["cells"]] == ["rnn", "lstm", "gru"]
    assert record["cells"][0]["nonlinearity"] == "relu"
    rows = result.table().records()
    assert len(rows) == 6
    assert rows[1]["bits_per_char"] == record["cells"][0]["runs"][1]["bits_per_char"]


def test_a_run_is_an_ordinary_run(corpus: str) -> None:
    """The same as `textgen.train` makes with the width that followed."""
    import textgen

    (*_, compared) = compare_cells([corpus], VARIANTS[1:2], BASE, params=6000, rngs=(2,))
    (run,) = compared.result.rows[0].runs
    alone = textgen.train(
        corpus,
        out="alone",
        steps=6,
        batch_size=4,
        seq_len=16,
        threads=1,
        save_every=2,
        num_layers=1,
        rng=2,
        hidden_size=run.figures.hidden_size,
    )
    assert alone.bits_per_char == run.figures.bits_per_char
    theirs = outcome(Path("alone"), evaluations_only=True)
    assert outcome(Path(run.figures.folder), evaluations_only=True) == theirs


def test_going_on_after_a_stop(corpus: str, compared: list[Any]) -> None:
    """What is finished is not trained again; what was interrupted goes on to the same end."""
    whole = result_of(compared)
    halted: list[Any] = []

    def in_the_second_run() -> bool:
        return any(
            isinstance(event, RunEvent) and event.label == "lstm, rng 1" and is_save(event)
            for event in halted
        )

    for event in compare_cells(
        [corpus],
        VARIANTS,
        BASE,
        params=6000,
        rngs=(1, 2),
        out="parts",
        stop=in_the_second_run,
    ):
        halted.append(event)
    assert isinstance(halted[-1], Halted)
    assert (halted[-1].number, halted[-1].label) == (2, "lstm, rng 1")
    events = compare(corpus, out="parts", resume=True)
    reasons = [e.event.reason for e in events if isinstance(e, RunEvent) and is_end(e)]
    assert reasons == ["already finished", *["finished"] * 5]
    parts = result_of(events)
    for ours, theirs in zip(parts.rows, whole.rows, strict=True):
        assert ours.bits_per_char == theirs.bits_per_char


def is_save(event: RunEvent) -> bool:
    return isinstance(event.event, Saved)


def is_end(event: RunEvent) -> bool:
    return isinstance(event.event, Ended)


@pytest.mark.slow
def test_more_seeds_later(corpus: str) -> None:
    compare(corpus, rngs=(1,))
    events = compare(corpus, rngs=(1, 2), resume=True)
    trained = {e.label for e in events if isinstance(e, RunEvent) and isinstance(e.event, Report)}
    assert trained == {f"{name}, rng 2" for name in ("rnn:relu", "lstm", "gru")}


@pytest.mark.slow
def test_what_is_refused(corpus: str) -> None:
    compare(corpus)
    with pytest.raises(RunFolderError, match="continue the comparison: resume=True"):
        compare(corpus)
    with pytest.raises(RunFolderError, match="steps = 6, not 7"):
        compare(corpus, replace(BASE, steps=7), resume=True)
    with pytest.raises(RunFolderError, match="batch_size = 4, not None; resume it without"):
        compare(corpus, replace(BASE, batch_size=None), resume=True)
    with pytest.raises(RunFolderError, match="hidden_size"):
        compare(corpus, params=7000, resume=True)
    with pytest.raises(ConfigError, match="give one"):
        compare(corpus, resume=True, force=True)
    assert isinstance(compare(corpus, replace(BASE, steps=2), force=True)[-1], Compared)


def test_a_taken_folder_is_refused_before_anything_is_trained(corpus: str) -> None:
    """Even where it is that of the last run."""
    last = Path("checkpoints/compare-text/gru-2")
    last.mkdir(parents=True)
    (last / "resume.safetensors").touch()
    with pytest.raises(RunFolderError, match="gru-2"):
        compare(corpus)
    assert sorted(path.name for path in last.parent.iterdir()) == ["gru-2"]


def test_a_run_that_diverges_is_an_outcome(corpus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go on, and the mean is of those that did not."""
    events_of = Run.events

    def events(self: Run, stop: Any = lambda: False) -> Iterator[Any]:
        yield from events_of(self, stop)
        if self.folder.name == "lstm-1":
            raise TrainingDivergedError("training diverged")

    monkeypatch.setattr(Run, "events", events)

    def ends(job: Any, ended: Any, *rest: Any) -> Any:
        return figures(job, None if job.folder.name == "lstm-1" else ended, *rest)

    from textgen.comparison import runs

    figures = runs.figures_of
    monkeypatch.setattr(runs, "figures_of", ends)
    lstm = compare_cells([corpus], VARIANTS[1:2], BASE, params=6000, rngs=(1, 2))
    result = result_of(list(lstm))
    (row,) = result.rows
    assert [run.figures.bits_per_char is None for run in row.runs] == [True, False]
    assert row.mean == row.bits_per_char[0] and row.deviation is None
    assert row.runs[0].figures.steps == 6
    assert json.loads((result.folder / "comparison.json").read_text("utf-8"))


@pytest.mark.slow
def test_all_have_as_many_layers_as_one_needs(corpus: str) -> None:
    """The depth gate links two layers; one cell with two and another with one is no comparison."""
    variants = parse_variants("lstm,depth-gated")
    for settings, layers in (({}, 2), ({"num_layers": 3}, 3)):
        base = replace(BASE, steps=2, **settings)
        (*_, last) = compare_cells([corpus], variants, base, params=9000, force=True)
        counted = {gate.layer for row in last.result.rows for gate in row.gates}
        assert counted == set(range(layers))
        for row in last.result.rows:
            assert 8000 < row.runs[0].figures.parameters <= 9000


def test_texts_that_cannot_be_read_again(corpus: str) -> None:
    with pytest.raises(ConfigError, match="no text was named"):
        comparison_folder([], None)
    with pytest.raises(ConfigError, match="standard input"):
        comparison_folder(["-"], None)
    with pytest.raises(StorageError, match="does not exist"):
        comparison_folder(["a/b.txt.gz"], None)
    Path("a").mkdir()
    Path("a/b.txt.gz").touch()
    assert comparison_folder(["a/b.txt.gz"], None) == Path("checkpoints/compare-b")
