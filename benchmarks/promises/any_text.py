"""Part 11: any file given as a text is read, or refused with one line."""

from __future__ import annotations

import gzip
import importlib.util
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from campaign import ROOT, Effort, Figure, Part, repeat
from measuring import environment, made_up_text

import textgen
from textgen.errors import TextgenError

#: Seconds for a file of random bytes, and for one of the strange ones.
SECONDS, PATIENCE = 10.0, 120.0
#: The documented exit codes.
CODES = range(7)


def random_file(rng: random.Random) -> bytes:
    """Bytes that are a text, nearly a text, or none."""
    text = made_up_text(2000)[: rng.randrange(2000)]
    encoding = rng.choice(("utf-8", "utf-16", "utf-32", "cp1251", "koi8-r", "cp866", "utf-8-sig"))
    data = bytearray(text.encode(encoding))
    kind = rng.randrange(6)
    if kind == 0:
        return rng.randbytes(rng.choice((1, 2, 3, 50, 5000)))
    if kind == 1:
        return bytes(rng.choices(b"ab \n\r\0\x80\xff", k=rng.randrange(400)))
    if kind == 2:
        for _ in range(rng.choice((1, 5, 50))):
            place = rng.randrange(len(data) + 1)
            data[place:place] = rng.randbytes(1)
    elif kind == 3:
        del data[rng.randrange(len(data) + 1) :]
    elif kind == 4:
        packed = bytearray(gzip.compress(bytes(data)))
        packed[rng.randrange(len(packed))] ^= 1 << rng.randrange(8)
        return bytes(packed)
    return bytes(data)


@contextmanager
def _changing(path: Path, change: Callable[[], object]) -> Iterator[None]:
    """A file that is changed all the time."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.002):
            change()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()


def _strange_files(text: bytes) -> dict[str, str | bytes]:
    """Files that are no usual ones, by what they are."""
    Path("empty").touch()
    with open("sparse", "wb") as file:
        file.truncate(10 * 10**9)
    with open("sparse after a text", "wb") as file:
        file.write(text)
        file.truncate(10 * 10**9)
    Path("one").write_bytes(b"a")
    Path("mark").write_bytes(b"\xef\xbb\xbf")
    Path("line").write_bytes(b"a" * 10**7)
    os.mkfifo("pipe")
    socket.socket(socket.AF_UNIX).bind("socket")
    os.symlink("nowhere", "dangling")
    os.symlink("loop", "loop")
    os.mkdir("folder")
    named = {"no UTF-8": b"caf\xe9 \xff.txt", "newline": b"a\nb.txt", "dash": b"-x.txt"}
    for name in named.values():
        Path(os.fsdecode(name)).write_bytes(text)
    return {
        "an empty file": "empty",
        "10 GB of zeros": "sparse",
        "a text and 10 GB of zeros": "sparse after a text",
        "one character": "one",
        "a mark alone": "mark",
        "a line of 10 MB": "line",
        "a pipe": "pipe",
        "a socket": "socket",
        "a link to nothing": "dangling",
        "a link to itself": "loop",
        "an empty folder": "folder",
        "an endless device": "/dev/zero",
        "an empty device": "/dev/null",
        "a file of the system": "/proc/self/mem",
        **{f"a name with {what}": b"./" + name for what, name in named.items()},
    }


def _run(file: str | bytes) -> str:
    """Give a file to `inspect occurrences`; what is wrong, or ""."""
    began = time.monotonic()
    words = [sys.executable, "-m", "textgen", "inspect", "occurrences", "б*", file]
    try:
        ended = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            env=environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it did not end in {time.monotonic() - began:.0f} s"
    said = (ended.stdout + ended.stderr).decode("utf-8", "replace")
    if "Traceback" in said or "defect of textgen" in said or ended.returncode not in CODES:
        return f"exit code {ended.returncode}: {said[-300:]}"
    return ""


def _strange(effort: Effort) -> tuple[int, list[str]]:
    """How many strange files were given, and what failed."""
    text = made_up_text(20_000).encode()
    failures = []
    files = _strange_files(text)
    names = list(files)[:2] if effort.is_quick else list(files)
    for name in names:
        if name == "a pipe":
            feeder = threading.Thread(target=Path("pipe").write_bytes, args=(text,), daemon=True)
            feeder.start()
        if wrong := _run(files[name]):
            failures.append(f"{name}: {wrong} {repeat(11, effort, name)}")
    if effort.is_quick:
        return len(names), failures
    changing = Path("changing")
    changing.write_bytes(text * 100)
    rng = random.Random(effort.seed)

    def shrink() -> None:
        with suppress(OSError):
            os.truncate(changing, rng.randrange(len(text) * 100))

    def grow() -> None:
        with open(changing, "ab") as file:
            file.write(text)

    for name, change in (("a file that shrinks", shrink), ("a file that grows", grow)):
        with _changing(changing, change):
            wrong = _run("changing")
        if wrong:
            failures.append(f"{name}: {wrong} {repeat(11, effort, name)}")
    return len(names) + 2, failures


def _encodings(effort: Effort) -> tuple[int, str]:
    """How many encoded texts were read, and how often rightly."""
    path = ROOT / "benchmarks" / "encodings.py"  # its name is also one of Python's own
    spec = importlib.util.spec_from_file_location("encoding_trials", path)
    assert spec is not None and spec.loader is not None
    trials = importlib.util.module_from_spec(spec)
    sys.modules["encoding_trials"] = trials
    spec.loader.exec_module(trials)
    lengths = (100, 1_000, 10_000)
    every = list(
        trials.cases("report", 1, effort.seed, lengths[:1] if effort.is_quick else lengths)
    )
    random.Random(effort.seed).shuffle(every)
    right: dict[int, list[bool]] = {}
    sure: list[bool] = []
    for _, case in zip(effort.tries(len(every)), every, strict=False):
        _, confidence, is_right = trials.tried(case)
        right.setdefault(case.length, []).append(is_right)
        if confidence >= trials.SURE:
            sure.append(is_right)
    told = [
        f"{sum(found) / len(found):.1%} of {len(found)} at {length:,} characters"
        for length, found in sorted(right.items())
    ]
    share = f"{sum(sure) / len(sure):.2%} of {len(sure)}" if sure else "none"
    words = f"The right encoding was found of {', '.join(told)}; where it was sure, of {share}."
    return sum(map(len, right.values())), words


def try_promise(effort: Effort) -> Figure:
    """Part 11 of the campaign."""
    third = Effort(seconds=effort.seconds / 3, seed=effort.seed, is_quick=effort.is_quick)
    strange, failures = _strange(effort)
    encoded, words = _encodings(third)
    textgen.occurrences("a*", "one")  # imports what it needs
    refused = done = 0
    slowest = 0.0
    for number in third.tries(least=10):
        rng = random.Random(f"{effort.seed} {number}")
        Path("random.txt").write_bytes(random_file(rng))
        wrong = ""
        began = time.perf_counter()
        try:
            textgen.occurrences("a*", "random.txt")
        except TextgenError:
            refused += 1
        except BaseException as error:
            wrong = f"{type(error).__name__}: {error!s:.300}"
        slowest = max(slowest, time.perf_counter() - began)
        if wrong or slowest > SECONDS:
            failures.append(f"{wrong or 'it took too long'} {repeat(11, effort, number)}")
        done += 1
    return Figure(
        tried=strange + done,
        failures=tuple(failures),
        text=f"{strange} strange files (10 GB of zeros, pipes, devices, links, names that are no "
        f"UTF-8, files that grow or shrink) and {done:,} of random or damaged bytes, of which "
        f"{refused:,} were refused. Apart from them, {encoded:,} texts in encodings: {words}",
        worst=f"{slowest:.2f} s for one file of random bytes",
    )


PARTS = (
    Part(
        number=11,
        promise="Any file given as a text is read, or refused with one line; nothing is read for "
        "ever.",
        not_promised="the right encoding of a short text of one byte a character: it can be a "
        "text in several. `--encoding` settles it. A pipe into which nobody writes is waited for.",
        seconds=150,
        run=try_promise,
        needs=("linux",),
    ),
)
