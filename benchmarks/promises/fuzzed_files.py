"""Part 2: files with random damage load or are refused with one error, soon."""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from campaign import ROOT, Effort, Figure, Part, repeat
from checkpoint.test_hostile_files import parts_of, signed

import textgen
from textgen.checkpoint.format import read_file
from textgen.corpus.word_vectors import read_word_vectors
from textgen.errors import TextgenError

OLD = ROOT / "tests" / "old_files"
#: Seconds that one damaged file may take, and MB that all of them may add to the peak of memory.
SECONDS, MEGABYTES = 10.0, 300.0
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


def signed_anew(data: bytes, rng: random.Random) -> bytes:
    """A checkpoint with one value of its header replaced, whose checksums are right."""
    description, body, tensors = parts_of(data)
    return signed(description, {**body, "header": changed_value(body["header"], rng)}, tensors)


def _model(path: Path) -> object:
    model = textgen.load(path)
    return model.generate_targets(["ab"]) if model.saved.reads_pairs else model.generate(length=3)


def _direction(path: Path) -> object:
    model = textgen.load("lstm.safetensors")
    os.replace(path, "lstm.neurons/damaged.json")
    return model.target("damaged")


def _targets() -> dict[str, tuple[bytes, Callable[[Path], object]]]:
    """Sound files, and what reads each."""

    def resume(path: Path) -> object:
        return read_file(path, kind="resume")

    def vectors(path: Path) -> object:
        return read_word_vectors(path, ["кот", "дом"])

    targets: dict[str, tuple[bytes, Callable[[Path], object]]] = {
        path.name: (path.read_bytes(), _model) for path in sorted(OLD.glob("*.safetensors"))
    }
    targets["numbers"] = ((OLD / "numbers/model.safetensors").read_bytes(), textgen.load_numbers)
    targets["resume"] = ((OLD / "stopped/resume.safetensors").read_bytes(), resume)
    targets["vectors"] = ((OLD / "few.vec").read_bytes(), vectors)
    targets["direction"] = ((OLD / "lstm.neurons/vowels.json").read_bytes(), _direction)
    return targets


def try_promise(effort: Effort) -> Figure:
    """Part 2 of the campaign."""
    warnings.simplefilter("ignore")
    for path in OLD.iterdir():
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, path.name)
    targets = _targets()
    for data, read in targets.values():  # imports what it needs
        Path("x").write_bytes(data)
        read(Path("x"))
    names = list(targets)
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    failures, slowest, refused, done = [], (0.0, ""), 0, 0
    for number in effort.tries(least=20):
        rng = random.Random(f"{effort.seed} {number}")
        name = rng.choice(names)
        data, read = targets[name]
        is_checkpoint = name not in ("direction", "vectors")
        if is_checkpoint and rng.random() < 0.5:
            data = signed_anew(data, rng)
        elif name == "direction" and rng.random() < 0.5:
            data = json.dumps(changed_value(json.loads(data), rng)).encode()
        else:
            data = damaged(data, rng)
        Path("x").write_bytes(data)
        began = time.perf_counter()
        wrong = ""
        try:
            read(Path("x"))
        except TextgenError:
            refused += 1
        except BaseException as error:
            wrong = f"{type(error).__name__}: {error!s:.300}"
        seconds = time.perf_counter() - began
        slowest = max(slowest, (seconds, name))
        if seconds > SECONDS:
            wrong = f"it took {seconds:.1f} s"
        if wrong:
            digest = hashlib.sha256(data).hexdigest()[:12]
            failures.append(f"{name} ({digest}): {wrong} {repeat(2, effort, number)}")
        done += 1
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) / 1000
    if grown > MEGABYTES:
        failures.append(f"memory grew by {grown:.0f} MB {repeat(2, effort, 'unknown')}")
    return Figure(
        tried=done,
        failures=tuple(failures),
        text=f"{refused:,} were refused, the others had damage that a file may have (another "
        f"number that is in its range) and were used. Memory grew by {grown:.0f} MB over all of "
        f"them. Sound files: {len(names)}, of the models, the state of a run, a saved direction "
        "and vectors of words in tests/old_files. Half of the checkpoints had a value of their "
        "header changed, and their checksums made right again.",
        worst=f"{slowest[0]:.2f} s for one file ({slowest[1]})",
    )


PARTS = (
    Part(
        number=2,
        promise="A damaged or forged model file loads or is refused with one error, within seconds "
        "and a bounded memory.",
        not_promised="that a forged file is found out: whoever can compute a SHA-256 can write a "
        "model with other numbers in it. It can write any text, and nothing else.",
        seconds=300,
        run=try_promise,
        needs=("linux",),
    ),
)
