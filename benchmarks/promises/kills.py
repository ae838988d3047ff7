"""Trainings that are killed at random moments and resumed: they end as if nothing had happened.

    python benchmarks/promises --only 6

Each try starts a training in a process of its own and kills it (SIGKILL) at a moment drawn
uniformly from the time that it computes when nobody disturbs it; then it is resumed, and some tries
kill the resumed one too, up to three times. A run that had saved nothing yet is begun again. The
trainings are those of every cell, of characters, bytes and words, of documents, pairs, windows,
masks, given vectors, several networks in one model, on one thread and on two.

The promise (6): all weights, moments, states and evaluations are bit for bit those of the run that
was never killed, and nothing temporary is left. After 0 failures in n kills the true share is below
3/n with 95 % confidence.
"""

from __future__ import annotations

import contextlib
import importlib.util
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from campaign import Effort, Figure, Part, repeat
from forked import Finished, Running, Server
from measuring import made_up_text
from run_files import tree_of

from textgen.cells import CELLS

#: At most so many processes of one run are killed.
MOST_KILLS = 4
_OUT = "run"
_SMALL = ("--hidden", "8", "--batch-size", "2", "--seq-len", "8")
_LENGTH = ("--steps", "24", "--eval-every", "8", "--save-every", "3", "-q", "--out", _OUT)
#: Every training by a name of ours: its text and its options.
TRAININGS: dict[str, tuple[str, ...]] = {
    **{cell: ("text.txt", "--cell", cell, "--layers", "2", *_SMALL) for cell in CELLS},
    "relu": ("text.txt", "--cell", "rnn", "--nonlinearity", "relu", *_SMALL),
    "byte": ("text.txt", "--level", "byte", *_SMALL),
    "word": ("text.txt", "--level", "word", "--tie", *_SMALL),
    "documents": ("lines.txt", "--documents", "line", *_SMALL),
    "pairs": ("pairs.tsv", "--pairs", *_SMALL),
    "history": ("text.txt", "--history", "6", "--hidden", "8", "--batch-size", "4"),
    "dropout": ("text.txt", "--dropout", "0.3", "--recurrent-dropout", "0.2", *_SMALL),
    "residual": ("text.txt", "--layers", "3", "--residual", *_SMALL),
    "vectors": ("text.txt", "--embedding", "letters.vec", *_SMALL),
    "distance": ("text.txt", "--embedding", "letters.vec", "--loss", "distance", *_SMALL),
    "word2vec": ("text.txt", "--level", "word", "--embedding", "word2vec:8", *_SMALL),
    "members": ("text.txt", "--members", "2", *_SMALL),
}
#: Libraries that a training needs beside those that textgen always needs.
NEEDED = {"word2vec": "gensim"}


@dataclass(frozen=True)
class KillTry:
    """One training that was killed and resumed.

    Args:
        training: Its name in `TRAININGS`.
        threads: How many threads it computed with.
        moments: When it was killed, as a share of what a whole run computes; one a kill.
        begun_again: Whether it had saved nothing when it was killed.
        wrong: What was not kept, in words.
    """

    training: str
    threads: int
    moments: tuple[float, ...]
    begun_again: bool
    wrong: tuple[str, ...] = ()


def make_project(folder: Path) -> None:
    """The texts that the trainings read.

    Args:
        folder: An empty folder.
    """
    text = made_up_text(1_200)
    words = text.split()
    (folder / "text.txt").write_text(text, "utf-8")
    (folder / "lines.txt").write_text("\n".join(text.split(". ")) + "\n", "utf-8")
    pairs = [f"{one}\t{one[::-1]}" for one in words]
    (folder / "pairs.tsv").write_text("\n".join(pairs) + "\n", "utf-8")
    letters = sorted(set(text) - {" "})
    rows = [f"{letter} {i % 3}.5 {i}.25 -1 {i % 7}" for i, letter in enumerate(letters)]
    (folder / "letters.vec").write_text("\n".join([f"{len(rows)} 4", *rows]) + "\n", "utf-8")


def computed(pid: int) -> float | None:
    """Seconds that a process has computed; None: it has ended, or the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        status = Path(f"/proc/{pid}/stat").read_text()
        if status.rpartition(")")[2].split()[0] != "Z":
            return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    return None


def kill_at(running: Running, moment: float) -> Finished:
    """Kill a command once it has computed for so many seconds; how it ended, by itself or killed.

    The clock would not do: on a machine with other work a run takes longer at one time than at
    another.
    """
    while (seconds := computed(running.pid)) is not None:
        if seconds >= moment:
            running.kill()
            break
        time.sleep(0.0005)
    return running.wait()


class _Project:
    """A folder with a server that trains in it."""

    def __init__(self, folder: Path) -> None:
        make_project(folder)
        self.folder = folder
        self.server = Server(folder)
        #: The seconds that each whole training computes, and its files.
        self.wholes: dict[tuple[str, int], tuple[float, dict[str, str]]] = {}

    def clean(self) -> None:
        """Remove the run; what is encoded stays in the cache."""
        shutil.rmtree(self.folder / _OUT, ignore_errors=True)

    def words(self, training: str, threads: int) -> list[str]:
        """The command of a training."""
        return ["train", *TRAININGS[training], "--threads", str(threads), *_LENGTH]

    def whole(self, training: str, threads: int) -> tuple[float, dict[str, str]]:
        """A training that nobody disturbs.

        Raises:
            RuntimeError: It failed.
        """
        if (training, threads) not in self.wholes:
            for _ in range(2):  # The first one loads modules and encodes the text.
                self.clean()
                running = self.server.start(self.words(training, threads))
                seconds = 0.0
                while (now := computed(running.pid)) is not None:
                    seconds = now
                    time.sleep(0.001)
                ended = running.wait()
                if ended.code:
                    raise RuntimeError(f"{training}: {ended.err}")
            self.wholes[training, threads] = seconds, tree_of(self.folder)
        return self.wholes[training, threads]

    def try_once(self, training: str, threads: int, rng: random.Random, kills: int) -> KillTry:
        """Kill a training and resume it.

        Args:
            training: Its name.
            threads: How many.
            rng: Draws the moments.
            kills: How often it is killed, if it does not end before.
        """
        seconds, files = self.whole(training, threads)
        self.clean()
        words = self.words(training, threads)
        resume = ["train", _OUT, "--resume", "-q"]
        moments: list[float] = []
        begun_again = False
        again = words
        for _ in range(kills):
            share = rng.random()
            ended = kill_at(self.server.start(again), share * seconds)
            if ended.code >= 0:  # It was done before: nothing is left to be gone on with.
                break
            moments.append(round(share, 4))
            if (self.folder / _OUT / "resume.safetensors").exists():
                # A run that is resumed is named by its folder, or by the same words.
                again = resume if rng.random() < 0.5 else [*words, "--resume"]
            else:
                begun_again = True
        else:
            ended = self.server.run(again)
        wrong = [f"code {ended.code}: {ended.err.strip()}"] if ended.code else []
        if not wrong:
            found = tree_of(self.folder)
            other = [path for path in files if found.get(path) != files[path]]
            more = [path for path in found if path not in files]
            wrong = [f"{path} differs" for path in other] + [f"{path} is left" for path in more]
        return KillTry(training, threads, tuple(moments), begun_again, tuple(wrong))


def trainings(only: Sequence[str] = ()) -> list[str]:
    """The names of the trainings that can run here."""
    from textgen.options import TrainOptions

    names = list(only) or list(TRAININGS)
    if "members" not in TrainOptions.__dataclass_fields__:
        names = [name for name in names if name != "members"]
    return [n for n in names if n not in NEEDED or importlib.util.find_spec(NEEDED[n])]


def run(
    tries: int,
    *,
    only: Sequence[str] = (),
    seed: int = 0,
) -> Iterator[KillTry]:
    """Kill trainings and resume them, until so many have been killed.

    Args:
        tries: How many kills.
        only: Names of trainings; none: all that can run here.
        seed: Of the moments.
    Yields:
        A record a training that was killed at least once.
    """
    rng = random.Random(seed)
    names = trainings(only)
    with tempfile.TemporaryDirectory(prefix="textgen-kills-") as place:
        project = _Project(Path(place).resolve())
        with project.server:
            done, number = 0, 0
            while done < tries:
                name = names[number % len(names)]
                # Each training on each number of threads, and each of both killed once and often.
                threads = 1 + (number // len(names) + number) % 2
                kills = 1 if number // len(names) // 2 % 2 == 0 else rng.randint(2, MOST_KILLS)
                number += 1
                one = project.try_once(name, threads, rng, min(kills, tries - done))
                if one.moments:
                    done += len(one.moments)
                    yield one


def summary(tries: Sequence[KillTry]) -> str:
    """Figures, in a sentence."""
    kills = sum(len(one.moments) for one in tries)
    return (
        f"{kills} kills of {len(tries)} runs, in {len({one.training for one in tries})} trainings; "
        f"{sum(one.begun_again for one in tries)} had saved nothing and were begun again."
    )


def try_promise(effort: Effort) -> Figure:
    """Part 6 of the campaign."""
    only = ("gru",) if effort.is_quick else ()
    tries = [
        one
        for _, one in zip(effort.tries(), run(1_000_000, only=only, seed=effort.seed), strict=False)
    ]
    failed = tuple(
        f"{one.training} on {one.threads} threads, killed at {one.moments}: "
        f"{'; '.join(one.wrong)} {repeat(6, effort, number)}"
        for number, one in enumerate(tries)
        if one.wrong
    )
    absent = sorted(set(TRAININGS) - set(trainings()))
    return Figure(
        tried=sum(len(one.moments) for one in tries),
        failures=failed,
        text=summary(tries),
        not_run=tuple(f"{name}: its library is not installed" for name in absent),
    )


PARTS = (
    Part(
        number=6,
        promise="A training that is killed at any moment and resumed ends bit for bit as one that "
        "was never killed.",
        not_promised="the same numbers on another processor, number of threads or version.",
        seconds=400,
        run=try_promise,
        needs=("linux",),
    ),
)
