"""What an export wrote, and how it is compared with the model before anybody gets it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.checkpoint import SavedModel
from textgen.errors import BackendError, ConfigError, named
from textgen.files import atomic_write_bytes, check_writable
from textgen.model.numpy_network import NumpyNetwork
from textgen.notebook import Part, Shown
from textgen.table import Column, Table
from textgen.terminal.humanize import size

#: So many steps are compared, of so many texts side by side.
STEPS, TEXTS = 200, 2
#: How far a logit may be off, as a share of the largest one: float32 sums in another order, carried
#: on over the steps. What was seen is 4e-6.
BOUND = 1e-4


@dataclass(frozen=True, repr=False)
class Exported(Shown):
    """What was written.

    Args:
        path: The folder, or the file.
        files: The size in bytes of each file, by its name.
        steps: How many steps were compared with those of textgen before.
        difference: The largest difference of a logit in them.
        notices: What else there is to know, a sentence each.
    """

    path: Path
    files: Mapping[str, int]
    steps: int
    difference: float
    notices: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """Where it is, and how well it agrees with the model."""
        return (
            f"{self.path}; over {self.steps:,} steps a logit differs by {self.difference:.2g} at "
            "most"
        )

    def parts(self) -> Iterable[Part]:
        """The files and their sizes."""
        yield Table(("file", Column("bytes", "size", size)), self.files.items())

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "written": str(self.path),
            "files": dict(self.files),
            "steps": self.steps,
            "difference": self.difference,
            "notices": list(self.notices),
        }


def trial(saved: SavedModel) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Tokens `(T, B)`, drawn at random, and our logits after each of them `(T, B, V)`."""
    ids_TB = np.random.default_rng(0).integers(0, saved.config.vocab_size, (STEPS, TEXTS))
    return ids_TB, logits_of(saved.network(), ids_TB)


def logits_of(network: NumpyNetwork, ids_TB: NDArray[np.int64]) -> NDArray[np.float32]:
    """The logits after each token, `(T, B, V)`."""
    state, rows = network.zero_state(ids_TB.shape[1]), []
    for ids_B in ids_TB:
        logits_BV, state = network.step(ids_B, state)
        rows.append(logits_BV)
    return np.stack(rows)


def compare(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """The largest difference of two arrays of logits.

    Raises:
        BackendError: It is larger than rounding explains.
    """
    difference = float(np.abs(found - expected).max())
    if not difference <= BOUND * max(1.0, float(np.abs(expected).max())):
        raise BackendError(
            f"the exported model computes other numbers than textgen: a logit differs by "
            f"{difference:.2g}, so nothing was written; please report it"
        )
    return difference


def refuse_existing(paths: list[Path], *, force: bool) -> None:
    """Refuse files that exist, unless they are to be replaced, and those that cannot be written.

    Raises:
        ConfigError: One exists.
        StorageError: One cannot be written.
    """
    found = next((path for path in paths if path.exists()), None)
    if found is not None and not force:
        raise ConfigError(
            f"{found} exists; replace it with {named('force')}, or choose another name"
        )
    for path in paths:
        check_writable(path)


def write_all(folder: Path, files: Mapping[str, bytes]) -> dict[str, int]:
    """Write files into a folder, each as a whole, and return their sizes.

    Raises:
        StorageError: One cannot be written.
    """
    for name, data in files.items():
        atomic_write_bytes(folder / name, data)
    return {name: len(data) for name, data in files.items()}
