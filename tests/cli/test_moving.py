"""Something moves within a second: every command on a terminal, on a machine that is slow."""

from __future__ import annotations

import io
import shlex
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rich.cells import cell_len
from support.silence import watch
from support.small_runs import SMALL_OPTIONS, process

from textgen.cli import moving as moving_module
from textgen.cli.moving import MovingLine
from textgen.progress import listening, task, track

#: Each place that works sleeps so long, and no command may be silent for so long: those of a few
#: seconds, and all of them (what loads torch holds the interpreter, and the line, for a while).
SLEEP, LIMIT = 1.5, 1.0
LONG_SLEEP, LONG_LIMIT = 3.0, 2.0
SMALL = shlex.join(SMALL_OPTIONS)
COMPARE = "--params 5k --batch-size 4 --threads 1"
#: Those of a few seconds, and those of many.
#: The one that prepares longest: it measures the neurons first.
FEW = ["sample --length 50 --steer 0:3=+2"]
MANY = [
    "eval corpus.txt",
    "inspect --file corpus.txt --top 1",
    "inspect gates",
    "inspect similar 'старик видел'",
    f"train corpus.txt --budget 1s --out new {SMALL}",
    f"train pairs.tsv --pairs --steps 4 --out pairs {SMALL}",
    "train corpus.txt --level word --embedding word2vec:8 --steps 3 --hidden 24 --batch-size 4 "
    "--seq-len 16 --threads 1 --out words",
    f"compare corpus.txt --cells rnn,lstm --budget 1s --seq-len 16 --out cells {COMPARE}",
    f"compare corpus.txt --history 2 --steps 3 --seq-len 16 --out history {COMPARE}",
    f"compare --task recall --lag 2,4 --cells rnn --steps 3 --out task {COMPARE}",
    "eval corpus.txt --streams 8 --window 50",
    "eval corpus.txt --history 4",
    "sample --length 50",
    "sample --length 50 --count 6",
    "sample --length 50 --novelty",
    "inspect --generate дом",
    "inspect --text 'старик видел дом' --show influence",
    "inspect --file corpus.txt --html page.html",
    "inspect neurons",
    "inspect gates --picture gates.png",
    "inspect find corpus.txt --feature vowel",
    "inspect memory",
    "inspect windows corpus.txt --history 4 --limit 3",
    "inspect checkpoint small",
]


def silent(words: str, home: Path, sleep: float, limit: float) -> str:
    """What a command was silent after, and for how long; "" where it never was.

    How long it may be depends on what else the machine does. On a busy one a command gets a second
    chance: a place that says nothing says nothing twice.
    """
    said = ""
    for _ in range(2):
        seen = watch([*shlex.split(words), *["--force"] * ("--out" in words)], home, slow=sleep)
        if seen.code != 0:
            return f"{words}: ended with {seen.code}: {seen.sent[-600:]}"
        if seen.silence <= limit * seen.slowness:
            return ""
        said = f"{words}: {seen.silence:.1f} s after {seen.after!r}"
    return said


def check(
    commands: list[str], home: Path, corpus: Path, together: int, sleep: float, limit: float
) -> None:
    (home / "corpus.txt").write_bytes(corpus.read_bytes())
    (home / "pairs.tsv").write_text("".join(f"{n}\t{n * n}\n" for n in range(200)))
    with ThreadPoolExecutor(together) as pool:
        found = list(pool.map(lambda words: silent(words, home, sleep, limit), commands))
    assert not [words for words in found if words]


def test_a_command_is_never_silent_for_a_second(home: Path, trained: object) -> None:
    check(FEW, home, trained.text, len(FEW), SLEEP, LIMIT)  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_command_is_silent_for_two_seconds(home: Path, trained: object) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("gensim")
    check(MANY, home, trained.text, 4, LONG_SLEEP, LONG_LIMIT)  # type: ignore[attr-defined]


def test_silence_would_be_found(home: Path, trained: object) -> None:
    """On a terminal that cannot go back in a line hardly anything moves."""
    (home / "corpus.txt").write_bytes(trained.text.read_bytes())  # type: ignore[attr-defined]
    seen = watch(["eval", "corpus.txt"], home, slow=SLEEP, TERM="dumb")
    assert seen.code == 0
    assert seen.silence > LIMIT
    assert "\r" not in seen.sent.replace("\r\n", "\n") and "\x1b" not in seen.sent
    assert "measuring the cost ..." in seen.sent or "measuring the cost 0%" in seen.sent


def test_ctrl_c_is_answered_at_once(home: Path, trained: object) -> None:
    """And at 40 columns no line is longer than the terminal is wide."""
    (home / "corpus.txt").write_bytes(trained.text.read_bytes())  # type: ignore[attr-defined]
    words = ["train", "corpus.txt", "--steps", "1000000", "--out", "long", *SMALL_OPTIONS]
    seen = watch(words, home, columns=40, interrupt="training")
    assert seen.code == 130
    assert seen.answer is not None and seen.answer <= 1.0 * seen.slowness
    _, _, after = seen.sent.partition("stopping and saving the run ...")
    assert "continue: textgen train long --resume" in " ".join(after.split())
    drawn = [line for line in seen.lines if "training" in line and "%" in line]
    assert drawn and all(cell_len(line) < 40 for line in drawn)
    assert (home / "long/resume.safetensors").exists()


def test_ctrl_c_in_a_comparison_is_answered_at_once(home: Path, trained: object) -> None:
    (home / "corpus.txt").write_bytes(trained.text.read_bytes())  # type: ignore[attr-defined]
    words = f"compare corpus.txt --cells rnn,lstm --steps 1000000 --seq-len 16 {COMPARE}"
    seen = watch(shlex.split(words), home, interrupt="training  ")
    assert seen.code == 130
    assert seen.answer is not None and seen.answer <= 1.0 * seen.slowness
    assert "stopping and saving the run" in seen.sent
    assert "stopped in run 1 of 2 (rnn, rng 1), which is saved" in " ".join(seen.sent.split())


@pytest.mark.slow
def test_nothing_moves_where_nobody_looks(home: Path, trained: object) -> None:
    """Neither into a pipe, nor with -q or --json."""
    (home / "corpus.txt").write_bytes(trained.text.read_bytes())  # type: ignore[attr-defined]
    assert process("eval", "corpus.txt", cwd=home).stderr == b""
    for option in ("-q", "--json"):
        seen = watch(["eval", "corpus.txt", option], home)
        assert seen.code == 0
        assert "\x1b[K" not in seen.sent and "measuring" not in seen.sent


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a line writes, on a terminal of 60 columns."""
    lines: list[str] = []
    monkeypatch.setattr(moving_module, "_write", lines.append)
    monkeypatch.setattr(moving_module, "_columns", lambda: 60)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    yield lines


def until(shown: object, lines: list[str], what: str) -> None:
    deadline = time.monotonic() + 30
    while not any(what in line for line in lines[shown:]):  # type: ignore[misc]
        assert time.monotonic() < deadline, lines
        time.sleep(0.01)


def test_a_task_is_named_at_once_and_wiped_when_it_is_over(written: list[str]) -> None:
    with MovingLine(live=True):
        with task("reading"):
            assert "reading" in written[0] and written[0][0] == "\r"
            until(1, written, "reading")  # It moves although nothing is counted.
        assert written[-1] == "\r\x1b[K"
        size = len(written)
        time.sleep(3 * moving_module.BEAT)
        assert len(written) == size


def test_the_bar_is_that_of_the_whole_and_the_name_says_the_part(written: list[str]) -> None:
    with MovingLine(live=True) as line, task("training", 10) as training:
        training.reach(5)
        line.figures = ["val 2.5"]
        with task("saving the run"):
            until(0, written, "training: saving the run  50% |")
        until(len(written), written, "training  50% |")
        assert any("val 2.5" in text for text in written)


def test_a_line_is_said_above(written: list[str]) -> None:
    with MovingLine(live=True) as line, task("training", 10):
        until(0, written, "training")
        line.say("step 5")
        assert written[-1] == "\r\x1b[K"  # Wiped before it was printed.
        size = len(written)
        line.say_at_once("stopping")
        assert "stopping\n" in written[size:]


def test_a_task_that_fails_is_over(written: list[str]) -> None:
    with MovingLine(live=True):
        with pytest.raises(ValueError), task("reading"):
            raise ValueError
        assert written[-1] == "\r\x1b[K"


def test_who_listens_is_told_and_nobody_else() -> None:
    told: list[str] = []

    class Listener:
        def began(self, own: object) -> None:
            told.append(f"began {own.what} of {own.total}")  # type: ignore[attr-defined]

        def moved(self, own: object) -> None:
            told.append(f"{own.done}")  # type: ignore[attr-defined]

        def ended(self, own: object) -> None:
            told.append("ended")

    assert list(track("ab", "letters", 2)) == ["a", "b"]
    assert told == []
    with listening(Listener()):
        assert list(track(["a", "bcd"], "letters", 4, len)) == ["a", "bcd"]
        with listening(None):
            list(track("ab", "letters", 2))
    assert told == ["began letters of 4", "1", "4", "ended"]
