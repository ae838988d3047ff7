"""Part 2: files with damage of every kind load or are refused with one error, soon.

    python benchmarks/promises --only 2

Each try takes a sound file and changes it: some of its bytes, or one of its values by another of
its type or of any other (`support.mutations`), whose checksums are made right again. What opens a
file of that kind must open it or refuse it with an error of textgen; some of those that open are
used, too. Two processes try different numbers, each in a folder in memory. The number of the try
that a process is at stands in memory that both see, so that one that dies names the file.

`guided` lets `atheris`, where it is installed, choose the changes by what they reach in the code.
What it puts into the code keeps some memory at each try (0.05 MB; of the same files, read without
it, nothing grows: docs/log.md). So there the memory of one file at a time is looked at.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import itertools
import json
import mmap
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # As in __main__.py: for the process that a guided fuzzer needs.
    sys.path[:0] = [str(Path(__file__).resolve().parents[up]) for up in (0, 1)]
    sys.path[:0] = [str(Path(__file__).resolve().parents[2] / name) for name in ("", "tests")]

import numpy as np
import safetensors.numpy
from campaign import FOLDER, ROOT, Effort, Figure, Part, repeat
from checkpoint.test_hostile_files import parts_of, signed
from support.mutations import BAD_LINES, TookTooLong, mutations, tensor_mutations

import textgen
from textgen.checkpoint.format import read_file
from textgen.corpus.cache import TokenCache
from textgen.corpus.cache import _sum_of as cache_sum
from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.pairs import find_pairs
from textgen.corpus.word_vectors import read_word_vectors
from textgen.errors import TextgenError
from textgen.files import METRICS_NAME
from textgen.series.number_file import read_series
from textgen.training.folder import read_reports

OLD = ROOT / "tests" / "old_files"
#: Seconds of computing that one damaged file may take, and MB that all of them may add to the peak
#: of memory; a process that asks for `ADDRESSES` bytes more is refused them.
SECONDS, MEGABYTES, ADDRESSES = 10.0, 200.0, 2**31
#: Processes that try, and of how many files that open one is used, which takes ten times as long.
PROCESSES, USED = 2, 4
#: How many tries are made between two looks at the memory.
_SELDOM = 20
#: Each process makes at least so many tries.
LEAST = 20
#: A try in the middle of which a process died stands here until it has ended.
_SLOT = 8
#: What follows a read: the use of what was read.
Use = Callable[[], object]
_NASTY = (None, True, -1, 0, 2**31, 2**63, 1e308, float("nan"), "", "x" * 999, [], {}, [[]])


def damaged(data: bytes, rng: random.Random) -> bytes:
    """A copy with some bytes changed, cut out, repeated or put in."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        start = rng.randrange(len(changed) + 1)
        end = min(len(changed), start + rng.choice((0, 1, 4, 64)))
        kind = rng.randrange(4)
        if kind == 0:
            changed[start:end] = rng.randbytes(end - start)
        elif kind == 1:
            del changed[start : rng.choice((end, len(changed)))]
        elif kind == 2:
            changed[start:start] = changed[start:end] * rng.choice((1, 40))
        elif start < len(changed):
            changed[start] ^= 1 << rng.randrange(8)
    return bytes(changed)


def changed_value(value: object, rng: random.Random) -> object:
    """Plain data with one value somewhere in it replaced."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        return {**value, key: changed_value(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], changed_value(value[place], rng), *value[place + 1 :]]
    return rng.choice(_NASTY)


@dataclass(frozen=True)
class Target:
    """A sound file, and what reads it.

    Args:
        data: Its bytes.
        read: Reads a file of that name, and returns how what was read is used.
        weight: How often it is taken, beside the others.
    """

    data: bytes
    read: Callable[[Path], Use | None]
    weight: float = 1.0

    def forged(self, rng: random.Random) -> bytes:
        """A copy that is well-formed and wrong; here its bytes are changed like any others."""
        return damaged(self.data, rng)


@dataclass(frozen=True)
class Checkpoint(Target):
    """A checkpoint: a value of its header, or a tensor, is changed, and it is signed anew."""

    @cached_property
    def _parts(self) -> tuple[Any, Any, bytes]:
        return parts_of(self.data)

    @cached_property
    def _headers(self) -> list[Any]:
        return [new for _, new in mutations(self._parts[1]["header"])]

    @cached_property
    def _tensors(self) -> list[dict[str, Any]]:
        return [new for _, new in tensor_mutations(safetensors.numpy.load(self.data))]

    def forged(self, rng: random.Random) -> bytes:
        """See the class. One of ten has another tensor, one of four has a second change."""
        description, body, tensors = self._parts
        kind = rng.random()
        if kind < 0.1:
            arrays = rng.choice(self._tensors)
            with contextlib.suppress(Exception):  # A type that safetensors does not write.
                whole = safetensors.numpy.save(arrays, {"textgen": f"0 {json.dumps(body)}"})
                description, _, tensors = parts_of(whole)
            return signed(description, body, tensors)
        header = rng.choice(self._headers)
        if kind < 0.3:
            header = changed_value(header, rng)
        elif kind < 0.4:
            return signed(changed_value(description, rng), body, tensors)
        return signed(description, {**body, "header": header}, tensors)


@dataclass(frozen=True)
class Json(Target):
    """A file of JSON: one value is changed.

    Args:
        sign: Makes the file of changed data, with a checksum that is right.
    """

    sign: Callable[[Any], str] = field(default=json.dumps)
    inner: Callable[[Any], Any] = field(default=lambda data: data)

    @cached_property
    def _changed(self) -> list[Any]:
        return [new for _, new in mutations(self.inner(json.loads(self.data)))]

    def forged(self, rng: random.Random) -> bytes:
        """See the class."""
        new = rng.choice(self._changed)
        return self.sign(changed_value(new, rng) if rng.random() < 0.25 else new).encode()


@dataclass(frozen=True)
class Lines(Target):
    """A file of lines of JSON: a value of one is changed, or it is one that nobody wrote."""

    @cached_property
    def _changed(self) -> list[bytes]:
        first = self.data.splitlines()[0]
        new = [json.dumps(data).encode() for _, data in mutations(json.loads(first))]
        return [*new, *BAD_LINES]

    def forged(self, rng: random.Random) -> bytes:
        """See the class."""
        lines = self.data.splitlines()
        lines[rng.randrange(len(lines))] = rng.choice(self._changed)
        return b"\n".join(lines) + b"\n" * rng.randrange(2)


def _model(path: Path) -> Use:
    model = textgen.load(path)
    if model.saved.reads_pairs:
        return lambda: model.generate_targets(["ab"])
    return lambda: model.generate(length=3)


def _direction(path: Path) -> Use | None:
    os.replace(path, "lstm.neurons/damaged.json")
    textgen.load("lstm.safetensors").target("damaged")
    return None


def _resume(path: Path) -> None:
    read_file(path, kind="resume")


def _numbers(path: Path) -> Use:
    model = textgen.load_numbers(path)
    return lambda: model.next_numbers([1.0] * 9, length=2)


def _vectors(path: Path) -> None:
    read_word_vectors(path, ["кот", "дом"])


def _reports(path: Path) -> None:
    os.replace(path, METRICS_NAME)
    read_reports(Path())


def _series(path: Path) -> None:
    read_series(path)


def _text(path: Path) -> Use:
    corpus = Corpus.open([path], cache=Path("texts"))
    return corpus.decode


def _pairs(path: Path) -> Use:
    corpus = Corpus.open([path], CorpusOptions(documents="line"), cache=Path("texts"))
    return lambda: len(find_pairs(corpus, [path]))


def _cached() -> Iterator[tuple[str, Target]]:
    """The two files of a text in the cache: what is not as it was written is not taken."""
    folder = Path("encoded")
    Corpus.open(["text.txt"], cache=folder)
    (header,) = folder.glob("*.json")
    tokens = header.with_suffix(".tokens")
    sound = header.read_bytes()
    key, ids = header.stem, np.fromfile(tokens, json.loads(sound)["entry"]["dtype"])

    def read_header(path: Path) -> Use | None:
        os.chmod(path, 0o600)
        os.replace(path, header)
        entry = TokenCache(folder).load(key)
        return None if entry is None else lambda: entry.tokens[:10].tolist()

    def read_tokens(path: Path) -> None:
        header.write_bytes(sound)
        os.chmod(path, 0o600)
        kept = tokens.read_bytes()
        os.replace(path, tokens)
        entry = TokenCache(folder).load(key)
        is_wrong = entry is not None and not np.array_equal(entry.tokens, ids)
        tokens.write_bytes(kept)
        os.chmod(tokens, 0o600)
        if is_wrong:
            raise AssertionError("other tokens were taken for those of the text")

    def sign(entry: Any) -> str:
        return json.dumps({"sha256": cache_sum(entry), "entry": entry})

    yield "cache header", Json(sound, read_header, sign=sign, inner=lambda data: data["entry"])
    yield "cache tokens", Target(tokens.read_bytes(), read_tokens)


def targets() -> dict[str, Target]:
    """Sound files by name, and what reads each, in a copy of tests/old_files."""
    found: dict[str, Target] = {
        path.name: Checkpoint(path.read_bytes(), _model)
        for path in sorted(OLD.glob("*.safetensors"))
    }
    found["numbers"] = Checkpoint((OLD / "numbers/model.safetensors").read_bytes(), _numbers)
    found["resume"] = Checkpoint((OLD / "stopped/resume.safetensors").read_bytes(), _resume)
    found["vectors"] = Target((OLD / "few.vec").read_bytes(), _vectors)
    vowels = (OLD / "lstm.neurons/vowels.json").read_bytes()
    found["direction"] = Json(vowels, _direction, weight=0.2)  # It reads its model, too.
    found["metrics"] = Lines((OLD / "stopped" / METRICS_NAME).read_bytes(), _reports)
    # Their encoding is found, and texts are kept in a cache: many times the work of the others.
    series = "\n".join(f"{n};{n / 3}" for n in range(9)).encode()
    found["series"] = Target(series, _series, weight=0.3)
    found["text"] = Target((OLD / "text.txt").read_bytes()[:400], _text, weight=0.05)
    found["pairs"] = Target((OLD / "pairs.tsv").read_bytes(), _pairs, weight=0.1)
    found.update(_cached())
    return found


@dataclass
class Tally:
    """What was tried.

    Args:
        tried: How many files.
        refused: How many of them were refused with an error of textgen.
        used: How many were used after they were opened.
        slowest: Seconds of computing of the slowest, and its kind.
        grown: MB by which the peak of memory grew: over all files, or, where they were guided,
            at one of them.
        failures: What went wrong.
    """

    tried: int = 0
    refused: int = 0
    used: int = 0
    slowest: tuple[float, str] = (0.0, "")
    grown: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count what another process tried, too."""
        self.tried += other.tried
        self.refused += other.refused
        self.used += other.used
        self.slowest = max(self.slowest, (other.slowest[0], other.slowest[1]))
        self.grown = max(self.grown, other.grown)
        self.failures += other.failures

    def read(self, name: str, target: Target, data: bytes, *, is_used: bool) -> str:
        """Give a file to what reads it; what is wrong with the end, "" for nothing."""
        path = Path("x")
        path.write_bytes(data)
        began, wrong = time.process_time(), ""
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            use = target.read(path)
            if use is not None and is_used:
                use()
                self.used += 1
        except TextgenError:
            self.refused += 1
        except TookTooLong:
            wrong = f"it took {SECONDS:.0f} s"
        except BaseException as error:
            wrong = f"{type(error).__name__}: {error!s:.300}"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        self.tried += 1
        self.slowest = max(self.slowest, (time.process_time() - began, name))
        return wrong


class Fuzzer:
    """All targets, ready to be read in this process, which is in an empty folder."""

    def __init__(self) -> None:
        warnings.simplefilter("ignore")
        for path in OLD.iterdir():
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, path.name)
        self.targets = targets()
        self.names = list(self.targets)
        self.weights = [target.weight for target in self.targets.values()]
        signal.signal(signal.SIGPROF, _expire)
        for name, target in self.targets.items():  # What it needs is imported.
            if wrong := Tally().read(name, target, target.data, is_used=True):
                raise RuntimeError(f"{name}, which is sound: {wrong}")
            # The changes of each kind are made once and kept: not what textgen keeps.
            rng = random.Random(name)
            for _ in range(100):
                target.forged(rng)
        self.peak = _peak()

    def one(self, tally: Tally, effort: Effort, number: int, part: int = 2) -> None:
        """Make the try of that number, and count it."""
        rng = random.Random(f"{effort.seed} {number}")
        (name,) = rng.choices(self.names, self.weights)
        target = self.targets[name]
        data = target.forged(rng) if rng.random() < 0.5 else damaged(target.data, rng)
        wrong = tally.read(name, target, data, is_used=number % USED == 0)
        if wrong:
            digest = hashlib.sha256(data).hexdigest()[:12]
            tally.failures.append(f"{name} ({digest}): {wrong} {repeat(part, effort, number)}")
        if number % _SELDOM == 0 or wrong:
            tally.grown = _peak() - self.peak


def _expire(signum: int, frame: object) -> None:
    raise TookTooLong


def _peak() -> float:
    """MB, the most of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def _status(name: str) -> float:
    """MB that the system tells of this process under that name."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1000


def _try_some(
    effort: Effort, numbers: Iterator[int], end: float, least: int, place: _Place
) -> None:
    """What a process does: tries until the time is over, those below `least` in any case."""
    fuzzer, tally = Fuzzer(), Tally()
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ADDRESSES, resource.RLIM_INFINITY))
    for number in numbers:
        if number >= least and time.monotonic() > end:
            break
        place.number = number
        failed = len(tally.failures)
        fuzzer.one(tally, effort, number)
        if len(tally.failures) > failed:  # It may die of the next one.
            place.write(tally)
    tally.grown = _peak() - fuzzer.peak
    place.write(tally)


@dataclass
class _Place:
    """Where a process says how far it is.

    Args:
        memory: Both processes see it.
        at: The first of its bytes there.
        path: Its tally, as often as it is written.
    """

    memory: mmap.mmap
    at: int
    path: Path

    @property
    def number(self) -> int:
        """The try that it is at; -1: none yet."""
        return int.from_bytes(self.memory[self.at : self.at + _SLOT], "little") - 1

    @number.setter
    def number(self, number: int) -> None:
        self.memory[self.at : self.at + _SLOT] = (number + 1).to_bytes(_SLOT, "little")

    def write(self, tally: Tally) -> None:
        """Write what was tried so far."""
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(asdict(tally)), "utf-8")
        part.rename(self.path)

    def read(self) -> Tally:
        """What was written last."""
        if not self.path.exists():
            return Tally()
        return Tally(**json.loads(self.path.read_text("utf-8")))


def _folder() -> str:
    """An empty folder, in memory where that can be had."""
    shared = Path("/dev/shm")
    return tempfile.mkdtemp(prefix="textgen-fuzzed-", dir=shared if shared.is_dir() else None)


def tallied(effort: Effort, processes: int = PROCESSES) -> Tally:
    """Let processes try until the time is over; a process that dies is a failure, and another goes
    on where it was.
    """
    end, least = time.monotonic() + effort.seconds, LEAST * processes
    memory, whole = mmap.mmap(-1, _SLOT * processes), Tally()
    folder = Path(_folder())
    starts = list(range(processes))
    running: dict[int, tuple[int, _Place]] = {}
    try:
        while starts or running:
            while starts:
                start = starts.pop()
                at = _SLOT * (start % processes)
                place = _Place(memory, at, folder / f"{start}.json")
                place.number = -1
                pid = os.fork()
                if not pid:
                    _child(effort, itertools.count(start, processes), end, least, place)
                running[pid] = (start, place)
            pid, status = os.wait()
            start, place = running.pop(pid)
            tally = place.read()
            if code := os.waitstatus_to_exitcode(status):
                number = place.number
                case = number if number >= 0 else "the sound files"
                tally.failures.append(f"the process ended with {code} {repeat(2, effort, case)}")
                tally.tried = max(0, number - start) // processes + 1
                if number >= 0 and (time.monotonic() < end or number < least - processes):
                    starts.append(number + processes)
            whole.add(tally)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return whole


def _child(effort: Effort, numbers: Iterator[int], end: float, least: int, place: _Place) -> None:
    """A process that tries and writes what it found; it does not return."""
    code = 1
    try:
        own = place.path.with_suffix("")
        own.mkdir()
        os.chdir(own)
        _try_some(effort, numbers, end, least, place)
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def guided(effort: Effort) -> tuple[Tally, str]:
    """Let `atheris` choose the changes, in a process of its own, since it never returns.

    Returns:
        What was tried, and why nothing was; "" where it was.
    """
    if importlib.util.find_spec("atheris") is None:
        return Tally(), "tries that are guided by what they reach: `atheris` is not installed"
    folder = Path(_folder())
    try:
        words = [sys.executable, str(FOLDER / "fuzzed_files.py"), str(effort.seconds)]
        words += [str(effort.seed), str(folder)]
        limit = effort.seconds * 2 + 120
        ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=limit)
        found = folder / "tally.json"
        tally = Tally(**json.loads(found.read_text("utf-8"))) if found.exists() else Tally()
        if ended.returncode:
            last = "\n".join(ended.stderr.splitlines()[-12:])
            tally.tried += 1
            tally.failures.append(f"guided: the process ended with {ended.returncode}: {last}")
        return tally, ""
    except subprocess.TimeoutExpired:
        return Tally(tried=1, failures=[f"guided: it did not end within {limit:.0f} s"]), ""
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _functions() -> Iterator[Any]:
    """The functions and methods of textgen that are loaded."""
    for name, module in list(sys.modules.items()):
        if name.startswith("textgen."):
            values = [value for value in vars(module).values() if _is_of(value, name)]
            for value in values:
                inner = vars(value).values() if isinstance(value, type) else [value]
                for one in inner:
                    function = getattr(one, "__func__", one)
                    if hasattr(function, "__code__"):
                        yield function


def _is_of(value: object, module: str) -> bool:
    return getattr(value, "__module__", None) == module


def _guided(words: Sequence[str]) -> None:
    """The process of `guided`: the first byte of an input chooses a target, the rest is a file."""
    parser = argparse.ArgumentParser()
    for name, kind in (("seconds", float), ("seed", int), ("folder", Path)):
        parser.add_argument(name, type=kind)
    asked = parser.parse_args(words)
    import atheris

    inputs = asked.folder / "inputs"
    own = asked.folder / "own"
    inputs.mkdir()
    own.mkdir()
    os.chdir(own)
    fuzzer, tally = Fuzzer(), Tally()
    for number, target in enumerate(fuzzer.targets.values()):
        (inputs / str(number)).write_bytes(bytes([number]) + target.data)
    for function in _functions():
        with contextlib.suppress(Exception):  # One whose code it cannot change.
            atheris.instrument_func(function)
    end = time.monotonic() + asked.seconds

    def one(data: bytes) -> None:
        if not data or time.monotonic() > end:
            return
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", "ascii")  # The peak begins anew.
        name = fuzzer.names[data[0] % len(fuzzer.names)]
        wrong = tally.read(name, fuzzer.targets[name], data[1:], is_used=tally.tried % USED == 0)
        if wrong:
            digest = hashlib.sha256(data[1:]).hexdigest()[:12]
            tally.failures.append(f"guided: {name} ({digest}): {wrong}")
        tally.grown = max(tally.grown, _status("VmHWM") - before)
        if tally.tried % 100 == 0 or wrong:
            (asked.folder / "tally.json").write_text(json.dumps(asdict(tally)), "utf-8")

    options = [f"-max_total_time={int(asked.seconds)}", f"-seed={asked.seed + 1}"]
    options += ["-max_len=65536", "-rss_limit_mb=4000", "-timeout=60", "-print_final_stats=0"]
    atheris.Setup([sys.argv[0], *options, str(inputs)], one)
    atheris.Fuzz()


#: The share of the time that a guided fuzzer gets, where it is installed.
_GUIDED = 0.05


def try_promise(effort: Effort) -> Figure:
    """Part 2 of the campaign."""
    has_guide = importlib.util.find_spec("atheris") is not None and not effort.is_quick
    share = _GUIDED if has_guide else 0.0
    began = time.monotonic()
    tally = tallied(
        Effort(seconds=effort.seconds * (1 - share), seed=effort.seed, is_quick=effort.is_quick),
        1 if effort.is_quick else PROCESSES,
    )
    rate = tally.tried / (time.monotonic() - began)
    extra, why = Tally(), "tries that are guided by what they reach: left out of a quick campaign"
    if not effort.is_quick:
        extra, why = guided(Effort(seconds=effort.seconds * _GUIDED, seed=effort.seed))
    over_all, at_one = tally.grown, extra.grown
    by_guide = (
        f" {extra.tried:,} of them were guided by what they reach (at most {at_one:.0f} MB each)."
        if extra.tried
        else ""
    )
    tally.add(extra)
    failures = list(tally.failures)
    for what, grown in (("memory grew by", over_all), ("a guided file took", at_one)):
        if grown > MEGABYTES:
            failures.append(f"{what} {grown:.0f} MB {repeat(2, effort, 'unknown')}")
    return Figure(
        tried=tally.tried,
        failures=tuple(failures),
        text=f"{rate:,.0f} tries a second. {tally.refused:,} were refused, and of the others, "
        "whose damage a file may have (another number that is in its range), "
        f"{tally.used:,} were used. Memory grew by {over_all:.0f} MB over all of them. "
        "Sound files: models of every cell and level, of numbers, the state of a run, its reports, "
        "a saved direction, vectors of words, a series, a text, pairs, and the two files of a text "
        "in the cache. Half of the tries change bytes; the others change a value to each of many "
        f"of its type and of other types, and make the checksums right again.{by_guide}",
        worst=f"{tally.slowest[0]:.2f} s of computing for one file ({tally.slowest[1]})",
        not_run=(why,) if why else (),
    )


PARTS = (
    Part(
        number=2,
        promise="A damaged or forged file of any kind loads or is refused with one error, within "
        "seconds and a bounded memory.",
        not_promised="that a forged file is found out: whoever can compute a SHA-256 can write a "
        "model with other numbers in it. It can write any text, and nothing else.",
        seconds=950,
        cores=2,
        run=try_promise,
        needs=("linux",),
    ),
)


if __name__ == "__main__":
    _guided(sys.argv[1:])
