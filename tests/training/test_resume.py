"""A run that was stopped and resumed ends as the one that was never stopped, bit for bit."""

from __future__ import annotations

import gzip
import json
import math
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import (
    SMALL,
    SMALL_OPTIONS,
    command,
    environment,
    files,
    outcome,
    russian_text,
    textgen_cli,
)

import textgen
from textgen.checkpoint.format import read_file, read_layout, write_file
from textgen.cli.parameters import at_prompt
from textgen.cli.train_view import best_line
from textgen.errors import CheckpointError, ConfigError, RunFolderError, StorageError
from textgen.model.native_network import NativeNetwork
from textgen.training.events import Ended, Event, Report, Saved, Started
from textgen.training.start import resumed_run


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(russian_text(3000), encoding="utf-8")
    return path


def empty_cache() -> None:
    shutil.rmtree(os.environ["TEXTGEN_CACHE"])


def stopping_after(step: int) -> object:
    """A `stop` callback that says so after `step` steps of this process."""
    taken = 0

    def stop() -> bool:
        nonlocal taken
        taken += 1
        return taken == step

    return stop


def run(text: Path, out: Path, **settings: object) -> list[Event]:
    seen: list[Event] = []
    settings = {"steps": 40, "eval_every": 8, "save_every": 11, **SMALL, **settings}
    textgen.train(text, out=out, on_event=seen.append, **settings)
    return seen


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"dropout": 0.4, "num_layers": 2},
        pytest.param({"dropout": 0.2, "recurrent_dropout": 0.3}, marks=pytest.mark.slow),
        {"recurrent_dropout": 0.3, "num_layers": 2, "threads": 2},
        {"threads": 2, "hidden_size": 64, "batch_size": 8, "steps": 12},
        {"members": 2, "dropout": 0.2, "recurrent_dropout": 0.3},
        {"documents": "line", "dropout": 0.2},
        {"history": 6, "seq_len": None, "dropout": 0.2},
        {"level": "word", "tie": True},
        {"patience": 2, "learning_rate": 1e-30},
        {"precision": "fp32", "level": "byte"},
        {"cell": "gru", "dropout": 0.2},
        {"cell": "rnn", "nonlinearity": "relu", "num_layers": 2},
        pytest.param({"cell": "peephole", "dropout": 0.2}, marks=pytest.mark.slow),
        pytest.param({"cell": "coupled"}, marks=pytest.mark.slow),
        {"cell": "depth-gated", "num_layers": 2, "residual": True, "dropout": 0.2},
        {"cell": "mlstm", "num_layers": 2, "threads": 2},
    ],
    ids=lambda settings: ",".join(settings) or "default",
)
def test_stopped_anywhere_it_ends_the_same(
    text: Path, tmp_path: Path, settings: dict[str, object]
) -> None:
    run(text, tmp_path / "whole", **settings)
    whole = outcome(tmp_path / "whole")
    rng = random.Random(str(settings))
    out = tmp_path / "parts"
    last = whole["progress"]["step"] - 1
    first = rng.randint(1, last // 2)
    second = rng.randint(1, last - first)
    run(text, out, stop=stopping_after(first), **settings)
    seen = run(text, out, resume=True, stop=stopping_after(second), **settings)
    assert isinstance(seen[0], Started)
    assert seen[0].resumed_from == first
    seen = run(text, out, resume=True, **settings)
    assert isinstance(seen[0], Started)
    assert seen[0].resumed_from == first + second
    assert outcome(out) == whole


def test_stopped_at_awkward_steps(text: Path, tmp_path: Path) -> None:
    """The first step, a save, an evaluation and the last but one."""
    run(text, tmp_path / "whole")
    whole = outcome(tmp_path / "whole")
    out = tmp_path / "parts"
    run(text, out, stop=stopping_after(1))
    for step in (10, 5, 23):  # after 11 (a save), 16 (an evaluation), 39 (before the last)
        run(text, out, resume=True, stop=stopping_after(step))
    run(text, out, resume=True)
    assert outcome(out) == whole


@pytest.mark.parametrize("settings", [{}, {"patience": 2, "learning_rate": 1e-30}], ids=str)
def test_stopped_after_its_last_step_it_is_only_measured(
    text: Path, tmp_path: Path, settings: dict[str, object]
) -> None:
    """What comes after the steps may last as long as a hundred of them; nobody waits for it."""
    run(text, tmp_path / "whole", **settings)
    whole = outcome(tmp_path / "whole")
    last = whole["progress"]["step"]
    out = tmp_path / "parts"
    ended = run(text, out, stop=stopping_after(last + 1), **settings)[-1]
    assert isinstance(ended, Ended)
    assert (ended.reason, ended.step) == ("stopped", last)
    seen = run(text, out, resume=True, **settings)
    assert isinstance(seen[-1], Ended)
    assert seen[-1].reason == whole["progress"]["reason"]
    assert not [event for event in seen if isinstance(event, Report)]
    assert outcome(out) == whole


def test_stopped_run_leaves_a_model_before_the_first_evaluation(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not measured: who stops a run waits for its end."""
    monkeypatch.setattr("textgen.training.run.Run._cost", None)
    ended = run(text, tmp_path / "run", stop=stopping_after(2))[-1]
    assert isinstance(ended, Ended)
    assert (ended.reason, ended.step, ended.best_step, ended.val_tokens) == ("stopped", 2, 2, 0)
    assert math.isnan(ended.best_bits_per_char)
    assert (ended.best_bits_per_word, ended.course_bits_per_char) == (None, None)
    assert best_line(ended) == "not measured yet"
    model = textgen.load(tmp_path / "run")
    assert model.info["metrics"]["val_nats_per_token"] is None
    assert model.info["metrics"]["step"] == 2
    assert len(model.generate(length=5)) == 5


@pytest.mark.parametrize(
    ("members", "call", "taken"),
    [(1, 1, 0), (1, 2, 1), (1, 7, 6), (2, 1, 0), (2, 5, 2), (2, 6, 3)],
    ids=str,
)
def test_a_long_step_is_given_up_and_taken_again(
    text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    members: int,
    call: int,
    taken: int,
) -> None:
    """The stop comes in some call of the engine; nothing of its step is in what is saved.

    Where one member has learnt in a step, the other one does, too.
    """
    settings = {"members": members, "dropout": 0.2, "steps": 12, "eval_every": 4, "save_every": 5}
    settings = {**SMALL, **settings, "hidden_size": 24 // members}
    run(text, tmp_path / "whole", **settings)
    whole = outcome(tmp_path / "whole")
    out = tmp_path / "parts"
    events: list[Event] = []
    begun: list[int] = []
    goes_on = threading.Event()
    real = NativeNetwork.differentiate

    def slow(self: NativeNetwork, *args: Any, **more: Any) -> Any:
        if events:  # Before the first one, speed is measured.
            begun.append(len(begun) + 1)
            if begun[-1] == call and begun[-1] % members == 1 % members:
                assert goes_on.wait(60)
        return real(self, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr("textgen.training.learner.LONG", 0)
        patch.setattr(NativeNetwork, "differentiate", slow)
        stop = lambda: len(begun) >= call  # noqa: E731
        textgen.train(text, out=out, on_event=events.append, stop=stop, **settings)
        ended = events[-1]
        assert isinstance(ended, Ended) and (ended.reason, ended.step) == ("stopped", taken)
        model = textgen.load(out)
        assert model.info["metrics"]["step"] == (4 if taken == 6 else taken)
        saved = files(out)
        goes_on.set()
        for thread in threading.enumerate():  # What was given up ends, and changes nothing.
            if thread.name == "step":
                thread.join(60)
        assert files(out) == saved
    run(text, out, resume=True, **settings)
    assert outcome(out) == whole


def test_resume_file_is_enough(text: Path, tmp_path: Path) -> None:
    run(text, tmp_path / "whole")
    out = tmp_path / "parts"
    run(text, out, stop=stopping_after(19))
    for path in out.iterdir():
        if path.name != "resume.safetensors":
            path.unlink()
    run(text, out, resume=True)
    whole, again = outcome(tmp_path / "whole"), outcome(out)
    reports = whole.pop("reports")
    assert again.pop("reports") == [report for report in reports if report["step"] > 19]
    assert again == whole


def test_cut_line_of_a_killed_run_is_dropped(text: Path, tmp_path: Path) -> None:
    run(text, tmp_path / "whole")
    out = tmp_path / "parts"
    run(text, out, stop=stopping_after(19))
    path = out / "metrics.jsonl"
    last = json.loads(path.read_text().splitlines()[-1])
    with path.open("a") as file:
        # A step that was lost, since it was taken after the save; and a line that was cut short.
        file.write(json.dumps({**last, "step": 24}) + '\n{"event": "rep')
    run(text, out, resume=True)
    assert outcome(out) == outcome(tmp_path / "whole")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == sorted({line["step"] for line in lines})


def test_finished_run_is_not_touched(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(text, out)
    before = files(out), {path.name: path.stat().st_mtime_ns for path in out.glob("*.*")}
    seen = run(text, out, resume=True)
    assert (files(out), {p.name: p.stat().st_mtime_ns for p in out.glob("*.*")}) == before
    assert not [event for event in seen if isinstance(event, Report | Saved)]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"hidden_size": 25}, "hidden_size"),
        ({"rng": 5}, "rng"),
        ({"learning_rate": 0.5}, "learning_rate"),
        ({"level": "byte"}, "level"),
        ({"min_count": 2}, "min_count"),
        ({"documents": "line"}, "documents"),
        ({"val": "0.3"}, "val"),
        ({"tie": True}, "tie"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_options_are_refused_by_name(
    text: Path, tmp_path: Path, settings: dict[str, object], name: str
) -> None:
    out = tmp_path / "run"
    run(text, out, stop=stopping_after(3))
    before = files(out)
    with pytest.raises(RunFolderError, match=rf"was started with(out)? {name}\b"):
        run(text, out, resume=True, **settings)
    assert files(out) == before


def test_another_text_is_refused(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(text, out, stop=stopping_after(3))
    other = tmp_path / "other.txt"
    other.write_text(russian_text(3000, seed=8), encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"other\.txt"):
        run(other, out, resume=True)
    with pytest.raises(StorageError, match=r"wrong\.txt does not exist"):
        run(tmp_path / "wrong.txt", out, resume=True)


def test_a_model_to_start_from_is_refused_where_the_run_had_none(
    text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run(text, out, stop=stopping_after(3))
    with pytest.raises(RunFolderError, match="was started without from, which is now other"):
        run(text, out, resume=True, from_="other")


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(
    ("length", "more"),
    [
        ({"steps": 500}, "460steps"),
        ({"steps": None, "budget": "2m"}, "120s"),
        ({"steps": None, "epochs": 1.5}, "1.5epochs"),
    ],
    ids=["steps", "budget", "epochs"],
)
def test_another_length_is_answered_with_the_command_that_trains_longer(
    text: Path, tmp_path: Path, length: dict[str, Any], more: str, finished: bool
) -> None:
    out = tmp_path / "my run"
    run(text, out, **({} if finished else {"stop": stopping_after(3)}))
    with pytest.raises(RunFolderError) as caught:
        run(text, out, resume=True, **length)
    if not finished and "steps" in more:
        more = "500steps"
    message = caught.value.told(at_prompt)
    assert message.endswith(f"onger: textgen train '{out}' --more {more}")
    assert (f"first: textgen train '{out}' --resume" in message) is not finished


def stopped_run(text: Path, tmp_path: Path, **settings: Any) -> Path:
    """A stopped run; the one in `whole` was not stopped."""
    run(text, tmp_path / "whole", **settings)
    run(text, tmp_path / "run", stop=stopping_after(9), **settings)
    return tmp_path / "run"


def notes(seen: list[Event]) -> str:
    assert isinstance(seen[0], Started)
    return "\n".join(seen[0].notes)


def test_a_text_that_is_named_and_has_changed_is_refused_whatever_the_cache_holds(
    text: Path, tmp_path: Path
) -> None:
    out = stopped_run(text, tmp_path)
    before = files(out)
    content = text.read_text(encoding="utf-8")
    for other in (content + "ещё", content.replace("дом", "Дом", 1)):  # other size; same size
        assert other != content
        text.write_text(other, encoding="utf-8")
        with pytest.raises(RunFolderError, match=r"text\.txt\) has changed since") as caught:
            run(text, out, resume=True)
        message = caught.value.told(at_prompt)
        assert f"textgen train {out} --resume" in message
        assert f"textgen train {text} --from {out} --out {out}-2" in message
        assert files(out) == before
    # By its folder alone the run goes on with the text that it began with, and says so.
    seen: list[Event] = []
    textgen.train(out, resume=True, on_event=seen.append)
    assert "text.txt) has changed since this run began; it continues with the old one" in notes(
        seen
    )
    assert outcome(out) == outcome(tmp_path / "whole")
    # A finished one has nothing to learn from it; named, it is refused still.
    textgen.train(out, resume=True, on_event=seen.append)
    with pytest.raises(RunFolderError, match="has changed"):
        run(text, out, resume=True)


def test_a_text_that_is_gone_is_told_and_the_run_ends_the_same(text: Path, tmp_path: Path) -> None:
    out = stopped_run(text, tmp_path)
    text.unlink()
    seen: list[Event] = []
    textgen.train(out, resume=True, on_event=seen.append)
    assert "text.txt) is gone since this run began" in notes(seen)
    assert outcome(out) == outcome(tmp_path / "whole")


def test_the_same_text_is_not_spoken_of(text: Path, tmp_path: Path) -> None:
    out = stopped_run(text, tmp_path)
    os.utime(text, (1, 1))
    assert "since this run began" not in notes(run(text, out, resume=True))


@pytest.mark.parametrize("change", ["added", "removed", "renamed in order", "edited"])
def test_a_folder_whose_files_changed_is_refused(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    for number, name in enumerate(("a.txt", "b.txt")):
        (folder / name).write_text(russian_text(1500, seed=number), encoding="utf-8")
    out = tmp_path / "run"
    run(folder, out, stop=stopping_after(3))
    if change == "added":
        (folder / "c.txt").write_text("Ещё одно письмо.", encoding="utf-8")
    elif change == "removed":
        (folder / "b.txt").unlink()
    elif change == "renamed in order":
        (folder / "a.txt").rename(folder / "c.txt")
    else:
        text = (folder / "b.txt").read_text(encoding="utf-8")
        (folder / "b.txt").write_text(text.replace("дом", "сад"), encoding="utf-8")
    with pytest.raises(RunFolderError, match="letters\\) has changed"):
        run(folder, out, resume=True)


def test_a_packed_text_is_compared_by_what_is_in_it(tmp_path: Path) -> None:
    path, out = tmp_path / "text.txt.gz", tmp_path / "run"
    content = russian_text(3000).encode()
    path.write_bytes(gzip.compress(content, 9))
    run(path, out, stop=stopping_after(3))
    path.write_bytes(gzip.compress(content, 1))  # Other bytes, the same text.
    run(path, out, resume=True, stop=stopping_after(3))
    path.write_bytes(gzip.compress(content + b".", 9))
    with pytest.raises(RunFolderError, match="has changed"):
        run(path, out, resume=True)


@pytest.mark.parametrize("old_record", [False, True])
def test_a_validation_file_that_has_changed(text: Path, tmp_path: Path, old_record: bool) -> None:
    val = tmp_path / "val.txt"
    val.write_text(russian_text(700, seed=4), encoding="utf-8")
    out = stopped_run(text, tmp_path, val=str(val))
    if old_record:
        path = out / "resume.safetensors"
        header, tensors = read_file(path, kind="resume")
        del header["record"]["corpus"]["validation_text"]
        write_file(path, kind="resume", header=header, tensors=tensors)
    val.write_text(russian_text(700, seed=5), encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"the validation text \(.*val\.txt\) has changed"):
        run(text, out, resume=True, val=str(val))
    seen: list[Event] = []
    textgen.train(text, out=out, resume=True, on_event=seen.append)
    assert "val.txt) has changed since this run began" in notes(seen)
    assert outcome(out) == outcome(tmp_path / "whole")


def test_standard_input_that_is_given_again_is_compared(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["train", "-", "--out", out, "--steps", "3", "-q", *SMALL_OPTIONS]
    content = russian_text(2000).encode()
    assert textgen_cli(*words, input=content).exit_code == 0
    assert textgen_cli(*words, "--resume", input=content).exit_code == 0
    again = textgen_cli(*words, "--resume", input=content + b".")
    assert again.exit_code == 7 and "has changed" in again.stderr
    assert textgen_cli("train", out, "--resume", "-q").exit_code == 0


def test_a_fine_tuned_run_refuses_a_changed_text_too(text: Path, tmp_path: Path) -> None:
    run(text, tmp_path / "parent", steps=3)
    new = tmp_path / "new.txt"
    new.write_text("Zebra § " + russian_text(2000, seed=6), encoding="utf-8")
    tuning = {"from_": tmp_path / "parent", "hidden_size": None}
    out = tmp_path / "run"
    run(new, out, stop=stopping_after(9), **tuning)
    new.write_text("Zebra § " + russian_text(2000, seed=7), encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"new\.txt\) has changed"):
        run(new, out, resume=True, **tuning)


def test_an_option_that_came_later_leaves_the_cache_keys_as_they_were() -> None:
    """What was encoded before, and the runs that go on with it, would be lost otherwise."""
    from textgen.corpus.corpus import _FIRST_OPTIONS, _request
    from textgen.corpus.corpus_options import CorpusOptions

    assert set(_request(CorpusOptions(), None)["options"]) == set(_FIRST_OPTIONS)


def test_options_left_out_are_the_runs_own(text: Path, tmp_path: Path) -> None:
    run(text, tmp_path / "whole", dropout=0.2)
    out = tmp_path / "run"
    run(text, out, stop=stopping_after(9), dropout=0.2)
    textgen.train(out=out, resume=True)
    assert outcome(out) == outcome(tmp_path / "whole")


def test_going_on_upon_another_path_is_told(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost, but the outcome is no longer that of one machine."""
    out = tmp_path / "run"
    monkeypatch.setenv("TEXTGEN_PATH", "torch")
    run(text, out, precision="fp32", stop=stopping_after(3))
    for path, told in (("torch", False), ("reference", True)):
        monkeypatch.setenv("TEXTGEN_PATH", path)
        started = run(text, out, resume=True, precision="fp32", stop=stopping_after(3))[0]
        assert isinstance(started, Started)
        notes = [note for note in started.notes if "began on the path torch" in note]
        assert bool(notes) == told
        assert all("continues on reference" in note for note in notes)


def test_a_run_that_was_measured_in_another_way_says_so(text: Path, tmp_path: Path) -> None:
    """Older versions carried the state on where windows of a fixed length are measured now."""
    out = tmp_path / "run"
    options: dict[str, Any] = {"history": 8, "seq_len": None}
    run(text, out, stop=stopping_after(3), **options)
    path = out / "resume.safetensors"
    for older in (False, True):
        if older:
            header, tensors = read_file(path, kind="resume")
            del header["record"]["validation_history"]
            write_file(path, kind="resume", header=header, tensors=tensors)
        started = run(text, out, resume=True, stop=stopping_after(3), **options)[0]
        assert isinstance(started, Started)
        assert any("is shown 8 tokens, as in training" in note for note in started.notes) == older


def test_run_of_an_older_version_is_resumed(text: Path, tmp_path: Path) -> None:
    """Its files know neither the path nor the options that came later."""
    out = tmp_path / "run"
    run(text, out, stop=stopping_after(9))
    path = out / "resume.safetensors"
    header, tensors = read_file(path, kind="resume")
    del header["record"]["path"], header["record"]["request"]["nonlinearity"]
    del header["plan"]["model"]["nonlinearity"]
    write_file(path, kind="resume", header=header, tensors=tensors)
    with pytest.raises(RunFolderError, match="nonlinearity = tanh, not relu"):
        run(text, out, resume=True, nonlinearity="relu")
    run(text, out, resume=True)
    run(text, tmp_path / "whole")
    assert outcome(out)["state"] == outcome(tmp_path / "whole")["state"]


def test_run_of_a_newer_version_says_so(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(text, out, stop=stopping_after(3))
    path = out / "resume.safetensors"
    header, tensors = read_file(path, kind="resume")
    header["record"]["request"]["corpus"]["spelling"] = "modern"
    write_file(path, kind="resume", header=header, tensors=tensors)
    with pytest.raises(CheckpointError, match=r"newer version .* \(spelling\); install a newer"):
        textgen.train(out, resume=True)


def test_emptied_cache_is_filled_from_the_text(text: Path, tmp_path: Path) -> None:
    val = tmp_path / "val.txt"
    val.write_text(russian_text(700, seed=4), encoding="utf-8")
    run(text, tmp_path / "whole", val=str(val))
    out = tmp_path / "run"
    run(text, out, stop=stopping_after(9), val=str(val))
    empty_cache()
    run(text, out, resume=True, val=str(val))
    assert outcome(out) == outcome(tmp_path / "whole")


@pytest.mark.parametrize("changed", ["text", "validation"])
def test_changed_text_is_refused(text: Path, tmp_path: Path, changed: str) -> None:
    val = tmp_path / "val.txt"
    val.write_text(russian_text(700, seed=4), encoding="utf-8")
    out = tmp_path / "run"
    run(text, out, stop=stopping_after(9), val=str(val))
    before = files(out)
    path = text if changed == "text" else val
    path.write_text(path.read_text(encoding="utf-8") + "ещё", encoding="utf-8")
    empty_cache()
    with pytest.raises(RunFolderError, match="changed"):
        textgen.train(out=out, resume=True)
    assert files(out) == before


@pytest.mark.parametrize(
    ("settings", "same_text"),
    [({}, True), ({"level": "byte"}, False), ({"fold": True}, False)],
)
def test_fine_tuning_goes_on_without_the_cache(
    text: Path, tmp_path: Path, settings: dict[str, object], same_text: bool
) -> None:
    """The vocabulary came with the parent; the text must be encoded with it again."""
    run(text, tmp_path / "parent", steps=3, **settings)
    new = text
    if not same_text:
        new = tmp_path / "new.txt"
        new.write_text("Zebra § " + russian_text(2000, seed=6), encoding="utf-8")
    tuning = {"from_": tmp_path / "parent", "hidden_size": None}
    run(new, tmp_path / "whole", **tuning)
    out = tmp_path / "run"
    run(new, out, stop=stopping_after(9), **tuning)
    empty_cache()
    textgen.train(out=out, resume=True)
    assert outcome(out) == outcome(tmp_path / "whole")


def test_standard_input_cannot_be_read_again(tmp_path: Path) -> None:
    out = tmp_path / "run"
    data = russian_text(2000).encode()
    result = textgen_cli(
        "train", "-", "--out", out, "--steps", "3", "-q", *SMALL_OPTIONS, input=data
    )
    assert result.exit_code == 0, result.stderr
    empty_cache()
    with pytest.raises(RunFolderError, match="standard input"):
        textgen.train(out=out, resume=True)


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"textgen\.train"):
        textgen.train(out=tmp_path / "none", resume=True)
    with pytest.raises(ConfigError):
        textgen.train(resume=True)
    assert not (tmp_path / "none").exists()


def test_damaged_state_is_a_clear_error(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(text, out, stop=stopping_after(3))
    path = out / "resume.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"resume\.safetensors"):
        textgen.train(out=out, resume=True)


def test_model_file_is_no_state(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(text, out, stop=stopping_after(3))
    shutil.copy(out / "model.safetensors", out / "resume.safetensors")
    with pytest.raises(CheckpointError):
        textgen.train(out=out, resume=True)


def test_lock_left_by_a_killed_run_does_not_block(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(text, out, stop=stopping_after(3))
    (out / ".lock").write_text("999999\n")
    with resumed_run(out) as resumed:
        assert next(iter(resumed.events())).name == "start"


def _wait_for_step(out: Path, step: int, child: subprocess.Popen[bytes]) -> None:
    """Until the state on disk is that of `step` or a later one."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and child.poll() is None:
        try:
            if (
                read_layout(out / "resume.safetensors", kind="resume").header["progress"]["step"]
                >= step
            ):
                return
        except (StorageError, CheckpointError):
            pass  # not there yet
        time.sleep(0.005)
    raise AssertionError(f"no save of step {step} was seen")


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes to be ended whatever happens."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        if child.poll() is None:
            child.kill()
        child.wait()


@pytest.mark.parametrize(
    ("kills", "steps"),
    [
        (1, 1200),
        pytest.param(20, 4000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
def test_killed_at_random_moments(
    text: Path,
    tmp_path: Path,
    children: list[subprocess.Popen[bytes]],
    kills: int,
    steps: int,
) -> None:
    """`kill -9` between the first save and the end: the outcome is bit for bit the same."""
    settings: dict[str, object] = {
        "steps": steps,
        "hidden_size": 16,
        "batch_size": 4,
        "seq_len": 8,
        "threads": 1,
        "dropout": 0.1,
        "save_every": 50,
        "eval_every": 400,
    }
    words = ["--hidden" if n == "hidden_size" else "--" + n.replace("_", "-") for n in settings]
    options = [str(word) for pair in zip(words, settings.values(), strict=True) for word in pair]
    textgen.train(text, out=tmp_path / "whole", **settings)
    whole = outcome(tmp_path / "whole", evaluations_only=True)
    rng = random.Random(kills)
    resumed_from = []
    for number in range(5 * kills):
        if len(resumed_from) == kills:
            break
        out = tmp_path / f"killed{number}"
        child = subprocess.Popen(
            command("train", text, "--out", out, "--quiet", *options),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        children.append(child)
        # A moment of the run, not of the clock: the machine may be faster in the next minute.
        _wait_for_step(out, rng.randrange(50, steps - 300), child)
        time.sleep(rng.random() * 0.1)
        child.kill()
        child.wait()
        if read_layout(out / "resume.safetensors", kind="resume").header["progress"]["finished"]:
            continue  # It was faster than the sleep: nothing was interrupted.
        assert child.returncode == -signal.SIGKILL
        seen: list[Event] = []
        textgen.train(out=out, resume=True, on_event=seen.append)
        first = seen[0]
        assert isinstance(first, Started)
        assert 0 < first.resumed_from < steps
        assert first.resumed_from % 50 == 0
        resumed_from.append(first.resumed_from)
        assert outcome(out, evaluations_only=True) == whole, (
            f"kill {number}, resumed from {first.resumed_from}"
        )
        shutil.rmtree(out)
    print("resumed from", resumed_from)
    assert len(resumed_from) == kills


def test_a_file_of_vectors_is_compared_where_it_is_named(text: Path, tmp_path: Path) -> None:
    """The weights have them already, so a run that is named by its folder does not need it."""
    vectors = tmp_path / "letters.vec"
    letters = sorted(set(russian_text(3000)) - {" ", "\n"})
    lines = [f"{letter} {i % 3}.5 {i}.25 -1 {i % 7}" for i, letter in enumerate(letters)]
    content = "\n".join([f"{len(lines)} 4", *lines]) + "\n"
    vectors.write_text(content, encoding="utf-8")
    out = stopped_run(text, tmp_path, vectors=str(vectors))
    run(text, out, resume=True, vectors=str(vectors), stop=stopping_after(2))
    vectors.write_text(content.replace("0.5", "0.7"), encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"file of vectors \(.*letters\.vec\) has changed"):
        run(text, out, resume=True, vectors=str(vectors))
    textgen.train(out, resume=True)
    assert outcome(out) == outcome(tmp_path / "whole")
    textgen.train(out, more="5steps")
