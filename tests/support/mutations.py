"""Files that are well-formed and wrong: every value of a real one, replaced by each of many.

    PYTHONPATH=tests python -m support.mutations [--only resume] [--only model] ...

writes small runs and models in a temporary folder, changes one value at a time, signs the file anew
and gives it to the commands that read it. It prints how many were refused as a wrong checkpoint,
how many were accepted, and every other end; the exit code is 1 where there is a defect among them.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from typer.testing import CliRunner

import textgen
from support.small_runs import russian_text
from textgen.checkpoint.format import read_file, write_file
from textgen.cli.app import app
from textgen.corpus.cache import _sum_of as cache_sum
from textgen.errors import CheckpointError, TextgenError

Arrays = Mapping[str, NDArray[Any]]
Place = tuple[str | int, ...]

#: What is written for a value that is taken out.
MISSING = object()
#: What every value is replaced by, each with its name.
VALUES: dict[str, Any] = {
    "missing": MISSING,
    "null": None,
    "true": True,
    "negative": -1,
    "zero": 0,
    "one": 1,
    "half": 0.5,
    "2^32": 2**32,
    "10^12": 10**12,
    "10^30": 10**30,
    "1e300": 1e300,
    "nan": float("nan"),
    "inf": float("inf"),
    "empty": "",
    "text": "wrong",
    "surrogate": "\ud800",
    "long": "x" * 5000,
    "list": [],
    "list of null": [None],
    "list of list": [[1]],
    "object": {},
    "object of null": {"wrong": None},
}
#: Of a list so many values are changed at each end.
ENDS = 2
#: Seconds of computing, and bytes beyond what it has when it begins, that a command may take.
SECONDS, BYTES = 10, 2 * 2**30


class TookTooLong(BaseException):
    """A command that did not end in time."""


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """The way to every value within plain data; of a long list to those at its ends."""
    if at:
        yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*at, key))
    elif isinstance(value, list):
        numbers = range(len(value))
        for number in [*numbers[:ENDS], *numbers[max(ENDS, len(value) - ENDS) :]]:
            yield from places(value[number], (*at, number))


def mutations(data: Any) -> Iterator[tuple[str, Any]]:
    """Plain data with one value changed, and what was changed."""
    for at in places(data):
        name = ".".join(map(str, at))
        inner = copy.copy(data)
        parent = whole = inner
        for key in at[:-1]:
            parent[key] = copy.copy(parent[key])
            parent = parent[key]
        old, key = parent[at[-1]], at[-1]
        for what, new in (*VALUES.items(), *_like(old)):
            if name == "plan.steps" and type(new) is int and new > 10**6:
                continue  # A run of so many steps is sound, and would take them.
            if new is MISSING:
                shorter = copy.copy(parent)
                del shorter[key]
                yield f"{name} = {what}", _with(data, at[:-1], shorter)
            elif type(new) is not type(old) or new != old:
                yield f"{name} = {what}", _with(whole, at, new)
        if isinstance(parent, dict):
            for other, value in parent.items():
                if other > key and value != old:
                    swapped = {**parent, key: value, other: old}
                    yield f"{name} <-> {other}", _with(data, at[:-1], swapped)
                    break
        if isinstance(old, dict):
            yield f"{name} + wrong", _with(data, at, {**old, "wrong": 1})


def _like(old: Any) -> Iterator[tuple[str, Any]]:
    """Values near the one that is there."""
    yield "in a list", [old]
    yield "as text", str(old)
    if isinstance(old, bool):
        yield "other", not old
    elif isinstance(old, int | float):
        yield "less", old - 1
        yield "more", old + 1
        yield "as a fraction", old + 0.25
    elif isinstance(old, list):
        yield "twice", old * 2
        yield "all the same", old[:1] * len(old)
        yield "many", old[:1] * 10_000


def _with(data: Any, at: Place, new: Any) -> Any:
    if not at:
        return new
    data = copy.copy(data)
    data[at[0]] = _with(data[at[0]], at[1:], new)
    return data


def tensor_mutations(tensors: Arrays) -> Iterator[tuple[str, dict[str, NDArray[Any]]]]:
    """Tensors one of which is changed, and what was changed."""
    for name, array in tensors.items():
        rest = {other: value for other, value in tensors.items() if other != name}
        yield f"{name} = missing", rest
        for what, new in _other_arrays(array):
            yield f"{name} = {what}", {**rest, name: new}
    yield "wrong = extra", {**tensors, "wrong": np.zeros(3, np.float32)}


def _other_arrays(array: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    for dtype in ("float64", "float16", "int32", "bool", "uint8"):
        if array.dtype != dtype:
            yield dtype, array.astype(dtype)
    yield "flat", array.reshape(-1) if array.ndim != 1 else array.reshape(-1, 1)
    yield "one more", np.concatenate([array.reshape(-1), array.reshape(-1)[:1]])
    yield "empty", array.reshape(-1)[:0]
    if array.ndim == 2 and array.shape[0] != array.shape[1]:
        yield "transposed", np.ascontiguousarray(array.T)
    for number in (np.nan, np.inf, -np.inf, 3e38, -1.0, 0.0):
        one = array.copy()
        one.reshape(-1)[-1:] = number
        yield f"one {number}", one
        yield f"all {number}", np.full_like(array, number)


@dataclass(frozen=True)
class Case:
    """A file and the command that reads it.

    Args:
        what: What was changed.
        write: Writes the wrong file in place of the sound one.
        words: The command.
    """

    what: str
    write: Callable[[], None]
    words: Sequence[str]


@dataclass(frozen=True)
class End:
    """How a command ended.

    Args:
        kind: `accepted`, `refused` as a wrong checkpoint, `other` error with an exit code of its
            own, `defect`.
        told: The class and the message of the error.
        place: Where in the program a defect showed.
    """

    kind: str
    told: str = ""
    place: str = ""


@contextmanager
def bounded(seconds: int = SECONDS, extra: int = BYTES) -> Iterator[None]:
    """Limits of time and memory within the block."""

    def expire(signum: int, frame: object) -> None:
        raise TookTooLong

    limits = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = signal.signal(signal.SIGPROF, expire)
    resource.setrlimit(resource.RLIMIT_AS, (size + extra, limits[1]))
    # Of computing, not of the clock: others may use the machine, too.
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGPROF, before)


def run(words: Sequence[str]) -> End:
    """Run a command within the limits; a curve is read and not drawn, which would take longest."""
    error: BaseException | None
    try:
        with bounded(), patch("textgen.cli.train_view.save_curve"):
            result = CliRunner().invoke(app, list(words), env={"TEXTGEN_DEBUG": "1"})
        error, code, shown = result.exception, result.exit_code, result.stderr
    except TookTooLong as late:
        error, code, shown = late, 1, ""
    if code == 0:
        return End("accepted")
    told = shown.strip() if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
    if isinstance(error, CheckpointError):
        return End("refused", told)
    if isinstance(error, TextgenError):
        return End("other", told)
    steps = traceback.extract_tb(error.__traceback__ if error else None)
    own = [step for step in steps if f"{os.sep}textgen{os.sep}" in step.filename]
    last = own[-1:] or steps[-1:]
    return End(
        "defect", told, ", ".join(f"{Path(s.filename).name}:{s.lineno} {s.name}" for s in last)
    )


def train(folder: Path, text: str, *, stop_after: int | None = None, **settings: Any) -> Path:
    """A small run in a folder, stopped after some steps or finished."""
    path = folder.with_suffix(".txt")
    path.write_text(text, encoding="utf-8")
    steps = iter(range(1, 10**6))
    usual = {"hidden_size": 5, "batch_size": 2, "seq_len": 6, "threads": 1, "steps": 4}
    usual |= {"device": "cpu", "eval_every": 2}
    given = {key: value for key, value in {**usual, **settings}.items() if value is not None}
    textgen.train(
        path,
        out=folder,
        stop=lambda: stop_after is not None and next(steps) >= stop_after,
        **given,
    )
    return folder


RUNS: dict[str, dict[str, Any]] = {
    "char": {"stop_after": 3},
    "history": {"history": 6, "seq_len": None, "stop_after": 3},
    "finished": {"num_layers": 2, "cell": "gru"},
    "word": {"level": "word", "documents": "blank", "stop_after": 3},
    "pairs": {"pairs": True, "stop_after": 3},
}
PAIRS = "".join(f"{a}{b}\t{b}{a}\n" for a in "абвгдежз" for b in "абвгдежз")


def make_run(name: str, folder: Path) -> Path:
    """The run of that name."""
    text = PAIRS if name == "pairs" else russian_text(800).replace("\n", "\n\n")
    return train(folder, text, **RUNS[name])


def kept(folder: Path) -> Callable[[], None]:
    """Puts the files of a run back as they are now."""
    files = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    def restore() -> None:
        for path in folder.iterdir():
            if path not in files and path.is_file():
                path.unlink()
        for path, content in files.items():
            path.write_bytes(content)

    return restore


def file_cases(
    path: Path, kind: str, commands: Sequence[Sequence[str]], restore: Callable[[], None]
) -> Iterator[Case]:
    """All mutations of a checkpoint, for each command."""
    header, tensors = read_file(path, kind=kind)
    changed: list[tuple[str, Any, Any]] = [
        *((what, new, tensors) for what, new in mutations(header)),
        *((what, header, new) for what, new in tensor_mutations(tensors)),
    ]
    for what, new_header, new_tensors in changed:
        if not isinstance(new_header, dict):
            continue

        def write(head: Any = new_header, arrays: Any = new_tensors) -> None:
            restore()
            write_file(path, kind=kind, header=head, tensors=arrays)

        for words in commands:
            yield Case(what, write, words)


def resume_cases(folder: Path, name: str) -> Iterator[Case]:
    """Mutations of the state of a run."""
    how = ["--more", "1steps"] if name == "finished" else ["--resume"]
    words = ["train", str(folder), *how, "--quiet"]
    yield from file_cases(folder / "resume.safetensors", "resume", [words], kept(folder))


def model_cases(folder: Path, name: str) -> Iterator[Case]:
    """Mutations of a model."""
    path = folder / "model.safetensors"
    text, at = str(folder.with_suffix(".txt")), ["--checkpoint", str(folder)]
    commands = [
        ["eval", text, *at, "--quiet"],
        ["inspect", "checkpoint", str(folder)],
        ["inspect", "checkpoint", str(folder), "--json"],
        ["sample", *at, "--length", "5", "--novelty", "--quiet"],
    ]
    if name not in ("pairs", "history"):
        commands += [
            ["sample", *at, "--length", "5", "--mix", "--quiet"],
            ["eval", text, *at, "--adapt", "--quiet"],
        ]
    yield from file_cases(path, "model", commands, kept(folder))


def number_cases(folder: Path) -> Iterator[Case]:
    """Mutations of a model of numbers."""
    commands = [
        ["inspect", "checkpoint", str(folder)],
        ["sample", "--numbers", "--checkpoint", str(folder), "--length", "3", "--quiet"],
    ]
    yield from file_cases(folder / "model.safetensors", "numbers", commands, kept(folder))


#: Lines of a run's reports that no run wrote.
BAD_LINES = (
    *(b"", b"\xff\xfe", b"null", b"[]", b"1", b"{", b'{"step": 1}', b'{"event": "report"}'),
    *(b"[" * 10_000, b"9" * 5000, b'{"step": NaN}', b"\0", b"\xed\xa0\x80"),
)


def metrics_cases(folder: Path) -> Iterator[Case]:
    """Wrong lines among the reports of a run that goes on."""
    restore = kept(folder)
    path = folder / "metrics.jsonl"
    line = path.read_text("utf-8").splitlines()[0]
    lines = [*BAD_LINES]
    names = list(map(repr, BAD_LINES))
    for what, new in mutations(json.loads(line)):
        lines.append(json.dumps(new).encode())
        names.append(what)
    for name, wrong in zip(names, lines, strict=True):

        def write(wrong: bytes = wrong) -> None:
            restore()
            path.write_bytes(wrong + b"\n" + path.read_bytes() * 3)

        yield Case(f"metrics: {name:.60}", write, ["train", str(folder), "--resume", "--quiet"])


def cache_cases(folder: Path, cache: Path) -> Iterator[Case]:
    """Mutations of the header of an encoded text, its checksum right."""
    restore = kept(folder)
    header, _ = read_file(folder / "resume.safetensors", kind="resume")
    path = cache / f"{header['record']['corpus']['keys'][0]}.json"
    entry = json.loads(path.read_bytes())["entry"]
    for what, new in mutations(entry):

        def write(new: Any = new) -> None:
            restore()
            path.write_text(json.dumps({"sha256": cache_sum(new), "entry": new}))

        yield Case(f"cache: {what}", write, ["train", str(folder), "--resume", "--quiet"])


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder in memory, with a cache of its own, where commands run."""
    shared = Path("/dev/shm")
    base = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
    before, there = os.environ.get("TEXTGEN_CACHE"), Path.cwd()
    os.environ["TEXTGEN_CACHE"] = str(base / "cache")
    os.chdir(base)
    try:
        yield base
    finally:
        os.chdir(there)
        os.environ.pop("TEXTGEN_CACHE")
        if before is not None:
            os.environ["TEXTGEN_CACHE"] = before
        shutil.rmtree(base)


def prepare(base: Path) -> None:
    """Write all runs and models."""
    for name in RUNS:
        make_run(name, base / name)
    (base / "fib.txt").write_text("1 1 2 3 5 8 13 21 34 55\n")
    textgen.train_numbers(
        base / "fib.txt", out=base / "fib", steps=5, history=2, hidden_size=2, cell="rnn"
    )


def campaign(base: Path, only: Sequence[str] = (), key: str = "") -> Iterator[tuple[str, Case]]:
    """All cases, each with the name of its group."""
    groups: dict[str, Iterator[Case]] = {}
    for name in RUNS:
        groups[f"resume:{name}"] = resume_cases(base / name, name)
        groups[f"model:{name}"] = model_cases(base / name, name)
    groups["metrics"] = metrics_cases(base / "char")
    groups["cache"] = cache_cases(base / "char", base / "cache")
    groups["numbers"] = number_cases(base / "fib")
    for name, cases in groups.items():
        if not only or name in only or name.partition(":")[0] in only:
            yield from ((name, case) for case in cases if key in case.what)


def ends(cases: Sequence[tuple[str, Case]]) -> Iterator[End]:
    """How each case ends, in order; one that kills the process is a defect like any other."""
    done = 0
    while done < len(cases):
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            with os.fdopen(writer, "w") as out:
                for _, case in cases[done:]:
                    case.write()
                    print(json.dumps(asdict(run(case.words))), file=out, flush=True)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as lines:
            for line in lines:
                yield End(**json.loads(line))
                done += 1
        _, status = os.waitpid(child, 0)
        if done < len(cases):
            yield End("defect", f"killed: {status}", "the process")
            done += 1


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", action="append", default=[], help="resume, model:char, ...")
    parser.add_argument("--key", default="", help="only changes whose name contains this")
    parser.add_argument("--each", action="store_true", help="print every case")
    parser.add_argument("--one-in", type=int, default=1, help="a sample: each N-th case")
    asked = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    defects: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    with own_folder() as base:
        prepare(base)
        cases = list(campaign(base, asked.only, asked.key))[:: asked.one_in]
        for (group, case), end in zip(cases, ends(cases), strict=True):
            counts[group, end.kind] += 1
            line = f"{group} {case.what} [{' '.join(case.words[:2])}]: {end.told:.300}"
            if asked.each:
                print(f"{end.kind} {line!a}", flush=True)
            if end.kind == "defect":
                where = f"{end.told.partition(':')[0]} in {end.place}"
                defects.setdefault(where, []).append(line)
            elif end.kind == "other":
                others.setdefault(end.told.partition(":")[0], []).append(line)
    for title, found in (("OTHER ERRORS", others), ("DEFECTS", defects)):
        for where, lines in sorted(found.items(), key=lambda item: -len(item[1])):
            print(f"{title} {len(lines):5} {where}")
            for line in lines[:6]:
                print(f"      {line!a:.400}")
    groups = sorted({group for group, _ in counts})
    kinds = ("accepted", "refused", "other", "defect")
    for group in [*groups, "all"]:
        figures = [
            sum(n for (g, k), n in counts.items() if k == kind and group in (g, "all"))
            for kind in kinds
        ]
        told = ", ".join(f"{n} {kind}" for kind, n in zip(kinds, figures, strict=True))
        print(f"{group}: {sum(figures)} files: {told}")
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main())
