"""How every unit of a model is distributed over text: what a dose of a bare neuron means.

Kept beside the model, so that the same command steers by the same amount for ever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.errors import CheckpointCorruptError, StorageError
from textgen.files import atomic_write_text, make_folder
from textgen.model.edit import StateName
from textgen.steering.target import Target, read_json, targets_folder

Doubles = NDArray[np.float64]
FORMAT = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Mean and standard deviation of every unit over a text.

    Args:
        mean: By layer and state, `(H,)`.
        sd: The same.
        model: Sum over the weights of the model.
        source: What text it was, for people.
        tokens: How many.
    """

    mean: Mapping[tuple[int, StateName], Doubles]
    sd: Mapping[tuple[int, StateName], Doubles]
    model: str
    source: str
    tokens: int

    def target(self, layer: int, unit: int, state: StateName) -> Target:
        """A neuron that can be steered; it must be there."""
        return Target(
            name=f"{layer}:{unit}.{state}",
            layer=layer,
            state=state,
            mean=float(self.mean[layer, state][unit]),
            sd=float(self.sd[layer, state][unit]),
            unit=unit,
            model=self.model,
            info={"calibrated_on": self.source, "tokens": self.tokens},
        )

    def save(self, model: Path) -> None:
        """Keep it beside a model file.

        Raises:
            StorageError: It could not be written.
        """
        folder = targets_folder(model)
        make_folder(folder)
        record = {
            "format": FORMAT,
            "model": self.model,
            "source": self.source,
            "tokens": self.tokens,
            "units": [
                {
                    "layer": layer,
                    "state": state,
                    "mean": self.mean[layer, state].tolist(),
                    "sd": self.sd[layer, state].tolist(),
                }
                for layer, state in self.mean
            ],
        }
        atomic_write_text(_path(model), json.dumps(record, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, model: Path, digest: str) -> Calibration | None:
        """That of a model file; None where there is none, or none of these weights.

        A file that cannot be read counts as none: it is made again.

        Args:
            model: The model's file.
            digest: Sum over its weights.
        """
        try:
            record = read_json(_path(model))
            if record["format"] != FORMAT or record["model"] != digest:
                return None
            return cls(
                mean=_units(record, "mean"),
                sd=_units(record, "sd"),
                model=digest,
                source=str(record["source"]),
                tokens=int(record["tokens"]),
            )
        except (CheckpointCorruptError, StorageError, KeyError, TypeError, ValueError):
            return None


def _path(model: Path) -> Path:
    # No name of a target begins so.
    return targets_folder(model) / "_calibration.json"


def _units(record: dict[str, Any], key: str) -> dict[tuple[int, StateName], Doubles]:
    return {
        (int(part["layer"]), part["state"]): np.array(part[key], np.float64)
        for part in record["units"]
    }
