"""Made-up texts, small trainings, and ways to run the command line, for several test folders."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner, Result

from textgen.checkpoint.format import read_file
from textgen.cli.app import app

ROOT = Path(__file__).resolve().parents[2]

_WHO = ("старик", "мальчик", "сосед", "доктор", "ямщик", "писарь", "гость", "Иван")
_DID = ("видел", "нашёл", "спрятал", "забыл", "продал", "купил", "потерял", "любил")
_WHAT = ("топор", "дом", "сад", "хлеб", "ключ", "свой кафтан", "чужой сапог", "мёд")
_WHEN = ("вчера", "утром", "ночью", "в субботу", "однажды", "тогда", "под вечер", "весной")


def russian_text(chars: int, seed: int = 0) -> str:
    """About `chars` characters of plain sentences, a few to a paragraph; the same each time."""
    rng = random.Random(seed)
    paragraphs = []
    size = 0
    while size < chars:
        sentences = []
        for _ in range(rng.randint(2, 5)):
            when, who, did, what = (rng.choice(w) for w in (_WHEN, _WHO, _DID, _WHAT))
            sentences.append(f"{when.capitalize()} {who} {did} {what}{rng.choice('...!?')}")
        paragraphs.append(" ".join(sentences))
        size += len(paragraphs[-1]) + 1
    return "\n".join(paragraphs)[: chars - 1] + "\n"


_SYLLABLES = ("an", "bel", "cor", "dan", "el", "fin", "gar", "hol", "is", "jor", "kel", "mar")
_ENDINGS = ("a", "us", "in", "ette", "or", "wen")


def names(count: int = 60) -> list[str]:
    """Made-up names in no order, each once."""
    rng = random.Random(2)
    every = [
        first + middle + last for first in _SYLLABLES for middle in _SYLLABLES for last in _ENDINGS
    ]
    return [name.capitalize() for name in rng.sample(every, count)]


def poems(count: int = 40) -> list[str]:
    """Short poems of two lines."""
    rng = random.Random(3)
    words = ("sea", "moon", "rain")
    pairs = [(rng.choice(words), rng.choice(words)) for _ in range(count)]
    return [f"{one.capitalize()} sings\n{other} rests" for one, other in pairs]


#: A model and a text so small that a hundred updates take a fraction of a second.
SMALL = {"hidden_size": 24, "batch_size": 4, "seq_len": 16, "threads": 1}
SMALL_OPTIONS = ["--hidden", "24", "--batch-size", "4", "--seq-len", "16", "--threads", "1"]


def textgen_cli(*words: str | Path, input: str | bytes | None = None, **env: str) -> Result:
    """Run a command in this process; an error that would show a traceback fails the test."""
    result = CliRunner().invoke(app, [str(word) for word in words], input=input, env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert "Traceback" not in result.stderr
    return result


def events(result: Result) -> list[dict[str, Any]]:
    """The JSON lines of `train --json`."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def environment(**extra: str) -> dict[str, str]:
    """For a process of its own: the package importable, its bytecode kept, output in UTF-8."""
    left_out = ("COV_", "PYTHONDONTWRITEBYTECODE")
    env = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
    return {**env, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **extra}


def command(*words: str | Path) -> list[str]:
    """The words that run `textgen` in a process of its own."""
    return [sys.executable, "-m", "textgen", *map(str, words)]


def process(
    *words: str | Path, input: bytes | None = None, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process of its own."""
    return subprocess.run(
        command(*words),
        input=input,
        capture_output=True,
        cwd=cwd,
        env=environment(**env),
        timeout=120,
        check=False,
    )


def digest(tensors: Mapping[str, np.ndarray]) -> str:
    """One hash of all tensors, their names, types and shapes."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        whole.update(f"{name} {array.dtype} {array.shape}".encode())
        whole.update(array.tobytes())
    return whole.hexdigest()


def outcome(folder: Path, *, evaluations_only: bool = False) -> dict[str, Any]:
    """All of a run that must repeat: best model, latest state, reports without the clock's figures.

    Args:
        folder: The run's.
        evaluations_only: Leave out what depends on how often the run reports between evaluations,
            which is fixed by the machine's speed when a run starts.
    """
    _, model = read_file(folder / "model.safetensors", kind="model")
    header, state = read_file(folder / "resume.safetensors", kind="resume")
    progress = {k: v for k, v in header["progress"].items() if k != "seconds"}
    reports = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for report in reports:
        del report["seconds"], report["chars_per_second"]
        if evaluations_only:
            del report["train_bits_per_char"], report["grad_norm"]
    if evaluations_only:
        reports = [report for report in reports if report["evaluated"]]
        del state["train.counters"], progress["steps_counted"]
    return {
        "model": digest(model),
        "state": digest(state),
        "progress": progress,
        "reports": reports,
    }


def files(folder: Path) -> dict[str, str]:
    """Hash of every file of a run, its lock left out."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name != ".lock"
    }
