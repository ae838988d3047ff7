"""A finished run is trained longer: a second schedule, resumable bit for bit."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import (
    SMALL,
    SMALL_OPTIONS,
    command,
    environment,
    events,
    files,
    outcome,
    russian_text,
    textgen_cli,
)

import textgen
from textgen.checkpoint.format import read_file, read_layout, write_file
from textgen.cli.parameters import at_prompt
from textgen.errors import ConfigError, RunFolderError
from textgen.options import TrainOptions
from textgen.training.events import Ended, Event, Report, Sampled, Started
from textgen.training.plan import Plan
from textgen.training.resume import parse_more
from textgen.training.start import open_run


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(russian_text(3000), encoding="utf-8")
    return path


def train(*paths: Path, **settings: Any) -> list[Event]:
    seen: list[Event] = []
    textgen.train(*paths, on_event=seen.append, **settings)
    return seen


def first_run(text: Path, out: Path, **settings: Any) -> list[Event]:
    return train(
        text, out=out, **{"steps": 20, "eval_every": 8, "save_every": 11, **SMALL, **settings}
    )


def stopping_after(step: int) -> Any:
    taken = 0

    def stop() -> bool:
        nonlocal taken
        taken += 1
        return taken == step

    return stop


def reports(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("text", "seconds", "epochs", "steps"),
    [
        ("2m", 120.0, None, None),
        ("90s", 90.0, None, None),
        ("1m30s", 90.0, None, None),
        ("1.5h", 5400.0, None, None),
        ("500steps", None, None, 500),
        ("1step", None, None, 1),
        ("500 Steps", None, None, 500),
        ("3epochs", None, 3.0, None),
        ("0.5 epoch", None, 0.5, None),
    ],
)
def test_lengths(text: str, seconds: float | None, epochs: float | None, steps: int | None) -> None:
    more = parse_more(text)
    assert (more.seconds, more.epochs, more.steps) == (seconds, epochs, steps)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("500", "more 500 does not say of what; type 500steps, 500s .* or 500epochs"),
        ("soon", "'soon' is not a length; type it like 2m"),
        ("", "'' is not a length"),
        ("0steps", "0steps is nothing"),
        ("-5steps", "is not a length"),
        ("2.5steps", "steps are whole"),
        ("0s", "is not a length"),
    ],
)
def test_what_is_no_length_says_what_to_type(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_more(text)


def test_a_finished_run_goes_on_from_its_last_weights(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first_run(text, out)
    _, before = read_file(out / "resume.safetensors", kind="resume")
    old_reports = reports(out)
    seen = train(out, more="30steps", stop=stopping_after(1))
    started = seen[0]
    assert isinstance(started, Started)
    assert (started.resumed_from, started.steps) == (20, 50)
    assert any("differs from one run of 50 steps" in n for n in started.notes)
    chosen = {choice.name: choice for choice in started.choices}
    assert chosen["more"].value == "30 steps" and "steps 21 to 50" in chosen["more"].reason
    header, after = read_file(out / "resume.safetensors", kind="resume")
    assert header["progress"]["step"] == 21
    moved = abs(after["train.model.head.weight"] - before["train.model.head.weight"]).max()
    assert 0 < moved < 0.1
    assert after["train.optimizer.head.weight.step"] == 21
    seen = train(out, resume=True)
    assert isinstance(seen[0], Started) and seen[0].resumed_from == 21
    # The note was said when it began.
    assert not any("at once would have been" in note for note in seen[0].notes)
    assert reports(out)[: len(old_reports)] == old_reports
    steps = [report["step"] for report in reports(out)]
    assert steps == sorted(set(steps)) and steps[-1] == 50
    rates = {report["step"]: report["learning_rate"] for report in reports(out)}
    peak = header["plan"]["optimizer"]["learning_rate"]
    assert (
        rates[50] == pytest.approx(peak / 29)
        and max(r for s, r in rates.items() if s > 20) > rates[20]
    )
    info = textgen.load(out).info
    assert info["more"] == [
        {"asked": "30steps", "first_step": 20, "steps": 30, "learning_rate": peak}
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"dropout": 0.3, "num_layers": 2},
        {"history": 6, "seq_len": None},
        {"patience": 2, "learning_rate": 1e-30, "eval_every": 3},
        pytest.param({"level": "word", "tie": True}, marks=pytest.mark.slow),
        pytest.param({"documents": "line", "cell": "gru"}, marks=pytest.mark.slow),
    ],
    ids=lambda settings: ",".join(settings) or "default",
)
def test_stopped_anywhere_it_ends_the_same(
    text: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    first_run(text, whole, **settings)
    shutil.copytree(whole, parts)
    train(whole, more="25steps")
    train(whole, more="10steps")
    train(parts, more="25steps", stop=stopping_after(1))
    train(parts, resume=True, stop=stopping_after(4))
    train(parts, resume=True)
    train(parts, more="10steps", stop=stopping_after(5))
    train(parts, resume=True)
    assert outcome(parts) == outcome(whole)


@pytest.mark.slow
def test_killed_it_goes_on_where_it_was_saved(text: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "killed"
    first_run(text, whole, save_every=50, eval_every=400)
    shutil.copytree(whole, out)
    train(whole, more="3000steps")
    child = subprocess.Popen(
        command("train", out, "--more", "3000steps", "--quiet"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and child.poll() is None:
            if (
                read_layout(out / "resume.safetensors", kind="resume").header["progress"]["step"]
                > 20
            ):
                break
            time.sleep(0.005)
    finally:
        child.kill()
        child.wait()
    progress = read_layout(out / "resume.safetensors", kind="resume").header["progress"]
    assert 20 < progress["step"] < 3020 and not progress["finished"]
    train(out, resume=True)
    assert outcome(out, evaluations_only=True) == outcome(whole, evaluations_only=True)


def test_the_better_of_the_best_models_is_kept(text: Path, tmp_path: Path) -> None:
    """With a peak that ruins the model, the first part's best stays."""
    out = tmp_path / "run"
    first_run(text, out)
    best = read_file(out / "model.safetensors", kind="model")[1]
    path = out / "resume.safetensors"
    header, tensors = read_file(path, kind="resume")
    header["plan"]["optimizer"]["learning_rate"] = 5.0
    write_file(path, kind="resume", header=header, tensors=tensors)
    seen = train(out, more="10steps")
    kept = read_file(out / "model.safetensors", kind="model")[1]
    assert all((kept[name] == best[name]).all() for name in best)
    assert isinstance(seen[-1], Ended) and seen[-1].best_step <= 20
    later = [e for e in seen if isinstance(e, Report) and e.evaluated]
    assert later and all(e.val_bits_per_char > e.best_bits_per_char for e in later)
    assert textgen.load(out).info["more"][0]["steps"] == 10


def test_a_run_that_was_stopped_ends_first(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first_run(text, out, stop=stopping_after(5))
    before = files(out)
    with pytest.raises(RunFolderError) as caught:
        train(out, more="10steps")
    assert str(caught.value).endswith(f"end first: textgen.train('{out}', resume=True)")
    assert caught.value.told(at_prompt).endswith(f"end first: textgen train {out} --resume")
    assert "after step 5 of 20" in str(caught.value)
    assert files(out) == before


def test_a_run_of_an_older_version(text: Path, tmp_path: Path) -> None:
    """Its files know neither where a schedule begins nor the folder of a repeated run."""
    out, whole = tmp_path / "run", tmp_path / "whole"
    first_run(text, out)
    shutil.copytree(out, whole)
    path = out / "resume.safetensors"
    header, tensors = read_file(path, kind="resume")
    del header["plan"]["first_step"], header["record"]["again"], header["record"]["vectors"]
    header["record"]["command"] = header["record"]["command"].split(" --out")[0]
    write_file(path, kind="resume", header=header, tensors=tensors)
    train(whole, more="10steps")
    seen = train(out, more="10steps")
    assert outcome(out)["state"] == outcome(whole)["state"]
    assert isinstance(seen[0], Started)
    assert seen[0].command.endswith(f"--out {out}-2 && textgen train {out}-2 --more 10steps")


def test_by_epochs(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first_run(text, out)
    seen = train(out, more="2epochs")
    assert isinstance(seen[0], Started)
    tokens = SMALL["batch_size"] * SMALL["seq_len"]
    assert seen[0].steps == 20 + round(2 * seen[0].train_tokens / tokens)


def test_by_time(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first_run(text, out)
    began = time.monotonic()
    again = train(text, out=out, more="1s")  # The text may be named.
    assert time.monotonic() - began < 30
    assert isinstance(again[0], Started) and again[0].resumed_from == 20
    assert again[0].steps > 20


def test_the_texts_and_options_are_the_runs(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first_run(text, out)
    with pytest.raises(RunFolderError, match="rng = 1, not 5"):
        train(out, more="10steps", rng=5)
    with pytest.raises(ConfigError, match="more goes on with a run, force replaces it"):
        train(out, more="10steps", force=True)
    with pytest.raises(ConfigError, match="does not say of what"):
        train(out, more="10")
    text.write_text(text.read_text(encoding="utf-8") + "ещё", encoding="utf-8")
    with pytest.raises(RunFolderError, match="has changed since"):
        train(text, out=out, more="10steps")
    seen = train(out, more="10steps")
    assert isinstance(seen[0], Started)
    assert any("it continues with the old one" in note for note in seen[0].notes)


def test_pairs_and_fine_tuned_runs(text: Path, tmp_path: Path) -> None:
    lines = tmp_path / "pairs.tsv"
    lines.write_text("".join(f"{n:03d}\t{n * 7 % 100:02d}\n" for n in range(200)))
    pairs = tmp_path / "pairs"
    train(lines, out=pairs, pairs=True, steps=20, **SMALL)
    ended = train(pairs, more="20steps")[-1]
    assert isinstance(ended, Ended)
    assert ended.step == 40 and ended.written_pairs
    parent, child = tmp_path / "parent", tmp_path / "child"
    first_run(text, parent)
    train(text, out=child, from_=parent, steps=10, threads=1)
    ended = train(text, out=child, from_=parent, more="10steps")[-1]
    assert isinstance(ended, Ended) and ended.step == 20


@pytest.mark.slow
@pytest.mark.parametrize("budget", [False, True])
def test_the_printed_commands_repeat_it(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("textgen.cli.train_view.save_curve", lambda folder, _: folder / "loss.svg")
    length = ["--budget", "1s"] if budget else ["--steps", "20"]
    more = "1s" if budget else "15steps"
    words = ["train", "text.txt", *length, *SMALL_OPTIONS, "--out", "my run", "-q"]
    assert textgen_cli(*words).exit_code == 0
    longer = textgen_cli("train", "my run", "--more", more, "--json")
    assert longer.exit_code == 0, longer.stderr
    line = events(longer)[0]["command"]
    first, second = line.split(" && ")
    for part in (first, second):
        assert textgen_cli(*shlex.split(part)[1:], "-q").exit_code == 0
    assert outcome(Path("my run-2"), evaluations_only=True) == outcome(
        Path("my run"), evaluations_only=True
    )
    described = textgen_cli("inspect", "checkpoint", "my run", COLUMNS="60")
    assert "steps after" in described.stdout
    assert line in described.stdout.splitlines()


def test_a_plan_knows_where_its_schedule_begins(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first_run(text, out)
    data = read_layout(out / "resume.safetensors", kind="resume").header["plan"]
    plan = Plan.from_dict({**data, "first_step": 100, "steps": 200, "warmup_steps": 5})
    usual = Plan.from_dict({**data, "steps": 100, "warmup_steps": 5})
    for step in (0, 3, 5, 50, 99):
        assert plan.learning_rate(100 + step) == usual.learning_rate(step)


def test_the_second_schedule_is_on_the_disk_before_its_first_step(
    text: Path, tmp_path: Path
) -> None:
    """A run that is killed at once goes on with it all the same."""
    out = tmp_path / "run"
    first_run(text, out)
    with open_run([str(out)], TrainOptions(), more="10steps") as opened:
        seen = opened.events()
        assert isinstance(next(seen), Started)
        assert isinstance(next(seen), Report | Sampled)  # Before the first regular save.
        seen.close()
    header = read_layout(out / "resume.safetensors", kind="resume").header
    assert (header["progress"]["step"], header["progress"]["finished"]) == (20, False)
    ended = train(out, resume=True)[-1]
    assert isinstance(ended, Ended) and ended.step == 30
