"""Trainings that meet: two in one folder, many on one cache, and what others left in both.

    python benchmarks/promises --only 15

The kinds of tries, in turn:

    two trainers    two trainings begin in one folder within a moment of each other; every third
                    time the first one is killed, and the run is resumed
    lock            the folder's lock is from a process that is dead, or whose number another
                    process has now, or from another computer, or no text, or empty
    one cache       many trainings encode one text at once in an empty cache, and some are killed
    changing cache  the same, and meanwhile files of the cache are changed, as below
    cache file      a byte of an encoded text or its header is changed, or it is cut short, made
                    longer, emptied, replaced by another text's, replaced by a link, or (where this
                    is the administrator) given to another user

The promise (15): two runs never share a folder; one that ended or was killed keeps nobody out; each
training ends bit for bit as one that was alone, with the right text, or refuses with one line and a
code of its own. After 0 failures in n tries the true share is below 3/n with 95 % confidence.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from campaign import NEEDS, Effort, Figure, Part, repeat
from forked import Finished, Running, Server
from kills import computed
from measuring import made_up_text
from run_files import tree_of

from textgen.errors import EXIT_CODES, RunFolderError, StorageError

_TRAIN = (
    *("--hidden", "8", "--batch-size", "2", "--seq-len", "8", "--threads", "1"),
    *("--steps", "16", "--eval-every", "8", "--save-every", "4", "-q"),
)
#: How many trainings meet in one cache.
MANY = 16
KINDS = ("two trainers", "lock", "one cache", "changing cache", "cache file")
_HELD, _UNREAD = EXIT_CODES[RunFolderError], EXIT_CODES[StorageError]
_ROOT = NEEDS["root"][1]
#: No user has this number.
_STRANGER = 54321


@dataclass(frozen=True)
class RaceTry:
    """One meeting.

    Args:
        kind: One of `KINDS`.
        what: What was done, in words.
        codes: The exit codes of the commands; negative: killed.
        wrong: What was not kept, in words.
    """

    kind: str
    what: str
    codes: tuple[int, ...]
    wrong: tuple[str, ...] = ()


class _Races:
    """A folder in which trainings meet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        text = made_up_text(3_000)
        (folder / "text.txt").write_text(text[:1_200], "utf-8")
        # As many characters, so that its tokens would fit the other's header.
        (folder / "other.txt").write_text(text[1_200:2_400], "utf-8")
        self.server = Server(folder)
        self.alone: dict[str, str] = {}
        self.seconds = 0.0

    def prepare(self) -> None:
        """Train once alone: what every other training must end as.

        Raises:
            RuntimeError: It failed.
        """
        for _ in range(2):  # The first one loads modules.
            self.clean()
            running = self.server.start(self.words())
            while (now := computed(running.pid)) is not None:
                self.seconds = now
                time.sleep(0.001)
            ended = running.wait()
            if ended.code:
                raise RuntimeError(ended.err)
        self.alone = tree_of(self.folder / "run")

    def clean(self, *, cache: bool = False) -> None:
        """Remove the runs, and the cache if asked."""
        for path in self.folder.glob("run*"):
            shutil.rmtree(path)
        if cache:
            shutil.rmtree(self.cache, ignore_errors=True)

    def words(self, out: str = "run", text: str = "text.txt") -> list[str]:
        """The command of a training."""
        return ["train", text, *_TRAIN, "--out", out]

    def differs(self, out: str = "run") -> list[str]:
        """What is not as in the run that was alone."""
        found = tree_of(self.folder / out)
        names = {*found, *self.alone}
        return [f"{out}/{n} differs" for n in sorted(names) if found.get(n) != self.alone.get(n)]

    def one(self, kind: str, rng: random.Random) -> RaceTry:
        """One meeting of a kind."""
        self.clean()
        tries: dict[str, Callable[[random.Random], tuple[str, list[Finished], list[str]]]] = {
            "two trainers": self._two,
            "lock": self._lock,
            "one cache": self._many,
            "changing cache": self._many_changed,
            "cache file": self._spoiled,
        }
        what, ended, wrong = tries[kind](rng)
        wrong += [w for one in ended for w in _manners(one)]
        return RaceTry(kind, what, tuple(one.code for one in ended), tuple(wrong))

    def _two(self, rng: random.Random) -> tuple[str, list[Finished], list[str]]:
        is_killed = rng.random() < 1 / 3
        is_resumed = rng.random() < 0.5
        resume = ["train", "run", "--resume", "-q"]
        first = self.server.start(self.words())
        if is_resumed:  # Both go on with a run that was killed.
            kill_after(first, rng.uniform(0.4, 0.9) * self.seconds)
            first.wait()
            if not (self.folder / "run/resume.safetensors").exists():
                self.clean()
                is_resumed = False
            first = self.server.start(resume if is_resumed else self.words())
        time.sleep(rng.choice((0.0, rng.random() * self.seconds)))
        second = self.server.start(resume if is_resumed else self.words())
        if is_killed:
            kill_after(first, rng.random() * self.seconds)
        ended = [first.wait(), second.wait()]
        wrong = []
        codes = [one.code for one in ended]
        if not is_killed and not any(code == 0 for code in codes):
            wrong.append("neither trained")
        if not is_resumed and codes == [0, 0]:
            wrong.append("both trained in one folder")
        if any(code not in (0, _HELD, -9) for code in codes):
            wrong.append(f"the codes {codes}")
        if is_killed and 0 not in codes:
            has_begun = (self.folder / "run/resume.safetensors").exists()
            ended.append(self.server.run(resume if has_begun else self.words()))
        wrong += self.differs()
        what = ("resumed" if is_resumed else "begun") + (", the first is killed" * is_killed)
        return what, ended, wrong

    def _lock(self, rng: random.Random) -> tuple[str, list[Finished], list[str]]:
        host = socket.gethostname()
        locks = {
            # Above the largest number that Linux gives.
            "a dead process": f"{2**22 + 1} {host}\n",
            "a number that another process has now": f"{os.getpid()} {host}\n",
            "the first process of the system": f"1 {host}\n",
            "another computer": "77 elsewhere\n",
            "no text": "\udcff\0",
            "empty": "",
            "very long": "9" * 100_000,
        }
        what = rng.choice(list(locks))
        (self.folder / "run").mkdir()
        data = locks[what].encode("utf-8", "surrogateescape")
        (self.folder / "run/.lock").write_bytes(data)
        ended = [self.server.run(self.words())]
        wrong = [f"a lock of {what} keeps it out"] if ended[0].code else []
        return f"a lock of {what}", ended, wrong + self.differs()

    def _many(self, rng: random.Random) -> tuple[str, list[Finished], list[str]]:
        self.clean(cache=True)
        started = [self.server.start(self.words(f"run{n}")) for n in range(MANY)]
        killed = rng.sample(range(MANY), rng.randint(0, MANY // 2))
        for number in killed:
            time.sleep(rng.random() * self.seconds)
            started[number].kill()
        ended = [one.wait() for one in started]
        wrong = []
        for number, one in enumerate(ended):
            if one.code == 0:
                wrong += self.differs(f"run{number}")
            elif number not in killed:
                wrong.append(f"run{number} ended with {one.code}: {one.err.strip()}")
        ended.append(self.server.run(self.words()))
        return f"{MANY} at once, {len(killed)} are killed", ended, wrong + self.differs()

    def _many_changed(self, rng: random.Random) -> tuple[str, list[Finished], list[str]]:
        self.clean(cache=True)
        ended = [self.server.run(self.words("run0", "other.txt"))] if rng.random() < 0.5 else []
        self.clean()
        started = [self.server.start(self.words(f"run{n}")) for n in range(MANY)]
        killed = rng.sample(range(MANY), rng.randint(0, MANY // 4))
        ways = []
        for _ in range(rng.randint(1, MANY // 2)):
            time.sleep(rng.random() * self.seconds)
            if killed and rng.random() < 0.5:
                started[rng.choice(killed)].kill()
            # What it changes may be replaced or removed at the same moment.
            with contextlib.suppress(OSError, ValueError, IndexError):
                files = _entries(self.cache)
                ways.append(_spoil(rng.choice(files), files, rng))
        for number in killed:
            started[number].kill()
        many = [one.wait() for one in started]
        wrong = []
        for number, one in enumerate(many):
            if one.code == 0:
                wrong += self.differs(f"run{number}")
            elif number not in killed and one.code != _UNREAD:
                wrong.append(f"run{number} ended with {one.code}: {one.err.strip()}")
        ended += [*many, self.server.run(self.words())]
        if ended[-1].code == 0:
            wrong += self.differs()
        self.clean(cache=True)  # Its owner may be another one now.
        return f"{MANY} at once, the cache is changed: {', '.join(ways)}", ended, wrong

    def _spoiled(self, rng: random.Random) -> tuple[str, list[Finished], list[str]]:
        self.clean(cache=True)
        ended = [self.server.run(self.words("run0", "other.txt")), self.server.run(self.words())]
        self.clean()
        files = _entries(self.cache)
        path = rng.choice(files)
        what = f"{path.suffix[1:]}: {_spoil(path, files, rng)}"
        ended.append(self.server.run(self.words()))
        ended.append(self.server.run(self.words("run0", "other.txt")))
        wrong = [] if ended[-2].code else self.differs()
        self.clean(cache=True)  # Its owner may be another one now.
        return what, ended, wrong


def _entries(cache: Path) -> list[Path]:
    """The files of the encoded texts."""
    return [path for path in sorted(cache.iterdir()) if path.suffix in (".json", ".tokens")]


def _spoil(path: Path, files: Sequence[Path], rng: random.Random) -> str:
    """Change a file of the cache; how, in words."""
    data = path.read_bytes()
    ways = ["a byte", "cut", "longer", "empty", "another", "link", "folder", "writable"]
    way = rng.choice([*ways, *(["owner"] if os.geteuid() == 0 else [])])
    if way == "a byte":
        place = rng.randrange(len(data))
        changed = bytes([(data[place] + rng.randint(1, 255)) % 256])
        path.write_bytes(data[:place] + changed + data[place + 1 :])
    elif way == "cut":
        path.write_bytes(data[: rng.randrange(len(data))])
    elif way == "longer":
        path.write_bytes(data + rng.randbytes(rng.randint(1, 100)))
    elif way == "empty":
        path.write_bytes(b"")
    elif way == "another":
        same = [file for file in files if file.suffix == path.suffix and file != path]
        path.write_bytes(rng.choice(same).read_bytes())
    elif way == "link":
        moved = path.with_name("moved")
        path.rename(moved)
        path.symlink_to(moved)
    elif way == "folder":
        path.unlink()
        path.mkdir()
    elif way == "writable":
        path.chmod(0o666)
        path.parent.chmod(0o777)
    else:
        os.chown(path, _STRANGER, _STRANGER)
    return way


def kill_after(running: Running, seconds: float) -> None:
    """Kill a command once it has computed for so many seconds, if it has not ended before."""
    while (now := computed(running.pid)) is not None:
        if now >= seconds:
            running.kill()
            return
        time.sleep(0.0005)


def _manners(ended: Finished) -> list[str]:
    """What is wrong with the way in which a command ended."""
    wrong = []
    if "Traceback" in ended.err:
        wrong.append("a traceback")
    lines = [line for line in ended.err.splitlines() if line.startswith("textgen: ")]
    if ended.code > 0 and (ended.code not in EXIT_CODES.values() or len(lines) != 1):
        wrong.append(f"code {ended.code}, {len(lines)} messages")
    return wrong


def run(tries: int, *, only: Sequence[str] = (), seed: int = 0) -> Iterator[RaceTry]:
    """Let trainings meet.

    Args:
        tries: How many meetings; the kinds take turns.
        only: Kinds; none: all.
        seed: Of all that is drawn.
    Yields:
        A record a meeting.
    """
    kinds = list(only) or list(KINDS)
    with tempfile.TemporaryDirectory(prefix="textgen-races-") as place:
        races = _Races(Path(place).resolve())
        with races.server:
            races.prepare()
            for number in range(tries):
                yield races.one(kinds[number % len(kinds)], random.Random(f"{seed} {number}"))


def summary(tries: Sequence[RaceTry]) -> str:
    """Figures, in a sentence."""
    kinds = Counter(one.kind for one in tries)
    commands = sum(len(one.codes) for one in tries)
    counts = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
    return f"{len(tries)} meetings of {commands} commands: {counts}."


def try_promise(effort: Effort) -> Figure:
    """Part 15 of the campaign."""
    only = ("lock",) if effort.is_quick else ()
    tries = [
        one
        for _, one in zip(effort.tries(), run(1_000_000, only=only, seed=effort.seed), strict=False)
    ]
    failed = tuple(
        f"{one.kind}, {one.what}: codes {one.codes}, {'; '.join(one.wrong)} "
        f"{repeat(15, effort, number)}"
        for number, one in enumerate(tries)
        if one.wrong
    )
    is_root = os.geteuid() == 0
    return Figure(
        tried=len(tries),
        failures=failed,
        text=summary(tries),
        not_run=() if is_root else (f"files of the cache that are another user's: {_ROOT}",),
    )


PARTS = (
    Part(
        number=15,
        promise="Two trainings never share a folder, one that ended keeps nobody out, and many on "
        "one cache each learn from their own text or end with one line, even if its files are "
        "changed meanwhile.",
        not_promised="the lock on a network disk without locks of the kernel, where a process of "
        "another computer counts as alive.",
        seconds=200,
        cores=2,
        run=try_promise,
        needs=("linux",),
    ),
)
