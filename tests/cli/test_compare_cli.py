"""`textgen compare` as a person types it."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from support.small_runs import command, environment, russian_text, textgen_cli
from typer.testing import Result

import textgen.comparison

#: A comparison that is sent Ctrl-C when its first run is over, and would measure it for a minute.
BETWEEN_RUNS = """
import signal, sys, time, textgen.cli
from textgen.comparison import runs

def figures(*_):
    signal.raise_signal(signal.SIGINT)
    time.sleep(60)

runs.figures_of = figures
sys.argv = ["textgen", "compare", *sys.argv[1:]]
textgen.cli.main()
"""

SMALL = ("--params", "5k", "--steps", "3", "--batch-size", "4", "--seq-len", "16", "--threads", "1")
TASK = ("--params", "5k", "--steps", "3", "--batch-size", "4", "--threads", "1")


@pytest.fixture(autouse=True)
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A text in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(russian_text(9000), encoding="utf-8")
    return "text.txt"


def compare(*words: str | Path, **env: str) -> Result:
    result = textgen_cli("compare", *words, **env)
    assert result.exit_code == 0, result.stderr
    return result


def test_cells() -> None:
    words = ("text.txt", "--cells", "rnn:relu,gru", "--rng", "1,2", *SMALL)
    result = compare(*words, "--picture", "cells.png", COLUMNS="80")
    assert "4 runs of 3 steps, each of at most 5,000 parameters" in result.stderr
    assert "2/4 gru, rng 1: " in result.stderr
    assert "written: cells.png" in result.stderr
    assert Path("cells.png").read_bytes()[:4] == b"\x89PNG"
    assert "rnn:relu" in result.stdout and "±" in result.stdout and "update-gate" in result.stdout
    assert "wall time" not in result.stdout
    # No figure is broken over two lines.
    assert sum(line.count("±") for line in result.stdout.splitlines() if "rnn:relu" in line) == 1
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    again = compare(*words, "--resume", "-q")
    assert again.stderr == ""


@pytest.mark.slow
def test_a_budget_is_wall_time_and_said_to_be() -> None:
    words = ["--params", "5k", "--batch-size", "4", "--seq-len", "16", "--threads", "1"]
    result = compare("text.txt", "--cells", "gru", *words, "--budget", "1s", COLUMNS="200")
    assert "Each run had 1 s. The time is wall time" in " ".join(result.stdout.split())


def test_json_and_csv() -> None:
    words = ("text.txt", "--cells", "gru", *SMALL)
    record = json.loads(compare(*words, "--json").stdout)
    assert record == json.loads(Path("checkpoints/compare-text/comparison.json").read_text("utf-8"))
    table = compare(*words, "--resume", "--csv", "-").stdout
    (row,) = csv.DictReader(io.StringIO(table))
    assert (row["cell"], row["steps"]) == ("gru", "3")
    assert float(row["bits_per_char"]) == record["cells"][0]["bits_per_char"]["mean"]
    compare(*words, "--resume", "--csv", "t.csv", "--json")
    assert Path("t.csv").read_text("utf-8").startswith("cell,nonlinearity,rng,")


def test_history() -> None:
    result = compare("text.txt", "--history", "1,2,4", *SMALL, "--picture", "h.svg", COLUMNS="80")
    assert "history t" in result.stdout and "trained on t" in result.stdout
    assert "all" in result.stdout
    assert "4/4 lstm, carried" in result.stderr
    assert Path("h.svg").read_text("utf-8").startswith("<?xml")
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


@pytest.mark.parametrize("task", ["recall", "count", "copy"])
def test_tasks(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of 50,000 pairs a run of three steps sees twelve.
    few = partial(textgen.comparison.compare_task, pairs=300)
    monkeypatch.setattr(textgen.comparison, "compare_task", few)
    result = compare("--task", task, "--lag", "2..8:2", "--cells", "rnn,gru", *TASK, COLUMNS="80")
    assert "trained up to 4" in result.stdout and "chance" in result.stdout
    assert "6 *" in result.stdout and "4 *" not in result.stdout
    assert "with lags 1..4" in result.stderr
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "textgen compare corpus.txt"),
        (["text.txt", "--task", "recall"], 2, "leave text.txt out"),
        (["--task", "recall", "--history", "2"], 2, "two comparisons"),
        (["--task", "recall", "--level", "byte"], 2, "leave --level out"),
        (["--task", "remember"], 2, "recall, count, copy"),
        (["text.txt", "--lag", "3"], 2, "belong to --task"),
        (["text.txt", "--history", "2", "--rng", "1,2"], 2, "one --rng"),
        (["text.txt", "--history", "2", "--rng", "2..4"], 2, "one --rng"),
        (["text.txt", "--history", "2", "--cells", "rnn,gru"], 2, "--cells lstm"),
        (["text.txt", "--cells", "lsmt"], 2, "'lsmt' is not known"),
        (["text.txt", "--params", "many"], 2, "250k or 1M"),
        (["text.txt", "--params", "50"], 2, "raise --params"),
        (["text.txt", "--steps", "3", "--budget", "1m"], 2, "contradict"),
        (["text.txt", "--picture", "c.pdf"], 2, ".svg or .png"),
        (["text.txt", "--json", "--csv", "-"], 2, "give --csv a file"),
        (["text.txt", "--csv", "no/c.csv"], 6, "no/c.csv: there is no such file or folder"),
        (["text.txt", "--picture", "no/c.png"], 6, "no/c.png: there is no such file or folder"),
        (["text.txt", "--resume", "--force"], 2, "give one"),
        (["-"], 2, "standard input"),
        (["none.txt"], 6, "none.txt"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_errors_teach(words: list[str], code: int, said: str) -> None:
    result = textgen_cli("compare", *words)
    assert result.exit_code == code
    assert said in result.stderr
    assert not Path("checkpoints").exists()


def test_a_folder_that_is_taken() -> None:
    compare("text.txt", "--cells", "gru", *SMALL)
    result = textgen_cli("compare", "text.txt", "--cells", "gru", *SMALL)
    assert result.exit_code == 7
    assert "--resume" in result.stderr and "--force" in result.stderr
    compare("text.txt", "--cells", "gru", *SMALL, "--force")


def test_interrupting_and_going_on(tmp_path: Path) -> None:
    """Ctrl-C saves the run that goes on; what is finished is kept."""
    words = ["text.txt", "--cells", "gru,rnn", *SMALL[:2], *SMALL[4:], "--steps", "100000"]
    process = subprocess.Popen(
        command("compare", *words),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=environment(TEXTGEN_CACHE=str(tmp_path / "cache")),
    )
    state = tmp_path / "checkpoints/compare-text/gru-1/resume.safetensors"
    for _ in range(600):
        if state.exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "stopped in run 1 of 2 (gru, rng 1)" in said and "--resume" in said
    assert not (tmp_path / "checkpoints/compare-text/rnn-1").exists()


def test_between_two_runs_nothing_is_waited_for() -> None:
    """No step is left to finish there, and what was trained is saved."""
    words = ["text.txt", "--cells", "rnn,gru", *SMALL]
    ended = subprocess.run(
        [sys.executable, "-c", BETWEEN_RUNS, *words],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 130, ended.stderr
    assert ended.stderr.endswith(
        "what was trained so far is saved; go on:\n"
        f"textgen compare {' '.join(words)} --resume\ntextgen: interrupted\n"
    )
    assert "2/2 gru, rng 1: " in compare(*words, "--resume").stderr
