"""A run from text to model: what it leaves, that it repeats, and what it refuses."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.learners import break_steps
from support.small_runs import SMALL, outcome, russian_text

import textgen
from textgen.checkpoint import SavedModel, has_checkpoint
from textgen.cli.train_view import measured_line
from textgen.errors import (
    ConfigError,
    EmptyCorpusError,
    RunFolderError,
    SamplingError,
    StorageError,
    TrainingDivergedError,
)
from textgen.evaluation.nll import Nll
from textgen.sampling import SamplingNetworks
from textgen.training.events import Ended, Event, Report, Sampled, Saved, Started
from textgen.training.folder import RunState, run_folder
from textgen.training.run import MOST_SKIPPED_IN_A_ROW


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(russian_text(3000), encoding="utf-8")
    return path


def train(text: Path, out: Path, **settings: object) -> tuple[textgen.TrainResult, list[Event]]:
    seen: list[Event] = []
    settings = {"steps": 30, **SMALL, **settings}
    return textgen.train(text, out=out, on_event=seen.append, **settings), seen


def test_course_of_a_run(text: Path, tmp_path: Path) -> None:
    result, seen = train(text, tmp_path / "run", eval_every=10, save_every=7)
    kinds = [type(event) for event in seen]
    assert kinds[0] is Started and kinds[-1] is Ended
    reports = [event for event in seen if isinstance(event, Report)]
    assert [r.step for r in reports if r.evaluated] == [10, 20, 30]
    assert [event.step for event in seen if isinstance(event, Saved)] == [7, 14, 21, 28, 30]
    assert Sampled in kinds
    assert result.ended.reason == "finished"
    assert result.ended.step == result.ended.steps == 30
    assert result.bits_per_char == result.ended.best_bits_per_char
    # An untrained model of 44 symbols is at log2(44) = 5.5; a trained one below that.
    assert 1.0 < result.bits_per_char < 5.5
    assert {path.name for path in result.folder.iterdir()} >= {
        "model.safetensors",
        "resume.safetensors",
        "metrics.jsonl",
    }


def test_the_last_step_is_evaluated_and_saved_whatever_the_rhythm(
    text: Path, tmp_path: Path
) -> None:
    result, seen = train(text, tmp_path / "run", steps=11, eval_every=4, save_every=3)
    reports = [event for event in seen if isinstance(event, Report)]
    assert [r.step for r in reports if r.evaluated] == [4, 8, 11]
    assert [event.step for event in seen if isinstance(event, Saved)] == [3, 6, 9, 11]
    assert result.load().info["metrics"]["step"] in (4, 8, 11)


def test_a_sample_goes_on_from_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network has been at the beginning of a text once; samples begin where it has been often."""
    from textgen.training import run as module

    seeds: list[list[int]] = []
    writers: list[Any] = []
    whole = module.generate

    def spy(network: Any, vocabulary: Any, given: Any, *rest: Any, **more: Any) -> Any:
        seeds.append(list(given[0]))
        writers.append(network)
        return whole(network, vocabulary, given, *rest, **more)

    monkeypatch.setattr(module, "generate", spy)
    text = tmp_path / "text.txt"
    text.write_text(russian_text(20_000).replace(". ", ".\n"), encoding="utf-8")
    _, seen = train(text, tmp_path / "run")
    model = textgen.load(tmp_path / "run")
    read = [model.vocabulary.decode(seed) for seed in seeds]
    samples = [event for event in seen if isinstance(event, Sampled)]
    assert len(read) == len(samples) > 1
    source = text.read_text("utf-8")
    for passage, sample in zip(read, samples, strict=True):
        assert len(passage) == module.PASSAGE_TOKENS
        assert passage in source and passage.endswith("\n")
        assert len(sample.text) == module.SAMPLE_LENGTH  # without what it goes on from
    assert len(set(read)) > 1
    # By what `textgen sample` writes with, the engine where it is built: training waits for it.
    quick = type(SamplingNetworks(model.config, model.saved.weights, 1).one)
    assert {type(network) for network in writers} == {quick}
    # Documents begin where training saw beginnings.
    seeds.clear()
    train(text, tmp_path / "lines", documents="line")
    assert set(map(tuple, seeds)) == {()}


def test_the_last_figure_says_on_what_it_was_measured(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The course is measured on a part of a long validation text, the end on more of it."""
    same, _ = train(text, tmp_path / "same")
    assert same.ended.course_bits_per_char is None and same.ended.course_tokens == 0
    monkeypatch.setattr("textgen.training.sizing.evaluation_tokens", lambda *_: 40)
    result, seen = train(text, tmp_path / "part")
    course = [event for event in seen if isinstance(event, Report) and event.evaluated]
    ended = result.ended
    assert (ended.course_tokens, ended.val_tokens) == (40, 120)
    assert ended.course_bits_per_char == course[-1].best_bits_per_char
    assert ended.course_bits_per_char != ended.best_bits_per_char
    told = measured_line(ended)
    assert told is not None
    assert f"120 tokens; {ended.course_bits_per_char:.3f} bits/char, shown while" in told


def test_stored_figure_is_that_of_eval(text: Path, tmp_path: Path) -> None:
    """The end's figure is over the whole validation text where that is small, so `eval` agrees."""
    held_out = tmp_path / "val.txt"
    held_out.write_text(russian_text(1500, seed=9), encoding="utf-8")
    result, _ = train(text, tmp_path / "run", val=str(held_out), precision="fp32")
    whole = result.load().evaluate(held_out, threads=1)
    # The same sum in float32, cut into parts that are warmed up by 256 tokens.
    assert whole.bits_per_char == pytest.approx(result.bits_per_char, rel=1e-3)


def test_same_run_twice_is_bit_identical(text: Path, tmp_path: Path) -> None:
    train(text, tmp_path / "a", dropout=0.3, eval_every=10)
    train(text, tmp_path / "b", dropout=0.3, eval_every=10)
    train(text, tmp_path / "c", dropout=0.3, eval_every=10, rng=2)
    first = outcome(tmp_path / "a")
    assert first == outcome(tmp_path / "b")
    assert first["state"] != outcome(tmp_path / "c")["state"]


def test_saves_and_evaluations_do_not_touch_the_course(text: Path, tmp_path: Path) -> None:
    """Weights depend on the steps alone."""
    train(text, tmp_path / "a", eval_every=30, save_every=30, dropout=0.2)
    train(text, tmp_path / "b", eval_every=30, save_every=4, dropout=0.2)
    assert outcome(tmp_path / "a")["state"] == outcome(tmp_path / "b")["state"]


@pytest.mark.parametrize(
    "settings",
    [
        {"tie": True},
        {"num_layers": 2},
        {"level": "byte"},
        {"level": "word"},
        {"level": "word", "fold": True},
        {"fold": True},
        {"min_count": 30},
        {"documents": "line"},
        {"history": 5, "seq_len": None},
        {"epochs": 0.4, "steps": None},
        {"embedding_size": 7, "weight_decay": 0.0, "clip_norm": 0.1},
        {"precision": "fp32"},
        {"cell": "gru", "num_layers": 2, "dropout": 0.2},
        {"cell": "rnn", "documents": "line"},
        {"cell": "rnn", "nonlinearity": "relu"},
        {"cell": "rnn", "nonlinearity": "identity", "learning_rate": 1e-3},
    ],
    ids=lambda settings: ",".join(f"{name}={value}" for name, value in settings.items()),
)
def test_kinds_of_runs_end_with_a_usable_model(
    text: Path, tmp_path: Path, settings: dict[str, object]
) -> None:
    result, _ = train(text, tmp_path / "run", **{"steps": 8, **settings})
    model = result.load()
    assert all(np.isfinite(array).all() for array in model.saved.weights.values())
    assert len(model.generate("дом", length=12)) >= 12
    assert math.isfinite(result.bits_per_char)


def test_tied_model_has_one_matrix_less(text: Path, tmp_path: Path) -> None:
    tied, _ = train(text, tmp_path / "a", steps=2, tie=True)
    free, _ = train(text, tmp_path / "b", steps=2)
    assert "head.weight" not in tied.load().saved.weights
    assert "head.weight" in free.load().saved.weights


def test_epochs_become_steps(text: Path, tmp_path: Path) -> None:
    result, _ = train(text, tmp_path / "run", epochs=2, steps=None)
    assert result.ended.chars_seen == pytest.approx(2 * 2700, rel=0.02)


def test_history_takes_windows_of_that_length(text: Path, tmp_path: Path) -> None:
    result, seen = train(text, tmp_path / "run", history=5, seq_len=None, steps=3)
    started = seen[0]
    assert isinstance(started, Started)
    assert "--history 5" in started.command
    assert result.ended.chars_seen == 3 * 4 * 5


def test_a_history_is_measured_as_it_is_trained(text: Path, tmp_path: Path) -> None:
    """Each token of the validation text from so many before it, neither fewer nor more."""
    held_out = tmp_path / "val.txt"
    held_out.write_text(russian_text(900, seed=9), encoding="utf-8")
    settings: dict[str, object] = {"val": str(held_out), "precision": "fp32", "steps": 60}
    result, _ = train(text, tmp_path / "run", history=3, seq_len=None, **settings)
    figures = {
        history: result.load().evaluate(held_out, history=history, threads=1).bits_per_char
        for history in (2, 3, 4)
    }
    assert figures[3] == pytest.approx(result.bits_per_char, rel=1e-5)
    # The two others differ by far more than float32 rounds.
    assert abs(figures[2] / figures[3] - 1) > 1e-3 < abs(figures[4] / figures[3] - 1)


def test_patience_ends_early(text: Path, tmp_path: Path) -> None:
    """A learning rate too small to change a float32 weight gives no new best after the first."""
    result, _ = train(
        text, tmp_path / "run", steps=200, patience=3, eval_every=5, learning_rate=1e-30
    )
    assert result.ended.reason == "patience"
    assert result.ended.step == 5 + 3 * 5
    assert result.ended.best_step == 5


def test_model_kept_is_the_best(text: Path, tmp_path: Path) -> None:
    """A text learned by heart gets worse on the validation text; the earlier model is kept."""
    other = tmp_path / "val.txt"
    other.write_text("".join(sorted(russian_text(2000, seed=3))), encoding="utf-8")
    result, seen = train(
        text, tmp_path / "run", steps=60, eval_every=5, learning_rate=0.05, val=str(other)
    )
    figures = {e.step: e.val_bits_per_char for e in seen if isinstance(e, Report) and e.evaluated}
    best = min(figures, key=lambda step: figures[step] or math.inf)
    assert best < 60, "the figures must rise again for this test to say anything"
    assert result.ended.best_step == best
    assert result.load().info["metrics"]["step"] == best
    assert result.bits_per_char == pytest.approx(figures[best], rel=1e-2)


def test_every_short_text_leaves_a_model(tmp_path: Path) -> None:
    base = "да нет или может быть и так, а может быть и совсем не так: кто знает?"
    for size in (4, 5, 7, 11, 19, 33, 60):
        path = tmp_path / f"{size}.txt"
        path.write_text(base[:size], encoding="utf-8")
        result = textgen.train(path, out=tmp_path / f"run{size}", steps=3, threads=1)
        assert len(result.load().generate(length=5)) == 5, size


def test_too_short_a_text_says_the_minimum(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("ab", encoding="utf-8")
    with pytest.raises(EmptyCorpusError, match="at least"):
        textgen.train(path, out=tmp_path / "run", steps=3, threads=1)
    assert not (tmp_path / "run").exists()


def test_fine_tuning_keeps_ids_and_adds_characters(text: Path, tmp_path: Path) -> None:
    parent, _ = train(text, tmp_path / "parent", steps=40)
    new = tmp_path / "new.txt"
    new.write_text("Zebra § " + russian_text(1500, seed=5) + "zebra\n", encoding="utf-8")
    child, _ = train(new, tmp_path / "child", steps=1, from_=parent.model, hidden_size=None)
    old, extended = parent.load().vocabulary, child.load().vocabulary
    assert extended.symbols[: len(old)] == old.symbols
    assert set("Zebra§") <= set(extended.symbols)
    assert child.load().info["parent"] == str(parent.model)
    tuned, _ = train(new, tmp_path / "tuned", steps=40, from_=parent.model, hidden_size=None)
    assert tuned.bits_per_char < child.bits_per_char


def test_fine_tuning_starts_at_the_parents_loss(text: Path, tmp_path: Path) -> None:
    """An update of (almost) no length leaves the old text's cost where it was."""
    parent, _ = train(text, tmp_path / "parent", steps=40)
    new = tmp_path / "new.txt"
    new.write_text("Zebra § " + russian_text(1500, seed=5), encoding="utf-8")
    child, _ = train(
        new, tmp_path / "child", steps=1, from_=parent.model, hidden_size=None, learning_rate=1e-30
    )
    before = parent.load().evaluate(text, threads=1)
    after = child.load().evaluate(text, threads=1)
    # New symbols take e^-20 of the probability each: below float32's eight digits of a sum.
    assert after.nats_per_char == pytest.approx(before.nats_per_char, rel=1e-6)


def test_fine_tuning_refuses_another_shape(text: Path, tmp_path: Path) -> None:
    parent, _ = train(text, tmp_path / "parent", steps=2)
    with pytest.raises(ConfigError, match="hidden"):
        train(text, tmp_path / "child", steps=2, from_=parent.model, hidden_size=25)
    assert not (tmp_path / "child").exists()


def test_occupied_folder_is_refused_and_left_alone(text: Path, tmp_path: Path) -> None:
    train(text, tmp_path / "run", steps=2)
    before = outcome(tmp_path / "run")
    with pytest.raises(RunFolderError, match=r"resume=True.*replace it: force=True, "):
        train(text, tmp_path / "run", steps=3)
    assert outcome(tmp_path / "run") == before
    train(text, tmp_path / "run", steps=3, force=True)
    assert outcome(tmp_path / "run") != before


def test_two_runs_do_not_share_a_folder(text: Path, tmp_path: Path) -> None:
    refusals = []

    def start_another(event: Event) -> None:
        if isinstance(event, Report) and not refusals:
            for settings in ({"force": True}, {"resume": True}, {}):
                with pytest.raises(RunFolderError) as caught:
                    train(text, tmp_path / "run", **settings)
                refusals.append(str(caught.value))

    textgen.train(text, out=tmp_path / "run", steps=4, on_event=start_another, **SMALL)
    assert len(refusals) == 3
    assert outcome(tmp_path / "run")["progress"]["finished"]


def test_name_of_the_folder() -> None:
    assert run_folder(["a/corpus.txt.gz"], None) == Path("checkpoints/corpus")
    assert run_folder(["a/b.c.txt"], None) == Path("checkpoints/b.c")
    assert run_folder(["a/letters/"], None) == Path("checkpoints/letters")
    assert run_folder(["-"], None) == Path("checkpoints/stdin")
    assert run_folder(["a.txt"], "out/as typed") == Path("out/as typed")
    with pytest.raises(ConfigError, match=r"textgen\.train"):
        run_folder([], None)


@pytest.fixture
def no_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its steps would be counted too."""
    monkeypatch.setattr("textgen.training.speed.measure_step", lambda *_, **__: 0.001)


def test_updates_that_are_not_finite_are_masked_and_counted(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_calibration: None
) -> None:
    break_steps(monkeypatch, lambda step: step in (5, 6, 17))
    result, seen = train(text, tmp_path / "run", steps=30, eval_every=10)
    reports = [event for event in seen if isinstance(event, Report)]
    assert [r.skipped for r in reports] == [2, 3, 3]
    assert all(math.isfinite(r.train_bits_per_char or math.nan) for r in reports)
    assert result.ended.skipped == 3
    assert math.isfinite(result.bits_per_char)


def test_divergence_ends_the_run_with_the_last_good_model(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_calibration: None
) -> None:
    break_steps(monkeypatch, lambda step: step >= 12)
    with pytest.raises(TrainingDivergedError, match="smaller learning_rate") as caught:
        train(text, tmp_path / "run", steps=300, eval_every=10, save_every=10)
    assert "model.safetensors" in str(caught.value)
    model = SavedModel.load(tmp_path / "run" / "model.safetensors")
    assert model.info["metrics"]["step"] in (10, 20)
    # What can be resumed is finite too.
    state = outcome(tmp_path / "run")["progress"]
    assert state["step"] >= 10 and not state["finished"]


def test_fewer_in_a_row_do_not_end_it(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_calibration: None
) -> None:
    break_steps(monkeypatch, lambda step: 3 <= step < 2 + MOST_SKIPPED_IN_A_ROW)
    result, _ = train(text, tmp_path / "run", steps=30, eval_every=30)
    assert result.ended.skipped == MOST_SKIPPED_IN_A_ROW - 1


def test_divergence_from_the_first_step_leaves_a_model(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_calibration: None
) -> None:
    break_steps(monkeypatch, lambda step: True)
    with pytest.raises(TrainingDivergedError):
        train(text, tmp_path / "run", steps=300, eval_every=100)
    assert len(textgen.load(tmp_path / "run").generate(length=5)) == 5


def test_record_tells_the_whole_story(text: Path, tmp_path: Path) -> None:
    result, seen = train(text, tmp_path / "run")
    info = result.load().info
    assert info["corpus"]["files"][0]["path"] == str(text)
    assert len(info["corpus"]["sha256"]) == 64
    path = next(choice["value"] for choice in info["choices"] if choice["name"] == "path")
    # What did not compute is no part of the story.
    assert info["versions"].get("torch") == (None if "native" in path else torch.__version__)
    assert {"textgen", "numpy", "python", "platform"} <= set(info["versions"])
    names = [choice["name"] for choice in info["choices"]]
    for name in ("encoding", "device", "threads", "path", "precision", "learning_rate", "steps"):
        assert name in names
    assert all(choice["reason"] for choice in info["choices"])
    started = seen[0]
    assert isinstance(started, Started)
    assert info["command"] == started.command


def test_has_checkpoint(tmp_path: Path) -> None:
    assert not has_checkpoint(tmp_path)
    (tmp_path / "resume.safetensors").touch()
    assert has_checkpoint(tmp_path)


def test_forced_run_that_cannot_save_leaves_the_old_one(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost: the old run goes only once the new one is on disk."""
    out = tmp_path / "run"
    train(text, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise StorageError("no space left")

    monkeypatch.setattr("textgen.training.folder.write_file", full)
    with pytest.raises(StorageError):
        train(text, out, force=True, rng=2)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_forced_run_leaves_nothing_of_the_old_one(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(text, out)
    train(text, out, force=True, steps=8, eval_every=8)
    lines = (out / "metrics.jsonl").read_text("utf-8").splitlines()
    assert all('"steps": 8' in line for line in lines)
    assert SavedModel.load(out / "model.safetensors").info["metrics"]["steps"] == 8


def test_sample_that_fails_does_not_end_the_run(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preview is no reason to stop; divergence is decided by loss and gradient."""

    def refuse(*_: object, **__: object) -> str:
        raise SamplingError("the model's output is not finite")

    monkeypatch.setattr("textgen.training.run.generate", refuse)
    result, seen = train(text, tmp_path / "run")
    assert result.ended.reason == "finished"
    assert not any(isinstance(event, Sampled) for event in seen)


def test_diverged_run_invents_no_figure(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textgen.training.run.nll_in_streams", lambda *_, **__: Nll(math.nan, 1))
    with pytest.raises(TrainingDivergedError, match="no evaluation has found good"):
        train(text, tmp_path / "run")
    metrics = SavedModel.load(tmp_path / "run/model.safetensors").info["metrics"]
    assert metrics["val_bits_per_char"] is None and metrics["val_nats_per_token"] is None


@pytest.mark.parametrize(
    "other",
    [
        *({"level": "byte"}, {"fold": True}, {"nfc": False}, {"newlines": False}),
        *({"tie": True}, {"cell": "gru"}, {"nonlinearity": "relu"}),
    ],
)
def test_fine_tuning_refuses_other_tokens_and_outputs(
    text: Path, tmp_path: Path, other: dict[str, object]
) -> None:
    """What a fine-tuned model has from its parent cannot be asked otherwise."""
    train(text, tmp_path / "parent")
    with pytest.raises(ConfigError, match=f"{next(iter(other))} .* leave it out"):
        train(text, tmp_path / "child", from_=tmp_path / "parent", hidden_size=None, **other)


def test_fine_tuned_run_resumes_with_the_same_command(text: Path, tmp_path: Path) -> None:
    train(text, tmp_path / "parent", tie=True, embedding_size=None)
    settings = {"from_": tmp_path / "parent", "hidden_size": None}
    count = iter(range(1000))
    train(text, tmp_path / "a", **settings)
    train(text, tmp_path / "b", stop=lambda: next(count) >= 11, **settings)
    train(text, tmp_path / "b", resume=True, **settings)
    assert outcome(tmp_path / "a") == outcome(tmp_path / "b")


def test_very_little_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("привет, мир\n", encoding="utf-8")
    _, seen = train(path, tmp_path / "run", steps=3, batch_size=None, seq_len=None)
    assert isinstance(seen[0], Started)
    assert any("very little" in note for note in seen[0].notes)


@pytest.mark.parametrize(("count", "primer"), [(1, "\n\n"), (6, "\n\n"), (25, "")])
def test_a_text_of_few_documents_begins_where_a_paragraph_does(
    tmp_path: Path, count: int, primer: str
) -> None:
    """The end mark alone was seen too rarely before a beginning; of many documents often enough."""
    for number in range(count):
        (tmp_path / f"{number}.txt").write_text(f"Chapter {number}\n\nIt was late.\n\nHe left." * 9)
    found = textgen.train(tmp_path, out=tmp_path / "run", steps=1, hidden_size=4, batch_size=2)
    saved = found.load().saved
    assert saved.vocabulary.decode(np.array(saved.primer, np.int64)) == primer


def test_reports_are_on_the_disk_before_the_state_is(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state that survives a power cut must not be ahead of the reports before it."""
    folder, seen = tmp_path / "run", []
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        status = os.fstat(descriptor)
        lines = folder / "metrics.jsonl"
        if lines.exists() and os.path.samestat(status, lines.stat()):
            seen.append(("reports", len(lines.read_text().splitlines())))
        fsync(descriptor)

    save = RunState.save

    def saved(state: RunState, path: Path) -> None:
        seen.append(("state", state.progress.step))
        save(state, path)

    monkeypatch.setattr(os, "fsync", spy)
    monkeypatch.setattr(RunState, "save", saved)
    textgen.train(text, out=folder, steps=6, save_every=2, eval_every=1, **SMALL)
    assert seen == [
        ("state", 0),
        *(("reports", 2), ("state", 2), ("reports", 4), ("state", 4)),
        *(("reports", 6), ("state", 6)),
    ]
