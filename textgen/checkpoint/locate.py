"""Which file a person means who names a model: a file, a run's folder, a name, or nothing at all.

Looks at names and times only; opens no checkpoint.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from textgen.checkpoint.shipped import MODEL_NAME, SHIPPED, shipped_at, shipped_for
from textgen.errors import RunFolderError, StorageError
from textgen.files import RESUME_NAME as RESUME_NAME
from textgen.files import os_reason
from textgen.messages import call
from textgen.terminal.humanize import listed

_MAX_LISTED = 10
_TRAIN_FIRST = f"train one first: {call('train', 'corpus.txt')}"


@dataclass(frozen=True, kw_only=True)
class RunEntry:
    """A run found on the disk.

    Args:
        name: The folder's name, as `load` takes it.
        modified: When its model was last written, or else its state: seconds since 1970.
        has_resume: Whether it holds the state that training goes on from.
    """

    name: str
    path: Path
    modified: float
    has_model: bool
    has_resume: bool


def has_checkpoint(folder: str | Path) -> bool:
    """Whether a run lives in `folder`."""
    return any(os.path.isfile(os.path.join(folder, name)) for name in (MODEL_NAME, RESUME_NAME))


def is_path(word: str) -> bool:
    """Whether a word says where something is, and is no name: it has a slash, on Windows also a
    backslash or a drive."""
    return os.path.basename(word) != word


def free_folder(name: str, root: Path = Path("checkpoints")) -> Path:
    """The folder of a new model: `name` below `root`, or `name` itself if it is a path.

    Raises:
        RunFolderError: A model or a run is there already.
    """
    folder = Path(name) if is_path(name) else root / name
    if has_checkpoint(folder):
        raise RunFolderError(f"{folder} already contains a model; choose another name")
    return folder


def list_runs(root: Path = Path("checkpoints")) -> list[RunEntry]:
    """List the runs directly below `root`, the newest first; none where there is no such folder.

    The models that come with textgen are no runs of anybody's, in a clone neither.

    Raises:
        StorageError: The folder cannot be read.
    """
    try:
        with os.scandir(root) as entries:
            names = [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StorageError(f"cannot read the folder {root}: {os_reason(error)}") from error
    runs = []
    for name in names:
        try:
            model = _status(root / name / MODEL_NAME)
            resume = _status(root / name / RESUME_NAME)
        except StorageError:
            continue  # somebody else's, who lets nobody in: it must not hide the others
        newest = model or resume
        if newest is not None and shipped_at(root / name) is None:
            runs.append(
                RunEntry(
                    name=name,
                    path=root / name,
                    modified=newest.st_mtime,
                    has_model=model is not None,
                    has_resume=resume is not None,
                )
            )
    return sorted(runs, key=lambda run: (-run.modified, run.name))


def locate_model(
    spec: str | Path | None = None,
    root: Path = Path("checkpoints"),
    *,
    text: str = "",
    fits: Callable[[Path], bool] = lambda _: True,
) -> Path:
    """Return the model file that `spec` names.

    Args:
        spec: A file; a run's folder (its model is meant); the name of a run (or of a file in it)
            below `root`, or else of a model that comes with textgen; or None, the run below `root`
            whose model was written last, or else a model that comes with textgen. A file wins over
            a name, a name over a folder that holds no model.
        root: The folder of all runs.
        text: What the model is to continue; where several come with textgen, one that knows its
            letters is taken.
        fits: Whether a run's model is of use, where none is named: the newest that is, is taken.
    Returns:
        The path of a file that exists; whether it holds a model is not looked at.
    Raises:
        StorageError: There is none; the message lists the runs there are and says what to type.
    """
    if spec is None:
        runs = list_runs(root)
        models = [run.path / MODEL_NAME for run in runs if run.has_model]
        if (newest := next(filter(fits, models), None)) is not None:
            return newest
        if runs and not models:
            raise StorageError(_only_state(runs[0].path))
        shipped = shipped_for(text)
        if shipped is not None:
            return shipped
        raise StorageError(f"there is no model in {root} yet; {_TRAIN_FIRST}")
    typed = Path(spec)
    named = root / spec
    status = _any_status(typed)
    is_folder = status is not None and stat.S_ISDIR(status.st_mode)
    if status is not None and not is_folder:
        return typed
    for folder in (typed, named):
        if _is_file(folder / MODEL_NAME):
            return folder / MODEL_NAME
    if _is_file(named):
        return named
    for folder in (typed, named):
        if _is_file(folder / RESUME_NAME):
            raise StorageError(_only_state(folder))
    for model in SHIPPED:
        if model.path is not None and str(spec) == model.name:
            return model.path
    runs = list_runs(root)
    if is_folder:
        below = list_runs(typed)
        what = f"the folder {typed} holds no {MODEL_NAME}"
        if below and os.path.realpath(typed) != os.path.realpath(root):
            raise StorageError(f"{what}; choose one of the runs in it: {_listed(below, full=True)}")
    else:
        what = f"there is no checkpoint '{spec}': no such file or folder, and no such run in {root}"
    if not runs:
        raise StorageError(f"{what}; {_TRAIN_FIRST}")
    close = difflib.get_close_matches(str(spec), [run.name for run in runs], n=1, cutoff=0.5)
    guess = f"did you mean '{close[0]}'? " if close else ""
    there = "Runs" if guess else "runs"
    raise StorageError(f"{what}; {guess}{there} there, the newest first: {_listed(runs)}")


def _only_state(folder: Path) -> str:
    return (
        f"the run in {folder} has written no model yet: while it is training, wait for the first; "
        f"if it was stopped, continue it: {call('train', str(folder), resume=True)}"
    )


def _listed(runs: list[RunEntry], *, full: bool = False) -> str:
    """Return the first runs as one line."""
    return listed([str(run.path) if full else run.name for run in runs], _MAX_LISTED)


def _status(path: Path) -> os.stat_result | None:
    """What the system knows of a regular file, or None if it is not there."""
    status = _any_status(path)
    return status if status is not None and stat.S_ISREG(status.st_mode) else None


def _any_status(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except PermissionError as error:
        raise StorageError(f"cannot read {path}: {os_reason(error)}") from error
    except (OSError, ValueError):
        return None  # not there; or a name that cannot be: too long, in a loop, with a zero byte


def _is_file(path: Path) -> bool:
    return _status(path) is not None
