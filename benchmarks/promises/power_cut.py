"""Power cuts: every command that writes files, and what a disk may hold after one.

    python benchmarks/promises --only 4

A command runs once, and each of its calls that changes a file or a name is written down (with the
bytes; see system_calls.c). Then the power fails after a call drawn at random. What was synchronised
before it is on the disk. Of the other bytes each write is there, or not, or in part, or as zeros;
of the other names each creation, renaming and removal is there or not: in the order of the calls,
as a journal has them, or in any other. Such a state is built and opened.

The promise (4): each file that is replaced as a whole is one of those that it was, and none older
than the last one whose folder was synchronised. Then the command is given once more, or the run is
resumed: it ends as one that nothing happened to. The commands are those of failing_calls.py.

It needs Linux and a C compiler. Source of the model of the disk: Pillai et al. 2014, "All file
systems are not created equal", section 3. After 0 failures in n states the true share is below 3/n
with 95 % confidence.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from campaign import Effort, Figure, Part, repeat
from failing_calls import COMMANDS, Trial, Whole
from forked import build

#: In what unit of bytes a disk writes.
SECTOR = 512
#: What may become of a write that was not synchronised.
FATES = ("kept", "lost", "torn", "zeros")
#: Which of the names that were not synchronised are there.
ORDERS = ("all", "none", "the first ones", "any")


@dataclass(frozen=True)
class Call:
    """One call that changed the disk.

    Args:
        what: create, write, truncate, sync, syncdir, rename, unlink or mkdir.
        file: The number of the file; 0 for a folder.
        path: Below the project; of `rename` the new one.
        old: Of `rename`, the old path.
        start: Of `write` the first byte, of `truncate` the size.
        data: What was written.
    """

    what: str
    file: int = 0
    path: str = ""
    old: str = ""
    start: int = 0
    data: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class CutTry:
    """One state of the disk after a power cut.

    Args:
        command: Its name in `COMMANDS`.
        calls: After how many calls the power failed.
        order: Which names were there, one of `ORDERS`.
        wrong: What was not kept, in words.
    """

    command: str
    calls: int
    order: str
    wrong: tuple[str, ...] = ()


class Course:
    """What a command did to the disk.

    Args:
        before: The files before it, by their paths below the project.
        folders: The folders before it.
        calls: What it did.
    """

    def __init__(
        self, before: Mapping[str, bytes], folders: Sequence[str], calls: Sequence[Call]
    ) -> None:
        self.calls = calls
        #: The files before it have numbers below 0.
        self._first = {path: -1 - number for number, path in enumerate(sorted(before))}
        self._contents = {self._first[path]: data for path, data in before.items()}
        self._folders = set(folders)

    def content(self, file: int, calls: int, fate: Callable[[], str] = lambda: "kept") -> bytes:
        """The bytes of a file after so many calls.

        Args:
            file: Its number.
            calls: How many calls have been made.
            fate: Draws what became of a write that was not synchronised, one of `FATES`.
        """
        own = [(n, call) for n, call in enumerate(self.calls[:calls]) if call.file == file]
        synced = max((n for n, call in own if call.what == "sync"), default=-1)
        data = bytearray(self._contents.get(file, b""))
        for number, call in own:
            if call.what not in ("write", "truncate"):
                continue
            what = "kept" if number < synced else fate()
            if what == "lost":
                continue
            if call.what == "truncate":
                del data[call.start :]
                data.extend(bytes(call.start - len(data)))
                continue
            written = call.data
            if what == "torn":
                written = written[: len(written) // 2 // SECTOR * SECTOR]
            elif what == "zeros":
                written = bytes(len(written))
            end = call.start + len(written)
            data.extend(bytes(max(0, end - len(data))))
            data[call.start : end] = written
        return bytes(data)

    def names(self, calls: int, keep: Callable[[], bool] = lambda: True) -> dict[str, int]:
        """The number of the file of each path; those of folders that are not there are left out.

        Args:
            calls: How many calls have been made.
            keep: Draws whether a name that was not synchronised is there.
        """
        now, names = dict(self._first), dict(self._first)
        folders = set(self._folders)
        for number, call in enumerate(self.calls[:calls]):
            if call.what not in ("create", "rename", "unlink", "mkdir"):
                continue
            # What file it is about is decided by what was done, not by what was kept.
            file = now.pop(call.old, 0) if call.what == "rename" else call.file
            if call.what in ("create", "rename"):
                now[call.path] = file
            elif call.what == "unlink":
                now.pop(call.path, None)
            above = call.path.rpartition("/")[0]
            is_synced = any(
                later.what == "syncdir" and later.path == above
                for later in self.calls[number:calls]
            )
            if not is_synced and not keep():
                continue
            if call.what == "mkdir":
                folders.add(call.path)
            elif call.what == "unlink":
                names.pop(call.path, None)
                folders.discard(call.path)
            else:
                names.pop(call.old, None)
                names[call.path] = file
        return {
            path: file
            for path, file in names.items()
            if all(str(above) in folders for above in list(Path(path).parents)[:-1])
        }

    def versions(self, path: str) -> list[tuple[int, bytes | None]]:
        """What a file was, one after the other: after how many calls, and its bytes."""
        first = self._first.get(path)
        found = [(0, None if first is None else self._contents[first])]
        for number, call in enumerate(self.calls, 1):
            if call.path == path and call.what in ("rename", "unlink"):
                file = self.names(number).get(path)
                found.append((number, None if file is None else self.content(file, number)))
        return found

    def replaced(self) -> list[str]:
        """The files that are replaced as a whole, those of the cache apart, which has hashes."""
        renamed = {call.path for call in self.calls if call.what == "rename"}
        return sorted(path for path in renamed if not path.startswith("cache/"))

    def synced(self, path: str, calls: int) -> int:
        """After which call the name of a file was synchronised last; 0: never."""
        above = path.rpartition("/")[0]
        return max(
            (
                number
                for number, call in enumerate(self.calls[:calls], 1)
                if call.what == "syncdir" and call.path == above
            ),
            default=0,
        )


def read_log(log: Path, home: Path, inodes: Mapping[int, str], before: Sequence[str]) -> list[Call]:
    """The calls that were written down.

    Args:
        log: The file.
        home: The project.
        inodes: The path of each file that was there before, by its inode.
        before: All paths of files before, which have numbers below 0 as in `Course`.
    """
    first = {path: -1 - number for number, path in enumerate(sorted(before))}
    files = {inode: first[path] for inode, path in inodes.items()}
    calls: list[Call] = []

    def below(path: str) -> str:
        # A folder may be named as `.`, the one that the command is in.
        return Path(path).relative_to(home).as_posix().removesuffix(".")

    with open(log, "rb") as file:
        while line := file.readline():
            what, inode, rest = line.decode("utf-8", "surrogateescape")[:-1].split(" ", 2)
            number = int(inode)
            if what == "create":
                files[number] = len(calls) + 1
                calls.append(Call(what, files[number], below(rest)))
            elif what == "write":
                start, size = map(int, rest.split())
                calls.append(Call(what, files[number], start=start, data=file.read(size)))
            elif what == "truncate":
                calls.append(Call(what, files[number], start=int(rest)))
            elif what == "sync":
                calls.append(Call(what, files[number]))
            elif what == "rename":
                old, new = rest.split("\t")
                calls.append(Call(what, path=below(new), old=below(old)))
            else:
                calls.append(Call(what, path=below(rest)))
    return calls


def files_of(folder: Path) -> dict[str, bytes]:
    """The bytes of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def record(trial: Trial, name: str, log: Path) -> Course:
    """Run a command and write down what it does.

    Raises:
        RuntimeError: It failed, or it changes files by calls that are not written down.
    """
    trial.restore()
    before = files_of(trial.home)
    inodes = {(trial.home / path).stat().st_ino: path for path in before}
    folders = [p.relative_to(trial.home).as_posix() for p in trial.home.rglob("*") if p.is_dir()]
    ended = trial.server.start(COMMANDS[name], {"kinds": 0}, log=log).wait()
    if ended.code:
        raise RuntimeError(f"{name}: {ended.err}")
    course = Course(before, folders, read_log(log, trial.home, inodes, list(before)))
    log.unlink()
    count = len(course.calls)
    replayed = {p: course.content(f, count) for p, f in course.names(count).items()}
    found = files_of(trial.home)
    other = [path for path in {*found, *replayed} if found.get(path) != replayed.get(path)]
    if other:
        raise RuntimeError(f"{name}: what was written down does not lead to {sorted(other)}")
    return course


def cut(
    trial: Trial, name: str, course: Course, whole: Whole, rng: random.Random, *, opens: bool
) -> CutTry:
    """Build a state after a power cut, look at its files, and open it.

    Args:
        trial: The project.
        name: Of the command.
        course: What it does to the disk.
        whole: What it leaves.
        rng: Draws the state.
        opens: Whether the command is given again.
    """
    calls = rng.randint(1, len(course.calls))
    order = rng.choice(ORDERS)
    kept = (
        0
        if order == "none"
        else rng.randrange(8)
        if order == "the first ones"
        else len(course.calls)
    )

    def keep() -> bool:
        nonlocal kept
        kept -= 1
        return kept >= 0 if order != "any" else rng.random() < 0.5

    is_whole = rng.random() < 0.3
    names = course.names(calls, keep)
    state = {
        path: course.content(file, calls, lambda: "kept" if is_whole else rng.choice(FATES))
        for path, file in names.items()
    }
    wrong = []
    for path in course.replaced():
        versions = course.versions(path)
        least = max(n for n, _ in versions if n <= course.synced(path, calls))
        possible = [data for n, data in versions if least <= n <= calls]
        if state.get(path) not in possible:
            what = "is not there" if path not in state else "is none of those that it was"
            wrong.append(f"{path} {what}")
    if opens:
        trial.restore()
        for path in trial.home.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path, data in state.items():
            target = trial.home / path
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            target.write_bytes(data)
            target.chmod(0o600)
        wrong += trial.afterwards(name, whole)
    return CutTry(name, calls, order, tuple(wrong))


def run(
    tries: int,
    *,
    only: Sequence[str] = (),
    seed: int = 0,
    opened: int = 10,
    not_run: Callable[[str], object] = lambda reason: None,
) -> Iterator[CutTry]:
    """Cut the power.

    Args:
        tries: How many states.
        only: Names of commands; none: all.
        seed: Of the states.
        opened: Every so many states the command is given again; its files are looked at always.
        not_run: Is told why nothing is run, where there is no C compiler.
    Yields:
        A record a state.
    """
    with tempfile.TemporaryDirectory(prefix="textgen-power-") as place:
        folder = Path(place).resolve()
        library = build(folder)
        if library is None:
            not_run("needs Linux and a C compiler")
            return
        trial = Trial(folder, library)
        with trial.server:
            courses: dict[str, tuple[Course, Whole]] = {}
            names = list(only) or list(COMMANDS)
            for number in range(tries):
                name = names[number // opened % len(names)]
                if name not in courses:
                    whole = trial.whole(name)
                    courses[name] = record(trial, name, folder / "log"), whole
                course, whole = courses[name]
                rng = random.Random(f"{seed} {number}")
                yield cut(trial, name, course, whole, rng, opens=number % opened == 0)


def try_promise(effort: Effort) -> Figure:
    """Part 4 of the campaign."""
    only = ("compress",) if effort.is_quick else ()
    not_run: list[str] = []
    states = run(1_000_000, only=only, seed=effort.seed, not_run=not_run.append)
    tries = [one for _, one in zip(effort.tries(), states, strict=False)]
    failed = tuple(
        f"{one.command}, after {one.calls} calls, names: {one.order}: {'; '.join(one.wrong)} "
        f"{repeat(4, effort, number)}"
        for number, one in enumerate(tries)
        if one.wrong
    )
    return Figure(
        tried=len(tries),
        failures=failed,
        text="Every tenth state was opened by the command too.",
        not_run=tuple(not_run),
    )


PARTS = (
    Part(
        number=4,
        promise="After a loss of power each file that textgen replaces is the old one or the new "
        "one, and the command can be given again.",
        not_promised="anything of a disk that does not keep what it says it has synchronised.",
        seconds=180,
        run=try_promise,
        needs=("linux",),
    ),
)
