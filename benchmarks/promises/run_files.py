"""The files that a command leaves: what must repeat in them, and not what the clock says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from textgen.checkpoint.format import read_file
from textgen.errors import TextgenError

#: What differs from run to run in a line of `metrics.jsonl` and where a run stands: reports between
#: evaluations come when the clock has them, and each begins its means anew.
_OF_THE_CLOCK = (
    *("seconds", "chars_per_second", "train_bits_per_char", "grad_norm", "steps_counted"),
)


def tree_of(folder: Path) -> dict[str, str]:
    """A hash of every file below a folder but the cache: of all that must repeat, not of the time.

    Args:
        folder: The project.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or name.startswith((".cache", ".config", "cache")) or path.name == ".lock":
            continue
        found[name] = hash_of(path)
    return found


def hash_of(path: Path) -> str:
    """The hash of a file; for the files of a run without seconds and the like; "broken"."""
    data = path.read_bytes()
    if path.suffix == ".safetensors":
        kind = "resume" if path.name.startswith("resume") else "model"
        try:
            header, tensors = read_file(path, kind=kind)
        except TextgenError:
            return "broken"
        progress = header.get("progress", {})
        kept = {key: value for key, value in progress.items() if key not in _OF_THE_CLOCK}
        parts = [
            f"{key} {array.dtype} {array.shape}".encode() + array.tobytes()
            for key, array in sorted(tensors.items())
            if key != "train.counters"
        ]
        data = b"".join(parts) + json.dumps(kept).encode()
    elif path.suffix == ".jsonl":
        try:
            lines = [json.loads(line) for line in data.decode().splitlines()]
        except ValueError:
            return "broken"
        # A report between evaluations comes when the clock has it.
        lines = [line for line in lines if line.get("evaluated", True)]
        values = [
            [value for key, value in line.items() if key not in _OF_THE_CLOCK] for line in lines
        ]
        data = json.dumps(values).encode()
    elif path.name == "comparison.json":
        # Its figures are those of the runs beside it, and of the clock.
        try:
            data = json.dumps(sorted(json.loads(data))).encode()
        except ValueError:
            return "broken"
    return hashlib.sha256(data).hexdigest()
