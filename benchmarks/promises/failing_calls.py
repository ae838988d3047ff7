"""Calls of the system that fail, one after the other, in every command that writes files.

    python benchmarks/promises --only 3

A command runs once undisturbed, and its calls that open, write, synchronise, rename, close,
truncate, make or remove what is in its folder are counted. Then it runs again for each of them, and
this call fails: once, or from then on, as on a disk that stays full; with each error that a kernel
may answer it with; or only half of what is to be written is written. `--tries` takes so many of
these points at random.

The promises (3 and 5): the command says so in one line and ends with a code of its own; or what
failed was not needed, and all its files are as without the failure. No traceback. Each file that
was there is as before, or new, or whole by its own checksum. Then the command is given once more,
or the run is resumed: it ends as one that nothing happened to, and no temporary file is left.

It needs Linux and a C compiler. After 0 failures in n points the true share is below 3/n with 95 %
confidence.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from campaign import Effort, Figure, Part, repeat
from forked import Finished, Server, build
from run_files import tree_of
from signals import _is_sound

from textgen.errors import EXIT_CODES

#: The kinds of calls, in the order of system_calls.c: the name of each and the errors that a
#: kernel may answer it with.
CALLS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("open to read", ("EIO", "EACCES")),
    ("open to write", ("EIO", "ENOSPC", "EROFS", "EACCES")),
    ("write", ("EIO", "ENOSPC", "half", "half, then full")),
    ("fsync", ("EIO", "ENOSPC")),
    ("rename", ("EIO", "ENOSPC", "EROFS", "EACCES", "EXDEV")),
    ("close", ("EIO", "ENOSPC")),
    ("truncate", ("EIO", "ENOSPC")),
    ("mkdir", ("EIO", "ENOSPC", "EROFS", "EACCES")),
    ("unlink", ("EIO", "EROFS", "EACCES")),
)
#: Errors that stay where they have come once.
LASTING = ("EIO", "ENOSPC", "EROFS")
_ALL_KINDS = (1 << len(CALLS)) - 1

_QUIET = ("--threads", "1", "-q")
_SMALL = ("--hidden", "8", "--batch-size", "2", "--seq-len", "8", *_QUIET)
_LENGTH = ("--steps", "6", "--eval-every", "3", "--save-every", "2")
#: Every command by a name of ours, in a project as `make_project` leaves it.
COMMANDS: dict[str, tuple[str, ...]] = {
    "train": ("train", "text.txt", *_LENGTH, *_SMALL, "--out", "run"),
    "resume": ("train", "stopped", "--resume", "-q"),
    "force": ("train", "text.txt", *_LENGTH, *_SMALL, "--force", "--out", "checkpoints/small"),
    "fine-tune": ("train", "other.txt", "--from", "small", *_LENGTH, *_QUIET, "--out", "run"),
    "more": ("train", "small", "--more", "4steps", "-q"),
    "numbers": ("train", "series.csv", "--numbers", "--steps", "20", "-q", "--out", "series"),
    "compare": (
        *("compare", "text.txt", "--cells", "rnn,gru", "--params", "1k", "--steps", "4"),
        *(*_QUIET, "--out", "compared"),
    ),
    "compress": ("compress", "part.txt", "--checkpoint", "small", "--out", "new.textgen"),
    "decompress": ("decompress", "old.textgen", "--checkpoint", "small", "--out", "new.txt"),
    "save as": (
        *("sample", "--checkpoint", "small", "--adapt", "other.txt", "--save-as", "changed"),
        *("--length", "20", "-q"),
    ),
    "page": ("inspect", "--checkpoint", "small", "--text", "бав", "--html", "page.html", "-q"),
    "table": ("inspect", "--checkpoint", "small", "--text", "бав", "--csv", "old.csv", "-q"),
    "find": (
        *("inspect", "find", "text.txt", "--checkpoint", "small", "--regex", "а"),
        *("--positions", "200", "--save", "vowel", *_QUIET),
    ),
}
#: What is given after a failure, where it is not the command itself; if it does not lead to the
#: same end (the run may not have begun), the command follows.
RESUMED: dict[str, tuple[str, ...]] = {
    "train": ("train", "run", "--resume", "-q"),
    "fine-tune": ("train", "run", "--resume", "-q"),
    "more": ("train", "small", "--resume", "-q"),
    "compare": (*COMMANDS["compare"], "--resume"),
    "numbers": (*COMMANDS["numbers"], "--force"),
}


@dataclass(frozen=True)
class Point:
    """One call of a command that failed.

    Args:
        command: Its name in `COMMANDS`.
        error: What it failed with.
        number: Which call of those that may fail so, counted from 1.
        lasting: Whether all calls after it failed too.
        call: Its kind; empty: it was not reached.
        path: The file, below the folder.
        code: The exit code of the command.
        err: What it said on stderr.
        wrong: What was not kept, in words.
    """

    command: str
    error: str
    number: int
    lasting: bool
    call: str = ""
    path: str = ""
    code: int = 0
    err: str = ""
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True)
class Whole:
    """A command that nothing happens to: the kinds of its calls, and the files that it leaves."""

    kinds: tuple[int, ...]
    files: dict[str, str]
    said: Finished = field(repr=False)


def make_project(folder: Path, server: Server) -> None:
    """Texts, a trained model, a stopped run, a compressed file: what the commands need.

    Args:
        folder: An empty folder, that of the server.
        server: Starts the commands.
    Raises:
        RuntimeError: A command failed.
    """
    from measuring import made_up_text

    import textgen

    text = made_up_text(2_000)
    (folder / "text.txt").write_text(text[:1500], "utf-8")
    (folder / "other.txt").write_text(text[-500:], "utf-8")
    (folder / "part.txt").write_text(text[200:500], "utf-8")
    (folder / "series.csv").write_text("\n".join("123456789" * 3) + "\n", "utf-8")
    (folder / "old.csv").write_text("old\n", "utf-8")
    train = ("train", "text.txt", *_LENGTH, *_SMALL, "--rng", "5", "--out", "checkpoints/small")
    for words in (train, (*COMMANDS["compress"][:-1], "old.textgen")):
        done = server.run(words)
        if done.code:
            raise RuntimeError(f"{words}: {done.err}")
    taken = 0

    def stop() -> bool:
        nonlocal taken
        taken += 1
        return taken == 3

    sizes = {"hidden_size": 8, "batch_size": 2, "seq_len": 8, "threads": 1}
    length: dict[str, Any] = {"steps": 6, "eval_every": 3, "save_every": 2}
    before = os.environ.get("TEXTGEN_CACHE")
    os.environ["TEXTGEN_CACHE"] = str(folder / "cache")
    out = folder / "checkpoints/stopped"
    textgen.train(folder / "text.txt", out=out, stop=stop, **sizes, **length)
    os.environ.pop("TEXTGEN_CACHE")
    if before is not None:
        os.environ["TEXTGEN_CACHE"] = before
    shutil.rmtree(folder / "cache")


def _points(name: str, whole: Whole) -> list[Point]:
    """Every point of a command."""
    points = []
    for error in sorted({error for _, errors in CALLS for error in errors}):
        kinds = {kind for kind, (_, errors) in enumerate(CALLS) if error in errors}
        count = sum(kind in kinds for kind in whole.kinds)
        for lasting in (False, True) if error in LASTING else (False,):
            points += [Point(name, error, number, lasting) for number in range(1, count + 1)]
    return points


def _plan(point: Point) -> dict[str, int]:
    kinds = sum(1 << kind for kind, (_, errors) in enumerate(CALLS) if point.error in errors)
    error = 0 if point.error.startswith("half") else getattr(errno, point.error)
    later = error if point.lasting else 0
    if point.error == "half, then full":
        later = errno.ENOSPC
    return {"kinds": kinds, "at": point.number, "error": error, "later": later}


class Trial:
    """A project that commands run in, the same for each of them.

    Args:
        folder: An empty one; its path is the same for all commands, which write it into files.
        library: system_calls.c, compiled.
    """

    def __init__(self, folder: Path, library: Path) -> None:
        self.home = folder / "project"
        self._kept = folder / "kept"
        self.home.mkdir()
        self.server = Server(self.home, library)
        make_project(self.home, self.server)
        shutil.copytree(self.home, self._kept, symlinks=True)
        self.before = tree_of(self.home)

    def restore(self) -> None:
        """Make the project what it was at first."""
        for path in self.home.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self._kept, self.home, symlinks=True, dirs_exist_ok=True)

    def whole(self, name: str) -> Whole:
        """Run a command undisturbed.

        Raises:
            RuntimeError: It failed.
        """
        self.restore()
        said = self.server.run(COMMANDS[name], {"kinds": _ALL_KINDS, "at": 0})
        if said.code:
            raise RuntimeError(f"textgen {' '.join(COMMANDS[name])}: {said.err}")
        return Whole(said.kinds, tree_of(self.home), said)

    def fail(self, point: Point, whole: Whole) -> Point:
        """Run a command with a call that fails, and then again without."""
        self.restore()
        ended = self.server.run(COMMANDS[point.command], _plan(point))
        if not ended.path:
            return point
        wrong = [*self._said(point, ended, whole), *self._left(point, whole)]
        wrong += self.afterwards(point.command, whole)
        return Point(
            point.command,
            point.error,
            point.number,
            point.lasting,
            CALLS[ended.kind][0],
            ended.path.removeprefix(f"{self.home}/"),
            ended.code,
            ended.err[-2000:],
            tuple(wrong),
        )

    def _said(self, point: Point, ended: Finished, whole: Whole) -> list[str]:
        """What is wrong with the exit code and the message."""
        wrong = []
        if "Traceback" in ended.err or "Exception ignored" in ended.err:
            wrong.append("a traceback")
        lines = [line for line in ended.err.splitlines() if line.startswith("textgen: ")]
        if ended.code == 0:
            files = tree_of(self.home)
            lost = [path for path in whole.files if files.get(path) != whole.files[path]]
            silent = [path for path in lost if Path(path).name not in ended.err]
            if silent:
                wrong.append(f"code 0, but not written: {', '.join(silent)}")
        elif ended.code not in EXIT_CODES.values():
            wrong.append(f"the exit code {ended.code}")
        elif len(lines) != 1:
            wrong.append(f"{len(lines)} messages")
        return wrong

    def _left(self, point: Point, whole: Whole) -> list[str]:
        """Which files are neither old nor new nor whole."""
        files = tree_of(self.home)
        wrong = []
        for path, digest in files.items():
            known = (self.before.get(path), whole.files.get(path))
            is_temporary = path.endswith(".tmp")
            if digest not in known and not is_temporary and not _is_sound(self.home / path):
                wrong.append(f"{path} is neither old nor new")
        gone = [path for path in self.before if path not in files]
        if point.command == "force":  # It deletes the old run.
            gone = [path for path in gone if not path.startswith("checkpoints/small/")]
        return wrong + [f"{path} is gone" for path in gone]

    def afterwards(self, name: str, whole: Whole) -> list[str]:
        """What is wrong after a command was given again, or its run was resumed."""
        command = COMMANDS[name]
        files = tree_of(self.home)
        if files == whole.files:  # Only what came after the last file failed.
            return []
        for again in (RESUMED.get(name, command), command):
            ended = self.server.run(again)
            files = tree_of(self.home)
            lost = [path for path in whole.files if files.get(path) != whole.files[path]]
            if ended.code == 0 and not lost:
                break
        else:
            why = f"code {ended.code}, {ended.err.strip()!r}; other files: {', '.join(lost)}"
            return [f"given again, it does not end as without the failure: {why}"]
        left = [path for path in files if path.endswith(".tmp")]
        return [f"left: {', '.join(left)}"] if left else []


def run(
    tries: int = 0,
    *,
    only: Sequence[str] = (),
    seed: int = 0,
    not_run: Callable[[str], object] = lambda reason: None,
) -> Iterator[Point]:
    """Let calls fail, one after the other.

    Args:
        tries: How many points, drawn at random from those of all commands; 0: all.
        only: Names of commands; none: all.
        seed: Of the draw.
        not_run: Is told why nothing is run, where there is no C compiler.
    Yields:
        A record a point.
    """
    with tempfile.TemporaryDirectory(prefix="textgen-failing-") as place:
        library = build(Path(place))
        if library is None:
            not_run("needs Linux and a C compiler")
            return
        trial = Trial(Path(place), library)
        with trial.server:
            wholes = {}
            for name in only or COMMANDS:
                wholes[name] = trial.whole(name)
            points = [point for name, whole in wholes.items() for point in _points(name, whole)]
            if tries:
                points = random.Random(seed).sample(points, min(tries, len(points)))
            for point in points:
                yield trial.fail(point, wholes[point.command])


def summary(reached: Sequence[Point]) -> str:
    """Figures, in a sentence."""
    codes = Counter(point.code for point in reached)
    ends = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
    commands = len({point.command for point in reached})
    return f"{len(reached)} calls failed in {commands} commands; exit codes: {ends}."


def try_promise(effort: Effort) -> Figure:
    """Part 3 of the campaign."""
    only = ("compress",) if effort.is_quick else ()
    not_run: list[str] = []
    points = [
        point
        for _, point in zip(
            effort.tries(),
            run(1_000_000, only=only, seed=effort.seed, not_run=not_run.append),
            strict=False,
        )
    ]
    reached = [point for point in points if point.call]
    failed = tuple(
        f"{point.command}: call {point.number} of those that may fail with {point.error} "
        f"({point.call} {point.path}), {'lasting' if point.lasting else 'once'}: code "
        f"{point.code}, {'; '.join(point.wrong)} {repeat(3, effort, number)}"
        for number, point in enumerate(points)
        if point.wrong
    )
    return Figure(
        tried=len(reached), failures=failed, text=summary(reached), not_run=tuple(not_run)
    )


PARTS = (
    Part(
        number=3,
        promise="Whichever call of the system fails in a command that writes, the old file or the "
        "new one is whole, one line says so, and the command can be given again.",
        not_promised="a message where what failed was not needed, as an entry of the cache is.",
        seconds=400,
        run=try_promise,
        needs=("linux",),
    ),
)
