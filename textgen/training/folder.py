"""A run's folder: its name, what lies in it, and what may be done to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from textgen.checkpoint import MODEL_NAME, RESUME_NAME
from textgen.errors import ConfigError, RunFolderError, StorageError, named
from textgen.files import atomic_write_text
from textgen.training.command import more_command, resume_command

METRICS_NAME = "metrics.jsonl"
CURVE_NAME = "loss.svg"


def run_folder(paths: Sequence[str | Path], out: str | Path | None) -> Path:
    """Where a run is kept: `out` as typed, else `checkpoints/NAME` after the first path."""
    if out is not None:
        return Path(out)
    if not paths:
        raise ConfigError("no text was named; type: textgen train corpus.txt")
    if str(paths[0]) == "-":
        return Path("checkpoints") / "stdin"
    name = Path(paths[0]).resolve().name
    for suffix in (".gz", ".txt"):
        name = name.removesuffix(suffix)
    return Path("checkpoints") / (name or "model")


def has_checkpoint(folder: Path) -> bool:
    """Whether a run lives in `folder`."""
    return any((folder / name).exists() for name in (MODEL_NAME, RESUME_NAME))


def refuse_occupied(folder: Path, force: bool) -> None:
    """Raise `RunFolderError` where a run lives already and `force` is not set."""
    if not force and has_checkpoint(folder):
        raise RunFolderError(
            f"{folder} holds a run already; go on with it where it was stopped: "
            f"{resume_command(folder)}, train it longer: {more_command(folder)}, replace it: "
            f"{named('force')}, or name another folder: {named('out')} DIR"
        )


def clear_results(folder: Path) -> None:
    """Take away what an older run left beside its resumable state."""
    for name in (MODEL_NAME, METRICS_NAME, CURVE_NAME):
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot replace {folder / name}: {error.strerror}") from error


def cut_metrics(folder: Path, step: int) -> None:
    """Drop reports of steps that a killed run took after its last save; they come again."""
    path = folder / METRICS_NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    kept = []
    for line in lines:
        try:
            if int(json.loads(line)["step"]) <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue  # A line that the kill cut short.
    if kept != lines:
        atomic_write_text(path, "".join(line + "\n" for line in kept))
