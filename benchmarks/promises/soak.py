"""Part 21: a command that goes on for long takes no more memory and becomes no slower.

    python benchmarks/promises --only 21
    make soak

Two commands run for as long as there is time: a model that writes into a file, and a training that
reports. What they have done, how long they have computed and how much memory they have is looked at
again and again. The first third of the time does not count: modules and caches are still filled.
In the last third the memory may be at most 2 % above the most of the second.

The speed of a shared machine moves by more than what is looked for. So each command has a twin: the
same one, begun at the same time and stopped. Now and then the two go on in turns, a second each,
and the ratio of what they do in a second of computing is kept; the twin stays young, for it goes on
in no other second. In the last third the command may be at most 5 % slower than its twin.

`make soak` takes the whole length: 100,000,000 characters, and an hour of training.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
#: Seconds that a command and its twin have in their turn, and that lie between two pairs of turns
#: at first; later it is a share of the time so far, so that the twin stays young.
TURN, PAUSE, SHARE = 1.0, 4.0, 0.02
#: Seconds of computing, and pairs of turns, below which nothing is said of memory and speed.
LEAST, LEAST_PAIRS = 15.0, 5


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
        ratios: Its speed as a part of its young twin's, at each pair of turns: (seconds of
            computing so far, ratio).
        is_whole: Whether it reached its whole length.
        said: What it said, where it failed; else "".
    """

    what: str
    looks: Sequence[Look]
    ratios: Sequence[tuple[float, float]] = ()
    is_whole: bool = False
    said: str = ""

    def verdict(self) -> tuple[list[str], list[str], str]:
        """What is wrong, what cannot be said, and figures."""
        if self.said:
            return [f"{self.what}: {self.said}"], [], ""
        third = len(self.looks) // 3
        computing = self.looks[-1].seconds if self.looks else 0.0
        late = sorted(ratio for at, ratio in self.ratios if at > computing * 2 / 3)
        if third < 6 or computing < LEAST or len(late) < LEAST_PAIRS:
            why = (
                f"{self.what}: {computing:.0f} s of computing, {len(late)} pairs of turns at the "
                "end, are too few to compare"
            )
            return [], [why], ""
        wrong, unsaid = [], []
        middle = max(look.memory for look in self.looks[third : 2 * third])
        last = max(look.memory for look in self.looks[2 * third :])
        grown = last / middle - 1
        if grown > MEMORY:
            wrong.append(
                f"{self.what}: memory grew by {grown:.1%}, from {middle / 1e6:.0f} MB to "
                f"{last / 1e6:.0f} MB"
            )
        # Between these two of the sorted ratios lies the true median, 95 times of 100: how many of
        # them fall below it is a matter of tossed coins.
        aside = int(max(0.0, len(late) / 2 - 0.98 * len(late) ** 0.5))
        low, high = late[aside], late[-1 - aside]
        told = (
            f"{median(late):.3f} of its young twin's ({low:.3f} to {high:.3f}, {len(late)} pairs)"
        )
        if high < 1 - SPEED:
            wrong.append(f"{self.what}: the speed is {told}")
        elif low < 1 - SPEED:
            unsaid.append(f"the speed of the {self.what}: {told} is too uneven for a verdict")
        rate = self.looks[-1].done / computing
        text = (
            f"{self.looks[-1].done:,} {self.what} in {computing:,.0f} s of computing: memory "
            f"{grown:+.1%} ({last / 1e6:.0f} MB), speed {told} ({rate:,.0f} a second)"
        )
        return wrong, unsaid, text


@dataclass
class _Started:
    """A command that goes on, or stands still.

    Args:
        words: The words of `textgen`.
        out: Where its output goes.
        said: Where its messages go.
        done: What it has done so far.
    """

    words: Sequence[str]
    out: Path
    said: Path
    done: Callable[[], int]

    def __post_init__(self) -> None:
        with open(self.out, "wb") as output, open(self.said, "wb") as said:
            self.running = subprocess.Popen(
                [sys.executable, "-m", "textgen", *self.words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=said,
                env=environment(),
            )

    @property
    def goes_on(self) -> bool:
        return self.running.poll() is None

    def look(self) -> Look | None:
        """What it is now; None before it has done anything, and after its end."""
        spent, count = computed(self.running.pid), self.done()
        return Look(spent, count, _memory(self.running.pid)) if spent and count else None

    def stand(self) -> None:
        self.running.send_signal(signal.SIGSTOP)

    def go(self) -> None:
        self.running.send_signal(signal.SIGCONT)

    def rate(self) -> float | None:
        """What it does in a second of computing, in a turn of its own; it stands after that."""
        before = self.look()
        self.go()
        time.sleep(TURN)
        self.stand()
        after = self.look()
        if not before or not after or after.seconds - before.seconds < TURN / 10:
            return None
        return (after.done - before.done) / (after.seconds - before.seconds)

    def end(self) -> str:
        """Stop it; what it said, where it failed."""
        self.running.send_signal(signal.SIGTERM)
        self.go()
        code = self.running.wait()
        text = self.said.read_text("utf-8", "replace")
        is_stopped = code in (0, 143, -signal.SIGTERM)
        return "" if is_stopped else f"exit code {code}: {text[-300:]}"


def watched(what: str, start: Callable[[str], _Started], seconds: float) -> Course:
    """Run a command for some time, look at it, and compare its speed with its twin's.

    Args:
        what: What `done` counts.
        start: Begins one, whose files have this name.
        seconds: After so many it is stopped.
    """
    looks: list[Look] = []
    ratios: list[tuple[float, float]] = []
    twin = start("twin")
    while twin.goes_on and not twin.look():
        time.sleep(EVERY)
    twin.stand()
    old = start("old")
    began = time.monotonic()
    due = began + PAUSE
    while old.goes_on and time.monotonic() - began < seconds:
        time.sleep(EVERY)
        look = old.look()
        # What comes after the last step, as the curve that is drawn, is none of its course.
        if not look or (looks and look.done == looks[-1].done):
            continue
        looks.append(look)
        if time.monotonic() >= due:
            old.stand()
            # Each is first as often as the other: what changes steadily favours neither.
            turns = (old, twin) if len(ratios) % 2 else (twin, old)
            rates = {one is old: one.rate() for one in turns}
            if (mine := rates[True]) and (its := rates[False]):
                ratios.append((look.seconds, mine / its))
            old.go()
            due = time.monotonic() + max(PAUSE, SHARE * (time.monotonic() - began))
    is_whole = old.running.poll() == 0
    if is_whole and looks:
        looks.pop()  # It may be of what comes after the last step, whose report is its own.
    twin.end()
    return Course(what, looks, ratios, is_whole, old.end())


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

    def write(name: str) -> _Started:
        text = Path(f"{name}.txt")
        words = ["sample", "--checkpoint", "small", "--length", str(characters), "--quiet"]
        return _Started(words, text, Path(f"{name}-said.txt"), lambda: text.stat().st_size)

    def train(name: str) -> _Started:
        words = ["train", "text.txt", "--hidden", "64", "--members", "1", "--threads", "1"]
        words += ["--budget", f"{training:g}s", "--eval-every", "50", "--out", name, "--quiet"]
        words += ["--batch-size", "16", "--seq-len", "32"]
        return _Started(
            words, Path(os.devnull), Path(f"{name}-said.txt"), lambda: _steps(Path(name))
        )

    written = watched("bytes of text", write, seconds)
    for name in ("old", "twin"):
        Path(f"{name}.txt").unlink()
    return [written, watched("steps of training", train, seconds)]


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
