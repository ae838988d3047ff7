"""Make a trained model one that comes with textgen: `python scripts/ship.py RUN checkpoints/NAME`.

The weights are kept in 16 bits. Of the texts their names are kept, without the folders of this
machine; how the neurons are distributed over the training text is measured and put beside the
model, so that they can be steered where that text is not at hand. The card, `README.md`, is written
by hand.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import textgen
from textgen.checkpoint import MODEL_NAME, SavedModel


def without_folders(info: dict[str, Any]) -> dict[str, Any]:
    """What a model's file says of its making, with no path of the machine that made it.

    Args:
        info: As in `SavedModel.info`.
    """
    words = json.dumps(info, ensure_ascii=False)
    paths = [file["path"] for file in info["corpus"]["files"]]
    # A text alone is known by its name; several by the name of the folder that they are in.
    kept = os.path.dirname(os.path.commonpath([os.path.abspath(path) for path in paths]))
    info = json.loads(words.replace(json.dumps(kept + os.sep)[1:-1], ""))
    info["corpus"].pop("keys", None)
    before, _, _ = info["command"].partition(" --out ")
    return {**info, "command": before}


def ship(run: Path, folder: Path) -> None:
    """Write the model of a run, rounded to 16 bits, and the calibration of its neurons.

    Args:
        run: The folder of the run; its training text is in the cache.
        folder: Where it goes to.
    """
    path = folder / MODEL_NAME
    folder.mkdir(parents=True, exist_ok=True)
    saved = SavedModel.load(run / MODEL_NAME)
    saved.save(path, half=True)
    # The keys of the cache, by which the training text is found, are still in it.
    source = textgen.load(path).calibration.source
    assert source == "the training text", source
    replace(saved, info=without_folders(saved.info)).save(path, half=True)


if __name__ == "__main__":
    ship(Path(sys.argv[1]), Path(sys.argv[2]))
    model = textgen.load(sys.argv[2])
    print(model.digest, os.path.getsize(model.path), json.dumps(model.saved.info["metrics"]))
