"""Ctrl-C and SIGTERM, sent to a process of its own at every stage of a training."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
from support.small_runs import SMALL, command, environment, outcome, russian_text

import textgen
from textgen.checkpoint.format import read_layout

Start = Callable[..., "Child"]

OPTIONS = (
    *("--hidden", "24", "--batch-size", "4", "--seq-len", "16", "--threads", "1"),
    *("--eval-every", "100000", "--save-every", "100000"),
)


class Child:
    """A running `textgen train --json`."""

    def __init__(self, *words: str | Path, stdin: int | None = subprocess.DEVNULL) -> None:
        self.process = subprocess.Popen(
            command("train", *words),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )

    def wait_for(self, word: bytes, stream: IO[bytes] | None) -> None:
        """Read lines until one holds `word`."""
        assert stream is not None
        for line in stream:
            if word in line:
                return
        raise AssertionError(f"{word!r} never came: {self.process.communicate()}")

    def end(self, signum: int) -> tuple[int, str, str]:
        """Send the signal and wait for the end."""
        self.process.send_signal(signum)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out.decode(), err.decode()


@pytest.fixture
def start() -> Iterator[Start]:
    children: list[Child] = []

    def start(*words: str | Path, stdin: int | None = subprocess.DEVNULL) -> Child:
        children.append(Child(*words, stdin=stdin))
        return children[-1]

    yield start
    for child in children:
        if child.process.poll() is None:
            child.process.kill()
        child.process.communicate()


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(russian_text(3000), encoding="utf-8")
    return path


def test_during_training_it_saves_and_says_how_to_go_on(
    text: Path, tmp_path: Path, start: Start
) -> None:
    out = tmp_path / "a run"
    child = start(text, "--out", out, "--steps", "6000", *OPTIONS)
    # The table of choices is printed before the first step.
    child.wait_for(b"to repeat this run", child.process.stderr)
    time.sleep(0.1)
    returned, printed, errors = child.end(signal.SIGINT)
    assert returned == 130, errors
    assert "Traceback" not in errors
    assert printed == ""
    assert "stopped after step" in errors
    going_on = f"textgen train '{out}' --resume"
    assert going_on in errors
    # There is a model though nothing was evaluated yet, and the run goes on exactly.
    assert len(textgen.load(out).generate(length=5)) == 5
    textgen.train(out=out, resume=True)
    settings = {**SMALL, "eval_every": 100000, "save_every": 100000}
    textgen.train(text, out=tmp_path / "whole", steps=6000, **settings)
    whole = outcome(tmp_path / "whole", evaluations_only=True)
    assert outcome(out, evaluations_only=True) == whole


def test_while_the_text_is_read_nothing_is_left(tmp_path: Path, start: Start) -> None:
    out = tmp_path / "run"
    child = start("-", "--out", out, "--steps", "5", *OPTIONS, stdin=subprocess.PIPE)
    assert child.process.stdin is not None
    child.process.stdin.write(russian_text(100_000).encode())
    child.process.stdin.flush()
    _wait_until_reading(child.process.pid)
    returned, printed, errors = child.end(signal.SIGTERM)
    assert returned == 143, errors
    assert errors == "textgen: interrupted\n"
    assert printed == ""
    assert not out.exists()


def _wait_until_reading(pid: int) -> None:
    """Until numpy is loaded and the process sleeps: it waits for more of the text."""
    if not Path("/proc/self/maps").exists():
        time.sleep(15)
        return
    idle = 0
    while idle < 5:
        time.sleep(0.05)
        loaded = "_multiarray_umath" in Path(f"/proc/{pid}/maps").read_text()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        idle = idle + 1 if loaded and state == "S" else 0


def test_during_calibration_nothing_is_left(text: Path, tmp_path: Path, start: Start) -> None:
    """A long budget is calibrated for seconds, before the run's folder is made."""
    out = tmp_path / "run"
    child = start(text, "--out", out, "--budget", "10m", *OPTIONS)
    cache = Path(environment()["TEXTGEN_CACHE"])
    while not list(cache.glob("*.json")):
        assert child.process.poll() is None
        time.sleep(0.02)
    time.sleep(0.5)
    returned, _, errors = child.end(signal.SIGINT)
    assert returned == 130, errors
    assert errors == "textgen: interrupted\n"
    assert not out.exists()


def test_second_signal_ends_at_once(text: Path, tmp_path: Path, start: Start) -> None:
    """Without finishing anything: neither the step nor a model is waited for."""
    words = ("--steps", "100000", "--json", "--hidden", "64", "--threads", "1")
    child = start(text, "--out", tmp_path / "run", *words)
    child.wait_for(b'"start"', child.process.stdout)
    child.process.send_signal(signal.SIGINT)
    returned, printed, errors = child.end(signal.SIGTERM)
    assert returned == 143, errors
    assert errors == "textgen: interrupted\n"
    assert '"end"' not in printed


def test_a_stop_waits_for_no_chart(text: Path, tmp_path: Path, start: Start) -> None:
    """What draws takes longer to load than the run to save."""
    out = tmp_path / "run"
    often = (*OPTIONS[:-4], "--eval-every", "5")
    child = start(text, "--out", out, "--steps", "100000", "--json", *often)
    for _ in range(3):
        child.wait_for(b'"evaluated": true', child.process.stdout)
    returned, printed, errors = child.end(signal.SIGINT)
    assert returned == 130, errors
    assert json.loads(printed.splitlines()[-1])["reason"] == "stopped"
    assert not (out / "loss.svg").exists()


#: A training that is sent Ctrl-C when it loads what draws the loss curve, or just before that; it
#: would load for a minute.
WHILE_DRAWING = """
import signal, sys, time, textgen.cli
from textgen.training.run import Run

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "matplotlib":
            signal.raise_signal(signal.SIGINT)
            time.sleep(60)

def end_event(run, *args):
    if {when!r} == "before":
        signal.raise_signal(signal.SIGINT)
    return own(run, *args)

own, Run._end_event = Run._end_event, end_event
sys.meta_path.insert(0, Finder())
sys.argv = ["textgen", *sys.argv[1:]]
textgen.cli.main()
"""


@pytest.mark.parametrize(
    ("when", "code", "said"), [("while", 130, "textgen: interrupted\n"), ("before", 0, "")]
)
def test_what_is_drawn_of_a_saved_run_is_not_waited_for(
    text: Path, tmp_path: Path, when: str, code: int, said: str
) -> None:
    """There is no step to finish any more: the signal ends it, or nothing is drawn."""
    out = tmp_path / "run"
    words = ("--out", out, "--steps", "12", *OPTIONS[:-4], "--eval-every", "4", "--quiet")
    train = ["train", *map(str, (text, *words))]
    done = subprocess.run(
        [sys.executable, "-c", WHILE_DRAWING.format(when=when), *train],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, said)
    assert read_layout(out / "resume.safetensors", kind="resume").header["progress"]["finished"]


def test_sigterm_does_the_same_with_its_own_code(text: Path, tmp_path: Path, start: Start) -> None:
    out = tmp_path / "run"
    child = start(text, "--out", out, "--steps", "100000", "--json", *OPTIONS)
    child.wait_for(b'"start"', child.process.stdout)
    returned, printed, errors = child.end(signal.SIGTERM)
    assert returned == 143, errors
    assert errors == ""
    ended = json.loads(printed.splitlines()[-1])
    assert (ended["event"], ended["reason"]) == ("end", "stopped")
    header = read_layout(out / "resume.safetensors", kind="resume").header
    assert header["progress"]["step"] == ended["step"] > 0
    assert len(textgen.load(out).generate(length=5)) == 5
