"""Part 21: a command that goes on for long takes no more memory and becomes no slower.

    python benchmarks/promises --only 21
    make soak

Two commands run for as long as there is time: a model that writes into a file, and a training that
reports. What they have done, how long they have computed and how much memory they have is looked at
again and again. The first third of the time does not count: modules and caches are still filled.
In the last third the memory may be at most 2 % above the most of the second, and the speed, per
second of computing and not of the clock, at most 5 % below. Where the speed of the second third by
itself moves by more than that, the machine is too uneven for a verdict on it.

`make soak` takes the whole length: 100,000,000 characters, and an hour of training.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

if __name__ == "__main__":  # As in __main__.py.
    sys.path[:0] = [str(Path(__file__).resolve().parents[up]) for up in (0, 1)]
    sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from campaign import Effort, Figure, Part, repeat
from kills import computed
from measuring import environment, made_up_text

#: The whole length: characters that are written, seconds of training.
CHARACTERS, TRAINING = 100_000_000, 3600.0
#: By how much of itself memory may grow and speed may fall.
MEMORY, SPEED = 0.02, 0.05
#: Seconds between two looks at a command; a third of the looks counts as one time.
EVERY = 1.0
#: Seconds of computing below which nothing is said of memory and speed.
LEAST = 15.0


@dataclass(frozen=True)
class Look:
    """A look at a command.

    Args:
        seconds: That it has computed.
        done: What it has done: characters, steps.
        memory: Bytes of its own memory that it has.
    """

    seconds: float
    done: int
    memory: int


@dataclass(frozen=True)
class Course:
    """How a command went.

    Args:
        what: In words, such as `characters`.
        looks: In their order.
        is_whole: Whether it reached its whole length.
        said: What it said, where it failed; else "".
    """

    what: str
    looks: Sequence[Look]
    is_whole: bool = False
    said: str = ""

    def _rates(self, first: int, last: int) -> list[float]:
        """What it did in a second of computing, between looks that are some way apart."""
        part = self.looks[first:last]
        some = part[:: max(1, len(part) // 6)]
        return [(b.done - a.done) / (b.seconds - a.seconds) for a, b in pairwise(some)]

    def verdict(self) -> tuple[list[str], list[str], str]:
        """What is wrong, what cannot be said, and figures."""
        if self.said:
            return [f"{self.what}: {self.said}"], [], ""
        third = len(self.looks) // 3
        computing = self.looks[-1].seconds if self.looks else 0.0
        if third < 6 or computing < LEAST:
            why = f"{self.what}: {computing:.0f} s of computing are too few to compare"
            return [], [why], ""
        wrong, unsaid = [], []
        middle = max(look.memory for look in self.looks[third : 2 * third])
        late = max(look.memory for look in self.looks[2 * third :])
        grown = late / middle - 1
        if grown > MEMORY:
            wrong.append(
                f"{self.what}: memory grew by {grown:.1%}, from {middle / 1e6:.0f} MB to "
                f"{late / 1e6:.0f} MB"
            )
        before, after = self._rates(third, 2 * third), self._rates(2 * third, len(self.looks))
        rate, change = median(before), median(after) / median(before) - 1
        spread = (max(before) - min(before)) / rate
        if spread > SPEED:
            unsaid.append(
                f"the speed of the {self.what}: it moved by {spread:.0%} within a third of the "
                "time, which is too uneven or too short for a verdict"
            )
        elif change < -SPEED:
            wrong.append(f"{self.what}: the speed changed by {change:.1%}")
        text = (
            f"{self.looks[-1].done:,} {self.what} in {computing:,.0f} s of computing: memory "
            f"{grown:+.1%} ({late / 1e6:.0f} MB), speed {change:+.1%} ({rate:,.0f} a second)"
        )
        return wrong, unsaid, text


def watched(
    what: str, words: Sequence[str], done: Callable[[], int], seconds: float, out: Path | None
) -> Course:
    """Run a command for some time and look at it.

    Args:
        what: What `done` counts.
        words: The words of `textgen`.
        done: What it has done so far.
        seconds: After so many it is stopped.
        out: Where its output goes.
    """
    looks: list[Look] = []
    err = Path("said.txt")
    with open(out or os.devnull, "wb") as output, open(err, "wb") as said:
        running = subprocess.Popen(
            [sys.executable, "-m", "textgen", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=said,
            env=environment(),
        )
        began = time.monotonic()
        while running.poll() is None and time.monotonic() - began < seconds:
            time.sleep(EVERY)
            spent, count = computed(running.pid), done()
            # What comes after the last step, as the curve that is drawn, is none of its course.
            is_further = not looks or count > looks[-1].done
            if spent is not None and count and is_further:
                looks.append(Look(spent, count, _memory(running.pid)))
        is_whole = running.poll() == 0
        running.send_signal(signal.SIGTERM)
        code = running.wait()
    text = err.read_text("utf-8", "replace")
    is_stopped = code in (0, 143, -signal.SIGTERM)
    return Course(what, looks, is_whole, "" if is_stopped else f"exit code {code}: {text[-300:]}")


def _memory(pid: int) -> int:
    """Bytes that a process has of its own; what it maps from files is the system's to keep."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)


def _steps(folder: Path) -> int:
    """The step of the last report of a run; 0 before it was measured the first time."""
    try:
        with open(folder / "metrics.jsonl", "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 65536))
            lines = [line for line in file.read().split(b"\n")[:-1] if line.startswith(b"{")]
        reports = [json.loads(line) for line in lines]
        is_measured = any(report["evaluated"] for report in reports)
        return int(reports[-1]["step"]) if is_measured else 0
    except (OSError, ValueError, KeyError):
        return 0


def soak(seconds: float, characters: int = CHARACTERS, training: float = TRAINING) -> list[Course]:
    """Both commands, one after the other, in this folder.

    Args:
        seconds: After so many each is stopped.
        characters: That are written.
        training: Seconds of training.
    """
    Path("text.txt").write_text(made_up_text(200_000), "utf-8")
    made = ["train", "text.txt", "--hidden", "64", "--steps", "50", "--threads", "1", "--quiet"]
    ended = subprocess.run(
        [sys.executable, "-m", "textgen", *made, "--out", "small"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        return [Course("bytes of text", (), said=ended.stderr[-300:])]
    text = Path("written.txt")
    words = ["sample", "--checkpoint", "small", "--length", str(characters), "--quiet"]
    written = watched("bytes of text", words, lambda: text.stat().st_size, seconds, text)
    text.unlink()
    words = ["train", "text.txt", "--hidden", "64", "--members", "1", "--threads", "1", "--quiet"]
    words += ["--budget", f"{training:g}s", "--eval-every", "50", "--out", "long"]
    words += ["--batch-size", "16", "--seq-len", "32"]
    steps = watched("steps of training", words, lambda: _steps(Path("long")), seconds, None)
    return [written, steps]


def figure_of(courses: Sequence[Course], effort: Effort) -> Figure:
    """What they showed."""
    failures: list[str] = []
    not_run: list[str] = []
    told = []
    for course in courses:
        wrong, unsaid, text = course.verdict()
        failures += [f"{one} {repeat(21, effort, course.what)}" for one in wrong]
        not_run += unsaid
        told += [text] if text else []
    if not all(course.is_whole for course in courses):
        not_run.append(
            f"the whole length, {CHARACTERS:,} characters and {TRAINING / 3600:.0f} h of training: "
            "`make soak` takes it"
        )
    tried = len(told) + sum(bool(course.said) for course in courses)
    return Figure(
        tried=tried,
        failures=tuple(failures),
        text=f"{'; '.join(told)}." if told else "",
        is_drawn=False,
        not_run=tuple(not_run),
    )


def try_promise(effort: Effort) -> Figure:
    """Part 21 of the campaign."""
    if effort.is_quick:
        return Figure(tried=0, not_run=("left out of a quick campaign",))
    return figure_of(soak(effort.seconds / 2), effort)


def main() -> int:
    """The whole length."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--characters", type=int, default=CHARACTERS)
    parser.add_argument("--training", type=float, default=TRAINING, help="seconds")
    asked = parser.parse_args()
    import tempfile

    with tempfile.TemporaryDirectory(prefix="textgen-soak-") as place:
        os.chdir(place)
        os.environ["TEXTGEN_CACHE"] = str(Path(place) / "cache")
        courses = soak(24 * 3600.0, asked.characters, asked.training)
        figure = figure_of(courses, Effort(seconds=0))
        os.chdir("/")
    print(figure.text)
    for line in (*figure.not_run, *figure.failures):
        print(line)
    return int(not figure.is_kept)


PARTS = (
    Part(
        number=21,
        promise="A command that goes on for long takes no more memory and becomes no slower.",
        not_promised="the same speed on a machine that gives it less of its time.",
        seconds=200,
        run=try_promise,
        needs=("linux",),
    ),
)


if __name__ == "__main__":
    raise SystemExit(main())
